"""When jobs fire: intervals, cron's own meaning, clock changes, and jitter."""

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.base import BaseTrigger

from daemon.runtime.triggers import CronTrigger, EveryTrigger, fires_after, jitter_of, trigger_of
from daemon.spec import Schedule

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)  # a Sunday


def fires(trigger: BaseTrigger, after: datetime, number: int) -> list[datetime]:
    """Return the next fire times, as the scheduler would ask for them."""
    found: list[datetime] = []
    last, now = None, after
    for _ in range(number):
        last = now = trigger.get_next_fire_time(last, now)
        found.append(now)
    return found


def berlin(cron: str, day: str, number: int) -> list[str]:
    start = datetime.fromisoformat(day).replace(tzinfo=BERLIN)
    times = fires(CronTrigger(cron, "Europe/Berlin"), start.astimezone(UTC), number)
    assert all(time.tzinfo is UTC for time in times)
    return [time.astimezone(BERLIN).strftime("%d %H:%M%z") for time in times]


def test_an_interval_is_anchored_to_the_epoch_and_so_the_same_in_every_process() -> None:
    trigger = EveryTrigger(timedelta(minutes=15))

    assert [f"{time:%H:%M:%S}" for time in fires(trigger, NOON + timedelta(seconds=1), 3)] == [
        "12:15:00",
        "12:30:00",
        "12:45:00",
    ]
    assert trigger.get_next_fire_time(None, NOON) == NOON
    assert trigger.get_next_fire_time(NOON, NOON) == NOON + timedelta(minutes=15)


def test_an_interval_goes_on_through_a_clock_change() -> None:
    times = fires(EveryTrigger(timedelta(hours=1)), datetime(2026, 10, 24, 22, tzinfo=UTC), 6)

    assert {later - time for time, later in itertools.pairwise(times)} == {timedelta(hours=1)}


def test_in_the_missing_hour_a_fixed_time_fires_once_after_it() -> None:
    assert berlin("30 2 * * *", "2026-03-28T12:00", 2) == ["29 03:00+0200", "30 02:30+0200"]


def test_in_the_repeated_hour_a_fixed_time_fires_once() -> None:
    assert berlin("30 2 * * *", "2026-10-24T12:00", 2) == ["25 02:30+0200", "26 02:30+0100"]


def test_in_the_repeated_hour_every_half_hour_stays_every_half_hour() -> None:
    start = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)
    times = fires(CronTrigger("*/30 * * * *", "Europe/Berlin"), start, 6)

    assert [time - start for time in times] == [timedelta(minutes=30 * number) for number in range(6)]


def test_in_the_missing_hour_every_half_hour_stays_every_half_hour() -> None:
    start = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
    times = fires(CronTrigger("*/30 * * * *", "Europe/Berlin"), start, 6)

    assert [time - start for time in times] == [timedelta(minutes=30 * number) for number in range(6)]


def local(cron: str, zone: str, after: str, number: int) -> list[str]:
    """The next fires after a time in UTC, as the clocks of a zone show them."""
    start = datetime.fromisoformat(f"{after}Z")
    return [f"{time.astimezone(ZoneInfo(zone)):%d %H:%M%z}" for time in fires(CronTrigger(cron, zone), start, number)]


def test_in_new_york_the_hour_that_is_missing_and_the_one_that_comes_twice_fire_once() -> None:
    zone = "America/New_York"

    assert local("30 2 * * *", zone, "2026-03-08T05:00", 2) == ["08 03:00-0400", "09 02:30-0400"]
    assert local("30 1 * * *", zone, "2026-11-01T04:00", 2) == ["01 01:30-0400", "02 01:30-0500"]
    assert local("*/30 * * * *", zone, "2026-11-01T04:59", 4) == [
        "01 01:00-0400",
        "01 01:30-0400",
        "01 01:00-0500",
        "01 01:30-0500",
    ]


@pytest.mark.edge(51)
def test_on_lord_howe_where_clocks_change_by_half_an_hour_fires_come_once_too() -> None:
    zone = "Australia/Lord_Howe"  # 4 October 2026, 02:00 becomes 02:30; 5 April, 02:00 becomes 01:30

    assert local("15 2 * * *", zone, "2026-10-03T12:00", 2) == ["04 02:30+1100", "05 02:15+1100"]
    assert local("45 1 * * *", zone, "2026-04-04T12:00", 2) == ["05 01:45+1100", "06 01:45+1030"]
    assert local("*/15 * * * *", zone, "2026-10-03T15:20", 3) == [
        "04 02:30+1100",
        "04 02:45+1100",
        "04 03:00+1100",
    ]
    assert local("*/15 * * * *", zone, "2026-04-04T14:29", 4) == [
        "05 01:30+1100",
        "05 01:45+1100",
        "05 01:30+1030",
        "05 01:45+1030",
    ]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_who_asks_in_the_second_of_two_equal_hours_is_told_of_no_fire_that_has_been(zone: str) -> None:
    for day in ("2026-04-04", "2026-10-24", "2026-10-31"):
        for quarter in range(4 * 30):
            asked = datetime.fromisoformat(f"{day}T10:00Z") + timedelta(minutes=15 * quarter)
            assert CronTrigger("30 1,2 * * *", zone).get_next_fire_time(None, asked) >= asked
            assert CronTrigger("30 1,2 * * *", zone).get_next_fire_time(asked, asked) > asked


