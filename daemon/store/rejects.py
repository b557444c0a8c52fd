"""Records and changes that could not be carried out, kept with their reason until they succeed or are dropped."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from daemon.sync.change import Kind, Reject

from .columns import moment_text
from .database import Database
from .statements import Stored, execute, many


@dataclass(frozen=True, slots=True)
class RejectRow:
    """One reject, as it is remembered."""

    job: str
    reject: Reject
    attempts: int
    """How many runs met it."""
    first_at: datetime
    last_at: datetime
    run: str
    """The latest run that met it."""


class Rejects:
    """What people ask about rejects. Every method is one transaction; threads may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, job: str, limit: int) -> tuple[RejectRow, ...]:
        """Return up to `limit` of the job's rejects, the latest first."""
        with self._database.read() as connection:
            rows = execute(
                connection,
                "SELECT job, key, kind, reason, status, excerpt, attempts, first_at, last_at, run FROM rejects "
                "WHERE job = ? ORDER BY last_at DESC, key LIMIT ?",
                (job, limit),
            )
            return tuple(_row(row) for row in rows)

    def show(self, job: str, key: str) -> RejectRow | None:
        """Return the reject of this key, or None when there is none."""
        with self._database.read() as connection:
            row = execute(
                connection,
                "SELECT job, key, kind, reason, status, excerpt, attempts, first_at, last_at, run FROM rejects "
                "WHERE job = ? AND key = ?",
                (job, key),
            ).first()
        return None if row is None else _row(row)

    def count(self, job: str) -> int:
        """Count the job's rejects."""
        with self._database.read() as connection:
            return int(execute(connection, "SELECT count(*) FROM rejects WHERE job = ?", (job,)).scalar_one())

    def drop(self, job: str, key: str) -> bool:
        """Forget the reject of this key, and say whether there was one.

        A change of this key whose fate is unknown is dropped with it: a person has looked, and the next run may plan
        the record anew.
        """
        with self._database.write() as connection:
            execute(
                connection,
                "UPDATE changes SET fate = 'dropped' WHERE job = ? AND key = ? AND fate = 'unknown'",
                (job, key),
            )
            return execute(connection, "DELETE FROM rejects WHERE job = ? AND key = ?", (job, key)).rowcount == 1


def keep_rejects(connection: Connection, job: str, run: str, rejects: Sequence[Reject], now: datetime) -> None:
    """Store rejects inside the journal's transaction, each in place of the one of the same key.

    Its attempts count on, once a run.
    """
    moment = moment_text(now)
    many(
        connection,
        "INSERT INTO rejects (job, key, kind, reason, status, excerpt, attempts, first_at, last_at, run) "
        "VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?) ON CONFLICT (job, key) DO UPDATE SET kind = excluded.kind, "
        "reason = excluded.reason, status = excluded.status, excerpt = excluded.excerpt, "
        "attempts = rejects.attempts + CASE WHEN rejects.run = excluded.run THEN 0 ELSE 1 END, "
        "last_at = excluded.last_at, run = excluded.run",
        [(job, one.key, one.kind, one.reason, one.status, one.excerpt, moment, moment, run) for one in rejects],
    )


def settle_rejects(connection: Connection, job: str, keys: Sequence[str]) -> None:
    """Remove the rejects of keys that succeeded, inside the journal's transaction."""
    many(connection, "DELETE FROM rejects WHERE job = ? AND key = ?", [(job, key) for key in keys])


def _row(row: Stored) -> RejectRow:
    job, key, kind, reason, status, excerpt, attempts, first_at, last_at, run = row
    return RejectRow(
        job=job,
        reject=Reject(key, reason, status, excerpt, None if kind is None else Kind(kind)),
        attempts=attempts,
        first_at=datetime.fromisoformat(first_at),
        last_at=datetime.fromisoformat(last_at),
        run=run,
    )
