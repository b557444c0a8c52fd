"""Writes leave only while the run surely holds its lease."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.endpoints.memory import MemoryTarget
from daemon.errors import LeaseLostError, RefusedError
from daemon.runtime.fenced import FencedTarget
from daemon.store import schema
from daemon.store.database import Database, open_database
from daemon.store.leases import Lease, Leases
from daemon.store.owner import Owner
from daemon.sync.change import Change, Kind
from daemon.sync.ports import Answer, WholeRefusedError
from daemon.sync.together import answers
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


def test_a_batch_that_is_taken_apart_makes_sure_of_the_lease_before_each_part(database: Database) -> None:
    """The process sleeps while the whole is refused, and another one does the run: no part of it may leave then."""
    clock = HandClock()
    mine = Leases(database, clock, Owner.here())

    class Refusing(MemoryTarget):
        def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
            clock.move(31)
            Leases(database, clock, other_owner()).acquire("job/a")
            raise WholeRefusedError(RefusedError("too large", status=413))

    target = Refusing(batch=4)
    fenced = FencedTarget(target, mine, mine.acquire("job/a"), clock)

    with pytest.raises(LeaseLostError):
        answers([replace(CREATE, seq=seq, key=f"E{seq}") for seq in range(1, 5)], fenced)

    assert target.writes == []
