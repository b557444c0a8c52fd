"""Carry out planned changes with bounded concurrency, the journal always one step ahead of the wire.

The run's own thread does all journalling. In one transaction it records the outcomes that came in and marks the
next changes as sent; only then are these handed to those who send. So durability costs one disk sync for as many
changes as were settled meanwhile (group commit), and no byte leaves before its change is a committed row.

Where answers come faster than the disk takes them on, a few more changes than there are senders are marked, so that
none of these has to wait for it. What was marked and has not left when the run is to stop never leaves.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from daemon.errors import EndpointError

from .batches import Batches
from .change import Change, Fate, Kind, Outcome
from .counts import DONE_AS, Counts, Tally
from .events import ChangesSettled
from .permits import Permits
from .ports import Ports, Target
from .senders import Senders, Work
from .together import carry_out_alone, carry_out_rest, carry_out_together, given_up

_MOST_AHEAD = 4
"""Windows of changes that may be marked before there is a sender for them. After a crash each may have to be looked
up."""

_WELL = 32
"""So many changes in a row the target has to take first: one that refuses many is asked for little more than may be."""


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
    kept. When `stopping` turns true no new change is started; those in hand are finished and committed, and what was
    marked and has not left is dropped.
    """
    kinds = tuple(kinds)
    batches = Batches(ports.journal.planned(kinds), ports.target, permits)
    pace = _Pace(window, may_lead=window > 1 and _may_lead(kinds, ports.target))
    with Senders(ports.pool, window, stopping) as senders:
        under_way = _UnderWay(ports, senders, counts, permits, settle, pace)
        while True:
            outcomes = under_way.answered()
            stop = under_way.has_stopped or stopping()
            if stop:
                outcomes += under_way.taken_back()
            fresh = [] if stop else batches.take(pace.room - under_way.full)
            under_way.begin(fresh, outcomes)
            if not under_way.full:
                under_way.applied.finished = not stop
                return under_way.applied


def _may_lead(kinds: Collection[Kind], target: Target) -> bool:
    """Say whether changes may be marked as sent before they can be.

    Not creates that only a person could look into after a crash. What goes together is enough for a commit anyway.
    """
    is_clear = target.has_idempotency or target.can_lookup or target.can_list
    return (is_clear or Kind.CREATE not in kinds) and all(target.batch_size(kind) <= 1 for kind in kinds)


class _Pace:
    """How many changes are marked ahead of their senders: by how many could have been sent while a commit was made."""

    def __init__(self, window: int, *, may_lead: bool) -> None:
        self.window, self._may_lead, self._in_a_row = window, may_lead, 0
        self.spare = 0
        """How much work there should be left for the senders when a commit begins."""

    def note(self, outcomes: Iterable[Outcome], sendable: int) -> None:
        """Take in what was committed, and how many senders had nothing to do, or had done it, before that was over."""
        for one in outcomes:
            self._in_a_row = self._in_a_row + 1 if one.fate is Fate.DONE else 0
        spare = min(max(sendable, self.spare * 3 // 4), self.window * _MOST_AHEAD // 2)
        self.spare = spare if self._may_lead and self._in_a_row >= _WELL else 0

    @property
    def room(self) -> int:
        """How many requests may be under way or wait: with what is spare, enough to make a commit worth it."""
        ahead = min(self.spare + max(self.spare, self.window), self.window * _MOST_AHEAD)
        return self.window + (ahead if self.spare else 0)


class _UnderWay:
    """What is under way in one pass, and what waits to be gone on with; used by the run's own thread."""

    def __init__(
        self,
        ports: Ports,
        senders: Senders,
        counts: Counts,
        permits: Permits,
        settle: Callable[[Outcome], Outcome],
        pace: _Pace,
    ) -> None:
        self.applied = Applied(counts)
        self._ports, self._senders, self._permits, self._settle, self._pace = ports, senders, permits, settle, pace
        self._unsettled: deque[tuple[Change, EndpointError]] = deque()
        """Sent with others, and to be gone on with one by one; before anything new is begun."""
        self._made_anew: list[Change] = []
        """Committed as sent, and to leave whatever happens meanwhile."""

    @property
    def has_stopped(self) -> bool:
        """Whether nothing new is to be begun."""
        return self.applied.stopped_by is not None or self._senders.has_stopped

    @property
    def full(self) -> int:
        """How many requests are under way, or have to be."""
        return self._senders.open + len(self._made_anew) + len(self._unsettled)

    def answered(self) -> tuple[Outcome, ...]:
        """Wait for an answer, if one is to come, and return what is settled by it."""
        told = self._senders.collect(self._pace.spare)
        for one in told:
            self.applied.stopped_by = self.applied.stopped_by or one.stopped_by
        outcomes = [outcome for one in told for outcome in one.outcomes]
        self._unsettled.extend(pair for one in told for pair in one.unsettled)
        if self.applied.stopped_by is not None:
            outcomes += given_up(self._unsettled)
            self._unsettled.clear()
        self._make_anew([one.change for one in outcomes if one.fate is Fate.SENT])
        return tuple(self._settle(one) for one in outcomes if one.fate is not Fate.SENT)

    def taken_back(self) -> tuple[Outcome, ...]:
        """Return what becomes of changes that were to leave and will not: the next run plans them anew."""
        said = "the run came to its end before it was sent"
        return tuple(self._settle(Outcome(one, Fate.DROPPED, reason=said)) for one in self._senders.take_back())

    def begin(self, fresh: Sequence[Sequence[Change]], outcomes: tuple[Outcome, ...]) -> None:
        """Commit what is settled together with what is about to leave, and only then let it leave."""
        if outcomes or fresh:
            self.applied.counts = tally(self.applied.counts, outcomes)
            self.applied.note(outcomes)
            sent = [change for batch in fresh for change in batch]
            self._ports.journal.commit(sent=sent, outcomes=outcomes, counts=self.applied.counts)
            self._pace.note(outcomes, self._senders.starved + self._senders.ready)
        if outcomes:
            self._ports.observe(ChangesSettled(outcomes, self.applied.counts))
        ports = (self._ports.target, self._permits)
        work = [Work(carry_out_alone, (change, *ports)) for change in self._made_anew]
        work += [Work(carry_out_together, (batch, *ports), unsent=batch) for batch in fresh]
        self._made_anew = []
        while self._unsettled and self._senders.open + len(work) < self._pace.window:
            work.append(Work(carry_out_rest, (*self._unsettled.popleft(), *ports)))
        self._senders.hand_out(work)

    def _make_anew(self, changes: list[Change]) -> None:
        if changes:
            self._ports.journal.mend(changes, self.applied.counts)
            self._made_anew += changes


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
