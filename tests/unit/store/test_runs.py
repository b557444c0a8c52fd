import threading
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from daemon.errors import StateError
from daemon.store.database import Database
from daemon.store.leases import Leases, job_lease
from daemon.store.owner import Owner
from daemon.store.run_id import least_run_id, new_run_id
from daemon.store.run_row import Trigger
from daemon.store.runs import RunStore
from daemon.store.stops import Stops
from daemon.sync.certificate import Certificate, End
from daemon.sync.change import Fate, Kind
from daemon.sync.counts import Counts
from daemon.sync.outcome import Ending, Phase, Result, Verdict
from daemon.sync.pin import Digest
from tests.contract.journal import a_change, plan
from tests.unit.store.places import NOON, ON_SQLITE, HandClock, SqlWorld, other_owner

COMPLETE = Certificate(End("empty page", pages=2, records=250, total=250))
DOUBTFUL = Certificate(End("empty page", pages=2, records=250, total=251), ("the API counts 251 records",))


def a_result(
    ending: Ending = Ending.DONE, *, seen: int = 250, certificate: Certificate = COMPLETE, **more: Any
) -> Result:
    verdicts = (Verdict("deletes", tripped=True, message="12 of 100"),)
    return Result(ending, Counts(seen=seen, unchanged=seen), certificate, verdicts, "", **more)


@pytest.fixture
def runs(database: Database, clock: HandClock) -> RunStore:
    return RunStore(database, clock)


@pytest.fixture
def leases(database: Database, clock: HandClock) -> Leases:
    return Leases(database, clock, Owner.here(), monotonic=clock.ticks)


def begun(runs: RunStore, leases: Leases, job: str = "people") -> str:
    run = runs.begin(job, trigger=Trigger.MANUAL, revision="r1")
    runs.start(run, leases.acquire(job_lease(job)))
    return run


