"""Plans and runs as lines of text, for somebody who did not write the job file and looks at it at three in the morning.

Pure: values in, lines out. The first sign of a line says what it is (`+ ~ - ! = ≠ ✓ ✗`); colour is up to the terminal.
"""

from collections.abc import Iterable, Iterator, Mapping

from daemon.sync.change import Change, Fate, Kind, Reject
from daemon.sync.contest import Contested
from daemon.sync.counts import Counts
from daemon.sync.key_change import KeyChange, by_change
from daemon.sync.outcome import Ending, Result, Verdict
from daemon.sync.pin import Digests
from daemon.values import MISSING

from . import reach, shown
from .causes import Cause, said_in
from .cures import Told, amounts, cures
from .subjects import Finish, Plan

PLAN_LINES = 100
"""Changes shown when nobody said how many: two or three screens, enough to see what kind of plan it is."""

REJECT_LINES = 10
"""Causes of rejects shown at the end, the commonest first."""

_PREFIXES = {Kind.CREATE: "+ create", Kind.UPDATE: "~ update", Kind.DELETE: "- delete"}
_NOTES = {Fate.WITHHELD: "withheld", Fate.UNKNOWN: "answer lost", Fate.DROPPED: "dropped", Fate.SKIPPED: "skipped"}


def plan(subject: Plan, causes: Iterable[Cause] = (), *, limit: int = PLAN_LINES) -> Iterator[str]:
    """Yield a plan's lines; no more than `limit` changes are taken from its stream."""
    result = subject.result
    total = sum(subject.tally.values())
    yield f"Plan of {subject.job}"
    yield ""
    if limit and total:
        yield from _changes(subject, limit)
    if total > limit:
        yield f"… and {shown.count(total - limit, 'more change')} (--limit {total} shows all)"
    yield f"= {result.counts.unchanged} unchanged" + _left_out(result.counts)
    yield from _rejects(subject.job, result, causes, "")
    yield from map(contested, result.contests)
    yield ""
    yield from _proofs(result)
    yield from _error(result)
    yield ""
    yield _summary(subject.tally, result)
    if subject.unresolved:
        yield f"! {unresolved(subject.unresolved)}"
    yield from _after_plan(subject, result)


def finish(subject: Finish, causes: Iterable[Cause] = ()) -> Iterator[str]:
    """Yield the lines that a run ends with: what happened, what did not and why, and what to do next."""
    result = subject.result
    yield f"Run {subject.run} of {subject.job}: {result.ending} after {shown.duration(subject.took_s)}"
    yield ""
    yield ledger(result.counts)
    yield deletions(result.counts)
    yield from _rejects(subject.job, result, causes, f"kept with their reasons: crudsd rejects list {subject.job}")
    yield from map(contested, result.contests)
    yield ""
    yield from _proofs(result)
    yield from _error(result)
    yield ""
    yield from _after_run(subject, result)


def unresolved(number: int) -> str:
    """Return what a plan has to say of changes whose answers were lost."""
    have = "has" if number == 1 else "have"
    return (
        f"{shown.count(number, 'change')} of earlier runs {have} no known outcome; a run clears that up first, so "
        "it may do less or other than this plan"
    )


def approved(job: str, run: str, digests: Digests) -> Iterator[str]:
    """Yield what an approval means, and what it does not."""
    yield f"Approved: {' and '.join(amounts(digests))} of {job} that run {run} withheld."
    yield "The next run carries them out if they are still what it plans; else the approval is void and it says so."
    yield f"Next: nothing, where crudsd serve runs {job}; or crudsd run {job}"


def saved(path: str) -> str:
    """Return what a saved plan is good for."""
    return f"Saved: crudsd apply {path} carries out this plan, or nothing where it is not the same any more."


def ledger(counts: Counts) -> str:
    """Return the sum that must balance, in one line."""
    always = [(counts.created, "created"), (counts.updated, "updated"), (counts.unchanged, "unchanged")]
    sometimes = [
        (counts.skipped, "skipped"),
        (counts.rejected, "rejected"),
        (counts.withheld, "withheld"),
        (counts.pending, "not carried out"),
    ]
    parts = always + [(number, word) for number, word in sometimes if number]
    line = f"{counts.seen} seen = " + " + ".join(f"{number} {word}" for number, word in parts)
    if counts.balanced:
        return line
    return f"✗ {line}: this does not balance, which is a defect of crudsd; please report it"


