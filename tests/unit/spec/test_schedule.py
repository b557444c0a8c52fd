"""Schedules as they are written: cron's words and ranges, and moments of the calendar."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from daemon.spec import Schedule, cron_fields


@pytest.mark.parametrize(
    ("written", "means"),
    {
        "@daily": "0 0 * * *",
        "@Midnight": "0 0 * * *",
        "@hourly": "0 * * * *",
        "@weekly": "0 0 * * 0",
        "@annually": "0 0 1 1 *",
        "*/15 6-20 * * mon-fri": "*/15 6-20 * * mon-fri",
        "0 22-2 * * *": "0 0,1,2,22,23 * * *",
        "0 20-3/2 * * *": "0 0,2,20,22 * * *",
        "0 9 * * fri-mon": "0 9 * * 0,1,5,6",
        "0 9 * * sat-sun": "0 9 * * 0,6",
        "0 9 * * FRI-7": "0 9 * * FRI-7",
        "0 0 28-3 nov-FEB *": "0 0 1,2,3,28,29,30,31 1,2,11,12 *",
        "50-5/5 0 * * *": "0,5,50,55 0 * * *",
        "1,50-1 0 * * *": "1,0,1,50,51,52,53,54,55,56,57,58,59 0 * * *",
    }.items(),
)
def test_words_and_ranges_that_go_past_their_end_are_written_out(written: str, means: str) -> None:
    assert cron_fields(written) == means


@pytest.mark.parametrize(
    ("written", "reason"),
    {
        "@reboot": "not known here; known are @yearly",
        "0 0 * *": "has five fields, this has 4",
        "* * * * * *": "has five fields, this has 6",
        "61 * * * *": "bad minute",
        "0 22-30 * * *": "bad hour",
        "0 0 30-40 * *": "bad day-of-month",
        "0 0 ? * *": "bad day-of-month",
        "0 0 * * mon-funday": "bad day-of-week",
        "0 0 31 2 *": "bad day-of-month",
        "0 22-2/0 * * *": "step",
        "": "has five fields, this has 0",
    }.items(),
)
def test_what_cron_has_no_meaning_for_is_refused(written: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        cron_fields(written)


def moments(*written: str, timezone: str = "Europe/Berlin") -> list[str]:
    schedule = Schedule.model_validate({"at": list(written), "timezone": timezone})
    assert all(moment.tzinfo is UTC for moment in schedule.moments)
    return [f"{moment:%Y-%m-%dT%H:%M}" for moment in schedule.moments]


def test_moments_are_read_in_the_zone_put_in_order_and_counted_once() -> None:
    assert moments("2026-12-24T03:00", "2026-07-01 03:00", "2026-12-24T02:00Z") == [
        "2026-07-01T01:00",
        "2026-12-24T02:00",
    ]
    assert moments("2026-12-24T03:00", timezone="UTC") == ["2026-12-24T03:00"]


def test_a_moment_in_the_missing_hour_is_later_and_one_in_the_repeated_hour_is_the_first() -> None:
    assert moments("2026-03-29T02:30", "2026-10-25T02:30") == ["2026-03-29T01:30", "2026-10-25T00:30"]


def test_one_moment_needs_no_brackets() -> None:
    assert Schedule.model_validate({"at": "2026-12-24T03:00"}).moments == (datetime(2026, 12, 24, 3, tzinfo=UTC),)


@pytest.mark.parametrize("written", ["2026-12-24", "tomorrow", 20261224, None, "03:00"])
def test_a_moment_has_a_date_and_a_time(written: object) -> None:
    with pytest.raises(ValidationError, match="a moment is a date and a time"):
        Schedule.model_validate({"at": [written]})


def test_a_schedule_is_of_one_kind() -> None:
    with pytest.raises(ValidationError, match="exactly one of cron, every, at, after"):
        Schedule.model_validate({"at": "2026-12-24T03:00", "every": "15m"})
