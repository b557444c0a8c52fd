"""Carry out planned changes with bounded concurrency, the journal always one step ahead of the wire.

The run's own thread does all journalling. In one transaction it records the outcomes that came in and marks the
next changes as sent; only then are these handed to the pool. So durability costs one disk sync for as many changes
as were settled meanwhile (group commit), and no byte leaves before its change is a committed row.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice

from daemon.errors import EndpointError

from .change import Change, Fate, Kind, Outcome
from .counts import DONE_AS, Counts
from .events import ChangesSettled
from .permits import Permits
from .ports import Ports
from .write import RunStopError, carry_out


class Applied:
    """What one pass over planned changes came to."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.stopped_by: EndpointError | None = None
        """Why the target could take no more; None when it could."""
        self.finished = False
        """Whether every planned change was settled."""
        self.done = 0
        """Changes that succeeded."""
        self._refusals: set[tuple[Kind, int]] = set()

    def refused(self, statuses: Mapping[Kind, Collection[int]]) -> bool:
        """Say whether any change was refused with one of these statuses for its kind."""
        return any(status in statuses.get(kind, ()) for kind, status in self._refusals)

    def note(self, outcomes: Iterable[Outcome]) -> None:
        """Take in outcomes."""
        for outcome in outcomes:
            self.done += outcome.fate is Fate.DONE
            if outcome.fate is Fate.FAILED and outcome.status is not None:
                self._refusals.add((outcome.change.kind, outcome.status))


def apply(
    kinds: Iterable[Kind],
    ports: Ports,
    counts: Counts,
    *,
    window: int,
    permits: Permits,
    settle: Callable[[Outcome], Outcome],
    stopping: Callable[[], bool],
) -> Applied:
    """Carry out the planned changes of these kinds in order of seq, at most `window` under way at once.

    `settle` is told each outcome before anything new is started, and returns it as it is to be kept.
    When `stopping` turns true no new change is started; those in hand are finished and committed.
    """
    applied = Applied(counts)
    planned: Iterator[Change] = ports.journal.planned(kinds)
    running: set[Future[Outcome]] = set()
    while True:
        ready = {future for future in running if future.done()}
        if running and not ready:
            ready = wait(running, return_when=FIRST_COMPLETED).done
        running -= ready
        answers = [_outcome(future, applied) for future in ready]
        outcomes = tuple(settle(one) for one in answers if one.fate is not Fate.SENT)
        # Begun as an update that met no record, so finished also by a run that is to stop.
        anew = [one.change for one in answers if one.fate is Fate.SENT]
        stop = applied.stopped_by is not None or stopping()
        fresh = [] if stop else list(islice(planned, window - len(running) - len(anew)))
        if anew:
            ports.journal.mend(anew, applied.counts)
        if outcomes or fresh:
            applied.counts = tally(applied.counts, outcomes)
            applied.note(outcomes)
            ports.journal.commit(sent=fresh, outcomes=outcomes, counts=applied.counts)
        if outcomes:
            ports.observe(ChangesSettled(outcomes, applied.counts))
        running |= {ports.pool.submit(carry_out, change, ports.target, permits) for change in (*anew, *fresh)}
        if not running and not fresh:
            applied.finished = not stop
            return applied


def _outcome(future: Future[Outcome], applied: Applied) -> Outcome:
    try:
        return future.result()
    except RunStopError as stop:
        applied.stopped_by = applied.stopped_by or stop.cause
        return stop.outcome


def tally(counts: Counts, outcomes: Iterable[Outcome]) -> Counts:
    """Return the counts after these outcomes: what was pending has its fate."""
    for outcome in outcomes:
        is_delete = outcome.change.kind is Kind.DELETE
        if outcome.fate is Fate.DROPPED:
            continue  # still pending: the run is ending, and the next one plans it anew
        figure = DONE_AS[outcome.change.kind]
        if outcome.fate is Fate.SKIPPED:
            figure = "kept" if is_delete else "skipped"
        elif outcome.fate is not Fate.DONE:
            figure = "deletes_rejected" if is_delete else "rejected"
        elif outcome.change.kind is Kind.CREATE and not outcome.owned:
            counts = counts.plus(adopted=1)  # it came to be between our look and our create
        counts = counts.plus(**{figure: 1, "deletes_pending" if is_delete else "pending": -1})
    return counts
