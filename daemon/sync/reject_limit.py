"""When a run is refused too much to go on: the job's own limit, and a target that takes hardly anything.

Either stops the run: it starts nothing new, finishes what is in hand, and fails. What went through stays.
"""

import re
from dataclasses import dataclass
from decimal import Decimal

from daemon.errors import RefusedError
from daemon.spec import Limit

from .change import AGAIN, Fate, Kind, Outcome
from .events import Event, PageDone, RecordsRejected, TriedAgain
from .ports import Target
from .retry import Rests, classed

SHARE_FLOOR = 10
"""Up to this many rejects a share of the records means nothing: one bad record of two is half of them."""

REFUSED_FLOOR = 100
"""Refused changes that a run always bears: a target that refuses everything is asked so often, not 100,000 times. So
many that are tried again once the rest is through do not count towards a limit before that."""

ALL = Decimal(100)
"""The limit that lifts every limit: whatever is refused, the run goes on."""

REASONS = 3
"""Different reasons that the error tells: mostly there is one."""

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Tally:
    """What a run was refused so far, without what rests and what is only tried once more after a rest."""

    seen: int = 0
    """Records that the source gave, and deletes that were answered."""
    rejected: int = 0
    """Records that could not become changes, and changes that failed."""
    refused: int = 0
    """Of those: changes that were sent."""
    wrote: int = 0
    """Changes that the target confirmed."""
    not_found_out: int = 0
    """Records whose look-up the target refused."""
    planned: int = 0
    """Changes that the records read so far came to."""
    retried: int = 0
    """Keys that earlier runs rejected already, and this one tries again."""


def breach(limit: Limit | None, tally: Tally) -> str:
    """Return in what way a run is past what it may bear, in words; empty when it is not."""
    percent, count = (limit.percent, limit.count) if limit is not None else (None, None)
    told = f"{tally.rejected} of {tally.seen} records were rejected"
    if count is not None and tally.rejected > count:
        return f"{told}, rejects.limit is {count}"
    if percent is not None and tally.rejected > SHARE_FLOOR and tally.rejected * 100 > percent * tally.seen:
        return f"{told}, rejects.limit is {percent} %"
    # What earlier runs were refused too is no news: it must not fail every run until it rests.
    if percent == ALL:
        return ""
    if tally.refused - tally.retried > max(REFUSED_FLOOR, tally.wrote):
        return f"the target refused {tally.refused} changes of this run and took {tally.wrote}"
    if tally.not_found_out - tally.retried > max(REFUSED_FLOOR, tally.planned):
        return f"the target refused to look up {tally.not_found_out} of {tally.seen} records"
    return ""


class RejectLimit:
    """Watches over the rejects of one run, on its thread."""

    def __init__(self, limit: Limit | None, rests: Rests, target: Target) -> None:
        self._limit = limit
        self._target = target
        self.rests = rests
        self._seen = 0
        self._deletes = 0
        self._unmade = 0
        self._not_found_out = 0
        self._planned = 0
        self._refused = 0
        self._provisional = 0
        """Refusals of the slice in hand that its order may explain, so that they are tried again."""
        self._woken: set[str] = set()
        self._wrote = 0
        self._answers: dict[str, str] = {}
        self._others: dict[str, str] = {}

    def note(self, event: Event) -> None:
        """Take in what the run tells of the records that it reads."""
        if isinstance(event, PageDone):
            self._seen, self._planned = event.counts.seen, event.counts.pending + event.counts.wrote
        elif isinstance(event, RecordsRejected):
            self._unmade += len(event.rejects)
            self._not_found_out += sum(reject.status is not None for reject in event.rejects)
            for reject in event.rejects[:REASONS]:
                self._remember(reject.reason, reject.status, reject.excerpt)
        elif isinstance(event, TriedAgain):
            self._refused -= event.changes
            self._provisional = max(0, self._provisional - event.changes)

    @property
    def passed(self) -> bool:
        """Whether the run must come to its end at once."""
        return bool(self._breach(spared=min(self._provisional, REFUSED_FLOOR)))

    def check(self, *, over: bool = False) -> None:
        """Raise RefusedError, with the numbers, the limit and the first reasons, when the limit is passed.

        `over`: nothing of the slice is tried again, so what was refused counts in full.
        """
        self._provisional = 0 if over else self._provisional
        said = self._breach(spared=min(self._provisional, REFUSED_FLOOR))
        if said:
            reasons = "; ".join([*self._answers.values(), *self._others.values()][:REASONS])
            raise RefusedError(
                f"{said}, so the run was stopped (what went through stays). The first reasons: {reasons}"
            )

    def settle(self, outcome: Outcome) -> Outcome:
        """Take in what became of a change, and return it with the class of its retry."""
        outcome = classed(outcome, self._target, self.rests.revision)
        self.rests.note(outcome)
        self._count(outcome)
        return outcome

    def _count(self, outcome: Outcome) -> None:
        change = outcome.change
        if outcome.fate in {Fate.DROPPED, Fate.SKIPPED}:
            return
        self._deletes += change.kind is Kind.DELETE
        if outcome.fate is Fate.DONE:
            self._wrote += 1
            self._woken.discard(change.key)
            return
        self._refused += 1
        if change.key in self.rests.woken:
            self._woken.add(change.key)
        elif outcome.fate is Fate.FAILED and outcome.status in AGAIN[change.kind]:
            self._provisional += 1
        self._remember(outcome.reason, outcome.status, outcome.excerpt)

    def _breach(self, *, spared: int) -> str:
        refused = self._refused - len(self._woken)
        tally = Tally(
            seen=self._seen + self._deletes,
            rejected=self._unmade + refused - spared,
            refused=refused,
            wrote=self._wrote,
            not_found_out=self._not_found_out,
            planned=self._planned,
            retried=self.rests.retried - len(self.rests.woken),
        )
        return breach(self._limit, tally)

    def _remember(self, reason: str, status: int | None, excerpt: str) -> None:
        """Keep a reason of a kind that was not met before; what the target said comes before what it never saw."""
        told = f"{reason}: {excerpt}" if excerpt else reason
        kept = self._others if status is None else self._answers
        # Numbers tell one record from another, and so does the address that a reason names.
        kind = _NUMBER.sub("…", reason if status is None else f"{status} {excerpt}")
        if len(kept) < REASONS:
            kept.setdefault(kind, told)
