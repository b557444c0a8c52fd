"""One record explained on one screen, for somebody who was asked about it in the night and has not seen the job file.

Pure: an explanation in, lines out. Each part begins with its name at the margin.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from textwrap import wrap

from daemon.sync.change import Change, Fate, Kind
from daemon.sync.explanation import (
    Explanation,
    History,
    InSource,
    PastChange,
    Seen,
    Sending,
)
from daemon.sync.forecast import Forecast, Verb
from daemon.values import MISSING, Json

from . import explain_fields, rejects, shown
from .explain_fields import CELL

WIDTH = 100
"""Characters of a line, as far as values can be cut."""
RECORD_LINES = 4
"""Lines for the source's own record: the document's fields, which matter more, stand below it."""
BODY = 600
"""Characters of a request's body."""
_MARGIN = 12

_DOES = {
    Verb.CREATE: "creates it",
    Verb.UPDATE: "updates it",
    Verb.DELETE: "deletes it",
    Verb.ADOPT: "links it and sends nothing",
    Verb.NOTHING: "does nothing",
    Verb.SKIP: "leaves it out",
    Verb.REJECT: "rejects it",
    Verb.KEEP: "keeps it",
    Verb.WITHHOLD: "would delete it, and a guard withholds that",
    Verb.RESOLVE: "first clears up an answer that was lost",
    Verb.UNKNOWN: "cannot be told",
}


_OPEN = {Seen.NOT_ASKED, Seen.UNKNOWN}


def explanation(subject: Explanation) -> Iterator[str]:
    """Yield the lines of one explanation."""
    yield f"{shown.key(subject.key)} of {subject.job}"
    yield ""
    yield from _part("Source", _source(subject.source))
    yield from _part("Document", explain_fields.table(subject))
    yield from _part("Link", _link(subject))
    yield from _part("Target", _target(subject))
    yield from _part("Reject", _reject(subject))
    if subject.unresolved:
        yield from _part("Unresolved", map(_unresolved, subject.unresolved))
    yield from _part("Changes", _history(subject.history))
    yield ""
    yield from _part("Next run", _decision(subject.forecast))
    for one in subject.hints:
        yield from _part("", _wrapped(f"Note: {one}"))
    yield from _part("It sends", _sends(subject))
    if not subject.is_known:
        yield ""
        yield from _nowhere(subject)


