"""Carry out planned changes with bounded concurrency, the journal always one step ahead of the wire.

The run's own thread does all journalling. In one transaction it records the outcomes that came in and marks the
next changes as sent; only then are these handed to the pool. So durability costs one disk sync for as many changes
as were settled meanwhile (group commit), and no byte leaves before its change is a committed row.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from typing import Any

from daemon.errors import EndpointError

from .batches import Batches
from .change import Change, Fate, Kind, Outcome
from .counts import DONE_AS, Counts, Tally
from .events import ChangesSettled
from .permits import Permits
from .ports import Ports
from .together import Told, carry_out_alone, carry_out_rest, carry_out_together, given_up


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
    """Carry out the planned changes of these kinds in order of seq, at most `window` requests under way at once.

    Where the target takes several changes in one request, those of a kind are sent together, and what became of them
    is committed together. `settle` is told each outcome before anything new is started, and returns it as it is to be
    kept. When `stopping` turns true no new change is started; those in hand are finished and committed.
    """
    batches = Batches(ports.journal.planned(kinds), ports.target, permits)
    under_way = _UnderWay(ports, counts, permits, settle)
    while True:
        outcomes = under_way.answered()
        stop = under_way.applied.stopped_by is not None or stopping()
        fresh = [] if stop else batches.take(window - under_way.full)
        under_way.begin(fresh, outcomes, window)
        if not under_way.full:
            under_way.applied.finished = not stop
            return under_way.applied


class _UnderWay:
    """What is under way in one pass, and what waits to be gone on with; used by the run's own thread."""

    def __init__(self, ports: Ports, counts: Counts, permits: Permits, settle: Callable[[Outcome], Outcome]) -> None:
        self.applied = Applied(counts)
        self._ports, self._permits, self._settle = ports, permits, settle
        self._running: set[Future[Told]] = set()
        self._unsettled: deque[tuple[Change, EndpointError]] = deque()
        """Sent with others, and to be gone on with one by one; before anything new is begun."""
        self._waiting: deque[Callable[[], Future[Told]]] = deque()
        """Committed as sent, so it leaves whatever happens meanwhile."""

    @property
    def full(self) -> int:
        """How many requests are under way, or have to be."""
        return len(self._running) + len(self._waiting) + len(self._unsettled)

    def answered(self) -> tuple[Outcome, ...]:
        """Wait for an answer, if one is to come, and return what is settled by it."""
        ready = {future for future in self._running if future.done()}
        if self._running and not ready:
            ready = wait(self._running, return_when=FIRST_COMPLETED).done
        self._running -= ready
        told = [future.result() for future in ready]
        for one in told:
            self.applied.stopped_by = self.applied.stopped_by or one.stopped_by
        outcomes = [outcome for one in told for outcome in one.outcomes]
        self._unsettled.extend(pair for one in told for pair in one.unsettled)
        if self.applied.stopped_by is not None:
            outcomes += given_up(self._unsettled)
            self._unsettled.clear()
        self._make_anew([one.change for one in outcomes if one.fate is Fate.SENT])
        return tuple(self._settle(one) for one in outcomes if one.fate is not Fate.SENT)

    def begin(self, fresh: Iterable[Sequence[Change]], outcomes: tuple[Outcome, ...], window: int) -> None:
        """Commit what is settled together with what is about to leave, and only then let it leave."""
        fresh = list(fresh)
        if outcomes or fresh:
            self.applied.counts = tally(self.applied.counts, outcomes)
            self.applied.note(outcomes)
            sent = [change for batch in fresh for change in batch]
            self._ports.journal.commit(sent=sent, outcomes=outcomes, counts=self.applied.counts)
        if outcomes:
            self._ports.observe(ChangesSettled(outcomes, self.applied.counts))
        for batch in fresh:
            self._waiting.append(self._work(carry_out_together, batch))
        while self._waiting and len(self._running) < window:
            self._running.add(self._waiting.popleft()())
        while self._unsettled and len(self._running) < window:
            self._running.add(self._work(carry_out_rest, *self._unsettled.popleft())())

    def _make_anew(self, changes: list[Change]) -> None:
        if changes:
            self._ports.journal.mend(changes, self.applied.counts)
        for change in changes:
            self._waiting.append(self._work(carry_out_alone, change))

    def _work(self, work: Callable[..., Told], *arguments: Any) -> Callable[[], Future[Told]]:
        return partial(self._ports.pool.submit, work, *arguments, self._ports.target, self._permits)


def tally(counts: Counts, outcomes: Iterable[Outcome]) -> Counts:
    """Return the counts after these outcomes: what was pending has its fate."""
    more = Tally()
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
            more.add("adopted")  # it came to be between our look and our create
        more.add(figure)
        more.add("deletes_pending" if is_delete else "pending", -1)
    return more.on(counts)
