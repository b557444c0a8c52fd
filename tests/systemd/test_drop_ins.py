"""The drop-ins that are shipped as examples: accepted by systemd, run with, and tried for what they say."""

import re

import pytest

from daemon.store import schema
from tests.packaging.test_unit_file import UNIT as SHIPPED

from .box import Box
from .desk import SYSTEMD, UNIT, Desk

EXAMPLES = sorted(path.name.partition(".")[0] for path in (SYSTEMD / "crudsd.service.d").iterdir())
SINCE = {"notify-reload": 253}
"""The systemd that an example needs."""

SLOW = """
import sys, time
from daemon.cli import main
from daemon.store import schema

upgrade = schema.upgrade

def slow(database, *, tick=None):
    until = time.monotonic() + 7
    with database.migrate(tick=tick) as connection:
        while time.monotonic() < until:
            connection.exec_driver_sql(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT max(i) FROM n"
            ).all()
    upgrade(database, tick=tick)

schema.upgrade = slow
sys.exit(main(["serve", "--upgrade", "--config", "/etc/crudsd/crudsd.yaml"]))
"""


def version(box: Box) -> int:
    found = re.search(r"systemd (\d+)", box.run("systemctl", "--version").stdout)
    assert found is not None
    return int(found[1])


def usable(box: Box) -> list[str]:
    return [name for name in EXAMPLES if SINCE.get(name, 0) <= version(box)]


def text_of(name: str) -> str:
    return (SYSTEMD / "crudsd.service.d" / f"{name}.conf.example").read_text()


def test_systemd_accepts_every_example_and_finds_it_as_exposed_as_it_says(box: Box) -> None:
    box.put(UNIT, SHIPPED.read_text())
    for name in usable(box):
        place = f"{UNIT}.d/{name}.conf"
        box.put(place, text_of(name))

        verdict = box.run("systemd-analyze", "verify", "--man=no", UNIT, check=False)
        judged = box.run("systemd-analyze", "security", "--offline=true", "--no-pager", UNIT).stdout

        assert (verdict.returncode, verdict.stdout + verdict.stderr) == (0, ""), name
        (score,) = re.findall(r"crudsd\.service: ([\d.]+)", judged)
        said = re.search(r"(?:Exposure: |costs nothing.*: )([\d.]+)", text_of(name), re.IGNORECASE | re.DOTALL)
        assert said is not None, name
        assert said[1].rstrip(".") == score, name
        box.run("rm", place)


def test_the_service_runs_with_every_example(desk: Desk) -> None:
    names = [name for name in usable(desk.box) if name != "credentials"]
    for name in names:
        desk.example(name)
        desk.box.run("systemctl", "restart", "crudsd")
        assert desk.shows("ActiveState") == "active", name
        desk.box.run("systemctl", "reload", "crudsd")
        desk.wait_until_in_step()
        desk.box.run("rm", f"{UNIT}.d/{name}.conf")

    for name in names:
        desk.example(name)
    desk.box.run("systemctl", "restart", "crudsd")
    desk.change()
    desk.wait_until_in_step()
    desk.assert_nothing_was_doubled_or_lost()


def test_secrets_come_from_elsewhere_and_stand_before_the_folder(desk: Desk) -> None:
    desk.box.sh("""
        mkdir --mode=0700 /run/vault-agent
        mv /etc/crudsd/secrets/hr-client-secret /run/vault-agent
        systemd-creds encrypt --name=helpdesk-token /etc/crudsd/secrets/helpdesk-token /etc/crudsd/helpdesk-token.cred
        echo wrong > /etc/crudsd/secrets/helpdesk-token
    """)
    desk.example("credentials")

    desk.start()

    desk.wait_until_in_step()


def test_nothing_but_crudsd_is_carried_out_without_programs(desk: Desk) -> None:
    desk.example("no-programs")
    desk.start()
    desk.wait_until_in_step()
    desk.box.run("systemctl", "stop", "crudsd")
    desk.drop_in("try", "ExecStartPre=/bin/sh -c true\n")

    assert desk.box.run("systemctl", "start", "crudsd", check=False).returncode
    assert "status=203/EXEC" in desk.messages()


def test_a_reload_waits_for_its_end_where_systemd_can(desk: Desk) -> None:
    if version(desk.box) < SINCE["notify-reload"]:
        pytest.skip("this systemd does not know Type=notify-reload")
    desk.example("notify-reload")
    desk.start()
    pid = desk.box.main_pid("crudsd")

    desk.edit_config("mode: mirror", "mode: mirrow")
    desk.box.run("systemctl", "reload", "crudsd")
    assert "is refused" in desk.shows("StatusText")
    desk.edit_config("mode: mirrow", "mode: mirror")
    desk.box.run("systemctl", "reload", "crudsd")

    assert "service.reloaded" in {event["event"] for event in desk.events()}
    assert (desk.box.main_pid("crudsd"), desk.shows("ActiveState"), desk.shows("NRestarts")) == (pid, "active", "0")


class TestUpgrade:
    def test_a_state_of_an_older_crudsd_is_upgraded_at_the_start_and_a_copy_stays(self, desk: Desk) -> None:
        desk.make_schema("0003")
        desk.example("upgrade")

        desk.start()

        copy = f"/var/lib/crudsd/state.db.before-{schema.head()}"
        assert desk.box.sh(f"stat --format='%U %a' {copy}") == "crudsd 600\n"
        assert desk.box.sh(f"sqlite3 {copy} 'select version_num from alembic_version'") == "0003\n"
        assert desk.asked("select version_num from alembic_version") == schema.head()
        desk.wait_until_in_step()

    def test_systemd_waits_for_an_upgrade_that_takes_longer_than_a_start_may(self, desk: Desk) -> None:
        desk.make_schema("0003")
        desk.box.put("/srv/slow.py", SLOW)
        run = "/opt/crudsd/bin/python -B /srv/slow.py"
        desk.drop_in("slow", f"TimeoutStartSec=3s\nExecStart=\nExecStart={run}\n")

        desk.box.run("systemctl", "start", "--no-block", "crudsd")
        desk.box.until(lambda: desk.shows("StatusText").startswith("upgrading "), what="systemd is told")
        desk.start()

        assert (desk.shows("ActiveState"), desk.shows("NRestarts")) == ("active", "0")
        told = {event["event"]: event["timestamp"] for event in desk.events()}
        assert {"state.upgrading", "state.upgraded", "service.ready"} <= set(told)
        desk.wait_until_in_step()

    def test_killed_in_its_middle_it_begins_again(self, desk: Desk) -> None:
        desk.make_schema("0003")
        desk.box.put("/srv/slow.py", SLOW)
        run = "/opt/crudsd/bin/python -B /srv/slow.py"
        desk.drop_in("slow", f"RestartSec=1s\nExecStart=\nExecStart={run}\n")
        desk.box.run("systemctl", "start", "--no-block", "crudsd")
        desk.box.until(lambda: desk.shows("StatusText").startswith("upgrading "), what="an upgrade")

        desk.box.run("systemctl", "kill", "--signal=KILL", "crudsd")
        desk.box.until(lambda: desk.shows("NRestarts") == "1", what="a restart")
        assert desk.asked("select version_num from alembic_version") == "0003"
        desk.start()

        assert desk.asked("select version_num from alembic_version") == schema.head()
        desk.wait_until_in_step()
