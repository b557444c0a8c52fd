"""Carry out a slice in rounds: what the target refused for its order is tried again once the rest is through.

A manager comes before the report, the old holder of a unique value before the new one, a child's delete before its
parent's. Nobody declares such an order; the target's refusals tell it. A round is worth its requests only if another
change succeeded in the one before. Two records that swap a unique value wait for each other: they stay rejects.
"""

from collections.abc import Callable, Collection

from .apply import Applied, apply
from .change import AGAIN, GONE, Kind, Outcome
from .counts import Counts
from .events import TriedAgain
from .permits import Permits
from .ports import Ports
from .relink import Relinker

ROUNDS = 10
"""Rounds after the first: a chain in the worst order gets one link further in each."""


class Rounds:
    """Carries out the planned changes of one run, on its thread."""

    def __init__(
        self,
        ports: Ports,
        relinker: Relinker,
        *,
        window: int,
        permits: Permits,
        settle: Callable[[Outcome], Outcome],
        stopping: Callable[[], bool],
    ) -> None:
        self._ports = ports
        self._relinker = relinker
        self._window = window
        self._permits = permits
        self._settle = settle
        self._stopping = stopping
        self._attempt = 1
        self._refused = False
        """Whether anything of this run was refused in a way that its order may explain."""
        self._done = 0
        """Successes since all that was refused in this run was tried again."""

    def carry_out(self, kinds: Collection[Kind], counts: Counts, *, again: Collection[Kind], after: int) -> Applied:
        """Carry out the planned changes of `kinds`, then in rounds what was refused of the kinds in `again`.

        Tried again are changes with seq > `after`; 0 is the whole run.
        """
        applied = self._pass(kinds, counts)
        for _ in range(ROUNDS):
            if not applied.finished:
                return applied
            counts = self._reopen(applied, again, after)
            if counts == applied.counts:
                return applied
            reopened = counts.pending + counts.deletes_pending - applied.counts.pending - applied.counts.deletes_pending
            self._ports.observe(TriedAgain(reopened))
            applied = self._pass(again, counts)
        return applied

    def _pass(self, kinds: Collection[Kind], counts: Counts) -> Applied:
        applied = apply(
            kinds,
            self._ports,
            counts,
            window=self._window,
            permits=self._permits,
            settle=self._settle,
            stopping=self._stopping,
        )
        self._refused = self._refused or applied.refused(AGAIN)
        self._done += applied.done
        return applied

    def _reopen(self, applied: Applied, again: Collection[Kind], after: int) -> Counts:
        """Put back to planned what may succeed now, and return the counts after that."""
        counts = applied.counts
        self._attempt += 1
        if self._relinker.is_needed and Kind.UPDATE in again and applied.refused({Kind.UPDATE: GONE}):
            counts = self._relinker.mend(after=after, attempt=self._attempt, counts=counts)
        helped = applied.done if after else self._done
        if helped and self._refused:
            self._done = self._done if after else 0
            statuses = {kind: AGAIN[kind] for kind in again}
            counts = self._ports.journal.again(statuses, after=after, attempt=self._attempt, counts=counts)
        return counts
