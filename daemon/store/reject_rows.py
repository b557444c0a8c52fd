"""Rejects inside the transactions of runs: kept, left to rest, settled, forgotten."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from daemon.sync.change import Kept, Reject, Retry
from daemon.sync.retry import REST, TRIES

from .columns import moment_text
from .statements import execute, look_up, many

KEEP = (
    "INSERT INTO rejects (job, key, kind, reason, status, excerpt, attempts, first_at, last_at, run, retry, "
    "fingerprint) VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?) ON CONFLICT (job, key) DO UPDATE SET "
    "kind = excluded.kind, reason = excluded.reason, status = excluded.status, excerpt = excluded.excerpt, "
    "attempts = CASE WHEN rejects.run = excluded.run THEN rejects.attempts "
    "WHEN rejects.retry = excluded.retry AND (rejects.fingerprint = excluded.fingerprint "
    "OR rejects.fingerprint IS NULL AND excluded.fingerprint IS NULL) THEN rejects.attempts + 1 ELSE 1 END, "
    "last_at = excluded.last_at, run = excluded.run, retry = excluded.retry, fingerprint = excluded.fingerprint, "
    "rested_at = NULL WHERE rejects.retry <> 'person' OR excluded.retry <> 'person'"
)
"""In place of the one of the same key. One that waits for a person stays as it is, with its first reason."""


def keep_rejects(connection: Connection, job: str, run: str, rejects: Sequence[Reject], now: datetime) -> None:
    """Store rejects. Attempts count on, once a run, as long as the class and the refused content stay the same."""
    moment = moment_text(now)
    many(
        connection,
        KEEP,
        [
            (job, r.key, r.kind, r.reason, r.status, r.excerpt, moment, moment, run, r.retry, r.fingerprint)
            for r in rejects
        ],
    )
    let_rest(connection, job, run, [one.key for one in rejects if one.retry is Retry.PERSON], now)


def let_rest(connection: Connection, job: str, run: str, keys: Sequence[str], now: datetime) -> None:
    """Note that this run met these rejects and left them alone, as far as it did not make them itself."""
    moment = moment_text(now)
    many(
        connection,
        "UPDATE rejects SET run = ?, rested_at = ? WHERE job = ? AND key = ? AND run <> ?",
        [(run, moment, job, key, run) for key in keys],
    )


def settle_rejects(connection: Connection, job: str, keys: Sequence[str]) -> None:
    """Remove the rejects of keys that succeeded: most jobs have none, and that is asked once, not for each key."""
    if not keys or not has_rejects(connection, job):
        return
    many(connection, "DELETE FROM rejects WHERE job = ? AND key = ?", [(job, key) for key in keys])


def release(connection: Connection, job: str, keys: Sequence[str]) -> None:
    """Let these keys be tried again where they waited for a person: it is known now that nothing was carried out."""
    many(
        connection,
        "UPDATE rejects SET retry = 'each_run' WHERE job = ? AND key = ? AND retry = 'person'",
        [(job, key) for key in keys],
    )


def forget_settled(connection: Connection, run: str) -> None:
    """Remove the rejects that a whole read did not reject again: their records are in step, left out, or gone.

    Those whose change the run planned and did not carry out stay, and so do those that wait for a person.
    """
    execute(
        connection,
        "DELETE FROM rejects WHERE job = (SELECT job FROM runs WHERE id = ?) AND run <> ? AND retry <> 'person' "
        "AND NOT EXISTS (SELECT 1 FROM changes WHERE changes.run = ? AND changes.key = rejects.key)",
        (run, run, run),
    )


def forget_old(connection: Connection, run: str, before: datetime) -> None:
    """Remove the rejects of the run's job that no run met since then, except those that wait for a person."""
    execute(
        connection,
        "DELETE FROM rejects WHERE job = (SELECT job FROM runs WHERE id = ?) AND run <> ? AND retry <> 'person' "
        "AND coalesce(rested_at, last_at) < ?",
        (run, run, moment_text(before)),
    )


def has_rejects(connection: Connection, job: str) -> bool:
    """Say whether anything is kept of this job."""
    return execute(connection, "SELECT 1 FROM rejects WHERE job = ? LIMIT 1", (job,)).first() is not None


def kept_of(connection: Connection, job: str, keys: Sequence[str], now: datetime) -> Mapping[str, Kept]:
    """Return the rejects of these keys, as a run that begins now would ask for them."""
    rested = moment_text(now - REST)
    sql = "SELECT key, retry, attempts, fingerprint, last_at FROM rejects WHERE job = ? AND key IN (?*)"
    rows = look_up(connection, sql, (job,), keys)
    return {key: _kept(*facts, rested=rested) for key, *facts in rows}


def _kept(retry: str, attempts: int, fingerprint: bytes | None, last_at: str, *, rested: str) -> Kept:
    rests = retry == Retry.RARELY and attempts >= TRIES and fingerprint is not None
    mark = bytes(fingerprint) if rests and fingerprint else None
    return Kept(mark, is_rested=last_at <= rested, attempts=attempts)
