"""When a job fires: the job file's schedule as a trigger for APScheduler.

Cron is read by cronsim, which has Debian cron's own meaning (0 and 7 are Sunday, the two day fields are OR, hours
across a clock change as cron does them); APScheduler's own cron dialect counts weekdays from Monday. Intervals are
anchored to the epoch and jitter is a property of the job, so that every process computes the same fire times.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from cronsim import CronSim

from daemon.spec import Schedule

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CronTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler ships no types
    """Fires by a cron expression in a zone."""

    def __init__(self, cron: str, timezone: str) -> None:
        self._cron = cron
        self._zone = ZoneInfo(timezone)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return the first fire time after the previous one, or from now on."""
        after = previous_fire_time or now - timedelta(microseconds=1)
        fires = (found.astimezone(UTC) for found in CronSim(self._cron, after.astimezone(self._zone)))
        # Asked in the second of two hours of one name, cronsim names a time in the first.
        return next(fire for fire in fires if fire > after)


class EveryTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires at whole multiples of an interval since the epoch."""

    def __init__(self, every: timedelta) -> None:
        self._every = every

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return the first multiple after the previous fire time, or from now on."""
        after = previous_fire_time or now - timedelta(microseconds=1)
        return _EPOCH + ((after - _EPOCH) // self._every + 1) * self._every


class AtTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires at moments of the calendar, each once."""

    def __init__(self, moments: tuple[datetime, ...]) -> None:
        self._moments = moments

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return the first moment after the previous one, or from now on; None when there is none any more."""
        after = previous_fire_time or now - timedelta(microseconds=1)
        return next((moment for moment in self._moments if moment > after), None)


class LateTrigger(BaseTrigger):  # type: ignore[misc]
    """Wakes up a fixed time after each fire time of another trigger, so that nobody waits out the jitter.

    Of wake-ups that are overdue there is but the first: APScheduler would list them all, and a clock that was wrong by
    a year has millions of them for a job of each second.
    """

    def __init__(self, trigger: BaseTrigger, by: timedelta) -> None:
        self._trigger = trigger
        self._by = by
        self.asked_at = datetime.min.replace(tzinfo=UTC)
        """What was now when it was asked last: wake-ups until then have come."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return the first wake-up after the previous one, if that is to come, or from now on; None for no more."""
        self.asked_at = now
        before = None if previous_fire_time is None else max(previous_fire_time, now) - self._by
        due: datetime | None = self._trigger.get_next_fire_time(before, now - self._by)
        return None if due is None else due + self._by


def calendar_of(schedule: Schedule | None) -> BaseTrigger | None:
    """Return the trigger of a schedule's fire times, before jitter.

    None for jobs that run only when asked, or after another.
    """
    if schedule is None:
        return None
    if schedule.cron is not None:
        return CronTrigger(schedule.fields, schedule.timezone)
    if schedule.every is not None:
        return EveryTrigger(schedule.every)
    return AtTrigger(schedule.moments) if schedule.at is not None else None


def trigger_of(job: str, schedule: Schedule | None) -> LateTrigger | None:
    """Return the trigger of a job's wake-ups, its jitter after its fire times; None where there are none."""
    calendar = calendar_of(schedule)
    return None if schedule is None or calendar is None else LateTrigger(calendar, jitter_of(job, schedule))


def fires_after(schedule: Schedule | None, moment: datetime) -> Iterator[datetime]:
    """Yield the fire times after a moment, in order and before jitter; it may never end."""
    calendar = calendar_of(schedule)
    due = None if calendar is None else calendar.get_next_fire_time(moment, moment)
    while calendar is not None and due is not None:
        yield due
        due = calendar.get_next_fire_time(due, due)


def jitter_of(job: str, schedule: Schedule) -> timedelta:
    """Return how long after its fire time this job starts: always the same for a job, spread over the window."""
    if schedule.jitter is None:
        return timedelta(0)
    share = int.from_bytes(blake2b(job.encode(), digest_size=8).digest(), "big") / 2**64
    return schedule.jitter * share
