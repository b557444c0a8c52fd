import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from daemon.errors import LeaseLostError, LockedError, StateError
from daemon.store.database import Database, open_database
from daemon.store.heartbeat import Heartbeat
from daemon.store.leases import Lease, Leases
from daemon.store.owner import Owner
from daemon.store.statements import execute
from tests.unit.store.places import NOON, HandClock, other_owner


@pytest.fixture
def mine(database: Database, clock: HandClock) -> Leases:
    return Leases(database, clock, Owner.here())


@pytest.fixture
def theirs(database: Database, clock: HandClock) -> Leases:
    return Leases(database, clock, other_owner())


class TestTaking:
    def test_a_lease_is_one_owners(self, mine: Leases, theirs: Leases) -> None:
        theirs.acquire("job/a")
        with pytest.raises(LockedError) as caught:
            mine.acquire("job/a")
        expected = "other, process 7, since 2026-03-01 12:00:00 UTC, until 12:00:30 UTC unless renewed"
        assert caught.value.owner == expected
        assert str(caught.value) == f"job/a: held by {expected}"

    def test_the_same_process_cannot_take_it_twice(self, mine: Leases) -> None:
        mine.acquire("job/a")
        with pytest.raises(LockedError):
            mine.acquire("job/a")

    def test_other_names_are_free(self, mine: Leases, theirs: Leases) -> None:
        assert (mine.acquire("job/a").fence, theirs.acquire("job/b").fence) == (1, 1)

    def test_a_lease_that_ran_out_is_taken(self, mine: Leases, theirs: Leases, clock: HandClock) -> None:
        old = theirs.acquire("job/a", ttl_s=30)
        clock.move(29.9)
        with pytest.raises(LockedError):
            mine.acquire("job/a")
        clock.move(0.1)
        assert mine.acquire("job/a").fence == old.fence + 1

    def test_a_lease_tells_until_when_its_holder_before_may_have_been_at_work(
        self, mine: Leases, theirs: Leases, clock: HandClock
    ) -> None:
        assert mine.held_until("job/a") is None
        first = theirs.acquire("job/a", ttl_s=30)
        assert (first.before, mine.held_until("job/a")) == (None, NOON + timedelta(seconds=30))
        clock.move(3600)
        second = mine.acquire("job/a")
        assert second.before == NOON + timedelta(seconds=30)
        clock.move(5)
        mine.release(second)
        clock.move(5)
        assert theirs.acquire("job/a").before == NOON + timedelta(seconds=3605)

    def test_a_released_lease_is_free_and_its_fence_goes_on(self, mine: Leases, theirs: Leases) -> None:
        fences = []
        for leases in (mine, theirs, mine):
            lease = leases.acquire("job/a")
            fences.append(lease.fence)
            leases.release(lease)
            leases.release(lease)
        assert fences == [1, 2, 3]

    def test_an_old_holder_gives_nothing_back(self, mine: Leases, theirs: Leases, clock: HandClock) -> None:
        old = theirs.acquire("job/a")
        clock.move(31)
        lease = mine.acquire("job/a")
        theirs.release(old)
        assert mine.is_held("job/a", owner=lease.owner, fence=lease.fence)

    def test_of_many_threads_one_wins(self, database: Database, clock: HandClock) -> None:
        won: list[Lease] = []
        start = threading.Barrier(8)

        def take() -> None:
            leases = Leases(database, clock, Owner.here())
            start.wait()
            try:
                won.append(leases.acquire("job/a"))
            except LockedError:
                return

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1


class TestClocksThatAreSet:
    @pytest.mark.parametrize("hours", [-9, 9], ids=["back", "forward"])
    def test_the_lease_of_a_living_process_of_this_machine_ends_by_the_clock_that_nobody_sets(
        self, database: Database, clock: HandClock, hours: int
    ) -> None:
        ticks = [1000.0]
        mine, another = (Leases(database, clock, Owner.here(), monotonic=lambda: ticks[0]) for _ in range(2))
        lease = mine.acquire("token/hr", ttl_s=20)
        clock.move(hours * 3600)
        ticks[0] += 19
        with pytest.raises(LockedError):
            another.acquire("token/hr")
        lease = mine.renew(lease)
        clock.move(hours * 3600)
        ticks[0] += 19
        assert another.is_held("token/hr", owner=lease.owner, fence=lease.fence)
        ticks[0] += 1
        assert another.acquire("token/hr").fence == lease.fence + 1

    def test_the_lease_of_another_machine_ends_by_the_time_of_day(
        self, database: Database, clock: HandClock, theirs: Leases
    ) -> None:
        ticks = [1000.0]
        mine = Leases(database, clock, Owner.here(), monotonic=lambda: ticks[0])
        theirs.acquire("token/hr", ttl_s=20)
        ticks[0] = 1e9
        with pytest.raises(LockedError):
            mine.acquire("token/hr")
        clock.move(20)
        mine.acquire("token/hr")


