"""A program that is told of alerts, started from inside the unit's sandbox."""

from .desk import CHECKOUT, CREDENTIALS, Desk

TOLD = "/var/lib/crudsd/told"
ALERTS = f"""
alerts:
  shell: {{type: command, command: [/bin/sh, -c, "cat > {TOLD}.sh; env >> {TOLD}.sh; mv {TOLD}.sh {TOLD}"]}}
  python: {{type: command, command: [/usr/bin/python3, -c, "open('/tmp/told', 'x'); open('{TOLD}.py', 'x')"]}}
on_failure: [shell, python]

jobs:
"""


def test_a_program_is_told_of_a_failure_within_the_sandbox_and_of_no_secret(desk: Desk) -> None:
    desk.box.sh("echo wrong > /etc/crudsd/secrets/helpdesk-token")
    desk.edit_config("\njobs:\n", ALERTS)

    desk.start()
    desk.box.until(
        lambda: desk.box.run("ls", TOLD, f"{TOLD}.py", check=False).returncode == 0,
        what="both programs were told",
    )

    told = desk.box.run("cat", TOLD).stdout
    assert '"event": "failure"' in told
    assert "CRUDSD_EVENT=failure" in told
    assert "CREDENTIALS_DIRECTORY" not in told
    for name in CREDENTIALS:
        assert desk.box.run("cat", f"{CHECKOUT}/secrets/{name}").stdout not in told
    assert desk.as_service("alerts", "list").stdout.startswith("shell  command /bin/sh\n  on_failure: ")
