"""One run, as a row of the table of runs tells of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from daemon.sync.certificate import Certificate
from daemon.sync.counts import Counts
from daemon.sync.cursor import Reach
from daemon.sync.outcome import Ending, Phase, Verdict
from daemon.sync.pin import Digests, from_text


class Trigger(StrEnum):
    """What made a run. The stored word is the value."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    AFTER = "after"
    """Another job's run was over."""
    BACKFILL = "backfill"
    """A person asked for a stretch of the past."""
    RESUME = "resume"
    """The run before it was cut off by the end of its process, or waited until now."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run, as it is remembered."""

    id: str
    job: str
    trigger: Trigger
    fire_time: datetime | None
    """When it was due; None when no schedule asked for it."""
    revision: str
    """The job's revision under which it ran."""
    phase: Phase
    ending: Ending | None
    """None until the run is over."""
    counts: Counts
    certificate: Certificate | None
    """None until the run is over, and when it read nothing."""
    verdicts: tuple[Verdict, ...]
    error: str
    resumes: str | None
    """The run whose unfinished work this one takes up."""
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    digests: Digests
    """Of the changes that guards withheld, by kind."""
    pinned_by: str | None
    """The held run whose approval it carried, or the id of the saved plan; None for a run that nobody pinned."""
    resume_at: datetime | None = None
    """When the work of a run that is waiting goes on."""
    reach: Reach | None = None
    """How much of the source it read; None until it is over, and for a job that always reads everything."""


def row_of(row: Mapping[Any, Any]) -> RunRow:
    """Return a run from its row of the table."""
    certificate, verdicts = row["certificate"], row["verdicts"]
    return RunRow(
        id=row["id"],
        job=row["job"],
        trigger=Trigger(row["trigger"]),
        fire_time=row["fire_time"],
        revision=row["revision"],
        phase=Phase(row["phase"]),
        ending=None if row["ending"] is None else Ending(row["ending"]),
        counts=msgspec.json.decode(row["counts"], type=Counts),
        certificate=None if certificate is None else msgspec.json.decode(certificate, type=Certificate),
        verdicts=() if verdicts is None else msgspec.json.decode(verdicts, type=tuple[Verdict, ...]),
        error=row["error"],
        resumes=row["resumes"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        digests={} if row["digests"] is None else from_text(msgspec.json.decode(row["digests"])),
        pinned_by=row["pinned_by"],
        resume_at=row["resume_at"],
        reach=None if row["reach"] is None else Reach(row["reach"]),
    )
