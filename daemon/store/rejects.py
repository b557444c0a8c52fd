"""Records and changes that could not be carried out, as people ask about them and settle them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, func, or_, select

from daemon.sync.canonical import readable
from daemon.sync.change import Kind, Reject, Retry
from daemon.sync.retry import REST, TRIES

from .database import Database
from .leases import wait_for_turn
from .statements import execute, many
from .tables import rejects

_NEAR = 3
_LOOKED_AT = 10_000
"""Keys among which the ones like a mistyped key are sought."""


@dataclass(frozen=True, slots=True)
class RejectRow:
    """One reject, as it is remembered."""

    job: str
    reject: Reject
    attempts: int
    """How many runs tried it, as it is now, in vain."""
    first_at: datetime
    last_at: datetime
    """When it was tried last."""
    run: str
    """The latest run that met it."""
    rested_at: datetime | None = None
    """When a run last met it and left it alone; None when none did since it was tried."""

    @property
    def rests_until(self) -> datetime | None:
        """Until when it is left alone if nothing changes; None for one that the next run tries or that nobody does."""
        rests = self.reject.retry is Retry.RARELY and self.attempts >= TRIES and self.reject.fingerprint is not None
        return self.last_at + REST if rests else None


@dataclass(frozen=True, slots=True)
class Wish:
    """Which rejects are asked for; what is None does not matter."""

    retry: Retry | None = None
    status: int | None = None
    kind: Kind | None = None
    reason: str | None = None
    """A part of the reason or of what the target said, in any case."""


class Rejects:
    """What people ask about rejects. Every method is one transaction; threads may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, job: str, limit: int, wish: Wish = Wish()) -> tuple[RejectRow, ...]:
        """Return up to `limit` of the job's rejects, the latest first."""
        return self._rows(
            select(rejects)
            .where(rejects.c.job == job, *_conditions(wish))
            .order_by(rejects.c.last_at.desc(), rejects.c.key)
            .limit(limit)
        )

    def show(self, job: str, key: str) -> RejectRow | None:
        """Return the reject of this key, or None when there is none."""
        return next(iter(self._rows(select(rejects).where(rejects.c.job == job, rejects.c.key == key))), None)

    def count(self, job: str, wish: Wish = Wish()) -> int:
        """Count the job's rejects."""
        query = select(func.count()).select_from(rejects).where(rejects.c.job == job, *_conditions(wish))
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def named(self, job: str, shown: str) -> tuple[RejectRow, ...]:
        """Return the rejects whose key is shown to people like this: mostly one, none for a mistyped key."""
        if (exact := self.show(job, shown)) is not None:
            return (exact,)
        # How the parts of a compound key are shown is known in one place; the database finds the candidates.
        pattern = "_".join(map(_escaped, shown.split("/")))
        found = self._rows(select(rejects).where(rejects.c.job == job, rejects.c.key.like(pattern, escape="\\")))
        return tuple(row for row in found if readable(row.reject.key) == shown)

    def near(self, job: str, shown: str) -> Sequence[str]:
        """Return keys of rejects that look like this one, the likeliest first, as they are shown."""
        with self._database.read() as connection:
            sql = "SELECT key FROM rejects WHERE job = ? ORDER BY last_at DESC LIMIT ?"
            keys = [readable(row[0]) for row in execute(connection, sql, (job, _LOOKED_AT))]
        return get_close_matches(shown, keys, n=_NEAR)

    def retry(self, job: str, keys: Sequence[str]) -> None:
        """Make the rejects of these keys due: the next run tries them.

        A create that waits for a person is given up with that, and is sent again as a new one.
        """
        with self._database.write() as connection:
            wait_for_turn(connection, job)
            many(connection, _GIVE_UP_FOR_A_PERSON, [(job, key, job, key) for key in keys])
            many(connection, _MAKE_DUE, [(job, key) for key in keys])

    def retry_all(self, job: str) -> int:
        """Make all rejects of a job due, except those that wait for a person, and return how many that are."""
        sql = "UPDATE rejects SET retry = 'each_run', fingerprint = NULL WHERE job = ? AND retry <> 'person'"
        with self._database.write() as connection:
            wait_for_turn(connection, job)
            return execute(connection, sql, (job,)).rowcount

    def _rows(self, query: Select[Any]) -> tuple[RejectRow, ...]:
        with self._database.read() as connection:
            return tuple(_row(row) for row in connection.execute(query).mappings())

    def drop(self, job: str, key: str) -> bool:
        """Forget the reject of this key, and say whether there was one.

        A change of this key whose fate is unknown is dropped with it: a person has looked, and the next run may plan
        the record anew.
        """
        with self._database.write() as connection:
            wait_for_turn(connection, job)
            execute(connection, _GIVE_UP, (job, key))
            return execute(connection, "DELETE FROM rejects WHERE job = ? AND key = ?", (job, key)).rowcount == 1


_GIVE_UP = "UPDATE changes SET fate = 'dropped' WHERE job = ? AND key = ? AND fate = 'unknown'"
# Of other classes the next run finds out by itself what became of the create; giving it up could double the record.
_GIVE_UP_FOR_A_PERSON = (
    "UPDATE changes SET fate = 'dropped' WHERE job = ? AND key = ? AND fate = 'unknown' "
    "AND EXISTS (SELECT 1 FROM rejects AS one WHERE one.job = ? AND one.key = ? AND one.retry = 'person')"
)
_MAKE_DUE = "UPDATE rejects SET retry = 'each_run', fingerprint = NULL WHERE job = ? AND key = ?"


def _conditions(wish: Wish) -> Iterator[ColumnElement[bool]]:
    if wish.retry is not None:
        yield rejects.c.retry == wish.retry.value
    if wish.status is not None:
        yield rejects.c.status == wish.status
    if wish.kind is not None:
        yield rejects.c.kind == wish.kind.value
    if wish.reason is not None:
        part = f"%{_escaped(wish.reason)}%"
        yield or_(rejects.c.reason.ilike(part, escape="\\"), rejects.c.excerpt.ilike(part, escape="\\"))


def _escaped(text: str) -> str:
    """Return text that stands for itself in a LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _row(row: RowMapping) -> RejectRow:
    kind, fingerprint = row["kind"], row["fingerprint"]
    return RejectRow(
        job=row["job"],
        reject=Reject(
            key=row["key"],
            reason=row["reason"],
            status=row["status"],
            excerpt=row["excerpt"],
            kind=None if kind is None else Kind(kind),
            retry=Retry(row["retry"]),
            fingerprint=None if fingerprint is None else bytes(fingerprint),
        ),
        attempts=row["attempts"],
        first_at=row["first_at"],
        last_at=row["last_at"],
        run=row["run"],
        rested_at=row["rested_at"],
    )
