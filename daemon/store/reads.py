"""Where the read of a job stands, for the run that goes on with it: one row a job.

A mark covers the rejects before it. They are known by both columns: the run that met them latest is the one whose mark
covers them. What the same run rejected after its mark is met again by the run that takes it up.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from daemon.sync.mark import Mark
from daemon.sync.outcome import TAKEN_UP

from .columns import moment_text
from .statements import execute, look_up

MARK_LIFE = timedelta(days=1)
"""How long a mark may be taken up: the longer, the more has changed before it, and the sooner its token is refused."""

LAST = (
    "SELECT mark FROM reads JOIN runs ON runs.id = reads.run WHERE reads.job = ? AND reads.revision = ? "
    "AND reads.saved_at > ? AND runs.ending IN (?*)"
)
BEHIND = (
    "SELECT key FROM rejects WHERE job = ? AND key IN (?*) AND run = marked_by "
    "AND run = (SELECT run FROM reads WHERE reads.job = rejects.job)"
)
TAKE_OVER = (
    "UPDATE rejects SET run = ?, marked_by = ? WHERE job = ? AND run = marked_by "
    "AND run = (SELECT run FROM reads WHERE reads.job = rejects.job)"
)


def load_mark(connection: Connection, job: str, revision: str, now: datetime) -> Mark | None:
    """Return the mark that a run of this job may take up now, None when there is none."""
    youngest = moment_text(now - MARK_LIFE)
    row = next(look_up(connection, LAST, (job, revision, youngest), [ending.value for ending in TAKEN_UP]), None)
    try:
        return None if row is None else msgspec.msgpack.decode(row[0], type=Mark)
    except msgspec.ValidationError:
        return None  # another release saved it: the read begins anew


def save_mark(connection: Connection, job: str, run: str, mark: Mark, now: datetime) -> None:
    """Save a mark in place of the one before it, inside the journal's transaction."""
    execute(
        connection,
        "INSERT INTO reads (job, run, revision, mark, saved_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (job) DO UPDATE SET "
        "run = excluded.run, revision = excluded.revision, mark = excluded.mark, saved_at = excluded.saved_at",
        (job, run, mark.revision, msgspec.msgpack.encode(mark), moment_text(now)),
    )
    execute(connection, "UPDATE rejects SET marked_by = run WHERE job = ? AND run = ?", (job, run))


def rejected_behind(connection: Connection, job: str, keys: Sequence[str]) -> Sequence[str]:
    """Return those of these keys that have a reject which the mark covers."""
    return [row[0] for row in look_up(connection, BEHIND, (job,), keys)]


def take_up_mark(connection: Connection, job: str, run: str) -> None:
    """Make the mark and the rejects that it covers this run's own, inside the journal's transaction."""
    execute(connection, TAKE_OVER, (run, run, job))
    execute(connection, "UPDATE reads SET run = ? WHERE job = ?", (run, job))


def forget_mark(connection: Connection, job: str) -> None:
    """Remove the mark, inside the journal's transaction."""
    execute(connection, "DELETE FROM reads WHERE job = ?", (job,))


def has_mark(connection: Connection, job: str) -> bool:
    """Say whether the job has a mark, of whatever use."""
    return execute(connection, "SELECT 1 FROM reads WHERE job = ?", (job,)).first() is not None
