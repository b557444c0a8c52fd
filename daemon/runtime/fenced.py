"""A target that is written to only while the run surely holds its lease."""

import threading
from collections.abc import Iterator

from daemon.clock import Clock
from daemon.store.leases import Lease, Leases
from daemon.sync.certificate import End
from daemon.sync.change import Change
from daemon.sync.ports import Accepted, Target, TargetRecord, Written
from daemon.values import Document


class FencedTarget:
    """The port `Target`, whose writes make sure of the lease before they leave. Threads may share it.

    The journal makes sure when it commits `sent`, but a process may be paused between that commit and the request,
    and another may do the run meanwhile. Nobody takes a lease before its end, so as long as a third of the life that
    we know of is left, the database need not be asked; after that the lease is renewed, or found lost. What is left
    is a pause that begins between this and the socket and outlives that third.

    Writes raise LeaseLostError, with nothing sent, when another process took over.
    """

    def __init__(self, target: Target, leases: Leases, lease: Lease, clock: Clock) -> None:
        self._target = target
        self._leases = leases
        self._lease = lease
        self._clock = clock
        self._lock = threading.Lock()

    @property
    def can_list(self) -> bool:
        """Whether the target can be listed."""
        return self._target.can_list

    @property
    def can_lookup(self) -> bool:
        """Whether the target can be asked for a key."""
        return self._target.can_lookup

    @property
    def can_get(self) -> bool:
        """Whether the target can be asked for an id."""
        return self._target.can_get

    @property
    def replaces(self) -> bool:
        """Whether an update puts the whole record."""
        return self._target.replaces

    @property
    def has_idempotency(self) -> bool:
        """Whether a create may be repeated under its key."""
        return self._target.has_idempotency

    def list(self) -> Iterator[tuple[TargetRecord, ...] | End]:
        """Yield the target's records, then one End."""
        return self._target.list()

    def lookup(self, key: str, document: Document) -> tuple[TargetRecord, ...]:
        """Return the target's records for a key."""
        return self._target.lookup(key, document)

    def get(self, target_id: str, key: str, document: Document) -> TargetRecord | None:
        """Return the target's record of an id."""
        return self._target.get(target_id, key, document)

    def create(self, change: Change) -> Written:
        """Create a record."""
        self._make_sure()
        return self._target.create(change)

    def update(self, change: Change) -> Written:
        """Set the changed fields."""
        self._make_sure()
        return self._target.update(change)

    def delete(self, change: Change) -> Accepted | None:
        """Remove a record."""
        self._make_sure()
        return self._target.delete(change)

    def _make_sure(self) -> None:
        with self._lock:
            left_s = (self._lease.until - self._clock()).total_seconds()
            if left_s < self._lease.ttl_s / 3:
                self._lease = self._leases.renew(self._lease)