def deletions(counts: Counts) -> str:
    """Return what became of the deletes, in one line."""
    notes = [
        f"{number} {word}"
        for number, word in [
            (counts.deletes_withheld, "withheld"),
            (counts.deletes_rejected, "rejected"),
            (counts.deletes_pending, "not carried out"),
            (counts.kept, "kept: gone from the source, but not this job's to delete"),
        ]
        if number
    ]
    return f"{counts.deleted} deleted" + (f" ({', '.join(notes)})" if notes else "")


def verdict(subject: Verdict) -> str:
    """Return what a guard says, in one line."""
    return f"{'✗' if subject.tripped else '✓'} guard {subject.guard}: {shown.plain(subject.message)}"


def reject(subject: Reject) -> str:
    """Return a reject with its reason, in one line."""
    status = f" (HTTP {subject.status})" if subject.status is not None else ""
    kind = f"{subject.kind} " if subject.kind is not None else ""
    return f"! reject  {kind}{shown.key(subject.key)}  {shown.plain(subject.reason)}{status}"


def contested(subject: Contested) -> str:
    """Return a field that does not converge, with an example and the cure, in one line."""
    example = f"e.g. {shown.key(subject.key)}: wrote {shown.value(subject.wanted)}"
    found = f"the target shows {shown.value(subject.found)}"
    return (
        f"≠ does not converge: {shown.plain(subject.field)} ({shown.count(subject.records, 'record')}, {example}, "
        f"{found}): map it as the target keeps it, or drop it from the map"
    )


def cause(subject: Cause) -> str:
    """Return what several rejects have in common, in one line with one of their keys; a reject alone as `reject`."""
    one = subject.example
    said = said_in(one.excerpt)
    if subject.number == 1 and not said:
        return reject(one)
    what = one.reason if one.status is None else f"HTTP {one.status}: {said or one.reason}"
    kind = f"{one.kind} " if one.kind is not None else ""
    what = shown.cut(shown.plain(what), shown.LINE_CHARS)
    if subject.number == 1:
        return f"! reject  {kind}{shown.key(one.key)}  {what}"
    return f"! {subject.number} × {kind}{what}  (one is {shown.key(one.key)})"


def change(subject: Change, *, key_change: KeyChange | None = None) -> Iterator[str]:
    """Yield the lines of one change; `key_change` is what it looks like a part of."""
    if subject.fate is Fate.FAILED:
        yield reject(Reject(subject.key, subject.reason, kind=subject.kind))
        return
    note = f"  ({_NOTES[subject.fate]})" if subject.fate in _NOTES else ""
    if key_change is not None:
        note += f"  (looks like a key change from {shown.key(key_change.before)} to {shown.key(key_change.after)})"
    head = f"{_PREFIXES[subject.kind]}  {shown.key(subject.key)}"
    if subject.kind is Kind.CREATE:
        yield f"{head}  {_fields(subject)}".rstrip() + note
        return
    yield head + note
    before = subject.before
    for name, new in subject.changed.items():
        old = f"{shown.value(before.get(name, MISSING))} → " if before is not None else ""
        yield f"    {shown.plain(name)}: {old}{shown.value(new)}"


# ---- parts ---------------------------------------------------------------------------------------------------------


def _fields(subject: Change) -> str:
    """Return the fields of a create, as many as fit on a line."""
    fields = list((subject.document or {}).items())
    taken: list[str] = []
    for name, json in fields:
        part = f"{shown.plain(name)}={shown.value(json)}"
        if taken and sum(map(len, taken)) + len(part) > shown.LINE_CHARS:
            return f"{' '.join(taken)} … {shown.count(len(fields) - len(taken), 'more field')}"
        taken.append(part)
    return " ".join(taken)


def _changes(subject: Plan, limit: int) -> Iterator[str]:
    key_changes = by_change(subject.result.key_changes)
    for number, one in enumerate(subject.changes, 1):
        yield from change(one, key_change=key_changes.get((one.kind, one.key)))
        if number == limit:  # before the stream is asked for one more
            return


def _left_out(counts: Counts) -> str:
    skipped = f", {counts.skipped} skipped" if counts.skipped else ""
    kept = f", {counts.kept} kept (gone from the source, but not this job's to delete)" if counts.kept else ""
    return skipped + kept


