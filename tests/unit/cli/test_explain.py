"""`crudsd explain` against a real server on this machine."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import main
from tests.fakes.misbehaving import Fault, MisbehavingServer
from tests.fakes.misbehaving_records import Collection

CONFIG = """\
version: 1
connections:
  hr: {{host: "{url}", retry: {{attempts: 1}}}}
  desk: {{host: "{url}", retry: {{attempts: 1}}}}
jobs:
  people:
    mode: mirror
    source: {{connection: hr, read: hr, records: hr}}
    key: [record.team, record.no]
    map:
      external_id: record.team ~ '-' ~ record.no
      name: {{from: record.name, required: true}}
      team: record.team
      no: record.no
    target:
      connection: desk
      list: {{uri: desk, records: desk}}
      match: "[team, no]"
      create: {{uri: desk, params: {{key: hush-hush}}, headers: {{X-Key: hush-hush}}}}
      update: {{uri: "desk/{{{{ target.id }}}}?by={{{{ key }}}}&secret=hush-hush", body: changed}}
      delete: "desk/{{{{ target.id }}}}"
  numbers:
    source: {{connection: hr, read: numbers, records: numbers}}
    key: record.n
    target:
      connection: desk
      match: n
      lookup: {{uri: flat, params: {{n: "{{{{ key }}}}"}}, records: flat}}
      create: flat
      update: "flat/{{{{ target.id }}}}"
"""


class Systems(MisbehavingServer):
    """Both systems, on one server."""

    hr: Collection
    desk: Collection


@pytest.fixture
def server() -> Iterator[Systems]:
    with Systems(seed=1) as server:
        server.hr = server.collection("hr", key="no", paging="none")
        server.desk = server.collection("desk", paging="none")
        server.hr.put({"team": "a", "no": f"p{number}", "name": f"Person {number}"} for number in range(12))
        server.collection("numbers", key="n", paging="none").put([{"n": 1}, {"n": 2}])
        server.collection("flat", key="n", paging="none")
        yield server


@pytest.fixture
def config(server: Systems, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "crudsd.yaml"
    path.write_text(CONFIG.format(url=server.url))
    monkeypatch.setenv("CRUDSD_CONFIG", str(path))
    return path


def explain(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["explain", *arguments])
    return code, capsys.readouterr().out


def explain_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code, out = explain(capsys, *arguments, "--json")
    return code, json.loads(out)


def dump(config: Path) -> list[str]:
    with sqlite3.connect(config.with_name("crudsd.db")) as connection:
        return list(connection.iterdump())


def test_an_edited_record_is_told_with_the_request_that_would_be_sent(
    config: Path, server: Systems, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "people"])
    rename(server, "p3", "New")
    server.forget()
    before = dump(config)

    code, out = explain(capsys, "people", "a/p3")

    assert code == 0
    assert "~ name         'New'                     'Person 3'                'Person 3'" in out
    assert "Next run    updates it: name differs from what is wanted" in out
    assert f"It sends    PATCH {server.url}/desk/" in out
    assert '{"name":"New"}' in out
    assert "create done" in out
    assert server.writes() == []
    assert dump(config) == before


@pytest.mark.edge(45)
def test_nothing_is_written_whatever_the_record_is(
    config: Path, server: Systems, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "people"])
    rename(server, "p3", "")
    server.hr.remove("p4")
    server.hr.put([{"team": "a", "no": "p20", "name": "New"}])
    server.forget()
    before = dump(config)

    keys = ("a/p2", "a/p3", "a/p4", "a/p20", "a/p99")
    told = [explain_json(capsys, "people", key)[1]["decision"]["verb"] for key in keys]

    assert told == ["nothing", "reject", "delete", "create", "nothing"]
    assert server.writes() == []
    assert dump(config) == before


def test_what_the_job_file_says_and_not_the_record_is_hidden_in_requests(
    config: Path, server: Systems, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = explain(capsys, "people", "a/p3")
    assert code == 0
    assert f"POST {server.url}/desk?key=…" in out
    assert "X-Key: …" in out
    main(["run", "people"])
    rename(server, "p3", "New")

    _, told = explain_json(capsys, "people", "a/p3")

    (request,) = told["requests"]
    assert request["url"].endswith("?by=a%2Fp3&secret=…")
    assert "hush-hush" not in out + json.dumps(told)


def test_a_number_is_a_key_like_any_other(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = explain_json(capsys, "numbers", "1")

    assert code == 0
    assert (told["key"], told["source"]["record"]["n"], told["decision"]["verb"]) == ("1", 1, "create")


def test_a_key_that_is_known_nowhere_is_a_usage_error_with_keys_like_it(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "people"])

    code, out = explain(capsys, "people", "a/p33")

    assert code == 2
    assert "not there; complete: 12 records on 1 page" in out
    assert "Nothing is known of a/p33." in out
    assert "Like it: " in out
    assert "a/p3" in out[out.index("Like it") :]


def test_a_job_that_does_not_exist_is_a_usage_error(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "peopel", "a/p3"]) == 2
    assert "did you mean people?" in capsys.readouterr().err


@pytest.mark.parametrize(("path", "part"), [("/hr", "source"), ("/desk", "target")])
def test_a_system_that_is_away_is_told_of_and_everything_else_is_shown(
    path: str, part: str, config: Path, server: Systems, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "people"])
    server.fault(Fault.answer(503), path=path)

    code, told = explain_json(capsys, "people", "a/p3")

    other = {"source": "target", "target": "source"}[part]
    assert code == told["exit_code"] == 6
    assert (told[part]["seen"], told[other]["seen"]) == ("unknown", "found")
    assert "503" in told[part]["trouble"]
    assert told["link"]["target_id"]
    assert [one["kind"] for one in told["history"]["changes"]] == ["create"]


def test_a_system_that_shall_not_be_asked_is_not(
    config: Path, server: Systems, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "people"])
    rename(server, "p3", "New")
    server.forget()

    code, told = explain_json(capsys, "people", "a/p3", "--no-target")

    assert (code, told["target"]["seen"], told["decision"]["verb"]) == (0, "not_asked", "update")
    assert {seen.path for seen in server.requests} == {"/hr"}
    code, told = explain_json(capsys, "people", "a/p3", "--no-source")
    assert (code, told["source"]["seen"], told["decision"]["verb"]) == (0, "not_asked", "unknown")


def test_a_reject_is_told_with_what_helps(config: Path, server: Systems, capsys: pytest.CaptureFixture[str]) -> None:
    rename(server, "p3", "")
    main(["run", "people"])

    code, out = explain(capsys, "people", "a/p3")

    assert code == 0
    assert "✗ cannot be made" in out
    assert "! name         name is required and is empty" in out
    assert "Reject      ! name is required and is empty" in out
    assert "If it fails each time: mend the record in the source, or the job file." in out
    assert "Next run    rejects it: name is required and is empty" in out


def test_what_was_changed_in_the_target_is_pointed_at(
    config: Path, server: Systems, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "people"])
    server.desk.put([{**server.desk.by_key()["a-p3"], "name": "Spoilt"}])

    _, out = explain(capsys, "people", "a/p3")

    assert "does nothing: the source's record has not changed" in out
    assert "Note: the target holds name otherwise" in out


def rename(server: Systems, no: str, name: str) -> None:
    """Somebody edits a person in the source."""
    server.hr.put([{**server.hr.by_key()[no], "name": name}])
