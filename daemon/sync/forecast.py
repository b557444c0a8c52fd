"""What the next run would do with one record, found by letting a run do it where nothing is written.

There is no second opinion here: the engine itself walks over the pages that hold the record, with a scratch journal
and a target that takes no writes. What it is about to send is what the next run would send.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from typing import Any

from daemon.errors import StoppedError
from daemon.spec import Job, Mode, changed_blocks

from . import engine
from .certificate import End
from .change import Change, Fate, Kind, Link
from .events import ChangesSettled, Event, RecordsRejected, Resolved
from .guards import Allowance, Facts, judge
from .mapping import JobMapping
from .options import Options
from .outcome import Result
from .parts import NOTHING, Part
from .ports import Page, Ports
from .rehearsal import WouldWriteError
from .search import Search

RUN = "next-run"
"""Stands where the id of a run would stand, as in the idempotency keys of requests that are only shown."""

_ANYTHING = Allowance(deletes=1, updates=1)
"""Guards judge a plan as a whole, and this one is of one record; their word is not asked for here."""


class Verb(StrEnum):
    """What the next run would do with the record. The word is the one in JSON."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    ADOPT = "adopt"
    """The target has it already, as it should be: it is linked, and nothing is sent."""
    NOTHING = "nothing"
    SKIP = "skip"
    """`where` or the mode leaves it out."""
    REJECT = "reject"
    KEEP = "keep"
    """Gone from the source, and not deleted."""
    WITHHOLD = "withhold"
    """It would be deleted, and a guard lets no delete pass after this read."""
    RESOLVE = "resolve"
    """The run first has to find out what became of a change whose answer was lost, by sending it again."""
    UNKNOWN = "unknown"
    """It cannot be told, since a system was not asked or did not answer."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the next run would do with one record, and why."""

    verb: Verb
    why: str
    """In words, for the operator."""
    change: Change | None = None
    """What would be sent first; None for everything that sends nothing."""
    adopts: bool = False
    """Whether the target's record was there before us, and would be linked."""


class _Watch:
    """What the rehearsal tells, on its thread."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        """Why records were turned away."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, RecordsRejected):
            self.reasons += (reject.reason for reject in event.rejects)
        elif isinstance(event, ChangesSettled):
            self.reasons += (one.reason for one in event.outcomes if one.fate in {Fate.FAILED, Fate.UNKNOWN})
        elif isinstance(event, Resolved) and event.outcome.fate is Fate.UNKNOWN:
            self.reasons.append(event.outcome.reason)


class _FoundPages:
    """A source that gives what a search found, and ends as the search proves it."""

    def __init__(self, found: Search) -> None:
        self._found = found

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any] = NOTHING) -> Iterator[Page | End]:
        """Yield the pages that hold the record, as far as they do, and the end of the list."""
        del resume  # the pages say nothing to take a read up by
        here = [one for one in self._found.sightings if _is_of(one.part, scope)]
        for page, together in groupby(here, key=lambda one: one.page):
            yield Page(page, tuple(one.raw for one in together))
        # Whole as far as this record goes: it was met, or a read that is proven complete did not meet it.
        yield End("what was found", self._found.pages, self._found.times, None)

    def list(self) -> Iterator[Part | End]:
        """Yield the parts that hold the record."""
        parts = {one.part.name: one.part for one in self._found.sightings}
        yield from parts.values()
        yield End("what was found", self._found.pages, len(parts), None)


def _is_of(part: Part, scope: Mapping[str, Any]) -> bool:
    return all(name in scope and scope[name] == parent for name, parent in part.scope.items())


def foretell(job: Job, ports: Ports, found: Search | None, *, key: str, stopping: Callable[[], bool]) -> Forecast:
    """Say what the next run would do with the record of this key, by rehearsing it on these ports.

    The ports' target must refuse writes with WouldWriteError; their journal must be a scratch one that holds this key's
    unresolved changes, and their links must give no other key to whoever walks them. Their source is not read: `found`
    tells what it holds, None that it was not asked. Raises StoppedError when `stopping` turns true.
    """
    if found is None:
        return Forecast(Verb.UNKNOWN, "the source was not asked")
    if not found.is_met and found.error is not None:
        return Forecast(Verb.UNKNOWN, f"as things stand a run ends here, and deletes nothing: {found.error}")
    link = ports.links.by_key([key]).get(key)
    if not found.is_met and link is not None and (kept := _kept(job, found)) is not None:
        return kept
    watch = _Watch()
    source = _FoundPages(found)
    parts = ports.parts if job.for_each is None else source
    rehearsed = replace(ports, source=source, parts=parts, observe=watch)
    options = Options(run=RUN, writes=True, window=1, allowance=_ANYTHING, stopping=stopping)
    try:
        result = engine.run(job, rehearsed, options)
    except WouldWriteError as would:
        forecast = _sent(found, would.change, link)
        return _guarded(job, ports, found, forecast) if forecast.verb is Verb.DELETE else forecast
    if stopping():
        raise StoppedError("the explanation was cut short")
    return _quiet(job, found, result, link, watch.reasons)


