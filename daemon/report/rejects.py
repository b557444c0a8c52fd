"""Kept rejects as lines of text: what happened, what happens next, and what a person can do."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from daemon.sync.change import Retry

from . import shown, text
from .subjects import KeptReject


def listed(job: str, rows: Sequence[KeptReject], total: int) -> Iterator[str]:
    """Yield the rejects that are kept of a job, each with what the target said and when it is tried next."""
    if not rows:
        yield f"{job} has no such rejects."
        return
    for row in rows:
        tries = f"{shown.count(row.attempts, 'attempt')}, last {_moment(row.last_at)}"
        yield f"{text.reject(row.reject)}  [{tries}; {next_try(row)}]"
        if row.reject.excerpt:
            yield f"    {shown.plain(row.reject.excerpt)}"
    if total > len(rows):
        yield f"… and {total - len(rows)} more (--limit {total} shows all)"
    yield f"Next: mend the cause and run again; crudsd rejects show {job} KEY says what can be done about one."


def whole(job: str, row: KeptReject) -> Iterator[str]:
    """Yield everything that is kept of one reject, and what can be done about it."""
    reject = row.reject
    yield f"{shown.key(reject.key)} of {job}"
    yield ""
    facts = [
        ("what", f"{reject.kind} of its record at the target" if reject.kind else "the record never became a change"),
        ("reason", shown.plain(reject.reason)),
        ("status", f"HTTP {reject.status}" if reject.status is not None else ""),
        ("answer", shown.plain(reject.excerpt)),
        ("attempts", f"{row.attempts}, the last {_moment(row.last_at)}"),
        ("since", _moment(row.first_at)),
        ("last met", f"by run {row.run}"),
        ("retry", f"{reject.retry}: {next_try(row)}"),
    ]
    for name, fact in facts:
        if fact:
            yield f"  {name:<9} {fact}"
    yield ""
    yield from cures(job, row)


def made_due(job: str, due: int, waiting: int) -> Iterator[str]:
    """Yield what `retry` did: so many are due, and so many go on waiting for a person."""
    verb = "is" if due == 1 else "are"
    yield f"{shown.count(due, 'reject')} {verb} due: the next run of {job} tries what its record still asks for."
    if waiting:
        verbs = ("waits", "was") if waiting == 1 else ("wait", "were")
        yield f"{waiting} {verbs[0]} for a person and {verbs[1]} left alone: crudsd rejects list {job} --retry person"


def next_try(row: KeptReject) -> str:
    """Return when a reject is tried again, in a few words."""
    if row.reject.retry is Retry.PERSON:
        return "not tried until a person says so"
    if row.rests_until is not None:
        return f"tried when it changes, or after {_moment(row.rests_until)}"
    return "tried in the next run"


def cures(job: str, row: KeptReject) -> Iterator[str]:
    """Yield what a person can do about a reject."""
    key = shown.key(row.reject.key)
    if row.reject.retry is Retry.PERSON:
        yield "The create was sent and its answer was lost. Look whether the target holds the record."
        yield "It does: declare target.lookup, or target.list, with target.match in the job file; then it is found."
        yield f"It does not: crudsd rejects retry {job} {key} --yes has the next run create it."
    elif row.rests_until is not None:
        yield "Mend the record in the source, or the job file: what has changed is tried in the next run."
        yield f"Mended at the target: crudsd rejects retry {job} {key} has the next run try it as it is."
    else:
        yield "The next run tries it again. If it fails each time: mend the record in the source, or the job file."


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
