"""What `crudsd state`, `backfill` and `run --full` say and do, against a real server on this machine."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.cli import main
from daemon.clock import utc_clock
from daemon.store.database import open_database
from daemon.store.leases import Leases, job_lease
from daemon.store.owner import Owner
from tests.fakes.misbehaving import MisbehavingServer

CONFIG = """\
version: 1
connections:
  api: {{host: "{url}", retry: {{attempts: 1}}}}
jobs:
  people:
    source:
      connection: api
      read: hr
      params: {{at_since: "{{{{ cursor.start }}}}", at_before: "{{{{ cursor.end }}}}"}}
      records: hr
      incremental: {{field: at}}
    key: record.no
    map: {{ref: record.no, name: record.name}}
    target: {{connection: api, create: desk, update: "desk/{{{{ target.id }}}}"}}
  plain:
    source: {{connection: api, read: hr, records: hr}}
    key: record.no
    target: {{connection: api, create: desk, update: desk}}
"""
FIRST, LAST = "2026-01-01T00:00:00.123456789Z", "2026-01-02T00:00:00Z"


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with MisbehavingServer(seed=1) as server:
        hr = server.collection("hr", key="no", paging="none")
        hr.put([{"no": 1, "name": "A", "at": FIRST}, {"no": 2, "name": "B", "at": LAST}])
        server.collection("desk", key="ref", paging="none")
        yield server


@pytest.fixture
def config(server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "crudsd.yaml"
    path.write_text(CONFIG.format(url=server.url))
    monkeypatch.setenv("CRUDSD_CONFIG", str(path))
    return path


def crudsd(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(list(words)) == code
    said = capsys.readouterr()
    return said.out if code == 0 else said.err


def cursor(capsys: pytest.CaptureFixture[str]) -> object:
    found = json.loads(crudsd(capsys, "state", "show", "people", "--json"))["cursors"]
    return found[0]["value"] if found else None


def asked(server: MisbehavingServer) -> list[dict[str, str]]:
    return [dict(seen.query) for seen in server.requests if seen.path == "/hr"]


@pytest.mark.usefixtures("config")
def test_a_run_says_what_it_read_and_state_shows_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert "has no cursor yet" in crudsd(capsys, "state", "show", "people")
    assert "read: everything" in crudsd(capsys, "run", "people")

    shown = crudsd(capsys, "state", "show", "people")

    assert LAST in shown
    assert "Last full read: " in shown
    assert f"read: what changed since '{LAST}'" in crudsd(capsys, "run", "people")
    assert "read: everything" in crudsd(capsys, "run", "people", "--full")
    assert "read: everything" in crudsd(capsys, "plan", "people", "--full")
    reaches = [one["reach"] for one in json.loads(crudsd(capsys, "runs", "people", "--json"))["runs"]]
    assert reaches == ["whole", "since", "whole"]


@pytest.mark.usefixtures("config")
def test_a_cursor_is_set_only_with_yes_and_only_to_what_can_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    crudsd(capsys, "run", "people")

    assert "add --yes" in crudsd(capsys, "state", "set", "people", FIRST, code=2)
    assert "is no moment" in crudsd(capsys, "state", "set", "people", "yesterday", "--yes", code=2)
    assert "reads everything each time" in crudsd(capsys, "state", "show", "plain", code=2)
    assert cursor(capsys) == LAST

    crudsd(capsys, "state", "set", "people", FIRST, "--yes")
    assert cursor(capsys) == FIRST
    crudsd(capsys, "run", "people")
    assert cursor(capsys) == LAST


@pytest.mark.usefixtures("config")
def test_a_cursor_that_is_forgotten_begins_anew_and_costs_no_write(
    capsys: pytest.CaptureFixture[str], server: MisbehavingServer
) -> None:
    crudsd(capsys, "run", "people")
    crudsd(capsys, "state", "reset", "people", "--yes")
    server.forget()

    out = crudsd(capsys, "run", "people")

    assert "2 unchanged" in out
    assert "read: everything" in out
    assert server.writes() == []


@pytest.mark.usefixtures("config")
def test_an_export_comes_back(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    crudsd(capsys, "run", "people")
    file = tmp_path / "cursors.json"
    file.write_text(crudsd(capsys, "state", "export", "people"))
    crudsd(capsys, "state", "reset", "people", "--yes")
    assert cursor(capsys) is None

    crudsd(capsys, "state", "import", "people", str(file), "--yes")

    assert cursor(capsys) == LAST
    file.write_text('{"crudsd_state": 2}')
    assert "no export of cursors" in crudsd(capsys, "state", "import", "people", str(file), "--yes", code=2)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"cursors": None}, "no export of cursors"),
        ({"job": "others"}, "these are cursors of others"),
        ({"type": "number"}, "of type number"),
        ({"cursors": [1]}, "names no part"),
        ({"cursors": [{"part": "", "value": None}]}, "is no moment"),
        ({"cursors": [{"part": "north", "value": FIRST}]}, "there is no part north"),
        ({"cursors": [{"part": "", "value": FIRST, "revision": 1}]}, "names no revision"),
    ],
    ids=["nothing", "job", "type", "item", "value", "part", "revision"],
)
@pytest.mark.usefixtures("config")
def test_an_export_that_is_not_of_this_job_or_was_spoiled_sets_nothing(
    edit: dict[str, object], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    crudsd(capsys, "run", "people")
    file = tmp_path / "cursors.json"
    file.write_text(json.dumps({**json.loads(crudsd(capsys, "state", "export", "people")), **edit}))

    assert said in crudsd(capsys, "state", "import", "people", str(file), "--yes", code=2)
    assert cursor(capsys) == LAST


def test_an_export_from_before_an_edit_of_the_job_spares_no_full_read(
    capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    crudsd(capsys, "run", "people")
    file = config.parent / "cursors.json"
    file.write_text(crudsd(capsys, "state", "export", "people"))
    config.write_text(config.read_text().replace("name: record.name", "name: record.name | lower"))

    told = crudsd(capsys, "state", "import", "people", str(file), "--yes")

    assert "1 of them are of people before it was edited" in told
    out = crudsd(capsys, "run", "people", "--allow-updates", "2")
    assert "2 updated" in out


@pytest.mark.usefixtures("config")
def test_a_cursor_of_a_part_that_there_is_not_is_not_set_or_forgotten_in_silence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    crudsd(capsys, "run", "people")

    assert "is in one part" in crudsd(capsys, "state", "set", "people", FIRST, "--part", "north", "--yes", code=2)
    assert "no cursor of a part north" in crudsd(capsys, "state", "reset", "people", "--part", "north", "--yes", code=2)
    assert cursor(capsys) == LAST


def test_a_source_in_parts_has_no_cursor_as_a_whole(capsys: pytest.CaptureFixture[str], config: Path) -> None:
    each = 'for_each: {as: no, in: [1, 2]}\n    source:\n      headers: {X-Of: "{{ no }}"}'
    config.write_text(config.read_text().replace("source:", each, 1))

    assert "name one by --part" in crudsd(capsys, "state", "set", "people", FIRST, "--yes", code=2)
    assert "it had none before" in crudsd(capsys, "state", "set", "people", FIRST, "--part", "1", "--yes")


@pytest.mark.usefixtures("config")
def test_a_backfill_that_ends_before_it_begins_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("backfill", "people", "--from", "2025-02-01", "--to", "2025-01-01")
    assert "ends before it begins" in crudsd(capsys, *words, code=2)


def test_a_backfill_to_an_end_is_refused_where_the_request_asks_for_none(
    capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    config.write_text(config.read_text().replace(', at_before: "{{ cursor.end }}"', ""))
    words = ("backfill", "people", "--from", "2025-01-01", "--to", "2025-02-01")

    assert "asks for no upper bound" in crudsd(capsys, *words, code=2)
    assert "a stretch of the past" in crudsd(capsys, *words[:4])


@pytest.mark.edge(46)
@pytest.mark.usefixtures("config")
def test_a_backfill_asks_for_its_stretch_and_leaves_the_cursor(
    capsys: pytest.CaptureFixture[str], server: MisbehavingServer
) -> None:
    crudsd(capsys, "run", "people")
    server.forget()

    out = crudsd(capsys, "backfill", "people", "--from", "2025-01-01", "--to", "2025-02-01")

    assert "a stretch of the past" in out
    assert asked(server) == [{"at_since": "2025-01-01", "at_before": "2025-02-01"}]
    assert cursor(capsys) == LAST
    (last, _) = json.loads(crudsd(capsys, "runs", "people", "--json"))["runs"]
    assert (last["trigger"], last["reach"]) == ("backfill", "backfill")


@pytest.mark.usefixtures("config")
def test_a_cursor_is_not_set_behind_a_run_that_is_under_way(capsys: pytest.CaptureFixture[str], config: Path) -> None:
    crudsd(capsys, "run", "people")
    with open_database(config.parent / "crudsd.db") as database:
        leases = Leases(database, utc_clock, Owner.here())
        lease = leases.acquire(job_lease("people"))
        try:
            crudsd(capsys, "state", "reset", "people", "--yes", code=7)
        finally:
            leases.release(lease)

    assert cursor(capsys) == LAST


@pytest.mark.usefixtures("config")
def test_explain_says_what_an_incremental_run_does_not_see(capsys: pytest.CaptureFixture[str]) -> None:
    crudsd(capsys, "run", "people")

    told = crudsd(capsys, "explain", "people", "1")

    assert "an incremental run reads what changed since its cursor" in told
