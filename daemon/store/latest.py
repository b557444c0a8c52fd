"""What is asked of the latest runs: of one job, or of all jobs in one look."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from daemon.sync.counts import Counts
from daemon.sync.outcome import Ending, Phase

from .tables import runs


@dataclass(frozen=True, slots=True)
class LastRead:
    """What a job's last complete read left behind, none of whose deletes was withheld."""

    seen: int
    selection: str


def last_read(connection: Connection, job: str) -> LastRead | None:
    """Return the job's last read that was proven complete and accepted, inside a caller's transaction."""
    query = select(runs.c.counts, runs.c.selection).where(runs.c.job == job, runs.c.selection.is_not(None))
    row = connection.execute(query.order_by(runs.c.id.desc()).limit(1)).first()
    return None if row is None else LastRead(msgspec.json.decode(row.counts, type=Counts).seen, row.selection)


def resume_at_of(its: Any) -> Any:
    """Select when the work of a job's last run that says anything goes on; null when it is not waiting."""
    passed_over = (Ending.SKIPPED, Ending.INTERRUPTED)
    chosen = its, runs.c.phase == Phase.OVER, runs.c.ending.not_in(passed_over)
    return select(runs.c.resume_at).where(*chosen).order_by(runs.c.id.desc()).limit(1)


def last_fires(trigger: str, until: datetime) -> Any:
    """Select of every job the latest moment, up to another, for which it was fired or skipped so.

    What lies after now was fired while the clock was wrong, and says nothing of what was missed since.
    """

    def of_one(its: Any) -> Any:
        chosen = its, runs.c.trigger == trigger, runs.c.fire_time <= until
        return select(runs.c.fire_time).where(*chosen).order_by(runs.c.fire_time.desc()).limit(1)

    return of_all_jobs(of_one)


def ended_well_of(its: Any) -> Any:
    """Select when a job's last good run under a service ended; null when there was none."""
    chosen = its, runs.c.ending.in_((Ending.DONE, Ending.REJECTED)), runs.c.fire_time.is_not(None)
    return select(runs.c.ended_at).where(*chosen).order_by(runs.c.id.desc()).limit(1)


def of_all_jobs(of_one: Callable[[Any], Any]) -> Any:
    """Select every job and what is found of it, if it is: by the index from job to job, not over the whole history."""
    jobs = select(func.min(runs.c.job).label("job")).cte("jobs", recursive=True)
    after = select(func.min(runs.c.job)).where(runs.c.job > jobs.c.job).scalar_subquery()
    jobs = jobs.union_all(select(after).where(jobs.c.job.is_not(None)))
    found = select(jobs.c.job, of_one(runs.c.job == jobs.c.job).correlate(jobs).scalar_subquery().label("found"))
    each = found.subquery()
    return select(each.c.job, each.c.found).where(each.c.found.is_not(None))
