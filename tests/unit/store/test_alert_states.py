"""What was told of each job, and what its runs say that may be news."""

from dataclasses import replace
from datetime import timedelta

import pytest

from daemon.store.alert_states import AlertState, AlertStates
from daemon.store.database import Database
from daemon.store.run_row import Trigger
from daemon.store.runs import RunStore
from daemon.sync.certificate import Certificate
from daemon.sync.counts import Counts
from daemon.sync.outcome import Ending, Result
from tests.unit.store.places import NOON, HandClock


@pytest.fixture
def states(database: Database, clock: HandClock) -> AlertStates:
    return AlertStates(database, clock)


@pytest.fixture
def runs(database: Database, clock: HandClock) -> RunStore:
    return RunStore(database, clock)


def test_a_job_is_looked_at_from_its_first_day_on(states: AlertStates, clock: HandClock) -> None:
    assert states.begin(["people"]) == {"people": AlertState(NOON)}
    clock.move(60)

    assert states.begin([]) == {}
    assert states.begin(["people", "tickets"]) == {
        "people": AlertState(NOON),
        "tickets": AlertState(NOON + timedelta(minutes=1)),
    }


def test_what_was_told_is_remembered_and_forgotten_when_it_is_over(states: AlertStates) -> None:
    before = states.begin(["people", "tickets"])
    told = replace(before["people"], failing="r1", late_at=NOON, held="plan:aa", pinged="r2")

    states.keep("people", told)
    assert states.begin(["people", "tickets"]) == {**before, "people": told}

    states.keep("people", before["people"])
    assert states.begin(["people"])["people"] == before["people"]


def test_the_latest_runs_of_the_service_tell_how_a_job_stands(
    states: AlertStates, runs: RunStore, clock: HandClock
) -> None:
    ids = []
    for ending in (Ending.DONE, Ending.HELD, Ending.FAILED):
        clock.move(60)
        run = runs.fire("people", clock(), trigger=Trigger.SCHEDULE, revision="r")
        assert run is not None
        runs.finish(run, _result(ending))
        ids.append(run)
    clock.move(60)
    runs.skip("people", clock(), reason="the run before it is not over", revision="r")
    by_hand = runs.begin("people", trigger=Trigger.MANUAL, revision="r")
    clock.move(60)
    runs.fire("people", clock(), trigger=Trigger.SCHEDULE, revision="r")

    assert states.endings("people", 2) == ((ids[2], Ending.FAILED), (ids[1], Ending.HELD))
    assert states.last_good("people") == NOON + timedelta(minutes=1)
    runs.finish(by_hand, _result(Ending.REJECTED))
    assert states.last_good("people") == clock()
    assert len(states.endings("people", 9)) == 3
    assert (states.endings("tickets", 9), states.last_good("tickets")) == ((), None)


def _result(ending: Ending) -> Result:
    return Result(ending, Counts(), Certificate(end=None), ())
