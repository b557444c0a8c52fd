"""What pins a run: the approval that waits for its job, or a saved plan.

What earlier runs under the same pin have carried out is taken off it. So a pinned run that was cut off is taken up by
the next one, and no change is ever let pass twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from daemon.clock import Clock
from daemon.spec import Job, job_revision
from daemon.store.approvals import Approvals
from daemon.store.database import Database
from daemon.store.journal import SqlJournal
from daemon.store.runs import RunStore
from daemon.sync.change import Change
from daemon.sync.cursor import Reach
from daemon.sync.pin import Digests, Pin, Saved

from .saved_plan import SavedPlan

EDITED = "the job's source, key, where, ignore, map or target was edited since"


@dataclass(frozen=True, slots=True)
class Pinning:
    """The pin of one run, and where it comes from."""

    by: str
    """The held run that was approved, or the id of the saved plan."""
    pin: Pin
    is_approval: bool
    is_whole: bool = False
    """Whether what it pins came of a read of everything, by a job that reads what changed."""


@dataclass(frozen=True, slots=True)
class Pins:
    """Finds what pins a run. Threads may share it."""

    database: Database
    runs: RunStore
    clock: Clock

    def find(self, name: str, job: Job, saved: SavedPlan | None) -> Pinning | None:
        """Return the pin of a run that is about to start; None when nobody has pinned it."""
        if saved is not None:
            pin = self._pin(name, saved.id, "the saved plan", saved.digests, saved=saved)
            return Pinning(saved.id, pin, is_approval=False, is_whole=saved.is_whole)
        approval = Approvals(self.database, self.clock).pending(name)
        if approval is None:
            return None
        held = self.runs.get(approval.run)
        void = "" if held is not None and held.revision == job_revision(job) else EDITED
        pin = self._pin(name, approval.run, f"the approval of run {approval.run}", approval.digests, void=void)
        is_whole = held is not None and held.reach is Reach.WHOLE
        return Pinning(approval.run, pin, is_approval=True, is_whole=is_whole)

    def _pin(
        self, job: str, by: str, name: str, digests: Digests, *, void: str = "", saved: Saved | None = None
    ) -> Pin:
        earlier = self.runs.pinned_by(job, by)
        return Pin(
            name=name,
            digests=digests,
            earlier=lambda: chain.from_iterable(self._changes(job, run) for run in earlier),
            runs=frozenset(earlier),
            void=void,
            saved=saved,
        )

    def _changes(self, job: str, run: str) -> Iterator[Change]:
        return SqlJournal(self.database, run=run, job=job, lease=None, clock=self.clock).changes()