class TestFiring:
    def test_a_moment_is_fired_once(self, runs: RunStore) -> None:
        first = runs.fire("people", NOON, trigger=Trigger.SCHEDULE, revision="r1")
        assert first is not None
        assert runs.fire("people", NOON, trigger=Trigger.SCHEDULE, revision="r1") is None
        assert not runs.skip("people", NOON, reason="late", revision="r1")
        assert [row.id for row in runs.recent("people", 10)] == [first]

    @pytest.mark.suffering(20)
    def test_of_many_schedulers_one_wins(self, runs: RunStore) -> None:
        fired: list[str | None] = []
        start = threading.Barrier(6)

        def fire() -> None:
            start.wait()
            fired.append(runs.fire("people", NOON, trigger=Trigger.SCHEDULE, revision="r1"))

        threads = [threading.Thread(target=fire) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len([run for run in fired if run]) == 1

    def test_other_moments_and_other_jobs_fire(self, runs: RunStore, clock: HandClock) -> None:
        for job, moment in (("a", NOON), ("b", NOON), ("a", NOON + timedelta(minutes=15))):
            assert runs.fire(job, moment, trigger=Trigger.SCHEDULE, revision="r1")
        clock.now += timedelta(minutes=15)
        assert runs.last_fires()["a"] == NOON + timedelta(minutes=15)
        assert "c" not in runs.last_fires()

    def test_a_fire_of_a_clock_that_was_wrong_hides_none_that_was_missed_since(self, runs: RunStore) -> None:
        for moment in (NOON, NOON.replace(year=2099)):
            assert runs.fire("people", moment, trigger=Trigger.SCHEDULE, revision="r1")
        assert runs.last_fires() == {"people": NOON}

    def test_good_ends_under_a_service_and_fires_after_another_job_are_told_apart(
        self, runs: RunStore, clock: HandClock
    ) -> None:
        for job, ending in (("a", Ending.DONE), ("b", Ending.FAILED)):
            run = runs.fire(job, NOON, trigger=Trigger.SCHEDULE, revision="r1")
            assert run is not None
            runs.finish(run, Result(ending, Counts(), Certificate(end=None), ()))
        by_hand = runs.begin("c", trigger=Trigger.MANUAL, revision="r1")
        runs.finish(by_hand, Result(Ending.DONE, Counts(), Certificate(end=None), ()))
        assert runs.fire("d", NOON, trigger=Trigger.AFTER, revision="r1")

        assert runs.ended_well() == {"a": NOON}
        assert runs.last_fires(Trigger.AFTER) == {"d": NOON}

    def test_manual_runs_do_not_meet(self, runs: RunStore) -> None:
        ids = [runs.begin("people", trigger=Trigger.MANUAL, revision="r1") for _ in range(3)]
        assert len(set(ids)) == 3
        assert runs.last_fires() == {}

    def test_a_skipped_fire_is_over_and_says_why(self, runs: RunStore) -> None:
        assert runs.skip("people", NOON, reason="the run before is not over", revision="r1")
        (row,) = runs.recent("people", 1)
        assert (row.phase, row.ending, row.error) == (Phase.OVER, Ending.SKIPPED, "the run before is not over")
        assert runs.last_fires() == {"people": NOON}
        assert runs.queued() == ()

    def test_ids_are_in_order_of_time(self, runs: RunStore, clock: HandClock) -> None:
        ids = []
        for _ in range(20):
            ids.append(runs.begin("people", trigger=Trigger.MANUAL, revision="r1"))
            clock.move(0.001)
        assert ids == sorted(ids)
        assert [row.id for row in runs.recent(None, 3)] == ids[:-4:-1]


class TestEnding:
    def test_a_run_comes_back_whole(self, runs: RunStore, leases: Leases, clock: HandClock) -> None:
        first = runs.begin("people", trigger=Trigger.AFTER, revision="r1")
        run = runs.begin("people", trigger=Trigger.AFTER, revision="r2", resumes=first)
        clock.move(1)
        runs.start(run, leases.acquire(job_lease("people")), pinned_by="held")
        clock.move(2)
        runs.phase(run, Phase.APPLY)
        assert runs.finish(run, a_result(Ending.HELD, withheld={Kind.DELETE: Digest(2, 2**200)}))
        row = runs.get(run)
        assert row is not None
        assert (row.job, row.trigger, row.revision, row.resumes) == ("people", Trigger.AFTER, "r2", first)
        assert (row.phase, row.ending) == (Phase.OVER, Ending.HELD)
        assert (row.digests, row.pinned_by) == ({Kind.DELETE: Digest(2, 2**200)}, "held")
        assert (row.counts, row.certificate) == (Counts(seen=250, unchanged=250), COMPLETE)
        assert row.verdicts == a_result().verdicts
        assert (row.created_at, row.started_at, row.ended_at) == (
            NOON,
            NOON + timedelta(seconds=1),
            NOON + timedelta(seconds=3),
        )

    def test_the_first_end_stands(self, runs: RunStore, leases: Leases) -> None:
        run = begun(runs, leases)
        assert runs.finish(run, a_result())
        assert not runs.finish(run, a_result(Ending.FAILED))
        runs.phase(run, Phase.READ)
        row = runs.get(run)
        assert row is not None
        assert (row.phase, row.ending) == (Phase.OVER, Ending.DONE)

    def test_a_run_that_is_over_is_not_started(self, runs: RunStore, leases: Leases) -> None:
        run = begun(runs, leases)
        runs.finish(run, a_result())
        for wrong in (run, "unknown"):
            with pytest.raises(StateError, match="is over, or was never queued"):
                runs.start(wrong, leases.acquire(f"job/{wrong}"))

    def test_what_was_never_sent_is_dropped(self, world: SqlWorld) -> None:
        journal = world.journal("run1")
        plan(journal, a_change(1), a_change(2), a_change(3, Kind.DELETE))
        journal.commit(sent=[a_change(1)], outcomes=(), counts=Counts())
        journal.withhold([Kind.DELETE], "too many", Counts())
        world.runs.finish("run1", a_result())
        assert journal.tally() == {
            (Kind.CREATE, Fate.SENT): 1,
            (Kind.CREATE, Fate.DROPPED): 1,
            (Kind.DELETE, Fate.WITHHELD): 1,
        }

    def test_the_last_read_that_was_complete_and_accepted_is_remembered(self, world: SqlWorld) -> None:
        runs, links = world.runs, world.links()
        assert runs.last_complete("people") is None
        endings = ((100, COMPLETE, "s100"), (60, COMPLETE, None), (7, DOUBTFUL, None), (0, Certificate(None), None))
        for seen, certificate, selection in endings:
            run = runs.begin("people", trigger=Trigger.MANUAL, revision="r1")
            runs.finish(run, a_result(seen=seen, certificate=certificate, selection=selection))
            world.clock.move(1)
        row = runs.last_complete("people")
        assert row is not None
        assert row.counts.seen == 60
        assert links.last_seen() == 100
        assert links.last_selection() == "s100"

    def test_the_latest_run_that_came_to_its_own_end_is_found(self, runs: RunStore, clock: HandClock) -> None:
        assert runs.latest_settled("people") is None
        ends = [Ending.HELD, Ending.UNAVAILABLE, Ending.FAILED, Ending.INTERRUPTED, Ending.WAITING]
        made = []
        for ending in ends:
            made.append(runs.begin("people", trigger=Trigger.MANUAL, revision="r1"))
            runs.finish(made[-1], a_result(ending))
            clock.move(1)
        runs.finish(runs.begin("other", trigger=Trigger.MANUAL, revision="r1"), a_result())
        row = runs.latest_settled("people")
        assert row is not None
        assert row.id == made[0]


class TestInterruption:
    def test_a_run_whose_lease_lives_is_not_interrupted(self, runs: RunStore, leases: Leases) -> None:
        begun(runs, leases)
        assert runs.interrupted(leases) == ()

    def test_a_run_whose_lease_ran_out_is(self, runs: RunStore, leases: Leases, clock: HandClock) -> None:
        run = begun(runs, leases)
        clock.move(31)
        assert [row.id for row in runs.interrupted(leases)] == [run]

    def test_a_run_whose_lease_was_taken_again_is(self, runs: RunStore, leases: Leases, clock: HandClock) -> None:
        run = begun(runs, leases)
        clock.move(31)
        leases.acquire(job_lease("people"))
        assert [row.id for row in runs.interrupted(leases)] == [run]

    def test_another_machines_run_goes_on(
        self, runs: RunStore, leases: Leases, database: Database, clock: HandClock
    ) -> None:
        begun(runs, Leases(database, clock, other_owner()))
        assert runs.interrupted(leases) == ()

    def test_a_run_that_is_over_or_not_begun_is_not(self, runs: RunStore, leases: Leases, clock: HandClock) -> None:
        over = begun(runs, leases)
        runs.finish(over, a_result())
        waiting = runs.begin("people", trigger=Trigger.MANUAL, revision="r1")
        clock.move(31)
        assert runs.interrupted(leases) == ()
        assert [row.id for row in runs.queued()] == [waiting]


def test_a_naive_moment_is_refused(runs: RunStore) -> None:
    with pytest.raises(Exception, match="naive"):
        runs.fire("people", NOON.replace(tzinfo=None), trigger=Trigger.SCHEDULE, revision="r1")


def test_an_unknown_run_is_none(runs: RunStore) -> None:
    assert runs.get("nothing") is None
    runs.phase("nothing", Phase.READ)
    assert not runs.finish("nothing", a_result())


@dataclass
class Desk:
    """Runs that end one after the other."""

    runs: RunStore
    leases: Leases
    clock: HandClock

    def ended(self, ending: Ending, wait_s: float | None = None, job: str = "people") -> None:
        run = self.runs.begin(job, trigger=Trigger.MANUAL, revision="r1")
        lease = self.leases.acquire(job_lease(job))
        self.runs.start(run, lease)
        self.runs.finish(run, replace(a_result(ending, certificate=DOUBTFUL), wait_s=wait_s))
        self.leases.release(lease)
        self.clock.move(0.01)


@pytest.fixture
def desk(runs: RunStore, leases: Leases, clock: HandClock) -> Desk:
    return Desk(runs, leases, clock)


class TestWaiting:
    def test_a_waiting_run_remembers_when_it_goes_on(self, desk: Desk) -> None:
        assert desk.runs.waits_until("people") is None

        desk.ended(Ending.WAITING, 36_000.0)

        assert desk.runs.waits_until("people") == NOON + timedelta(hours=10)
        assert desk.runs.recent("people", 1)[0].resume_at == NOON + timedelta(hours=10)
        assert desk.runs.waits_until("others") is None

    @pytest.mark.parametrize("wait_s", [None, 0.0, 1.0])
    def test_a_short_wait_does_not_make_a_run_a_second(self, desk: Desk, wait_s: float | None) -> None:
        desk.ended(Ending.WAITING, wait_s)

        assert desk.runs.waits_until("people") == NOON + timedelta(seconds=30)

    @pytest.mark.parametrize("ending", [Ending.DONE, Ending.UNAVAILABLE, Ending.FAILED, Ending.HELD])
    def test_a_later_run_that_went_to_its_end_ends_the_wait(self, desk: Desk, ending: Ending) -> None:
        desk.ended(Ending.WAITING, 36_000.0)
        desk.ended(ending)

        assert desk.runs.waits_until("people") is None

    def test_a_run_that_was_skipped_cut_off_or_is_under_way_does_not(self, desk: Desk) -> None:
        desk.ended(Ending.WAITING, 36_000.0)
        desk.ended(Ending.INTERRUPTED)
        desk.runs.skip("people", NOON, reason="the system asked to be left alone", revision="r1")
        begun(desk.runs, desk.leases)

        assert desk.runs.waits_until("people") == NOON + timedelta(hours=10)

    def test_all_that_wait_are_found_in_one_look(self, desk: Desk) -> None:
        assert desk.runs.waiting() == {}

        for job, endings in {
            "a": [Ending.WAITING, Ending.SKIPPED, Ending.INTERRUPTED],
            "b": [Ending.WAITING, Ending.DONE],
            "c": [Ending.DONE],
            "d": [Ending.FAILED, Ending.WAITING],
            "e": [Ending.INTERRUPTED],
        }.items():
            for ending in endings:
                desk.ended(ending, 36_000.0 if ending is Ending.WAITING else None, job)

        found = desk.runs.waiting()
        assert set(found) == {"a", "d"}
        assert found == {job: until for job in "abcdefg" if (until := desk.runs.waits_until(job)) is not None}


@ON_SQLITE
def test_who_looks_for_runs_that_are_not_over_does_not_walk_the_history(
    world: SqlWorld, database: Database, leases: Leases
) -> None:
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    with database.read() as connection:
        event.listen(connection.engine, "before_cursor_execute", note)
    world.runs.queued()
    world.runs.interrupted(leases)
    Stops(database).asked()

    with database.read() as connection:
        event.remove(connection.engine, "before_cursor_execute", note)
        selects = [statement for statement in asked if "FROM runs" in statement]
        steps = [
            step[3]
            for statement in selects
            for step in connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement}", ("queued",) * statement.count("?")
            )
        ]
    assert len(selects) == 3
    assert len(steps) == 3
    assert all("ix_runs_open" in step for step in steps), steps


def test_the_ids_of_a_time_and_later_stand_behind_the_least_id_of_that_time() -> None:
    later = NOON + timedelta(milliseconds=1)

    assert least_run_id(NOON) < new_run_id(NOON) < least_run_id(later) < new_run_id(later)
