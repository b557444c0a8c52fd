"""The right to run a job or renew a token now, with a number that tells an old holder from the present one.

The fence decides, not the clock: every taking raises it, and whoever writes checks in the same transaction that the
fence is still his own. So a process that slept through the end of its lease can commit nothing once it is taken.

What cannot be fenced, such as a token request under way, needs the end of a lease to be true. Between processes of one
machine it is counted by the clock that nobody sets; between machines by the time of day.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from daemon.clock import Clock
from daemon.errors import LeaseLostError, LockedError

from .columns import moment_text
from .database import Database
from .owner import Owner
from .statements import execute, is_sqlite

TTL_S = 30.0
"""How long a lease lives without renewal: three heartbeats of 10 s. Long enough for a slow disk, short enough that a
dead host does not cost more than half a minute. A dead process on the same machine costs nothing."""


def job_lease(job: str) -> str:
    """Return the name of the lease of a job."""
    return f"job/{job}"


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it was when it was taken or last renewed by its holder."""

    name: str
    fence: int
    owner: str
    """The holder's nonce."""
    until: datetime
    ttl_s: float
    before: datetime | None = None
    """Until when the holder before may have been at work; None when there was none, or this lease was renewed."""
    monotonic: Callable[[], float] = field(default=time.monotonic, repr=False, compare=False)
    """The clock that nobody sets, in seconds, by which its end is counted once more when it is renewed."""


@dataclass(frozen=True, slots=True)
class _Held:
    """The stored row of a lease that somebody took once."""

    owner: Owner
    fence: int
    acquired_at: datetime
    until: datetime
    until_ticks: int | None
    """None: taken by a release that did not keep it."""

    def is_free(self, now: datetime, ticks: int, me: Owner) -> bool:
        """Whether another may take it: released, run out, or its holder is gone."""
        if not self.owner.nonce or self.owner.is_surely_dead(me):
            return True
        if self.until_ticks is not None and self.owner.machine and self.owner.machine == me.machine:
            return self.until_ticks <= ticks
        return self.until <= now

    def __str__(self) -> str:
        return (
            f"{self.owner.host}, process {self.owner.pid}, since {self.acquired_at:%Y-%m-%d %H:%M:%S} UTC, "
            f"until {self.until:%H:%M:%S} UTC unless renewed"
        )


