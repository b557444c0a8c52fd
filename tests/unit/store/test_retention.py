"""What is forgotten with time, and what never is."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import update

from daemon.store.database import Database
from daemon.store.retention import LATEST, Pruned, prune
from daemon.store.run_row import Trigger
from daemon.store.tables import runs as table
from daemon.sync.change import Fate
from daemon.sync.outcome import Ending
from tests.contract.journal import a_change, plan
from tests.unit.store.places import HandClock, SqlWorld
from tests.unit.store.test_runs import a_result


def rows(database: Database, sql: str) -> list[tuple[object, ...]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql)]


def a_run(world: SqlWorld, *, changes: int = 0, fate: Fate = Fate.DONE, ending: Ending = Ending.FAILED) -> str:
    """Return a run that is over, with so many changes of this fate."""
    run = world.runs.begin(world.job, trigger=Trigger.SCHEDULE, revision="r1")
    journal = world.journal(run)
    planned = [a_change(seq, key=f"k{seq}") for seq in range(1, changes + 1)]
    if planned:
        plan(journal, *planned)
        with world.database.write() as connection:
            connection.exec_driver_sql(f"UPDATE changes SET fate = '{fate}' WHERE run = '{run}'")
    world.runs.finish(run, a_result(ending))
    if ending is Ending.FAILED:
        with world.database.write() as connection:
            connection.execute(update(table).where(table.c.id == run).values(is_complete=False, selection=None))
    world.clock.move(60)
    return run


def forget_all(world: SqlWorld) -> Pruned:
    now = world.clock() + timedelta(days=1)
    return prune(world.database, runs_before=now, changes_before=now)


def test_old_runs_go_with_their_changes_and_the_latest_stay(world: SqlWorld) -> None:
    runs = [a_run(world, changes=3) for _ in range(LATEST + 5)]

    pruned = forget_all(world)

    assert pruned == Pruned(runs=5, changes=3 * (LATEST + 5))
    assert {row.id for row in world.runs.recent(None, 100)} == set(runs[5:])
    assert forget_all(world) == Pruned(runs=0, changes=0)


def test_what_is_young_stays(world: SqlWorld) -> None:
    begin = world.clock()
    for _ in range(LATEST + 5):
        a_run(world, changes=1)

    assert prune(world.database, runs_before=begin, changes_before=begin) == Pruned(0, 0)
    pruned = prune(world.database, runs_before=begin, changes_before=begin + timedelta(seconds=150))
    assert pruned == Pruned(runs=0, changes=3)


@pytest.mark.parametrize("fate", [Fate.UNKNOWN, Fate.SENT])
def test_a_change_without_a_known_outcome_outlives_everything_and_so_does_its_run(world: SqlWorld, fate: Fate) -> None:
    oldest = a_run(world, changes=2, fate=fate)
    for _ in range(LATEST + 2):
        a_run(world)

    forget_all(world)

    assert rows(world.database, f"SELECT count(*) FROM changes WHERE run = '{oldest}'") == [(2,)]
    assert world.runs.get(oldest) is not None


def test_the_runs_that_guards_measure_by_outlive_their_time(world: SqlWorld) -> None:
    accepted = a_run(world, ending=Ending.DONE)
    for _ in range(LATEST + 2):
        a_run(world)

    assert forget_all(world).runs == 2

    last = world.runs.last_complete(world.job)
    settled = world.runs.latest_settled(world.job)
    assert last is not None
    assert settled is not None
    assert (last.id, settled.id) == (accepted, accepted)


def test_the_run_of_a_kept_reject_or_an_approval_stays(world: SqlWorld, database: Database) -> None:
    held, met = a_run(world), a_run(world)
    for _ in range(LATEST + 3):
        a_run(world)
    with database.write() as connection:
        connection.exec_driver_sql(f"INSERT INTO approvals VALUES ('people', '{held}', '', '2026-03-01')")
        connection.exec_driver_sql(
            "INSERT INTO rejects (job, key, reason, excerpt, attempts, first_at, last_at, run) "
            f"VALUES ('people', 'k', 'no', '', 1, '2026-03-01', '2026-03-01', '{met}')"
        )

    assert forget_all(world).runs == 3
    assert all(world.runs.get(run) is not None for run in (held, met))


def test_the_latest_runs_of_each_job_stay_whatever_other_jobs_do(
    world: SqlWorld, database: Database, clock: HandClock
) -> None:
    quiet = SqlWorld(database, clock, job="quiet")
    rare = a_run(quiet)
    for _ in range(LATEST + 5):
        a_run(world)

    forget_all(world)

    assert quiet.runs.get(rare) is not None


def test_a_run_that_is_not_over_loses_nothing(world: SqlWorld) -> None:
    run = world.runs.begin(world.job, trigger=Trigger.MANUAL, revision="r1")
    journal = world.journal(run)
    plan(journal, a_change(1))
    with world.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE changes SET fate = 'done' WHERE run = '{run}'")
    for _ in range(LATEST + 2):
        a_run(world)

    forget_all(world)

    assert rows(world.database, f"SELECT fate FROM changes WHERE run = '{run}'") == [("done",)]


def test_asked_to_stop_it_forgets_nothing_more(world: SqlWorld) -> None:
    for _ in range(LATEST + 2):
        a_run(world, changes=1)
    stop = threading.Event()
    stop.set()
    later = world.clock() + timedelta(days=1)

    assert prune(world.database, runs_before=later, changes_before=later, stop=stop) == Pruned(0, 0)


def test_more_than_fits_into_one_transaction_is_forgotten_too(world: SqlWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.store.retention._RUNS_AT_ONCE", 2)
    monkeypatch.setattr("daemon.store.retention._CHANGES_AT_ONCE", 2)
    for _ in range(LATEST + 5):
        a_run(world, changes=3)

    assert forget_all(world) == Pruned(runs=5, changes=3 * (LATEST + 5))
