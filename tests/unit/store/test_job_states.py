"""Jobs that are paused, and how often they failed in a row."""

from datetime import timedelta

import pytest

from daemon.store.database import Database
from daemon.store.job_states import JobState, JobStates
from daemon.store.run_row import Trigger
from daemon.store.stops import Stops
from tests.unit.store.places import NOON, HandClock, SqlWorld


@pytest.fixture
def states(database: Database, clock: HandClock) -> JobStates:
    return JobStates(database, clock)


def test_a_job_that_nobody_spoke_of_is_not_paused(states: JobStates) -> None:
    assert states.get("people") == JobState()
    assert states.paused() == {}


def test_a_pause_has_its_reason_and_lasts_until_somebody_ends_it(states: JobStates, clock: HandClock) -> None:
    assert states.pause("people", "the API is being moved")
    clock.move(60)
    assert not states.pause("people", "another reason")

    assert states.paused() == {"people": JobState(NOON, "the API is being moved")}
    assert states.resume("people")
    assert not states.resume("people")
    assert states.get("people") == JobState()


def test_failures_in_a_row_are_counted_until_a_run_goes_well(states: JobStates) -> None:
    assert [states.count("people", failed=failed) for failed in (True, True, False, True)] == [1, 2, 0, 1]
    assert states.get("people").failures == 1
    assert states.get("tickets").failures == 0


def test_a_job_that_is_resumed_has_its_failures_behind_it(states: JobStates) -> None:
    states.count("people", failed=True)
    states.pause("people", "1 run failed")
    states.resume("people")

    assert states.count("people", failed=True) == 1


def test_counting_ends_no_pause(states: JobStates) -> None:
    states.pause("people", "wait")
    states.count("people", failed=False)

    assert states.get("people").reason == "wait"


def test_only_a_run_that_is_under_way_is_asked_to_stop_and_its_first_reason_stays(world: SqlWorld) -> None:
    runs, stops = world.runs, Stops(world.database)
    assert stops.ask("people", "too long") is None
    run = runs.begin("people", trigger=Trigger.MANUAL, revision="r1")
    assert stops.ask("people", "too long") is None, "it is queued: nobody carries it out"
    runs.start(run, world.lease)

    assert stops.ask("people", "too long") == run
    assert stops.ask("people", "a person asked") == run
    assert stops.asked() == {run: "too long"}


def test_a_queued_run_is_asked_to_stop_when_none_is_under_way_the_first_of_them(
    world: SqlWorld, clock: HandClock
) -> None:
    runs, stops = world.runs, Stops(world.database)
    first = runs.fire("people", NOON, trigger=Trigger.MANUAL, revision="r1")
    clock.move(60)
    second = runs.fire("people", NOON + timedelta(minutes=1), trigger=Trigger.MANUAL, revision="r1")

    assert stops.ask("people", "a person asked") == first
    assert stops.ask("people", "a person asked") == second
    assert stops.ask("people", "a person asked") is None
    assert first is not None
    runs.start(first, world.lease)
    assert stops.ask("people", "later") == first
    assert stops.asked() == {first: "a person asked", second: "a person asked"}
