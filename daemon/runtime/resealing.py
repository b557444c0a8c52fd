"""Re-sealing everything with the first key while a daemon may be at work, one record at a time.

A record is swapped only if it is still the one that was read, and a token under the lease of its renewal. So whoever
else writes wins, a kill loses nothing, and a repetition does what is left.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from daemon.errors import LockedError
from daemon.store.leases import Leases
from daemon.store.sealed import Holding, SealedRow, SealedRows, token_lease

from .sealed_records import SealedRecords, UnreadableError, key_id

LEASE_S = 15.0
"""How long re-sealing one token may take; it takes milliseconds."""

PATIENCE_S = 90.0
"""How long to wait for a renewal that is under way: longer than the longest one of the library, 65 s."""

_PASSES = 5
"""How often to look again for records that were written meanwhile with an older key."""

Name = tuple[Holding, str]


@dataclass(frozen=True, slots=True)
class Resealed:
    """What re-sealing did."""

    key: str
    """The id of the key that seals."""
    resealed: int
    already: int
    dropped: tuple[UnreadableError, ...]
    """What was given up, as it had been asked for."""
    left: tuple[UnreadableError, ...]
    """What is as it was, each with the reason and a cure."""


@dataclass(slots=True)
class _Tally:
    resealed: set[Name] = field(default_factory=set)
    already: set[Name] = field(default_factory=set)
    dropped: dict[Name, UnreadableError] = field(default_factory=dict)
    left: dict[Name, UnreadableError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resealing:
    """Re-seals all records of a state."""

    rows: SealedRows
    records: SealedRecords
    leases: Leases
    patience_s: float = PATIENCE_S

    def run(self, *, drop_unreadable: bool = False) -> Resealed:
        """Seal everything with the first key; with `drop_unreadable`, delete what cannot be opened.

        What cannot be re-sealed is left and told. The canary comes last: it makes those who still seal with an older
        key look at the key file again, so whatever they wrote before is found by the next look.
        """
        tally = _Tally()
        for _ in range(_PASSES):
            changed = [self._turn(row, tally, drop_unreadable=drop_unreadable) for row in self.rows.all()]
            if not any(changed):
                break
        return Resealed(
            key=self.records.sealing,
            resealed=len(tally.resealed),
            already=len(tally.already - tally.resealed),
            dropped=tuple(tally.dropped.values()),
            left=tuple(tally.left.values()),
        )

    def _turn(self, row: SealedRow, tally: _Tally, *, drop_unreadable: bool) -> bool:
        """Do what is to be done about one record, and say whether there was anything, so that to look again helps."""
        name = (row.holding, row.name)
        if key_id(row) == self.records.sealing and not drop_unreadable:
            tally.already.add(name)
            return False
        try:
            with self._leased(row) as now:
                return now is not None and self._reseal(now, tally)
        except UnreadableError as error:
            return self._unreadable(error, tally, drop=drop_unreadable and error.is_lost)

    def _reseal(self, row: SealedRow, tally: _Tally) -> bool:
        name = (row.holding, row.name)
        if key_id(row) == self.records.sealing:
            self.records.open(row)
            tally.already.add(name)
            tally.left.pop(name, None)
            return False
        if self.rows.swap(row, self.records.resealed(row)):
            tally.resealed.add(name)
            tally.left.pop(name, None)
        return True

    def _unreadable(self, error: UnreadableError, tally: _Tally, *, drop: bool) -> bool:
        row = error.row
        name = (row.holding, row.name)
        if not drop:
            tally.left[name] = error
            return False
        if row.holding is Holding.CANARY:
            self.rows.swap(row, self.records.canary())
            return True
        if self.rows.drop(row):
            tally.dropped[name] = error
        return True

    @contextmanager
    def _leased(self, row: SealedRow) -> Iterator[SealedRow | None]:
        """Give a record as it is now, None if it is gone; a token with nobody renewing it meanwhile."""
        if row.holding is not Holding.TOKEN:
            yield self.rows.again(row)
            return
        give_up = monotonic() + self.patience_s
        while True:
            try:
                lease = self.leases.acquire(token_lease(row.name), ttl_s=LEASE_S)
                break
            except LockedError as error:
                if monotonic() >= give_up:
                    raise UnreadableError(
                        row, f"it is being renewed ({error})", "run the command again", is_lost=False
                    ) from error
                threading.Event().wait(0.05)
        try:
            yield self.rows.again(row)
        finally:
            self.leases.release(lease)
