"""The fires that lie ahead of the jobs, for people to look at."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from daemon.spec import Job, Schedule

from .triggers import fires_after, jitter_of


@dataclass(frozen=True, slots=True)
class Ahead:
    """What lies ahead of one job."""

    job: str
    schedule: Schedule | None
    """None for a job that runs only when asked."""
    delay: timedelta
    """How long after each fire time it starts: its share of the jitter."""
    fires: tuple[datetime, ...]
    """The next fire times in order, aware, in UTC, before the delay; none for a job whose schedule names no times."""
    paused: str
    """Why it is paused; empty where it is not."""


def ahead(jobs: Mapping[str, Job], *, paused: Mapping[str, str], after: datetime, limit: int) -> tuple[Ahead, ...]:
    """Return what lies ahead of each job after a moment: at most `limit` fires of each, in the order of the jobs.

    `paused` has the reasons of those that are paused.
    """
    return tuple(
        Ahead(
            job=name,
            schedule=job.schedule,
            delay=timedelta(0) if job.schedule is None else jitter_of(name, job.schedule),
            fires=tuple(islice(fires_after(job.schedule, after), limit)),
            paused=paused.get(name, ""),
        )
        for name, job in jobs.items()
    )