def _kept(job: Job, found: Search) -> Forecast | None:
    """Say why a remembered record that was not met is not deleted, as far as that is plain before any run."""
    if job.mode is not Mode.MIRROR:
        return Forecast(Verb.KEEP, f"{_gone(found)}, and mode {job.mode} never deletes by absence")
    if found.unread:
        return Forecast(Verb.KEEP, f"nothing is known of its part, and of what is absent there: {found.unread}")
    if found.certificate is None or not found.certificate.issued:
        return Forecast(
            Verb.KEEP, f"{_gone(found)}, but the read is {found.certificate}: nothing is deleted without proof"
        )
    if job.source.incremental is not None:
        return Forecast(Verb.KEEP, f"{_gone(found)}, and only a full read deletes by absence: `crudsd run JOB --full`")
    if found.met_again:
        return Forecast(Verb.KEEP, "the first reading of the source passed over it, and another one met it")
    return None


def _gone(found: Search) -> str:
    return "`where` keeps it out" if found.sightings else "the source does not give it"


def _sent(found: Search, change: Change, link: Link | None) -> Forecast:
    """Say why a run is about to send this."""
    if not change.idempotency_key.startswith(f"{RUN}-"):
        why = (
            "an earlier run sent this create and got no answer; it is sent again under the same idempotency key, so "
            "that it is carried out once, and what follows depends on the answer"
        )
        return Forecast(Verb.RESOLVE, why, change)
    if change.kind is Kind.CREATE:
        why = "the target has no such record" if link is None else "the record that is linked is gone from the target"
        return Forecast(Verb.CREATE, why, change)
    if change.kind is Kind.DELETE:
        why = f"{_gone(found)}, and the read is {found.certificate}. The guards have the last word: crudsd plan"
        return Forecast(Verb.DELETE, why, change)
    return Forecast(Verb.UPDATE, _why_update(change, adopts=link is None), change, adopts=link is None)


def _guarded(job: Job, ports: Ports, found: Search, forecast: Forecast) -> Forecast:
    """Say so where a guard is sure to withhold the delete: those that look at the read, whatever else is planned."""
    facts = Facts(
        creates=0,
        updates=0,
        deletes=1,
        known=ports.links.count(),
        seen=found.records,
        seen_before=ports.links.last_seen(),
        changed=changed_blocks(ports.links.last_selection(), JobMapping(job).selection),
        read_is_over=True,
    )
    for verdict in judge(job.guards, job.mode, facts):
        # How many others are deleted is not known here, so the limit on deletes speaks only where one is too many.
        if verdict.tripped and (verdict.guard != "deletes" or facts.selection_changed):
            return replace(forecast, verb=Verb.WITHHOLD, why=f"{_gone(found)}, but {verdict.message}")
    return forecast


def _why_update(change: Change, *, adopts: bool) -> str:
    fields = ", ".join(change.fields)
    if adopts:
        return f"the target has a record with this key, which is adopted; it differs in {fields}"
    if change.before is None:
        return f"what the target holds is not remembered, so all of it is sent: {fields}"
    return f"{fields} {'differs' if len(change.fields) == 1 else 'differ'} from what is wanted"


def _quiet(job: Job, found: Search, result: Result, link: Link | None, reasons: list[str]) -> Forecast:
    """Say why a run sends nothing."""
    counts = result.counts
    if result.error:
        return Forecast(Verb.UNKNOWN, f"as things stand a run ends here: {result.error}")
    if counts.any_rejected:
        return Forecast(Verb.REJECT, reasons[-1] if reasons else "it was rejected before, and rests")
    if counts.kept:
        return Forecast(Verb.KEEP, f"{_gone(found)}, but it was there before this job; `delete_adopted` is not set")
    if counts.skipped:
        return Forecast(Verb.SKIP, _why_skipped(job, found))
    if counts.adopted:
        return Forecast(Verb.ADOPT, "the target has it already, and it is as it should be", adopts=True)
    if link is not None and not found.is_met:
        return Forecast(Verb.KEEP, f"{_gone(found)}, but another key of the source has its record at the target now")
    if not found.sightings:
        return Forecast(Verb.NOTHING, "the source does not give it, and no run of this job has linked it")
    is_same = link is not None and link.raw == found.sightings[0].mark and job.compare == "links"
    why = "the source's record has not changed since its last run" if is_same else "the target has what is wanted"
    return Forecast(Verb.NOTHING, why)


def _why_skipped(job: Job, found: Search) -> str:
    if not found.is_met:
        return "`where` keeps it out"
    known = "the target has no such record" if job.mode is Mode.UPDATE_ONLY else "the target has it already"
    return f"{known}, and the job's mode is {job.mode}"