def _part(name: str, lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield f"{name:<{_MARGIN}}{line}".rstrip()
        name = ""


def _wrapped(text: str) -> Iterator[str]:
    """Yield one-line text in lines that fit."""
    yield from wrap(shown.plain(text), WIDTH - _MARGIN, break_long_words=False, break_on_hyphens=False)


# ---- the source -----------------------------------------------------------------------------------------


def _source(source: InSource) -> Iterator[str]:
    yield f"{shown.plain(source.asked)}: {_met(source)}"
    if source.trouble:
        yield from _wrapped(f"✗ {source.trouble}")
    if source.where is not None and source.seen is Seen.FOUND:
        says = {True: "lets it in", False: "keeps it out", None: "cannot be told"}[source.let_in]
        yield f"where: {shown.plain(source.where)}: {says}"
    if source.times > 1:
        yield f"{source.times} records have this key; the first is shown"
    if source.record is not None:
        yield from _packed(source.record)


def _met(source: InSource) -> str:
    read = f"read {shown.count(source.records, 'record')}"
    match source.seen:
        case Seen.FOUND:
            where = f" of part {shown.plain(source.part)}" if source.part else ""
            return (
                f"met on page {source.page}{where}; {read}, {'to the end' if source.certificate else 'and no further'}"
            )
        case Seen.ABSENT:
            return f"not there; {shown.plain(str(source.certificate))}"
        case Seen.UNKNOWN:
            return f"not met before the read broke off; {read} on {shown.count(source.pages, 'page')}"
        case Seen.NOT_ASKED:
            return "not asked"


def _packed(record: Mapping[str, Json], said: str = "") -> Iterator[str]:
    """Yield the fields of a record, as many in a line as fit, the first after what is said of it."""
    line, lines, left = said.rstrip(), 0, len(record)
    for name, value in record.items():
        part = f"{shown.plain(name)}={shown.value(value)}"
        if line and len(line) + len(part) + 1 > WIDTH - _MARGIN:
            yield line
            line, lines = "", lines + 1
            if lines == RECORD_LINES:
                yield f"… {shown.count(left, 'more field')} (--json shows all)"
                return
        line, left = f"{line} {part}".lstrip(), left - 1
    yield line or "(no fields)"


# ---- what is remembered ---------------------------------------------------------------------------------


def _link(subject: Explanation) -> Iterator[str]:
    remembered = subject.remembered
    if remembered is None:
        yield "none: no run of this job has created or adopted it"
        return
    link = remembered.link
    whose = "created by this job" if link.owned else "adopted: it was there before this job"
    version = f", version {shown.plain(link.version)}" if link.version else ""
    yield f"target id {shown.plain(link.target_id)}{version}; {whose}"
    if not link.fingerprint:
        yield "what the target holds is not known for certain, so it is compared anew"
    elif remembered.same_raw:
        yield "the source's record is the same as at its last run"
    elif remembered.same_raw is not None:
        more = {True: " in a field that is not mapped", False: ", and so has its document", None: ""}
        yield f"the source's record has changed since its last run{more[remembered.same_document]}"
    if subject.mapped is None and remembered.document is not None:
        yield from _packed(remembered.document, "last sent: ")


def _reject(subject: Explanation) -> Iterator[str]:
    kept = subject.reject
    if kept is None:
        yield "none"
        return
    reject = kept.reject
    kind = f"{reject.kind}: " if reject.kind is not None else ""
    status = f" (HTTP {reject.status})" if reject.status is not None else ""
    yield f"! {kind}{shown.plain(reject.reason)}{status}"
    if reject.excerpt:
        yield f"  {shown.plain(reject.excerpt)}"
    attempts = shown.count(kept.attempts, "attempt")
    yield f"  {attempts}, since {_moment(kept.first_at)}, last {_moment(kept.last_at)}; {rejects.next_try(kept)}"
    for line in rejects.cures(subject.job, kept):
        yield f"  {line}"


def _unresolved(change: Change) -> str:
    how = "sent, and its process ended before the answer" if change.fate is Fate.SENT else "its answer was lost"
    reason = f": {shown.plain(change.reason)}" if change.reason else ""
    return f"! {change.kind} ({change.idempotency_key}) {how}{reason}"


def _history(history: History) -> Iterator[str]:
    for one in history.changes:
        yield _past(one)
    far = f"all {history.runs}" if history.whole else f"the latest {history.runs}"
    runs = "1 run" if history.runs == 1 else f"{far} runs"
    since = f" since {_moment(history.since)}" if history.since is not None else ""
    none = "" if history.changes else "none "
    yield f"{none}(looked at {runs}{since})" if history.runs else "none (this job has not run yet)"


def _past(past: PastChange) -> str:
    change = past.change
    fate = f"{change.fate} (HTTP {past.status})" if past.status is not None else str(change.fate)
    head = f"{_moment(past.at)}  {past.run}  {change.kind} {fate}"
    reason = f"  {shown.plain(change.reason)}" if change.reason else ""
    return head + _went(change) + shown.cut(reason, WIDTH)


def _went(change: Change) -> str:
    """Return the fields of an update: `  email: 'a' → 'b'`."""
    if change.kind is not Kind.UPDATE:
        return ""
    before = change.before or {}
    parts = (
        f"{shown.plain(name)}: {shown.cut(shown.value(before.get(name, MISSING)), CELL)} → "
        f"{shown.cut(shown.value(value), CELL)}"
        for name, value in change.changed.items()
    )
    return "  " + ", ".join(parts)


# ---- the target -----------------------------------------------------------------------------------------


def _target(subject: Explanation) -> Iterator[str]:
    target = subject.target
    told = {Seen.ABSENT: "not there", Seen.UNKNOWN: "could not be asked", Seen.NOT_ASKED: "not asked"}
    if not target.records:
        yield f"{shown.plain(target.asked)}: {told.get(target.seen, '')}"
    for one in target.records:
        version = f", version {shown.plain(one.version)}" if one.version else ""
        yield f"{shown.plain(target.asked)}: id {shown.plain(one.id)}{version}"
        if subject.mapped is None or len(target.records) > 1:
            yield from _packed(one.document)
    if target.trouble:
        yield from _wrapped(f"✗ {target.trouble}")
    if len(target.records) > 1:
        yield f"✗ {len(target.records)} records have this key"
    if target.differing is not None:
        fields = ", ".join(map(shown.plain, target.differing))
        yield f"differs from what is wanted in {fields}" if fields else "holds what is wanted"


# ---- what will be done ----------------------------------------------------------------------------------


def _decision(forecast: Forecast) -> Iterator[str]:
    yield from _wrapped(f"{_DOES[forecast.verb]}: {forecast.why}")


def _sends(subject: Explanation) -> Iterator[str]:
    if subject.request_trouble:
        yield f"✗ {shown.plain(subject.request_trouble)}"
    elif not subject.requests:
        yield "nothing" if subject.forecast.verb is not Verb.UNKNOWN else "(not known)"
    for one in subject.requests:
        yield from _request(one)


def _request(request: Sending) -> Iterator[str]:
    yield f"{request.method} {shown.plain(request.url)}"
    for name, value in request.headers.items():
        yield f"{shown.plain(name)}: {shown.plain(value)}"
    if request.body:
        yield shown.cut(shown.plain(request.body), BODY)


def _nowhere(subject: Explanation) -> Iterator[str]:
    asked = {subject.source.seen, subject.target.seen}
    yield f"Nothing is known of {shown.key(subject.key)}" + (", as far as was asked." if asked & _OPEN else ".")
    if subject.near:
        yield f"Like it: {', '.join(map(shown.plain, subject.near))}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
