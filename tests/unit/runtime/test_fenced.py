"""Writes leave only while the run surely holds its lease."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.endpoints.memory import MemoryTarget
from daemon.errors import LeaseLostError
from daemon.runtime.fenced import FencedTarget
from daemon.store import schema
from daemon.store.database import Database, open_database
from daemon.store.leases import Lease, Leases
from daemon.store.owner import Owner
from daemon.sync.change import Change, Kind
from tests.unit.store.places import HandClock, other_owner

CREATE = Change(
    seq=1,
    kind=Kind.CREATE,
    key="E1",
    target_id=None,
    version=None,
    document={"id": "E1"},
    before=None,
    fields=("id",),
    fingerprint=b"f",
    raw=b"r",
    owned=True,
    idempotency_key="run-1",
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(tmp_path / "crudsd.db") as opened:
        schema.upgrade(opened)
        yield opened


class SleepyLeases(Leases):
    """Falls asleep once it has renewed a lease, for longer than that lives, and another process takes it."""

    def __init__(self, database: Database, clock: HandClock) -> None:
        super().__init__(database, clock, Owner.here())
        self._bed, self._other = clock, Leases(database, clock, other_owner())

    def renew(self, lease: Lease) -> Lease:
        renewed = super().renew(lease)
        self._bed.move(lease.ttl_s + 1)
        self._other.acquire(lease.name)
        return renewed


def test_a_lease_that_was_taken_is_noticed_before_the_write(database: Database) -> None:
    clock, target = HandClock(), MemoryTarget()
    mine = Leases(database, clock, Owner.here())
    fenced = FencedTarget(target, mine, mine.acquire("job/a"), clock)
    clock.move(31)
    Leases(database, clock, other_owner()).acquire("job/a")

    with pytest.raises(LeaseLostError):
        fenced.create(CREATE)

    assert target.writes == []


def test_a_lease_that_was_taken_just_after_its_renewal_is_noticed_before_the_write(database: Database) -> None:
    clock, target = HandClock(), MemoryTarget()
    sleepy = SleepyLeases(database, clock)
    fenced = FencedTarget(target, sleepy, sleepy.acquire("job/a"), clock)
    clock.move(25)

    with pytest.raises(LeaseLostError):
        fenced.create(CREATE)

    assert target.writes == []
