"""The rejects that a run tells of while it goes on, kept for its end."""

from daemon.sync.change import Fate, Outcome, Reject
from daemon.sync.events import ChangesSettled, Event, RecordsRejected, Resolved

from .causes import Causes

KEPT = 100
"""Rejects kept in memory; a job that rejects more has one cause, and the state database has them all."""


class Noticed:
    """Observes one run. Used by one thread."""

    def __init__(self) -> None:
        self._rejects: list[Reject] = []
        self.causes = Causes()
        """All of them, by what they have in common."""

    @property
    def rejects(self) -> tuple[Reject, ...]:
        """The first rejects, in the order they happened."""
        return tuple(self._rejects)

    def __call__(self, event: Event) -> None:
        """Take note of what failed."""
        rejects: tuple[Reject, ...] = ()
        if isinstance(event, RecordsRejected):
            rejects = event.rejects
        elif isinstance(event, ChangesSettled):
            # One that was refused and is tried again has only its last outcome.
            settled = {outcome.change.key for outcome in event.outcomes}
            self._rejects = [one for one in self._rejects if one.kind is None or one.key not in settled]
            for key in settled:
                self.causes.forget(key)
            rejects = tuple(_reject(outcome) for outcome in event.outcomes if outcome.fate in _FATES)
        elif isinstance(event, Resolved) and event.outcome.fate in _FATES:
            rejects = (_reject(event.outcome),)
        self._rejects.extend(rejects[: KEPT - len(self._rejects)])
        for reject in rejects:
            self.causes.add(reject)


_FATES = {Fate.FAILED, Fate.UNKNOWN}


def _reject(outcome: Outcome) -> Reject:
    reason = outcome.reason or "the answer was lost; the next run looks for it before anything is repeated"
    change = outcome.change
    return Reject(change.key, reason, outcome.status, outcome.excerpt, change.kind, outcome.retry)