def test_of_overdue_wake_ups_there_is_but_the_first() -> None:
    """A clock that was wrong by a year would have millions listed."""
    trigger = trigger_of("people", Schedule.model_validate({"every": "1s"}))
    assert trigger is not None

    assert trigger.get_next_fire_time(NOON - timedelta(days=365), NOON) == NOON + timedelta(seconds=1)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"])
@pytest.mark.parametrize("cron", ["30 2 * * *", "*/20 * * * *", "0 */2 * * *", "15 1-3 * * *"])
def test_time_never_stands_still_or_goes_back(zone: str, cron: str) -> None:
    for day in ("2026-03-28", "2026-04-04", "2026-10-24"):
        times = fires(CronTrigger(cron, zone), datetime.fromisoformat(f"{day}T00:00Z"), 60)
        assert all(time < later for time, later in itertools.pairwise(times))


@pytest.mark.parametrize(
    ("cron", "days"),
    [
        ("0 9 * * 0", ["Sun"] * 3),
        ("0 9 * * 7", ["Sun"] * 3),
        ("0 9 * * sun", ["Sun"] * 3),
        ("0 9 * * 1-5", ["Mon", "Tue", "Wed", "Thu", "Fri", "Mon"]),
        ("0 9 * * mon-fri", ["Mon", "Tue", "Wed", "Thu", "Fri", "Mon"]),
        ("0 9 * * 6", ["Sat", "Sat"]),
    ],
)
def test_weekdays_count_as_cron_counts_them(cron: str, days: list[str]) -> None:
    assert [f"{time:%a}" for time in fires(CronTrigger(cron, "UTC"), NOON, len(days))] == days


def test_the_two_day_fields_are_either_or() -> None:
    times = fires(CronTrigger("0 9 13 * fri", "UTC"), datetime(2026, 12, 1, tzinfo=UTC), 5)

    assert [f"{time:%a %d}" for time in times] == ["Fri 04", "Fri 11", "Sun 13", "Fri 18", "Fri 25"]


def test_a_fire_time_that_is_now_is_not_missed() -> None:
    assert CronTrigger("0 12 * * *", "UTC").get_next_fire_time(None, NOON) == NOON


def test_jitter_is_the_jobs_own_always_the_same_and_inside_its_window() -> None:
    schedule = Schedule.model_validate({"every": "15m", "jitter": "60s"})
    delays = [jitter_of(f"job-{number}", schedule) for number in range(300)]

    assert delays == [jitter_of(f"job-{number}", schedule) for number in range(300)]
    assert all(timedelta(0) <= delay < timedelta(seconds=60) for delay in delays)
    assert min(delays) < timedelta(seconds=5) < timedelta(seconds=55) < max(delays)
    assert jitter_of("people", Schedule.model_validate({"every": "15m"})) == timedelta(0)


@pytest.mark.parametrize("when", [{"every": "15m"}, {"cron": "*/15 * * * *"}])
def test_a_job_wakes_up_its_jitter_after_its_fire_time(when: dict[str, str]) -> None:
    schedule = Schedule.model_validate({**when, "jitter": "10m"})
    trigger = trigger_of("people", schedule)
    assert trigger is not None
    late = jitter_of("people", schedule)

    assert [time - late for time in fires(trigger, NOON + late, 3)] == fires(
        EveryTrigger(timedelta(minutes=15)), NOON, 3
    )
    assert trigger.get_next_fire_time(None, NOON + late / 2) == NOON + late, "a start in the window still makes it"


def test_jobs_without_a_time_have_no_trigger() -> None:
    assert trigger_of("people", None) is None
    assert trigger_of("people", Schedule(after="others")) is None


def test_moments_of_the_calendar_fire_once_each_and_then_never_again() -> None:
    schedule = Schedule.model_validate({"at": ["2026-11-22T13:00", "2026-11-22T11:00", "2026-11-23T00:00"]})

    assert [f"{time:%d %H}" for time in fires_after(schedule, NOON)] == ["22 13", "23 00"]
    assert list(fires_after(schedule, datetime(2026, 11, 23, tzinfo=UTC))) == []
    trigger = trigger_of("people", schedule)
    assert trigger is not None
    assert trigger.get_next_fire_time(None, datetime(2026, 11, 24, tzinfo=UTC)) is None


def test_a_range_past_its_end_fires_over_midnight() -> None:
    schedule = Schedule.model_validate({"cron": "0 23-1 * * *"})

    assert [f"{time:%d %H}" for time in itertools.islice(fires_after(schedule, NOON), 4)] == [
        "22 23",
        "23 00",
        "23 01",
        "23 23",
    ]


def test_what_lies_ahead_of_a_job_without_times_is_nothing() -> None:
    assert list(fires_after(None, NOON)) == list(fires_after(Schedule(after="others"), NOON)) == []
