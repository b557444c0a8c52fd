"""A target that is written to only while the run surely holds its lease."""

import threading
from collections.abc import Sequence

from daemon.clock import Clock
from daemon.store.leases import Lease, Leases
from daemon.sync.change import Change
from daemon.sync.passing import PassingTarget
from daemon.sync.ports import Accepted, Answer, Target, Written


class FencedTarget(PassingTarget):
    """The port `Target`, whose writes make sure of the lease before they leave. Threads may share it.

    The journal makes sure when it commits `sent`, but a process may be paused between that commit and the request,
    and another may do the run meanwhile. Nobody takes a lease before its end, so as long as a third of the life that
    we know of is left, the database need not be asked; after that the lease is renewed, or found lost. What is left
    is a pause that begins between this and the socket and outlives that third.

    Writes raise LeaseLostError, with nothing sent, when another process took over.
    """

    def __init__(self, target: Target, leases: Leases, lease: Lease, clock: Clock) -> None:
        super().__init__(target)
        self._leases = leases
        self._lease = lease
        self._clock = clock
        self._lock = threading.Lock()

    def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
        """Carry out several changes."""
        self._make_sure()
        return super().write(changes)

    def create(self, change: Change) -> Written:
        """Create a record."""
        self._make_sure()
        return super().create(change)

    def update(self, change: Change) -> Written:
        """Set the changed fields."""
        self._make_sure()
        return super().update(change)

    def delete(self, change: Change) -> Accepted | None:
        """Remove a record."""
        self._make_sure()
        return super().delete(change)

    def _make_sure(self) -> None:
        with self._lock:
            # Until enough is left when we look: the pause may have come while the lease was renewed.
            while self._left_s() < self._lease.ttl_s / 3:
                self._lease = self._leases.renew(self._lease)

    def _left_s(self) -> float:
        return (self._lease.until - self._clock()).total_seconds()
