"""What is told of a job, from how its runs ended and what was told before."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.runtime.alert_decision import FAILURES, GOOD, LOGIN, PAUSE, PLAN, Facts, Health, decide, standing
from daemon.spec import AlertEvent, Tells
from daemon.store.alert_states import AlertState
from daemon.sync.outcome import Ending

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ALL = Tells.model_validate(
    {"on_failure": "ops", "on_recovery": "ops", "on_hold": "ops", "on_late": {"to": "ops", "after": "1h"}}
    | {"heartbeat": "dead"}
)
NEW = AlertState(since=NOON)


def ended(*endings: Ending) -> Sequence[tuple[str, Ending]]:
    """Runs in the order in which they ended, as the store gives them: newest first."""
    return [(f"r{number}", ending) for number, ending in enumerate(endings)][::-1]


def facts(*endings: Ending, counted: int = 0, hold: str = "", minutes: int = 0, good: int | None = None) -> Facts:
    last_good = None if good is None else NOON + timedelta(minutes=good)
    late_at = (last_good or NOON) + timedelta(hours=1)
    now = NOON + timedelta(minutes=minutes)
    return Facts(standing(ended(*endings), counted), hold, last_good, late_at, is_pingable=True, now=now)


def told(tells: Tells, *seen: Facts, state: AlertState = NEW) -> Iterator[list[str]]:
    for one in seen:
        decision = decide(tells, state, one)
        state = replace(decision.state, pinged=decision.pinged)
        yield [str(event) for event in decision.events]


F, U, D, R, H, I, W = (  # noqa: E741
    Ending.FAILED,
    Ending.UNAVAILABLE,
    Ending.DONE,
    Ending.REJECTED,
    Ending.HELD,
    Ending.INTERRUPTED,
    Ending.WAITING,
)


@pytest.mark.parametrize(
    ("endings", "counted", "health", "failures"),
    [
        ((), 0, Health.OPEN, 0),
        ((D,), 0, Health.GOOD, 0),
        ((D,), 3, Health.GOOD, 0),  # the count is behind by this run
        ((R,), 0, Health.GOOD, 0),
        ((D, F, U), 2, Health.FAILING, 2),
        ((D, F), 0, Health.FAILING, 1),  # killed before it was counted
        ((F, I), 1, Health.FAILING, 1),
        ((D, I), 0, Health.GOOD, 0),
        ((D, I), 2, Health.FAILING, 2),  # two timeouts
        ((I,), 0, Health.OPEN, 0),
        ((F, H), 0, Health.HELD, 0),
        ((F, W), 0, Health.OPEN, 0),
    ],
)
def test_how_a_job_stands(endings: tuple[Ending, ...], counted: int, health: Health, failures: int) -> None:
    found = standing(ended(*endings), counted)

    assert (found.health, found.failures) == (health, failures)


def test_a_failure_is_told_once_and_its_end_once() -> None:
    seen = [facts(D), facts(D, F), facts(D, F, F), facts(D, F, F, D), facts(D, F, F, D, D)]

    assert [*told(ALL, *seen)] == [[], ["failure"], [], ["recovery"], []]


def test_a_failure_is_told_after_as_many_as_the_job_says() -> None:
    tells = Tells.model_validate({"on_failure": {"to": ["ops"], "after": 3}, "on_recovery": "ops"})
    seen = [facts(F), facts(F, F), facts(F, F, D), facts(D, F, F), facts(D, F, F, U), facts(F, U, D)]

    assert [*told(tells, *seen)] == [[], [], [], [], ["failure"], ["recovery"]]


def test_a_held_run_is_no_recovery() -> None:
    seen = [facts(F), facts(F, H), facts(F, H, F), facts(F, H, F, R)]

    assert [*told(ALL, *seen)] == [["failure"], [], [], ["recovery"]]


def test_a_plan_that_is_held_is_told_once_and_another_one_again() -> None:
    seen = [facts(H, hold=f"{PLAN}a"), facts(H, hold=f"{PLAN}a"), facts(F), facts(H, hold=f"{PLAN}a")]
    seen += [facts(H, hold=f"{PLAN}b"), facts(D), facts(H, hold=f"{PLAN}b")]

    assert [*told(ALL, *seen)] == [["hold"], [], ["failure"], [], ["hold"], ["recovery"], ["hold"]]


@pytest.mark.parametrize("hold", [LOGIN, f"{PAUSE}2026-11-22"])
def test_what_waits_for_a_person_is_told_once_until_it_is_over(hold: str) -> None:
    seen = [facts(D, hold=hold), facts(D, hold=hold), facts(D), facts(D, hold=hold)]

    assert [*told(ALL, *seen)] == [["hold"], [], [], ["hold"]]


def test_lateness_is_told_once_and_over_with_the_next_good_run() -> None:
    seen = [facts(D, good=0, minutes=59), facts(D, good=0, minutes=60), facts(D, I, good=0, minutes=90)]
    seen += [facts(D, D, good=95, minutes=96), facts(D, D, good=95, minutes=154), facts(D, D, good=95, minutes=156)]

    assert [*told(ALL, *seen)] == [[], ["late"], [], ["recovery"], [], ["late"]]


def test_a_good_run_by_hand_ends_lateness_and_no_failure() -> None:
    seen = [facts(F, minutes=60), facts(F, good=70, minutes=71), facts(F, D, good=80, minutes=81)]

    assert [*told(ALL, *seen)] == [["failure", "late"], [], ["recovery"]]


def test_a_paused_job_is_not_late() -> None:
    hold = f"{PAUSE}2026-11-22"

    assert [*told(ALL, facts(D, good=0, minutes=90, hold=hold))] == [["hold"]]


def test_one_good_run_takes_back_failure_and_lateness_with_one_word() -> None:
    assert [*told(ALL, facts(F, minutes=60), facts(F, D, good=70, minutes=70))] == [["failure", "late"], ["recovery"]]


def test_a_job_that_is_told_to_nobody_leaves_no_trace() -> None:
    only = Tells.model_validate({"heartbeat": "dead"})
    decision = decide(only, NEW, facts(F, hold=LOGIN, minutes=90))

    assert (decision.events, decision.state) == ((), NEW)


def test_who_is_told_from_now_on_hears_of_a_failure_from_before() -> None:
    only = Tells.model_validate({"heartbeat": "dead"})
    before = decide(only, NEW, facts(F, F)).state

    assert decide(ALL, before, facts(F, F)).events == (AlertEvent.FAILURE,)


@pytest.mark.parametrize(
    ("ending", "ping"),
    [(D, AlertEvent.GOOD), (R, AlertEvent.GOOD), (F, AlertEvent.FAILURE), (H, None), (I, None), (W, None)],
)
def test_a_heartbeat_tells_each_run_once(ending: Ending, ping: AlertEvent | None) -> None:
    first = decide(ALL, NEW, facts(ending))
    again = decide(ALL, replace(first.state, pinged=first.pinged), facts(ending))

    assert (first.ping, again.ping) == (ping, None)


def test_a_run_from_before_is_no_sign_of_life() -> None:
    assert decide(ALL, NEW, replace(facts(D), is_pingable=False)).ping is None


@given(
    endings=st.lists(st.sampled_from([F, U, D, R, H, I, W]), max_size=30),
    looks=st.lists(st.booleans(), min_size=30, max_size=30),
    after=st.integers(1, 3),
)
def test_failure_and_recovery_take_turns_whatever_happens_and_however_seldom_one_looks(
    endings: list[Ending], looks: list[bool], after: int
) -> None:
    tells = Tells.model_validate({"on_failure": {"to": ["ops"], "after": after}, "on_recovery": "ops"})
    events: list[AlertEvent] = []
    state, counted = NEW, 0
    for number, ending in enumerate(endings, start=1):
        counted = counted + 1 if ending in FAILURES else counted if ending is I else 0
        if not looks[number - 1]:
            continue
        now = facts(*endings[:number], counted=counted)
        decision = decide(tells, state, now)
        state = decision.state
        assert decide(tells, state, now).events == (), "told twice"
        events += decision.events
        assert (state.failing is not None) == (events[-1:] == [AlertEvent.FAILURE])
        if ending in GOOD:
            assert state.failing is None
        if ending in FAILURES and counted >= after:
            assert state.failing is not None

    assert events[:1] in ([], [AlertEvent.FAILURE])
    assert all(one != other for one, other in pairwise(events))
    assert set(events) <= {AlertEvent.FAILURE, AlertEvent.RECOVERY}