class Leases:
    """Takes, renews and gives back leases for one owner. Safe to share between threads."""

    def __init__(
        self, database: Database, clock: Clock, owner: Owner, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._clock = clock
        self._owner = owner
        self._monotonic = monotonic

    def acquire(self, name: str, *, ttl_s: float = TTL_S) -> Lease:
        """Take a lease that is free. Raises LockedError, which names the holder, when it is not; does not wait."""
        me = self._owner
        with self._database.write() as connection:
            held = _find(connection, name, for_update=True)
            now = self._clock()  # after the lock, which may have been waited for
            until = now + timedelta(seconds=ttl_s)
            ticks = _ticks(self._monotonic())
            if held is not None and not held.is_free(now, ticks, me):
                raise LockedError(f"{name}: held by {held}", owner=str(held))
            fence = 1 if held is None else held.fence + 1
            taken = execute(
                connection,
                "INSERT INTO leases (name, owner, fence, acquired_at, until, host, machine, pid, started, until_ticks) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, "
                "fence = excluded.fence, acquired_at = excluded.acquired_at, until = excluded.until, "
                "host = excluded.host, machine = excluded.machine, pid = excluded.pid, started = excluded.started, "
                "until_ticks = excluded.until_ticks "
                "WHERE leases.fence < excluded.fence",
                (
                    *(name, me.nonce, fence, moment_text(now), moment_text(until)),
                    *(me.host, me.machine, me.pid, me.started, ticks + _ticks(ttl_s)),
                ),
            ).rowcount
            if taken != 1:  # two servers met on a new name; SQLite's write lock keeps that from happening
                raise LockedError(f"{name}: taken by another process in this moment", owner="another process")
        before = min(held.until, now) if held else None
        return Lease(name, fence, me.nonce, until, ttl_s, before=before, monotonic=self._monotonic)

    def renew(self, lease: Lease) -> Lease:
        """Return the lease with a new life. Raises LeaseLostError when somebody else took it meanwhile."""
        with self._database.write() as connection:
            return hold(connection, lease, self._clock())

    def release(self, lease: Lease) -> None:
        """Give the lease back. Does nothing when it is not ours any more."""
        with self._database.write() as connection:
            execute(
                connection,
                "UPDATE leases SET owner = '', until = ? WHERE name = ? AND fence = ? AND owner = ?",
                (moment_text(self._clock()), lease.name, lease.fence, lease.owner),
            )

    def held_until(self, name: str) -> datetime | None:
        """Return until when the last holder of a lease may be at work; None when it was never taken."""
        with self._database.read() as connection:
            held = _find(connection, name, for_update=False)
        return None if held is None else held.until

    def holder(self, name: str) -> str | None:
        """Return who holds a lease, for people to read; None when nobody does, or its process is gone."""
        with self._database.read() as connection:
            held = _find(connection, name, for_update=False)
        is_free = held is None or held.is_free(self._clock(), _ticks(self._monotonic()), self._owner)
        return None if is_free else str(held)

    def holders(self) -> dict[str, str]:
        """Return the leases that somebody holds, and who, for people to read."""
        with self._database.read() as connection:
            names = execute(connection, "SELECT name FROM leases WHERE owner <> '' ORDER BY name").scalars().all()
        return {name: holder for name in names if (holder := self.holder(name)) is not None}

    def is_held(self, name: str, *, owner: str, fence: int) -> bool:
        """Whether this very taking of the lease still stands, and its process lives."""
        with self._database.read() as connection:
            held = _find(connection, name, for_update=False)
        if held is None or held.owner.nonce != owner or held.fence != fence:
            return False
        return not held.is_free(self._clock(), _ticks(self._monotonic()), self._owner)


def hold(connection: Connection, lease: Lease, now: datetime) -> Lease:
    """Make sure inside a transaction that the lease is still ours until that transaction is over, and renew it.

    Raises LeaseLostError when it is not. An update and not a question: on PostgreSQL it also keeps others from
    taking the lease before we commit, and what is sent after the commit starts with a whole life.
    """
    until = now + timedelta(seconds=lease.ttl_s)
    until_ticks = _ticks(lease.monotonic() + lease.ttl_s)
    kept = execute(
        connection,
        "UPDATE leases SET until = ?, until_ticks = ? WHERE name = ? AND fence = ? AND owner = ?",
        (moment_text(until), until_ticks, lease.name, lease.fence, lease.owner),
    ).rowcount
    if kept != 1:
        raise LeaseLostError(f"{lease.name}: another process took over; nothing was committed")
    return replace(lease, until=until, before=None)


def wait_for_turn(connection: Connection, job: str) -> None:
    """Keep the runs of a job from committing until this transaction is over, without being one of them.

    For people who write what runs write. A run's transactions begin with the row of the lease, so whoever begins there
    too meets them nowhere else: neither a lost update nor a deadlock. SQLite has one writer anyway.
    """
    if not is_sqlite(connection):
        execute(connection, "SELECT fence FROM leases WHERE name = ? FOR UPDATE", (job_lease(job),))


def _ticks(seconds: float) -> int:
    return int(seconds * 1000)


_FIND = "SELECT host, machine, pid, started, owner, fence, acquired_at, until, until_ticks FROM leases WHERE name = ?"


def _find(connection: Connection, name: str, *, for_update: bool) -> _Held | None:
    lock = " FOR UPDATE" if for_update and not is_sqlite(connection) else ""
    row = execute(connection, _FIND + lock, (name,)).first()
    if row is None:
        return None
    host, machine, pid, started, nonce, fence, acquired_at, until, until_ticks = row
    return _Held(
        Owner(host, machine, pid, started, nonce),
        fence,
        datetime.fromisoformat(acquired_at),
        datetime.fromisoformat(until),
        until_ticks,
    )
