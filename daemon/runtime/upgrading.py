"""Brings the state to this program's schema, while nobody else is at work on it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from daemon.clock import Clock
from daemon.errors import LockedError
from daemon.logs import Logger
from daemon.store import schema
from daemon.store.backup import replace_backup
from daemon.store.database import Database
from daemon.store.heartbeat import Heartbeat
from daemon.store.leases import Leases
from daemon.store.owner import Owner

from .notify import Notifier, Patience
from .service_desk import SERVICE_LEASE

_LEASES_SINCE = "0003"
"""The first schema whose leases this program can read. No release had an older one."""
_SERVER_S = 3600.0
"""A server tells nothing while it works on a migration: this much is asked for at once."""


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The schema before, None where there were no tables, and after; and the copy of what was before."""

    before: str | None
    after: str
    copy: Path | None = None


def upgrade(database: Database, *, clock: Clock, log: Logger, notifier: Notifier, keeps_copy: bool = False) -> Upgraded:
    """Bring the state to `schema.head()`, all or nothing, so it may be killed and repeated.

    With `keeps_copy` a SQLite state is copied first, beside itself, as `FILE.before-REVISION`. systemd is asked for
    time while it gets on. Raises LockedError while a service or a run is at work, ConfigError for a schema that is
    ahead.
    """
    before, after = schema.current(database), schema.head()
    if before is None or before >= after:
        schema.prepare(database)
        return Upgraded(before, after)
    patience = Patience(notifier, f"upgrading the state database from schema {before} to {after}")
    patience()
    log.info("state.upgrading", before=before, after=after)
    copy = None
    with _alone(database, clock, before) as make_sure:
        if keeps_copy and database.file is not None:
            copy = database.file.with_name(f"{database.file.name}.before-{after}")
            replace_backup(database, copy, tick=patience)
        if database.file is None:
            patience.ask(_SERVER_S)
        make_sure()
        schema.upgrade(database, tick=patience)
    log.info("state.upgraded", before=before, after=after, copy=None if copy is None else str(copy))
    return Upgraded(before, after, copy)


@contextmanager
def _alone(database: Database, clock: Clock, schema_now: str) -> Iterator[Callable[[], object]]:
    """Keep every service away while the block lasts; gives what raises LeaseLostError should that have failed.

    Raises LockedError when a service, or a run, is at work.
    """
    if schema_now < _LEASES_SINCE:
        yield lambda: None
        return
    leases = Leases(database, clock, Owner.here())
    lease = leases.acquire(SERVICE_LEASE)
    try:
        others = {name: holder for name, holder in leases.holders().items() if name != SERVICE_LEASE}
        for name, holder in others.items():
            raise LockedError(f"{name}: held by {holder}; upgrade when its run is over", owner=holder)
        # While SQLite migrates, nobody can write, so neither renew the lease nor take it. The copy before that takes
        # long, too, and there it has to be renewed.
        with Heartbeat(leases, lease, lost=threading.Event()):
            yield lambda: leases.renew(lease)
    finally:
        leases.release(lease)
