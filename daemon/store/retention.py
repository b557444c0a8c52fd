"""Forgets what is old: runs, and the changes that they made. Never what a later run needs.

Kept whatever its age: changes without a known outcome; of each job the latest runs, the last read that was accepted and
the last that was proven complete, since guards measure by them; runs that an approval or a mark speaks of. Links,
documents, rejects and tokens are not history.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from .columns import moment_text
from .database import Database
from .run_id import least_run_id
from .statements import execute

LATEST = 20
"""So many of a job's newest runs stay, however old they are."""

_RUNS_AT_ONCE = 200
_CHANGES_AT_ONCE = 5_000
"""Of each kind in one transaction, so that a run that is under way never waits long for the file."""

# By id as well as by time: ids are in order of time, so what is young is not walked over, least of all in a
# transaction that others wait for.
_OLD = (
    "SELECT id FROM runs WHERE phase = 'over' AND ended_at < ? AND id > ? AND id < ? AND EXISTS (SELECT 1 FROM changes "
    "WHERE changes.run = runs.id AND fate NOT IN ('planned', 'sent', 'unknown')) ORDER BY id LIMIT ?"
)
_FORGET_CHANGES = (
    "DELETE FROM changes WHERE run = ? AND seq IN (SELECT seq FROM changes WHERE run = ? "
    "AND fate NOT IN ('planned', 'sent', 'unknown') ORDER BY seq LIMIT ?)"
)
_FORGET_RUNS = (
    "DELETE FROM runs WHERE id IN (SELECT id FROM runs AS old WHERE phase = 'over' AND ended_at < ? AND id < ? "
    "AND NOT EXISTS (SELECT 1 FROM changes WHERE changes.run = old.id) "
    "AND NOT EXISTS (SELECT 1 FROM approvals WHERE approvals.run = old.id) "
    "AND NOT EXISTS (SELECT 1 FROM reads WHERE reads.run = old.id) "
    # Not asked for each run: there is no index of rejects by run, and there may be many of both.
    "AND id NOT IN (SELECT run FROM rejects UNION SELECT marked_by FROM rejects WHERE marked_by IS NOT NULL) "
    "AND id <> coalesce((SELECT max(id) FROM runs AS one WHERE one.job = old.job AND one.is_complete), '') "
    "AND id <> coalesce((SELECT max(id) FROM runs AS one WHERE one.job = old.job AND one.selection IS NOT NULL), '') "
    "AND id <> coalesce((SELECT max(id) FROM runs AS one WHERE one.job = old.job "
    "AND one.ending IN ('done', 'rejected', 'held')), '') "
    "AND (SELECT count(*) FROM (SELECT 1 FROM runs AS one WHERE one.job = old.job AND one.id > old.id LIMIT ?) "
    "AS newer) >= ? ORDER BY id LIMIT ?)"
)


@dataclass(frozen=True, slots=True)
class Pruned:
    """How much was forgotten."""

    runs: int
    changes: int


def prune(
    database: Database, *, runs_before: datetime, changes_before: datetime, stop: threading.Event | None = None
) -> Pruned:
    """Forget the runs, and the changes of runs, that ended before these moments. Repeating it finds nothing more.

    Many small transactions: killed in the middle, or stopped, it has done a part. Other processes may run jobs
    meanwhile. A run outlives its changes, never the other way round.
    """
    stop = stop or threading.Event()
    changes = sum(
        _forget_changes(database, run, stop) for run in _old(database, max(changes_before, runs_before), stop)
    )
    return Pruned(runs=_forget_runs(database, runs_before, stop), changes=changes)


def _old(database: Database, before: datetime, stop: threading.Event) -> Iterator[str]:
    """Yield the runs that ended before a moment and have changes that may be forgotten, oldest first."""
    last = ""
    while not stop.is_set():
        with database.read() as connection:
            asked = (moment_text(before), last, least_run_id(before), _RUNS_AT_ONCE)
            found = execute(connection, _OLD, asked).scalars().all()
        yield from found
        if len(found) < _RUNS_AT_ONCE:
            return
        last = found[-1]


def _forget_changes(database: Database, run: str, stop: threading.Event) -> int:
    forgotten = 0
    while not stop.is_set():
        with database.write() as connection:
            done = execute(connection, _FORGET_CHANGES, (run, run, _CHANGES_AT_ONCE)).rowcount
        forgotten += done
        if done < _CHANGES_AT_ONCE:
            break
    return forgotten


def _forget_runs(database: Database, before: datetime, stop: threading.Event) -> int:
    forgotten = 0
    while not stop.is_set():
        with database.write() as connection:
            asked = (moment_text(before), least_run_id(before), LATEST, LATEST, _RUNS_AT_ONCE)
            done = execute(connection, _FORGET_RUNS, asked).rowcount
        forgotten += done
        if done < _RUNS_AT_ONCE:
            break
    return forgotten
