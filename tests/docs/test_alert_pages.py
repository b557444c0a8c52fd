"""The pages about alerts are true: what they configure is sent, here, to a server of this machine."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import main
from daemon.clock import utc_clock
from daemon.errors import Exit
from daemon.report.alert import sample
from daemon.runtime.alert_command import clean
from daemon.spec import ALERTED
from tests.fakes.scripted import Reply, ScriptedServer, serving

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "how-to" / "alerts.md").read_text(encoding="utf-8")
REFERENCE = (DOCS / "reference" / "alerts.md").read_text(encoding="utf-8")
YAML: list[str] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
JOB = """\
    schedule: {every: 15m}
    source: {connection: a, read: a}
    key: record.id
    target: {connection: a, create: a, update: a}
"""


def block(alert: str) -> str:
    """Return the YAML of the page that has this alert."""
    return next(one for one in YAML if f"\n  {alert}:\n" in one)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with serving() as server:
        paths = {"room-url": "/services/T/B/x", "teams-url": "/teams", "ping-url": "/PING-KEY"}
        for name, text in {
            **{name: server.url + path for name, path in paths.items()},
            "ntfy-token": "Bearer tk",
        }.items():
            (tmp_path / name).write_text(text)
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        monkeypatch.setenv("CRUDSD_CONFIG", str(tmp_path / "crudsd.yaml"))
        monkeypatch.setenv("no_proxy", "*")
        server.script(*[Reply(200)] * 3)
        yield server


def write(folder: Path, text: str, server: ScriptedServer) -> None:
    jobs = "" if "\njobs:" in text else "jobs:\n  people-to-helpdesk:\n"
    text = text.replace("https://ntfy.example.com", server.url).replace("/usr/local/bin", str(folder))
    (folder / "crudsd.yaml").write_text(
        f"version: 1\nconnections: {{a: {{host: http://127.0.0.1:1}}}}\n{text}{jobs}{JOB}"
    )


@pytest.mark.parametrize(
    ("alert", "arrives"),
    [
        ("room", {"text": "TEST: example failed: this is a test; nothing has happened\nnothing is to be done"}),
        ("phone", "TEST: example failed: this is a test; nothing has happened"),
        ("teams", "AdaptiveCard"),
    ],
)
def test_a_webhook_of_the_page_arrives_as_its_service_wants_it(
    server: ScriptedServer, tmp_path: Path, alert: str, arrives: Any
) -> None:
    write(tmp_path, block(alert), server)

    assert main(["validate"]) == Exit.DONE
    assert main(["alerts", "test", alert]) == Exit.DONE

    (seen,) = server.journal
    body = seen.body.decode()
    assert json.loads(body) == arrives if isinstance(arrives, dict) else arrives in body
    if alert == "phone":
        assert (seen.headers["authorization"], seen.headers["title"]) == ("Bearer tk", "crudsd")


def test_the_switch_of_the_page_is_asked_in_its_three_forms(server: ScriptedServer, tmp_path: Path) -> None:
    write(tmp_path, block("switch"), server)

    codes = [main(["alerts", "test", "switch", "--event", event]) for event in ("good", "start", "failure")]

    assert codes == [Exit.DONE] * 3
    assert [seen.target for seen in server.journal] == [f"/PING-KEY/example{end}" for end in ("", "/start", "/fail")]


def test_the_mail_of_the_page_is_sent(server: ScriptedServer, tmp_path: Path) -> None:
    write(tmp_path, block("mail"), server)
    (script,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "crudsd-mail").write_text(script.replace("/usr/sbin/sendmail -t", f"cat > {tmp_path}/sent"))
    (tmp_path / "crudsd-mail").chmod(0o755)

    assert main(["alerts", "test", "mail"]) == Exit.DONE

    head, _, body = (tmp_path / "sent").read_text().partition("\n\n")
    subject = "Subject: [crudsd] TEST: example failed: this is a test; nothing has happened"
    assert head.splitlines() == ["To: ops@example.com", subject]
    assert json.loads(body)["event"] == "failure"


def test_the_job_of_the_page_that_may_be_late_is_valid(server: ScriptedServer, tmp_path: Path) -> None:
    write(tmp_path, next(one for one in YAML if "on_late" in one), server)

    assert main(["validate"]) == Exit.DONE


def test_the_reference_names_every_key_and_every_variable() -> None:
    rows = re.findall(r"^\| (`.*?) \|", REFERENCE.partition("## What an alert holds")[2], re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    variables = set(re.findall(r"`(CRUDSD_\w+)`", REFERENCE))

    for event in ALERTED:
        alert = sample(event, job="people", at=utc_clock(), host="h", version="0")
        assert alert.keys() == named
        assert None not in alert.values()
        assert clean({}, alert).keys() == variables