class TestTheDead:
    @pytest.fixture
    def gone(self) -> Owner:
        """Return the owner that a process was which has ended."""
        code = "from daemon.store.owner import Owner; o = Owner.here(); print(o.machine, o.pid, o.started, sep='|')"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
        )
        machine, pid, started = done.stdout.strip().split("|")
        return Owner("here", machine, int(pid), started, "gone")

    def test_what_a_dead_process_of_this_machine_held_is_taken_at_once(
        self, database: Database, clock: HandClock, mine: Leases, gone: Owner
    ) -> None:
        old = Leases(database, clock, gone).acquire("job/a")
        assert not mine.is_held("job/a", owner=old.owner, fence=old.fence)
        assert mine.acquire("job/a").fence == old.fence + 1

    def test_a_process_with_its_number_is_not_it(self, database: Database, clock: HandClock, mine: Leases) -> None:
        earlier = replace(Owner.here(), started="1")
        old = Leases(database, clock, earlier).acquire("job/a")
        assert mine.acquire("job/a").fence == old.fence + 1

    @pytest.mark.parametrize("facts", [{"machine": "other boot"}, {"machine": ""}, {"started": ""}])
    def test_whoever_cannot_be_told_dead_is_waited_for(
        self, database: Database, clock: HandClock, mine: Leases, gone: Owner, facts: dict[str, Any]
    ) -> None:
        Leases(database, clock, replace(gone, **facts)).acquire("job/a")
        with pytest.raises(LockedError):
            mine.acquire("job/a")

    def test_a_process_that_proc_hides_is_not_taken_for_dead(
        self, gone: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As ProtectProc=invisible with PrivateUsers=yes hides a run by hand from the service beside it."""
        living, other = Owner.here(), Owner.here()

        monkeypatch.setattr("daemon.store.owner._PROC", tmp_path)

        assert not living.is_surely_dead(other)
        assert gone.is_surely_dead(other)

    def test_this_process_lives(self) -> None:
        me, other = Owner.here(), Owner.here()
        assert not me.is_surely_dead(other)
        assert me.pid == os.getpid()
        assert me.nonce != other.nonce


class TestRenewing:
    def test_a_renewed_lease_lives_on(self, mine: Leases, theirs: Leases, clock: HandClock) -> None:
        lease = mine.acquire("job/a")
        clock.move(20)
        renewed = mine.renew(lease)
        assert renewed.fence == lease.fence
        clock.move(20)
        with pytest.raises(LockedError):
            theirs.acquire("job/a")

    def test_a_lost_lease_is_not_renewed(self, mine: Leases, theirs: Leases, clock: HandClock) -> None:
        lease = mine.acquire("job/a")
        clock.move(31)
        theirs.acquire("job/a")
        with pytest.raises(LeaseLostError, match="job/a: another process took over"):
            mine.renew(lease)

    def test_a_released_lease_is_not_renewed(self, mine: Leases) -> None:
        lease = mine.acquire("job/a")
        mine.release(lease)
        with pytest.raises(LeaseLostError):
            mine.renew(lease)


class TestHeartbeat:
    def test_it_tells_that_the_lease_is_lost(self, mine: Leases, theirs: Leases, clock: HandClock) -> None:
        lease, lost = mine.acquire("job/a"), threading.Event()
        clock.move(31)
        theirs.acquire("job/a")
        with Heartbeat(mine, lease, lost=lost, every_s=0.001):
            assert lost.wait(10)

    def test_it_renews_until_its_block_ends(self, database: Database, mine: Leases, clock: HandClock) -> None:
        lease, lost = mine.acquire("job/a"), threading.Event()
        clock.move(25)
        renewed = threading.Event()

        class Watched(Leases):
            def renew(self, lease: Lease) -> Lease:
                fresh = super().renew(lease)
                renewed.set()
                return fresh

        before = threading.active_count()
        with Heartbeat(Watched(database, clock, Owner.here()), lease, lost=lost, every_s=0.001):
            assert renewed.wait(10)
        assert threading.active_count() == before
        clock.move(25)
        assert mine.is_held("job/a", owner=lease.owner, fence=lease.fence)
        assert not lost.is_set()

    def test_a_database_that_stays_locked_costs_the_lease(self, state_url: str, mine: Leases, clock: HandClock) -> None:
        lease, lost = mine.acquire("job/a", ttl_s=0.005), threading.Event()
        with (
            open_database(state_url, busy_timeout_s=0.001) as impatient,
            open_database(state_url) as other,
            other.write() as connection,
            _held_back(connection, lease),
            Heartbeat(Leases(impatient, clock, Owner.here()), lease, lost=lost, every_s=0.001),
        ):
            assert lost.wait(10)

    def test_a_moment_of_trouble_costs_nothing(self, database: Database, clock: HandClock, mine: Leases) -> None:
        lease, lost, renewed = mine.acquire("job/a"), threading.Event(), threading.Event()
        troubles = [StateError("locked"), StateError("locked")]

        class Troubled(Leases):
            def renew(self, lease: Lease) -> Lease:
                if troubles:
                    raise troubles.pop()
                renewed.set()
                return super().renew(lease)

        with Heartbeat(Troubled(database, clock, Owner.here()), lease, lost=lost, every_s=0.001):
            assert renewed.wait(10)
        assert not lost.is_set()


@contextmanager
def _held_back(connection: Connection, lease: Lease) -> Iterator[None]:
    """Keep others from the lease's row while the block lasts; SQLite's writer keeps them from everything."""
    execute(connection, "UPDATE leases SET until = until WHERE name = ?", (lease.name,))
    yield


def test_the_stored_lease_names_its_holder(database: Database, mine: Leases) -> None:
    lease = mine.acquire("job/a")
    with database.read() as connection:
        row = execute(connection, "SELECT owner, pid FROM leases").one()
    assert tuple(row) == (lease.owner, os.getpid())
