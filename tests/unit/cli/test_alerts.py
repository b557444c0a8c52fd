"""What `crudsd alerts` says, and that a person can try whether somebody is told."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.cli import main
from daemon.errors import Exit
from tests.fakes.scripted import Reply, ScriptedServer, serving

HOOK = "canary-hook-0123456789abcdef"
CONFIG = """\
version: 1
on_recovery: [ops, unheard]
alerts:
  ops: {{type: webhook, url: {{env: HOOK}}}}
  room: {{type: webhook, url: "{url}/room?key=its-key", body: "{{{{ alert.summary }}}}"}}
  mail: {{type: command, command: [/bin/sh, -c, "echo 550; exit 3"]}}
  dead: {{type: heartbeat, url: "{url}/ping", path: "{{{{ alert.job }}}}"}}
  unheard: {{type: command, command: [/bin/true]}}
connections:
  hr: {{host: "https://hr.example.com"}}
jobs:
  people: &people
    source: {{connection: hr, read: a}}
    key: record.id
    target: {{connection: hr, create: a, update: a}}
    heartbeat: dead
    on_recovery: ops
    on_late: {{to: room, after: 2h}}
  tickets: {{<<: *people, on_failure: mail}}
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with serving() as server:
        path = tmp_path / "crudsd.yaml"
        path.write_text(CONFIG.format(url=server.url))
        monkeypatch.setenv("CRUDSD_CONFIG", str(path))
        monkeypatch.setenv("HOOK", f"{server.url}/{HOOK}")
        monkeypatch.setenv("no_proxy", "*")
        yield server


def test_the_list_says_who_is_told_of_what_by_whom_and_shows_no_address(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["alerts", "list"]) == Exit.DONE
    assert capsys.readouterr().out.splitlines() == [
        "ops  webhook {env: HOOK}",
        "  on_recovery: people, tickets",
        f"room  webhook {server.url}",
        "  on_late: people, tickets",
        "mail  command /bin/sh",
        "  on_failure: tickets",
        f"dead  heartbeat {server.url}",
        "  heartbeat: people, tickets",
        "unheard  command /bin/true  (no job tells it anything)",
    ]

    assert main(["alerts", "list", "--json"]) == Exit.DONE
    listed = json.loads(capsys.readouterr().out)["alerts"]
    assert listed[2] == {"name": "mail", "type": "command", "where": "/bin/sh", "told_by": {"on_failure": ["tickets"]}}


def test_a_test_reaches_its_destination_and_says_that_it_is_one(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script(Reply(200), Reply(200), Reply(200))

    codes = [main(["alerts", "test", *more]) for more in (["ops", "--event", "hold"], ["room"], ["dead"])]

    hook, room, ping = server.journal
    told = json.loads(hook.body)
    assert codes == [Exit.DONE] * 3
    assert (told["event"], told["job"], told["test"], told["cause"]) == ("hold", "example", True, "guard")
    assert room.body.decode() == "TEST: example failed: this is a test; nothing has happened"
    assert ping.target == "/ping/example"
    assert "ops was told of a hold, marked as a test.\n" in capsys.readouterr().out


def test_a_test_that_does_not_arrive_says_why(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.script(Reply(403, body=b"no_such_channel"), Reply(500))

    codes = [main(["alerts", "test", name]) for name in ("ops", "room", "mail", "opps")]
    codes += [main(["alerts", "test", "dead", "--event", "late"])]

    refused, broken, mail, unknown, unfit = capsys.readouterr().err.splitlines()
    assert codes == [Exit.ERROR, Exit.UNAVAILABLE, Exit.UNAVAILABLE, Exit.USAGE, Exit.USAGE]
    assert "answered with status code 403: no_such_channel" in refused
    assert "/room: answered with status code 500" in broken
    assert "its-key" not in broken
    assert "alert mail: /bin/sh ended with 3: 550" in mail
    assert "there is no alert opps; did you mean ops?" in unknown
    assert "alert dead is not told of late; it takes good" in unfit


def test_a_template_that_names_what_an_alert_has_not_is_found_by_validate(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "crudsd.yaml"
    path.write_text(path.read_text().replace("{{ alert.summary }}", "{{ alert.sumary }}"))

    assert main(["validate"]) == Exit.CONFIG

    said = capsys.readouterr().err
    assert "crudsd.yaml:5:" in said
    assert "alerts.room.body: an alert has no such field" in said
    assert "help: docs/reference/alerts.md lists what there is" in said
