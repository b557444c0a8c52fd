"""What the store's tests share: a database in a folder of the test, and a clock that is set by hand."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from daemon.store import schema
from daemon.store.database import Database, open_database
from daemon.store.index import SqlTargetIndex
from daemon.store.journal import SqlJournal
from daemon.store.leases import Leases, job_lease
from daemon.store.links import SqlLinks
from daemon.store.owner import Owner
from daemon.store.rejects import Rejects
from daemon.store.run_row import Trigger
from daemon.store.runs import RunStore
from daemon.store.tables import runs
from daemon.sync.certificate import Certificate
from daemon.sync.change import Reject
from daemon.sync.counts import Counts
from daemon.sync.outcome import Ending, Result

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ON_SQLITE = pytest.mark.parametrize("state_url", ["sqlite"], indirect=True)
"""For a test of what only SQLite has, such as files."""


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def ticks(self) -> float:
        """The same as the monotonic clock says it."""
        return self.now.timestamp()

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def ready(place: Path | str, **options: Any) -> Database:
    """Return a database with its tables."""
    database = open_database(place, **options)
    schema.upgrade(database)
    return database


def other_owner(**facts: Any) -> Owner:
    """Return an owner on another machine, whose life cannot be told from here."""
    owner = Owner(host="other", machine="other boot/pid:[1]", pid=7, started="1", nonce="other")
    return replace(owner, **facts)


class SqlWorld:
    """One job's memory in one database file."""

    def __init__(self, database: Database, clock: HandClock, job: str = "people") -> None:
        self.database = database
        self.clock = clock
        self.job = job
        self.leases = Leases(database, clock, Owner.here(), monotonic=clock.ticks)
        self.lease = self.leases.acquire(job_lease(job))
        self.runs = RunStore(database, clock)

    def journal(self, run: str, **options: Any) -> SqlJournal:
        if self.runs.get(run) is None:
            made = self.runs.begin(self.job, trigger=Trigger.MANUAL, revision="r1")
            with self.database.write() as connection:
                connection.execute(update(runs).where(runs.c.id == made).values(id=run))
        options = {"lease": self.lease} | options
        return SqlJournal(self.database, run=run, job=self.job, clock=self.clock, **options)

    def links(self) -> SqlLinks:
        return SqlLinks(self.database, self.job, clock=self.clock)

    def index(self, run: str) -> SqlTargetIndex:
        return SqlTargetIndex(self.database, run)

    def rejects(self) -> Mapping[str, tuple[Reject, int]]:
        return {row.reject.key: (row.reject, row.attempts) for row in Rejects(self.database).list(self.job, 1000)}

    def end(self, run: str, ending: Ending) -> None:
        self.runs.finish(run, Result(ending, self.counts(run), Certificate(end=None), ()))

    def move(self, time: timedelta) -> None:
        self.clock.move(time.total_seconds())

    def counts(self, run: str) -> Counts:
        row = self.runs.get(run)
        assert row is not None
        return row.counts
