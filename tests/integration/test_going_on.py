"""A killed read is gone on with over a real server and a real state file; a lost or old state file does no harm."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daemon.store.database import open_database
from daemon.store.statements import execute
from daemon.sync import engine
from daemon.sync.outcome import Ending
from daemon.sync.ports import Page
from daemon.sync.reading import Reading
from tests.fakes.misbehaving import Fault, MisbehavingServer
from tests.integration.harness import wrote
from tests.integration.test_bad_input import Scene, person

PAGES = 6
LISTED = {"list": {"uri": "users", "records": "users", "paginate": {"type": "page", "param": "page"}}}
WITH_LIST: dict[str, Any] = {**LISTED, "lookup": None}


class KilledError(BaseException):
    """The process dies here. Nothing in the program may catch it."""


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with MisbehavingServer(seed=5) as one:
        yield one


@pytest.fixture(autouse=True)
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    original = engine.run
    monkeypatch.setattr(
        engine,
        "run",
        lambda job, ports, options: original(job, ports, replace(options, slice_pages=1)),
    )


def scene(server: MisbehavingServer, folder: Path, **changes: Any) -> Scene:
    made = Scene(server, folder, **changes)
    made.people.page_size = 60  # six pages of 350
    return made


def pages_asked(server: MisbehavingServer) -> int:
    return sum(seen.method == "GET" and seen.path == "/people" for seen in server.requests)


def kill_at_page(scene: Scene, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    """Run, and die when the turn of this page has come; the next ones may have been asked for by then."""
    with monkeypatch.context() as patch:
        take_in = Reading.page

        def mortal(self: Reading, arrived: Page) -> None:
            if arrived.number == page:
                raise KilledError
            take_in(self, arrived)

        patch.setattr(Reading, "page", mortal)
        with pytest.raises(KilledError):
            scene.desk.run()


@pytest.mark.edge(15)
@pytest.mark.suffering(10)
@pytest.mark.parametrize("page", range(1, PAGES + 1))
def test_a_run_killed_at_any_page_is_gone_on_with_after_its_last_mark(
    server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    one = scene(server, tmp_path)
    kill_at_page(one, monkeypatch, page)
    server.forget()

    result = one.desk.run().result

    # The token of the first page has nothing before it to be compared with, so the first mark is that of page 2.
    assert pages_asked(server) == (PAGES if page <= 2 else PAGES - page + 1)
    assert (result.ending, result.certificate.issued, result.counts.created) == (Ending.DONE, True, 350)
    assert max(server.creates_by_key("users").values()) == 1
    assert one.is_in_step()
    assert wrote(one.desk.run().result.counts) == (0, 0, 0)


@pytest.mark.suffering(3)
def test_a_killed_read_deletes_what_left_and_nothing_else(
    server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene(server, tmp_path)
    one.desk.run()
    one.people.remove("E3")
    one.people.remove("E340")
    kill_at_page(one, monkeypatch, 5)

    result = one.desk.run().result

    assert wrote(result.counts) == (0, 0, 2)
    assert {done.key for done in server.applied if done.kind == "delete"} == {"E3", "E340"}
    assert one.is_in_step()


@pytest.mark.parametrize(
    ("paging", "said"),
    [
        ("page", {"records": "people", "paginate": {"type": "page", "param": "page"}}),
        ("link", {"records": None, "paginate": {"type": "link"}}),
        ("next_url", {"records": "people", "paginate": {"type": "next_url", "next": "next"}}),
    ],
)
def test_numbers_start_again_also_where_an_address_hides_them(
    server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paging: Any, said: dict[str, Any]
) -> None:
    one = scene(server, tmp_path, source=said)
    one.people.paging = paging
    kill_at_page(one, monkeypatch, 5)
    one.people.remove("E0")  # now every row after it has moved up by one
    server.forget()

    result = one.desk.run().result

    assert pages_asked(server) >= PAGES
    assert result.certificate.issued
    assert {done.key for done in server.applied if done.kind == "delete"} <= {"E0"}


@pytest.mark.parametrize("status", [400, 404, 410, 500])
def test_a_token_that_the_api_forgot_begins_the_read_anew(
    server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    one = scene(server, tmp_path)
    kill_at_page(one, monkeypatch, 5)
    server.forget()
    server.fault(Fault.answer(status), path="^/people.*cursor=", times=3 if status == 500 else 1)

    result = one.desk.run().result

    assert (result.ending, result.counts.seen) == (Ending.DONE, 350)
    assert one.is_in_step()


def test_the_rejects_of_the_first_part_are_kept_to_the_end(
    server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene(server, tmp_path)
    one.people.put([{**person(7), "email": 1}])
    one.users.reject("E8")
    one.users.reject("E9", status=403)
    kill_at_page(one, monkeypatch, 5)
    kept = sorted(one.desk.rejects())

    result = one.desk.run().result

    assert result.certificate.issued
    assert kept == sorted(one.desk.rejects())
    assert {"E8", "E9"} <= set(kept)
    assert result.counts.rejected == len(kept)


def test_a_mark_is_forgotten_when_the_read_is_over(
    server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene(server, tmp_path)
    kill_at_page(one, monkeypatch, 5)
    assert marks(one) == 1

    one.desk.run()

    assert marks(one) == 0


def marks(scene: Scene) -> int:
    with open_database(scene.desk.state, read_only=True) as database, database.read() as connection:
        return int(execute(connection, "SELECT count(*) FROM reads").scalar_one())


# ---- the state is lost, or an old one ----


@pytest.mark.edge(40)
@pytest.mark.parametrize("target", [{}, WITH_LIST], ids=["look-up", "list"])
def test_a_lost_state_deletes_nothing_and_links_by_key(
    server: MisbehavingServer, tmp_path: Path, target: dict[str, Any]
) -> None:
    one = scene(server, tmp_path, target=target)
    one.desk.run()
    one.desk.state.unlink()
    for number in range(5):
        one.people.remove(f"E{number}")
    one.people.put([person(10, name="Other"), person(400)])
    server.forget()

    first = one.desk.run().result
    second = one.desk.run().result

    assert wrote(first.counts) == (1, 1, 0)
    assert (first.counts.adopted, wrote(second.counts)) == (345, (0, 0, 0))
    assert {done.kind for done in server.applied} == {"create", "update"}
    assert {f"E{number}" for number in range(5)} <= set(one.users.by_key())


@pytest.mark.edge(40)
@pytest.mark.parametrize("target", [{}, WITH_LIST], ids=["look-up", "list"])
def test_an_old_backup_converges_without_doubles_or_wrong_deletes(
    server: MisbehavingServer, tmp_path: Path, target: dict[str, Any]
) -> None:
    one = scene(server, tmp_path, target=target)
    one.desk.run()
    shutil.copy(one.desk.state, tmp_path / "backup.db")
    one.people.put([person(400), person(401), person(10, name="Other")])
    one.people.remove("E3")
    one.desk.run()
    one.people.put([person(3, name="Back")])
    one.people.remove("E4")
    one.desk.run()
    shutil.copy(tmp_path / "backup.db", one.desk.state)
    for suffix in ("-wal", "-shm"):
        one.desk.state.with_name(one.desk.state.name + suffix).unlink(missing_ok=True)
    one.people.put([person(11, name="Later"), person(402)])
    server.forget()

    one.desk.run()
    result = one.desk.run().result

    assert wrote(result.counts) == (0, 0, 0)
    assert one.is_in_step()
    assert server.creates_by_key("users") == {"E402": 1}
    assert {done.key for done in server.applied if done.kind == "delete"} == set()
