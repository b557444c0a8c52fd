"""How far the read of one part has come, and whether its records keep what the job says of them."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from daemon.spec import CursorType, ExpressionError, Incremental, compile_expression
from daemon.values import MISSING, Json, Record

from .cursor import Cursor, Progress, Reach, Span, Values
from .events import Doubt
from .moments import UnfitValueError, moment_position, seconds
from .ports import Page

OLDER: Final = 10
"""So many records from before the lower bound are no accident: the server does not filter by it."""


class Track:
    """Follows one part's records on the run's thread.

    The upper bound is the source's clock when the first page was asked for: what is stored after that may be missed by
    the pages that were read before, so the cursor never passes it, whatever later pages show.
    """

    def __init__(
        self, rules: Incremental, span: Span, *, now: Decimal | None, progress: Progress | None = None
    ) -> None:
        """`now` is our clock, which counts where the source does not tell its own."""
        self.rules = rules
        self.span = span
        self._values = Values(rules)
        self._field = compile_expression(rules.expression) if rules.expression is not None else None
        self._now = now
        self._floor = self._position(span.start)
        self._bound = progress.bound if progress else None
        self._highest: Json = progress.highest if progress else None
        self._top = self._position(self._highest)
        self._last = progress.last if progress else None
        self._taken: Json = progress.taken if progress else None
        self.is_disordered = bool(progress and progress.is_disordered) or (
            span.cursor is not None and span.cursor.is_disordered
        )
        """Whether the records do not come in the declared order."""
        self.older = 0
        """Records from before the lower bound."""
        self.seen = 0
        self._pages = 0
        self._has_records = False
        self.without = 0
        """Records in which the field has no usable value."""

    def _position(self, value: Json) -> Decimal | None:
        if value is None or not self.rules.is_measured:
            return None
        return self._values.position(value)

    @property
    def may_be_refused(self) -> bool:
        """Whether it is read from a token, which the source may have forgotten."""
        return self.rules.type is CursorType.TOKEN and self.span.reach is Reach.SINCE

    @property
    def reads_records(self) -> bool:
        """Whether each record has to be shown to it."""
        return self._field is not None

    def page(self, page: Page) -> None:
        """Note when a page was asked for, and its token."""
        self._pages += 1
        self._has_records = self._has_records or bool(page.records)
        if page.cursor is not None and (self._taken is None or not self.rules.is_first):
            self._taken = page.cursor
        if self._bound is None and self.rules.type is CursorType.TIMESTAMP:
            at = moment_position(page.at) if page.at is not None else self._now
            if at is not None:
                self._bound = at - seconds(self.rules.settle)

    def note(self, record: Record) -> Decimal | None:
        """Take in a record, as the source sent it, and return its position; None where it has none."""
        if self._field is None:
            return None
        self.seen += 1
        try:
            value = self._field({"record": record})
            position = self._values.position(None if value is MISSING else value)
        except (ExpressionError, UnfitValueError):
            self.without += 1
            return None
        if self._floor is not None and position < self._floor:
            self.older += 1
        if self.rules.order == "ascending" and self._last is not None and position < self._last:
            self.is_disordered = True
        self._last = position
        if self._top is None or position > self._top:
            self._top, self._highest = position, value
        return position

    @property
    def doubts(self) -> Iterator[tuple[Doubt, str]]:
        """What is wrong with the cursor, as far as the records show."""
        if self.span.reach is Reach.SINCE and self.older >= OLDER:
            yield Doubt.IGNORED, f"{self.older} of {self.seen} records are from before {self.span.start}"
        if self.seen and self.without == self.seen:
            yield Doubt.WITHOUT, f"{self.rules.field} in none of {self.seen} records"
        is_given = self._taken is not None or self.rules.is_measured
        # Where a token is known already, an answer without changes may well leave it out.
        if self._pages and not is_given and (self._has_records or self.span.cursor is None):
            yield Doubt.UNGIVEN, f"{self.rules.answered} is in none of {self._pages} answers"

    def is_late(self, position: Decimal | None) -> bool:
        """Say whether a record changed after the read began, so that the next run reads it again."""
        return position is not None and self._bound is not None and position > self._bound

    def on_the_way(self, revision: str) -> Cursor | None:
        """Return the cursor after what was read so far, where its order is declared and kept; None where it stays."""
        if self.rules.order != "ascending" or self.is_disordered or self.span.reach is Reach.BACKFILL:
            return None
        base = self.span.cursor.base if self.span.cursor is not None else None
        return self._at(self._reached(), revision, base=base)

    def at_the_end(self, revision: str) -> Cursor | None:
        """Return the cursor after a read that came to its end and passed nothing over; None where it stays."""
        if self.span.reach is Reach.BACKFILL:
            return None
        value = self._reached() if self.rules.is_measured else self._taken
        cursor = self.span.cursor
        if (
            value is None
            and cursor is not None
            and (cursor.is_disordered != self.is_disordered or cursor.base != cursor.value)
        ):
            value = cursor.value
        return self._at(value, revision, base=value)

    def back(self, revision: str) -> Cursor:
        """Return the cursor for a read that turned out to be out of order: where the last whole one left it."""
        base = self.span.cursor.base if self.span.cursor is not None else None
        return Cursor(self.span.part, base, revision, base, is_disordered=True)

    def _at(self, value: Json, revision: str, *, base: Json) -> Cursor | None:
        if value is None:
            return None
        return Cursor(self.span.part, value, revision, base, is_disordered=self.is_disordered)

    def _reached(self) -> Json:
        """Return the value up to which all is read, None where that is no further than the cursor."""
        if self._top is None:
            return None
        value, position = self._highest, self._top
        if self._bound is not None and position > self._bound:
            value = self._values.text(self._bound, value)
            position = self._values.position(value)
        before = self._position(self.span.cursor.value) if self.span.cursor is not None else None
        return value if before is None or position > before else None

    @property
    def progress(self) -> Progress:
        """How far the read is, for a mark."""
        span = self.span
        return Progress(
            span.reach, span.start, span.end, self._highest, self._bound, self._last, self.is_disordered, self._taken
        )
