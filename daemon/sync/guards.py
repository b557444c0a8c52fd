"""Limits that a plan may not pass without approval. A plan in, verdicts out; nothing is changed here.

A trip withholds the guarded kind only. Over several slices the counts add up, and a trip withholds from there on.
A verdict tells the numbers; what to do about it is told by whoever knows whether this is a plan or a run.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from daemon.spec import SELECTED_BY, Guards, Limit, Mode

from .change import Kind
from .outcome import Verdict

UPDATES_FLOOR = 10
"""Under this many updates a percentage of a small set means nothing, and updates destroy nothing that the source
does not hold (octodns draws the same line). Deletes have no such floor: one of three is a third of everything."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the guards look at: the plan so far, against what is known."""

    creates: int
    updates: int
    deletes: int
    known: int
    """Records the target is known to hold for this job: its links, or its own list on a first run."""
    seen: int
    """Records the source gave."""
    seen_before: int | None
    """Records the last complete read saw; None when there was none."""
    changed: tuple[str, ...]
    """The blocks of the job that are not what they were at the read that `seen_before` counts."""
    read_is_over: bool
    """Whether `seen` is final; the guards on the source speak only then."""
    is_whole: bool = True
    """Whether the source was read as a whole; what changed since a cursor says nothing of its size."""

    @property
    def selection_changed(self) -> bool:
        """Whether the job picks its records otherwise than last time: another source, key or filter."""
        return not set(SELECTED_BY).isdisjoint(self.changed)


@dataclass(frozen=True, slots=True)
class Allowance:
    """The operator's word for one run: up to so many changes pass, whatever the limit says. None is no word."""

    deletes: int | None = None
    updates: int | None = None


def judge(guards: Guards, mode: Mode, facts: Facts, allowance: Allowance = Allowance()) -> tuple[Verdict, ...]:
    """Return a verdict for each guard that has something to say, tripped ones included."""
    verdicts: list[Verdict | None] = [_job(facts), _updates(guards.updates, facts, allowance.updates)]
    allowed = allowance.deletes is not None and 0 < facts.deletes <= allowance.deletes
    if facts.read_is_over and facts.is_whole and mode is not Mode.APPEND:
        verdicts += [replace(v, tripped=v.tripped and not allowed) for v in _source(guards, facts)]
    if facts.read_is_over and facts.deletes:
        verdicts.append(_deletes(guards.deletes, facts, allowed=allowed))
    return tuple(verdict for verdict in verdicts if verdict is not None)


def withheld_kinds(verdicts: tuple[Verdict, ...]) -> dict[Kind, str]:
    """Return the kinds of change that must not be applied, each with the message of the guard that tripped."""
    kinds: dict[Kind, str] = {}
    for verdict in verdicts:
        if verdict.tripped:
            kinds.setdefault(guarded_kind(verdict), verdict.message)
    return kinds


def guarded_kind(verdict: Verdict) -> Kind:
    """Return the kind of change that a guard withholds when it trips."""
    return Kind.UPDATE if verdict.guard == "updates" else Kind.DELETE


def exceeds(limit: Limit, count: int, of: int) -> bool:
    """Say whether `count` of `of` is past the limit. Exactly at the limit is within it; a share of none is none."""
    if limit.count is not None and count > limit.count:
        return True
    return limit.percent is not None and Decimal(count) * 100 > limit.percent * of


def _job(facts: Facts) -> Verdict | None:
    """Say that the job was edited: what follows is then the edit's doing as much as the source's."""
    if not facts.changed:
        return None
    return Verdict("job", tripped=False, message=f"{_edited(facts.changed)} since its last complete read")


def _edited(blocks: tuple[str, ...]) -> str:
    words = ["filter (where)" if block == "where" else block for block in blocks]
    last = words.pop()
    return f"the job's {', '.join(words)} and {last} have changed" if words else f"the job's {last} has changed"


def _updates(limit: Limit, facts: Facts, allowed: int | None) -> Verdict | None:
    if facts.updates == 0:
        return None
    numbers = f"{facts.updates} of {facts.known} known records would be updated, the limit is {_words(limit)}"
    if allowed is not None and facts.updates <= allowed:
        return Verdict("updates", tripped=False, message=f"{numbers}; allowed for this run")
    if facts.updates > UPDATES_FLOOR and exceeds(limit, facts.updates, facts.known):
        return Verdict("updates", tripped=True, message=numbers)
    return Verdict("updates", tripped=False, message=numbers)


def _deletes(limit: Limit, facts: Facts, *, allowed: bool) -> Verdict:
    numbers = f"{facts.deletes} of {facts.known} known records would be deleted, the limit is {_words(limit)}"
    if allowed:
        return Verdict("deletes", tripped=False, message=f"{numbers}; allowed for this run")
    if facts.selection_changed:
        selected = tuple(block for block in facts.changed if block in SELECTED_BY)
        message = f"{facts.deletes} of {facts.known} known records would be deleted, and {_edited(selected)}"
        return Verdict("deletes", tripped=True, message=message)
    if facts.deletes >= facts.known:
        return Verdict("deletes", tripped=True, message=f"all {facts.known} known records would be deleted")
    if exceeds(limit, facts.deletes, facts.known):
        return Verdict("deletes", tripped=True, message=numbers)
    return Verdict("deletes", tripped=False, message=numbers)


def _source(guards: Guards, facts: Facts) -> list[Verdict]:
    if facts.seen == 0 and (facts.seen_before or facts.known):
        before = facts.seen_before or facts.known
        message = f"the source is empty and held {before} records before: an outage, or is it meant?"
        return [Verdict("empty_source", tripped=True, message=f"{message} Nothing is deleted")]
    verdicts = []
    if facts.seen < guards.min_records:
        message = f"the source gave {facts.seen} records, min_records is {guards.min_records}; nothing is deleted"
        verdicts.append(Verdict("min_records", tripped=True, message=message))
    before = facts.seen_before or 0
    if Decimal(facts.seen) * 100 < guards.collapse * before:
        limit = f"guards.collapse is {guards.collapse} %"
        message = f"the source gave {facts.seen} records, last time {before}; {limit}, nothing is deleted"
        verdicts.append(Verdict("collapse", tripped=True, message=message))
    return verdicts


def _words(limit: Limit) -> str:
    parts = [f"{limit.percent} %"] if limit.percent is not None else []
    parts += [str(limit.count)] if limit.count is not None else []
    return " and ".join(parts) or "not set"
