"""The verbs against a real server on this machine: what a shell gets on stdout, stderr and as exit code."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.cli import main
from tests.fakes.misbehaving import Fault, MisbehavingServer

ROOT = Path(__file__).parents[3]

CONFIG = """\
version: 1
connections:
  api: {{host: "{url}", retry: {{attempts: 1}}}}
jobs:
  people:
    mode: mirror
    source: {{connection: api, read: hr, records: hr}}
    key: record.external_id
    map: {{external_id: record.external_id, name: record.name}}
    target:
      connection: api
      id: id
      match: external_id
      list: {{uri: desk, records: desk}}
      lookup: {{uri: desk, params: {{external_id: "{{{{ key }}}}"}}, records: desk}}
      create: desk
      update: "desk/{{{{ target.id }}}}"
      delete: "desk/{{{{ target.id }}}}"
"""


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with MisbehavingServer(seed=1) as server:
        hr = server.collection("hr", paging="none")
        server.collection("desk", paging="none", unique=["external_id"])
        hr.put({"external_id": f"p{number}", "name": f"Person {number}"} for number in range(3))
        yield server


@pytest.fixture
def config(server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "crudsd.yaml"
    path.write_text(CONFIG.format(url=server.url))
    monkeypatch.setenv("CRUDSD_CONFIG", str(path))
    return path


def test_a_plan_shows_the_changes_and_writes_nothing(
    config: Path, server: MisbehavingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [main(["plan", "people"]), main(["plan", "people", "--detailed-exitcode"])] == [0, 4]

    out = capsys.readouterr().out
    assert "+ create  p0  external_id='p0' name='Person 0'" in out
    assert "Plan: 3 to create, 0 to update, 0 to delete (of 3)." in out
    assert server.writes() == []


def test_a_run_carries_the_plan_out_and_a_second_one_writes_nothing(
    config: Path, server: MisbehavingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "people"]) == 0
    assert "3 seen = 3 created + 0 updated + 0 unchanged" in capsys.readouterr().out

    server.forget()
    assert main(["run", "people", "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["counts"]["unchanged"] == 3
    assert server.writes() == []
    assert main(["plan", "people", "--detailed-exitcode"]) == 0


def test_past_runs_are_listed_newest_first(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "people"])
    main(["run", "people"])
    capsys.readouterr()

    assert [main(["runs", "people", "--json"]), main(["runs", "--limit", "1"])] == [0, 0]

    told, rest = json.JSONDecoder().raw_decode(out := capsys.readouterr().out)
    assert [run["counts"]["created"] for run in told["runs"]] == [0, 3]
    assert len(out[rest:].strip().splitlines()) == 2


def test_a_job_that_does_not_exist_is_a_usage_error(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [main([verb, "peopel"]) for verb in ("plan", "run", "runs")] == [2, 2, 2]

    assert "people" in capsys.readouterr().err


def test_a_held_plan_and_run_end_with_5_and_name_the_way_out(
    config: Path, server: MisbehavingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "people"])
    hr = server.collection("hr", paging="none")
    hr.put([{"external_id": "p0", "name": "Person 0"}])
    capsys.readouterr()

    assert [main(["plan", "people"]), main(["run", "people"])] == [5, 5]

    out = capsys.readouterr().out
    assert "- delete  p1  (withheld)" in out
    assert "--allow-deletes 2" in out
    assert [one.kind for one in server.applied] == ["create"] * 3


def test_a_rejected_record_is_told_with_its_reason_and_ends_with_3(
    config: Path, server: MisbehavingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.collection("hr", paging="none").put(
        [{"external_id": "p0", "name": "Person 0"}, {"external_id": None, "name": "Nobody"}]
    )

    assert main(["run", "people"]) == 3

    out = capsys.readouterr().out
    assert "1 reject, the others are not affected:" in out
    assert "the key is null" in out


def test_an_outage_ends_with_6(config: Path, server: MisbehavingServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.fault(Fault.answer(503), path="/hr")

    assert main(["run", "people"]) == 6

    assert "Next: nothing was concluded from the outage" in capsys.readouterr().out


def test_a_run_that_is_told_to_stop_ends_with_130_and_the_next_one_finishes(
    config: Path, server: MisbehavingServer
) -> None:
    server.collection("hr", paging="none").put({"external_id": f"p{number}", "name": "x"} for number in range(200))
    server.fault(Fault.delay(0.05), method="POST")
    with subprocess.Popen(
        [sys.executable, "-m", "daemon", "run", "people"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        while not server.applied:
            assert process.poll() is None
            threading.Event().wait(0.01)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    server.behave()

    assert process.returncode == 130
    assert "Next: crudsd run people finishes the work" in out
    assert 0 < len(server.applied) < 200
    assert main(["run", "people"]) == 0
    assert set(server.creates_by_key("desk").values()) == {1}
    assert len(server.applied) == 200


def test_a_key_is_made_once_for_its_owner_alone(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [main(["key", "generate"]), main(["key", "generate"])] == [0, 78]

    key = config.parent / "crudsd.key"
    captured = capsys.readouterr()
    assert key.stat().st_mode & 0o777 == 0o600
    assert captured.out.startswith(f"{key}: key ")
    assert key.read_text().strip() not in captured.out
    assert str(key) in captured.err


def test_the_state_database_is_made_and_then_up_to_date(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [main(["db", "upgrade"]), main(["db", "upgrade"])] == [0, 0]

    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("The state database went from empty to schema ")
    assert second.startswith("The state database is up to date")