def _rejects(job: str, result: Result, causes: Iterable[Cause], where: str) -> Iterator[str]:
    """Yield the causes and what rests; `where` says where the others are to be found, if they are."""
    counts, told = result.counts, [*causes]
    total = max(counts.rejected + counts.deletes_rejected, sum(one.number for one in told) + counts.resting)
    if not total:
        return
    yield ""
    alone = result.ending not in {Ending.FAILED, Ending.UNAVAILABLE, Ending.INTERRUPTED}
    yield shown.count(total, "reject") + (", the others are not affected:" if alone else ":")
    for one in told[:REJECT_LINES]:
        yield cause(one)
    more = total - counts.resting - sum(one.number for one in told[:REJECT_LINES])
    if more > 0:
        yield f"! {more} " + ", ".join(filter(None, ["more" * bool(told), where]))
    if counts.resting:
        rest = "rests until it changes" if counts.resting == 1 else "rest until they change"
        yield f"! {counts.resting} {rest}; crudsd rejects retry {job} --all has them tried in the next run"


def _proofs(result: Result) -> Iterator[str]:
    yield from reach.lines(result)
    for one in result.verdicts:
        yield verdict(one)
    yield f"{'✓' if result.certificate.issued else '✗'} certificate: {shown.plain(str(result.certificate))}"


def _error(result: Result) -> Iterator[str]:
    if result.error:
        yield f"✗ error: {shown.plain(result.error)}"


def _summary(tally: Mapping[tuple[Kind, Fate], int], result: Result) -> str:
    parts = [f"{tally.get((kind, Fate.PLANNED), 0)} to {kind}" for kind in Kind]
    withheld = result.counts.withheld + result.counts.deletes_withheld
    held = f", {withheld} withheld" if withheld else ""
    return f"Plan: {', '.join(parts)} (of {result.counts.seen}){held}."


# ---- what to do next -------------------------------------------------------------------------------------------------

_AFTER = {
    Ending.UNAVAILABLE: "Next: nothing was concluded from the outage; the same command may succeed later.",
    Ending.WAITING: "Next: the system asked to be left alone for a while; the same command may succeed after that.",
    Ending.FAILED: "Next: mend what the error names. Running again is safe: it finishes the work and repeats nothing.",
    Ending.SKIPPED: "Next: nothing to do; another run of this job was under way.",
    Ending.REJECTED: "Next: mend the rejected records in the source or the job file; what has changed is tried again.",
}


def _after_plan(subject: Plan, result: Result) -> Iterator[str]:
    job, tally = subject.job, subject.tally
    pending = sum(tally.get((kind, Fate.PLANNED), 0) for kind in Kind)
    if result.ending is Ending.INTERRUPTED:
        yield "Next: the plan was cut short and is not complete; nothing was written."
    elif result.ending in {Ending.UNAVAILABLE, Ending.WAITING, Ending.FAILED}:
        yield f"{_AFTER[result.ending]} This plan is not complete, and nothing was written."
    elif result.ending is Ending.HELD:
        yield from _cures(Told(job, subject.held_run, is_plan=True), result)
        if pending:
            yield f"Next: crudsd run {job} carries out the other {shown.count(pending, 'change')}."
    elif pending:
        yield f"Next: crudsd run {job}"
    elif result.ending is Ending.REJECTED:
        yield reach.next_step(result) or _AFTER[Ending.REJECTED]
    else:
        yield f"Nothing to do: the target is in step{_but_for(result)}."


def _after_run(subject: Finish, result: Result) -> Iterator[str]:
    job, resume_at = subject.job, subject.resume_at
    if result.ending is Ending.INTERRUPTED:
        yield f"Next: crudsd run {job} finishes the work; what was begun is committed."
    elif resume_at is not None:
        moment = f"{resume_at:%Y-%m-%d %H:%M:%S} UTC"
        yield f"Next: crudsd serve goes on at {moment}; crudsd run {job} tries it now. What was done stays done."
    elif result.ending is Ending.HELD:
        yield from _cures(Told(job, subject.run), result)
        yield f"Next: crudsd plan {job} shows what is withheld."
    elif result.ending in _AFTER:
        yield reach.next_step(result) or _AFTER[result.ending]
    elif result.counts.withheld or result.counts.deletes_withheld:  # never claim more than the counts do
        yield f"Done: what was allowed. Next: crudsd plan {job} shows what is still withheld."
    elif result.counts.wrote:
        yield f"Done: the target is in step{_but_for(result)}."
    else:
        yield f"Done: nothing to write, the target was in step{_but_for(result)}."


def _but_for(result: Result) -> str:
    return ", but for what does not converge" if result.contests else ""


def _cures(told: Told, result: Result) -> Iterator[str]:
    for cure in cures(told, result):
        yield f"Cure: {cure}"
