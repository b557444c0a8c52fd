"""How much of each part a run reads: what changed since its cursor, or everything once more.

Everything is read where there is no cursor yet, where the job was edited since (records that did not change have to be
mapped anew, or were left out before), when `reconcile` is due, and when a person asks for it.
"""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from daemon.spec import CursorType, Incremental, Job
from daemon.values import Json

from .cursor import Progress, Reach, Span, Values
from .mark import Mark
from .moments import moment_position, seconds
from .options import Options
from .parts import Part
from .ports import Links

LIKE = "2026-01-31T08:30:00Z"
"""The form of an upper bound where nothing is known of the source's own: a unit speaks of numbers, else of nothing."""


class Spans:
    """Decides for one run, on its thread."""

    def __init__(self, job: Job, links: Links, options: Options, *, revision: str, mark: Mark | None) -> None:
        self.run = options.run
        self._rules = job.source.incremental
        self._links = links
        self._looks_at_target = job.compare == "target"
        self._options = options
        self._revision = revision
        self.is_reconcile = self._rules is not None and (options.full or self._is_due(job))
        """Whether everything is to be read although there may be cursors."""
        concludes = self.is_reconcile or (self._rules is not None and self._rules.type is CursorType.ETAG)
        self.mark = mark if mark is None or mark.is_whole or not concludes else None
        """The mark that may be taken up: not that of a read that was no whole one, where this may delete by absence."""
        self._is_taken_up = self.mark is not None and self.mark.is_whole
        self._ahead: dict[str, Span] = {}
        """Of parts that are not begun yet."""
        self.now = moment_position(options.now) if options.now is not None else None
        """Our clock, in seconds since 1970."""

    def _is_due(self, job: Job) -> bool:
        if job.reconcile is None or self._options.now is None or self._options.backfill is not None:
            return False
        last = self._links.last_whole()
        return job.reconcile.is_due(last.began_at if last is not None else None, self._options.now)

    def of(self, part: Part, *, whole: bool = False) -> Span:
        """Return what to read of a part; `whole` says that its cursor was refused."""
        known = self._ahead.pop(part.name, None)
        return known if known is not None and not whole else self._of(part, whole=whole)

    def ahead(self, part: Part) -> Span:
        """Return what will be read of a part whose turn comes later."""
        span = self._ahead[part.name] = self._of(part, whole=False)
        return span

    def _of(self, part: Part, *, whole: bool) -> Span:
        rules = self._rules
        if rules is None:
            return Span(part.name, Reach.WHOLE)
        if self._options.backfill is not None:
            start, end = self._options.backfill
            return Span(part.name, Reach.BACKFILL, start, end)
        cursor = self._links.cursor(part.name)
        if cursor is not None and cursor.revision != self._revision:
            cursor = None  # of another job, as it were; its value may not even be of the same kind
        if cursor is None or whole or self.is_reconcile or self._is_taken_up:
            return Span(part.name, Reach.WHOLE, rules.start, self._end(rules, rules.start), cursor)
        if rules.type is CursorType.ETAG:
            return Span(part.name, Reach.WHOLE, cursor=cursor, etag=None if self._looks_at_target else cursor.value)
        start = cursor.value
        if rules.type is not CursorType.TOKEN:
            start = Values(rules).before(start, _lookback(rules))
        return Span(part.name, Reach.SINCE, start, self._end(rules, start), cursor)

    def _end(self, rules: Incremental, start: Json) -> Json:
        """Return the upper bound by our clock: for requests that need one before the server has told its time.

        It only limits what is asked for. How far the cursor may go is told by the server's own clock.
        """
        if rules.type is not CursorType.TIMESTAMP or self._options.now is None:
            return None
        values, like = Values(rules), start
        if like is None:
            like = LIKE if rules.unit == "s" else 0
        end = moment_position(self._options.now - rules.settle)
        return values.text(end if start is None else max(end, values.position(start)), like)


def _lookback(rules: Incremental) -> Decimal:
    """Return how far a read goes back behind the cursor, in what its values count."""
    return seconds(rules.lookback) if isinstance(rules.lookback, timedelta) else Decimal(rules.lookback)


def scope_of(part: Part, span: Span, rules: Incremental | None) -> Mapping[str, Any]:
    """Return what the templates of the read know in a part."""
    if rules is None:
        return part.scope
    return {**part.scope, "cursor": {"start": span.start, "end": span.end, "etag": span.etag}}


def resumed(span: Span, progress: Progress | None) -> Span:
    """Return the span of a read that was cut off, which asks for what it asked before."""
    if progress is None:
        return span
    return Span(span.part, progress.reach, progress.start, progress.end, span.cursor)


def whole_scope(part: Part, rules: Incremental | None) -> Mapping[str, Any]:
    """Return what the templates know where everything is read, whatever the cursor says."""
    return scope_of(part, Span(part.name, Reach.WHOLE, rules.start if rules is not None else None), rules)
