"""Fires that were missed: which are made up for, and what is recorded of the others."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.runtime.missed import MOST, Missed, fires_between, missed
from daemon.spec import CatchUp, Schedule

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def schedule(**said: Any) -> Schedule:
    return Schedule.model_validate({"every": "15m", **said})


def ago(*minutes: int) -> tuple[datetime, ...]:
    return tuple(NOON - timedelta(minutes=minute) for minute in minutes)


def test_one_run_makes_up_for_all_that_was_missed() -> None:
    assert missed(schedule(), ago(45, 30, 15), now=NOON) == Missed(
        due=ago(15),
        skipped=ago(30)[0],
        reason="fires since 2026-11-22 11:15:00 UTC were missed: the latest makes up for them",
    )


def test_all_of_them_run_one_after_the_other_where_the_job_says_so() -> None:
    assert missed(schedule(catch_up="all"), ago(45, 30, 15), now=NOON) == Missed(due=ago(45, 30, 15))


def test_none_of_them_runs_where_the_job_says_so() -> None:
    assert missed(schedule(catch_up="none"), ago(30, 15), now=NOON) == Missed(
        skipped=ago(15)[0], reason="fires since 2026-11-22 11:30:00 UTC were missed: catch_up is none"
    )


@pytest.mark.parametrize("catch_up", ["last", "all"])
def test_what_is_older_than_the_window_is_recorded_only(catch_up: str) -> None:
    found = missed(schedule(catch_up=catch_up, catch_up_window="20m"), ago(45, 30, 15), now=NOON)
    assert (found.due, found.skipped) == (ago(15), ago(30)[0])

    found = missed(schedule(catch_up=catch_up, catch_up_window="5m"), ago(45, 30, 15), now=NOON)
    assert (found.due, found.skipped) == ((), ago(15)[0])
    assert "older than catch_up_window" in found.reason


def test_nothing_missed_is_nothing_to_do() -> None:
    assert missed(schedule(), (), now=NOON) == Missed()
    assert missed(schedule(), ago(15), now=NOON) == Missed(due=ago(15))


def test_the_fires_between_two_moments_are_those_of_the_schedule() -> None:
    assert fires_between(schedule(), *ago(46, 0)) == ago(45, 30, 15)
    assert fires_between(schedule(), *ago(45, 0)) == ago(30, 15)
    assert fires_between(schedule(), *ago(14, 0)) == ()
    assert fires_between(Schedule(after="others"), *ago(46, 0)) == ()


def test_a_year_away_from_a_job_of_each_second_costs_no_more_than_its_window() -> None:
    each_second = schedule(every="1s", catch_up="all", catch_up_window="1h")

    fires = fires_between(each_second, NOON - timedelta(days=365), NOON)

    found = missed(each_second, fires, now=NOON)
    assert fires[0] == NOON - timedelta(days=365) + timedelta(seconds=1)
    assert len(fires) <= MOST + 4
    assert found.due == tuple(NOON - timedelta(seconds=second) for second in range(MOST, 0, -1))
    assert found.skipped == NOON - timedelta(seconds=MOST + 1), "the row of the last that is not run tells of them all"


@pytest.mark.parametrize(
    ("when", "away", "last"),
    [
        ({"every": "15m"}, timedelta(days=3), "21 11:45"),
        ({"cron": "*/10 * * * *"}, timedelta(days=3), "21 11:50"),
        ({"cron": "30 2 * * *"}, timedelta(days=9), "21 02:30"),
        ({"cron": "0 0 1 * *"}, timedelta(days=200), "01 00:00"),
        ({"cron": "0 0 1 1 *"}, timedelta(days=1_000), "01 00:00"),
        ({"at": ["2026-11-01T01:00", "2026-11-20T01:00"]}, timedelta(days=90), "20 01:00"),
    ],
)
def test_the_row_of_the_last_fire_before_the_window_tells_of_all_before_it(
    when: dict[str, Any], away: timedelta, last: str
) -> None:
    said = Schedule.model_validate({**when, "catch_up": "all"})

    found = missed(said, fires_between(said, NOON - away, NOON), now=NOON)

    assert found.skipped is not None
    assert f"{found.skipped:%d %H:%M}" == last
    assert all(found.skipped < fire for fire in found.due)


def test_a_fire_whose_time_is_now_runs_whatever_the_job_says_of_missed_ones() -> None:
    said = schedule(catch_up="none", catch_up_window="1ms")

    found = missed(said, ago(30, 15, 0), now=NOON + timedelta(seconds=2), is_due=True)

    assert (found.due, found.skipped) == (ago(0), ago(15)[0])


def test_a_moment_of_the_calendar_that_passed_unseen_is_made_up_for() -> None:
    once = Schedule.model_validate({"at": "2026-11-22T11:00"})

    assert missed(once, fires_between(once, *ago(300, 0)), now=NOON).due == ago(60)


@given(
    catch_up=st.sampled_from(CatchUp),
    window=st.integers(0, 300),
    minutes=st.sets(st.integers(1, 400), max_size=30),
)
def test_no_fire_is_run_that_should_not_be_and_none_is_lost_in_silence(
    catch_up: CatchUp, window: int, minutes: set[int]
) -> None:
    fires = ago(*sorted(minutes, reverse=True))
    said = schedule(catch_up=str(catch_up), catch_up_window=f"{window}m")

    found = missed(said, fires, now=NOON)

    assert list(found.due) == sorted(set(found.due) & set(fires))
    assert all(NOON - fire <= said.catch_up_window for fire in found.due)
    assert len(found.due) <= {CatchUp.NONE: 0, CatchUp.LAST: 1, CatchUp.ALL: len(fires)}[catch_up]
    left = [fire for fire in fires if fire not in found.due]
    assert found.skipped == (left[-1] if left else None)
    assert bool(found.reason) == bool(left)
    if catch_up is CatchUp.ALL:
        assert all(NOON - fire > said.catch_up_window for fire in left)
