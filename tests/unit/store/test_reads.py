"""Marks in a read, on a real database: how long they live, and what they cannot be read from."""

import pytest

from daemon.store.database import Database
from daemon.store.reads import MARK_LIFE
from daemon.store.statements import execute
from daemon.sync.outcome import Ending
from tests.contract.journal import A_MARK
from tests.unit.store.places import HandClock, SqlWorld


@pytest.fixture
def world(database: Database) -> SqlWorld:
    made = SqlWorld(database, HandClock())
    made.journal("run1").mark(A_MARK)
    made.end("run1", Ending.INTERRUPTED)
    return made


def test_a_mark_lives_for_a_day(world: SqlWorld) -> None:
    later = world.journal("run2")
    world.clock.move(MARK_LIFE.total_seconds() - 1)
    assert later.last_mark("r1") == A_MARK
    world.clock.move(1)
    assert later.last_mark("r1") is None


def test_a_mark_of_another_release_is_none(world: SqlWorld, database: Database) -> None:
    with database.write() as connection:
        execute(connection, "UPDATE reads SET mark = ?", (b"\x81\xa3odd\x01",))
    assert world.journal("run2").last_mark("r1") is None


def test_a_run_that_is_not_over_keeps_its_mark_to_itself(world: SqlWorld) -> None:
    world.journal("run2").mark(A_MARK)
    assert world.journal("run3").last_mark("r1") is None


def test_another_job_has_marks_of_its_own(world: SqlWorld, database: Database) -> None:
    other = SqlWorld(database, world.clock, job="tickets")
    assert other.journal("run9").last_mark("r1") is None
    other.journal("run9").unmark()
    assert world.journal("run2").last_mark("r1") == A_MARK
