"""A target whose lists are behind: what was just created is missing from the list and from every look-up."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest

from daemon.errors import Exit
from tests.fakes.misbehaving import MisbehavingServer
from tests.faults.processes import Nursery, nursery
from tests.faults.scene import Scene, Way

FOR_EVER = 1_000


class Scenes(Protocol):
    def __call__(self, way: Way, *, settle: str = "0s") -> Scene: ...


@pytest.fixture(scope="module")
def warm() -> Iterator[Nursery]:
    with nursery() as made:
        yield made


@pytest.fixture
def scenes(warm: Nursery, tmp_path: Path) -> Iterator[Scenes]:
    with MisbehavingServer(seed=1) as plain, MisbehavingServer(seed=1, idempotent=True) as idempotent:

        def make(way: Way, *, settle: str = "0s") -> Scene:
            server = idempotent if way is Way.KEY else plain
            # A full read of an incremental job compares with the target's list, and writes again what that lacks.
            return Scene(server, tmp_path / way, warm, way, settle=settle, incremental=False)

        yield make


@pytest.mark.edge(31)
@pytest.mark.parametrize("way", Way)
def test_what_was_created_is_remembered_and_neither_created_again_nor_taken_for_deleted(
    way: Way, scenes: Scenes
) -> None:
    scene = scenes(way)
    scene.back()
    scene.users.lag(FOR_EVER)

    first = scene.run()

    assert first.code == Exit.REJECTED, first
    scene.assert_made_good()


@pytest.mark.edge(23, 31)
@pytest.mark.parametrize("way", [Way.KEY, Way.NOTHING])
def test_a_create_whose_answer_was_lost_is_not_made_again_where_no_list_is_asked_about_it(
    way: Way, scenes: Scenes
) -> None:
    scene = scenes(way)
    scene.back()
    scene.users.lag(FOR_EVER)
    scene.struck_at("POST /users applied #2")
    in_doubt = scene.in_doubt()

    scene.assert_made_good(in_doubt)

    assert in_doubt == ({"E21"} if way is Way.NOTHING else set())


@pytest.mark.parametrize("way", [Way.KEY, Way.LOOKUP, Way.LIST])
def test_with_settle_a_create_whose_answer_was_lost_is_not_made_again_however_soon_the_next_run_comes(
    way: Way, scenes: Scenes
) -> None:
    scene = scenes(way, settle="10m")
    scene.back()
    scene.users.lag(FOR_EVER)
    scene.struck_at("POST /users applied #2")

    at_once = scene.run()
    catch_up(scene)
    scene.assert_made_good()

    assert at_once.code == Exit.REJECTED, at_once
    assert ("the target does not show the record, and may not yet" in at_once.out) == (way is not Way.KEY)


@pytest.mark.parametrize("way", [Way.LOOKUP, Way.LIST])
def test_without_settle_what_a_list_lacks_counts_as_not_there_and_is_created_twice(way: Way, scenes: Scenes) -> None:
    scene = scenes(way)
    scene.back()
    scene.users.lag(FOR_EVER)
    scene.struck_at("POST /users applied #2")

    scene.run()

    created = Counter(one.key for one in scene.server.applied if one.kind == "create")
    assert {key: times for key, times in created.items() if times > 1} == {"E21": 2}


def catch_up(scene: Scene) -> None:
    """Let the target show everything, an hour later: what is remembered is an hour older by then."""
    scene.users.lag(0)
    with closing(sqlite3.connect(scene.state)) as connection, connection:
        for table, column in (("changes", "updated_at"), ("links", "written_at"), ("runs", "ended_at")):
            found = connection.execute(f"select rowid, {column} from {table} where {column} is not null").fetchall()
            connection.executemany(
                f"update {table} set {column} = ? where rowid = ?",
                [(earlier(text), row) for row, text in found],
            )


def earlier(text: str) -> str:
    moment = datetime.fromisoformat(text).astimezone(UTC) - timedelta(hours=1)
    return moment.isoformat(timespec="microseconds")
