"""When jobs run by themselves: a table of all, the coming starts of one, or JSON."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from daemon.spec import Schedule

from . import shown
from .json import document
from .table import aligned


class Ahead(Protocol):
    """What lies ahead of one job."""

    @property
    def job(self) -> str:
        """The job's name."""

    @property
    def schedule(self) -> Schedule | None:
        """Its schedule; None for a job that runs only when asked."""

    @property
    def delay(self) -> timedelta:
        """How long after each fire time it starts."""

    @property
    def fires(self) -> tuple[datetime, ...]:
        """The next fire times in order, aware, in UTC."""

    @property
    def paused(self) -> str:
        """Why it is paused; empty where it is not."""


def table(rows: Sequence[Ahead], now: datetime) -> Iterator[str]:
    """Yield one line a job, in the order given: its schedule, and when it starts next."""
    if not rows:
        yield "There are no jobs."
        return
    lines = aligned([("JOB", "SCHEDULE", "NEXT START (UTC)", "IN"), *(_cells(row, now) for row in rows)])
    for row, line in zip([None, *rows], lines, strict=True):
        yield line
        if row is not None and row.paused:
            yield f"    ! paused: {shown.plain(row.paused)}"


def starts(row: Ahead) -> Iterator[str]:
    """Yield the schedule of one job and its next starts, in its own zone and in UTC."""
    yield f"{row.job}: {_said(row.schedule)}"
    if row.paused:
        yield f"  ! paused: {shown.plain(row.paused)}; none of these starts comes before `crudsd resume {row.job}`"
    if row.delay:
        yield f"  each start is {shown.duration(row.delay.total_seconds())} after its fire time (jitter)"
    zone = ZoneInfo(row.schedule.timezone if row.schedule is not None else "UTC")
    for fire in row.fires:
        start = fire + row.delay
        yield f"  {start.astimezone(zone):%a %Y-%m-%d %H:%M:%S %z}  {start:%Y-%m-%d %H:%M:%S} UTC"
    if row.schedule is not None and row.schedule.at is not None and not row.fires:
        yield "  all its moments have passed"


def listed(rows: Sequence[Ahead]) -> bytes:
    """Return the jobs with their schedules and next starts as one JSON object."""
    return document({"jobs": [_job(row) for row in rows]})


def _job(row: Ahead) -> dict[str, Any]:
    schedule = row.schedule
    return {
        "job": row.job,
        "schedule": None if schedule is None else schedule.model_dump(mode="json", exclude_none=True),
        "paused": row.paused or None,
        "delay_s": row.delay.total_seconds(),
        "fires": [{"fire_time": fire.isoformat(), "starts_at": (fire + row.delay).isoformat()} for fire in row.fires],
    }


def _cells(row: Ahead, now: datetime) -> tuple[str, ...]:
    said = _said(row.schedule)
    if not row.fires:
        return row.job, said, "-", "-"
    start = row.fires[0] + row.delay
    return row.job, said, f"{start:%Y-%m-%d %H:%M:%S}", shown.duration((start - now).total_seconds())


def _said(schedule: Schedule | None) -> str:
    """Return a schedule in a few words, as the job file has it."""
    if schedule is None:
        return "only when asked"
    if schedule.after is not None:
        return f"after {schedule.after} has ended well"
    if schedule.every is not None:
        return f"every {shown.duration(schedule.every.total_seconds()).replace('.0 s', ' s')}"
    if schedule.at is not None:
        return f"at {shown.count(len(schedule.at), 'moment')} ({schedule.timezone})"
    return f"cron {shown.plain(schedule.cron or '')} ({schedule.timezone})"
