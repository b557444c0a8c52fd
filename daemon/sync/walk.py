"""The walk over the source in one run: part after part, page after page, a slice at a time.

A read that breaks off ends the run: slices that were applied stay applied. The next run goes on at the last mark, or
reads anew.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from daemon.errors import EndpointError, GoneError, RefusedError, UnavailableError
from daemon.spec import Limit

from .ahead import Ahead
from .certificate import Certificate, End
from .counts import Counts
from .cursor import Cursor
from .events import CursorMoved, Doubt, PageDone, PhaseBegan, ReadEnded
from .mark import Mark
from .options import Options
from .outcome import Phase
from .parts import PART_ERRORS, Part, failure_of
from .ports import Opened, Page, Ports, each_part
from .reading import Reading
from .resuming import take_up

INTERRUPTED = ("the read was interrupted",)

FORGOTTEN = frozenset({400, 410})
"""What sources answer to a token that is too old for them."""


class Walk:
    """Reads for one run, on its thread."""

    def __init__(
        self,
        begin: "partial[Reading]",
        ports: Ports,
        options: Options,
        *,
        limit: Limit,
        settle: Callable[[Reading], None],
        may_mark: Callable[[], bool],
        check_stop: Callable[[], None],
    ) -> None:
        """`settle` guards and applies what is planned so far; `may_mark`: nothing before now is withheld.

        More failing parts than `limit` end the run.
        """
        self._begin = begin
        self._ports = ports
        self._options = options
        self._limit = limit
        self._ahead = Ahead(ports, lambda part: self.reading.scope_of(part) if self.reading else part.scope)
        self._settle = settle
        self._may_mark = may_mark
        self._check_stop = check_stop
        self._owes_mark = False
        """Whether a slice has ended inside this part, where none could be left."""
        self.reading: Reading | None = None
        """What the read came to so far; None before it began."""
        self.certificate = Certificate(end=None)
        self.misses_parts = False
        """Whether the source has parts that could not be told, and were not read."""

    def read(self, mark: Mark | None, behind: Sequence[str]) -> Reading:
        """Read the source to its end, from the mark or the beginning, and certify the read."""
        self._ports.observe(PhaseBegan(Phase.READ))
        parts: End | None = None
        broke: Sequence[str] = INTERRUPTED
        reading = self.reading = self._begin(mark=mark)
        reading.meet(behind)
        try:
            steps = take_up(mark, reading, self._ports, self._unfold) if mark is not None else None
            if mark is not None and steps is None:
                reading = self.reading = self._begin()
            for step in steps or self._unfold(self._ports.parts.list()):
                if isinstance(step, End):
                    parts, broke = step, ()
                    self.misses_parts = bool(step.doubts)
                else:
                    self._part(reading, *step)
                    reading.together.check(self._limit)
            reading.together.check(self._limit, over=True)
        except EndpointError as error:
            broke = (f"the read broke off: {error}",)
            raise
        finally:
            self._ahead.stop()
            self.certificate = reading.certificate(parts, broke)
            self._ports.observe(ReadEnded(self.certificate))
        self.certificate = reading.prove(self.certificate, check_stop=self._check_stop)
        return reading

    def _part(self, reading: Reading, part: Part, pages: Iterator[Page | End]) -> None:
        """Read one part to its end, and certify it. What is wrong with a part alone is told, and the others go on."""
        if reading.part is not part:
            reading.begin(part)
        try:
            if part.trouble:
                reading.end(None, failure=part.trouble)
            else:
                self._to_its_end(reading, part, pages)
        except PART_ERRORS as error:
            if not part.name:
                raise
            if isinstance(error, GoneError) and not reading.has_page:
                reading.end_gone(str(error))
            else:
                reading.end(None, failure=failure_of(error))
        if part.name:
            is_long = self._owes_mark or reading.pages >= self._options.slice_pages
            self._owes_mark = False
            self._slice(reading, is_long=is_long)

    def _to_its_end(self, reading: Reading, part: Part, pages: Iterator[Page | End]) -> None:
        end: End | None = None
        try:
            for step in self._until_trouble(pages, reading):
                if isinstance(step, End):
                    end = step
                else:
                    self._page(reading, step)
        except BaseException as error:
            if not (part.name and isinstance(error, PART_ERRORS)):
                reading.end(None)
            raise
        reading.end(end)

    def _unfold(self, parts: Iterator[Part | End]) -> Iterator[Opened | End]:
        return each_part(self._ahead.over(parts), self._pages)

    def _pages(self, part: Part) -> Iterator[Page | End]:
        """Read a part from its cursor; as a whole where the source takes its token no more."""
        reading = self.reading
        if reading is None:
            return
        steps = self._ahead.read(part, reading.scope)
        if reading.track is None or not reading.track.may_be_refused:
            yield from steps
            return
        try:
            first = next(steps)
        except RefusedError as error:
            if error.status not in FORGOTTEN:
                raise
            reading.doubt(Doubt.REFUSED, str(error))
            reading.begin(part, whole=True)
            steps = self._ports.source.read(scope=reading.scope)
        else:
            yield first
        yield from steps

    def _page(self, reading: Reading, page: Page) -> None:
        reading.page(page)
        back = reading.fell_back()
        if back is not None and self._options.marks:
            self._set([back])
        self._ports.observe(PageDone(page.number, reading.counts))
        self._slice(reading, is_long=page.resume is not None and reading.pages >= self._options.slice_pages)

    def _slice(self, reading: Reading, *, is_long: bool) -> None:
        """Settle and mark what was read so far, if that is much."""
        if self._options.in_slices and (is_long or reading.planner.pending >= self._options.slice_changes):
            self._settle(reading)
            self.move(reading)
            self._mark(reading)
            self._owes_mark = reading.is_inside
        if self._options.stopping():
            self._mark(reading)
        self._check_stop()

    def _until_trouble(self, steps: Iterator[Page | End], reading: Reading) -> Iterator[Page | End]:
        """Yield the steps. When the source becomes unavailable after many pages, settle and mark them first.

        Few pages are read again instead: the guards judge the better the more they see at once.
        """
        try:
            yield from steps
        except UnavailableError:
            if self._options.in_slices and reading.resume and reading.pages * 10 >= self._options.slice_pages:
                self._settle(reading)
            self._mark(reading)
            raise

    def move(self, reading: Reading, *, is_over: bool = False) -> None:
        """Set the cursors behind everything that was read so far, if all of that is settled, and nothing withheld.

        `is_over`: the run has come to its end; if it has read the source as a whole, that is remembered.
        """
        counts, options = reading.counts, self._options
        if not options.writes or reading.track is None or reading.holds_back or counts.deletes_pending:
            return
        if reading.waits_for_the_end and not is_over:
            return
        whole = is_over and reading.is_whole and self.certificate.end is not None and options.backfill is None
        moves = reading.moves()
        if moves or whole:
            self._set(moves, whole=whole)

    def _set(self, cursors: Sequence[Cursor], *, whole: bool = False) -> None:
        self._ports.journal.move(cursors, whole=whole)
        self._ports.observe(CursorMoved(tuple(cursors)))

    def _mark(self, reading: Reading) -> None:
        """Save where the read stands, if all before it is settled, and nothing of it withheld.

        What is withheld is for a person to see as a whole, so the next run plans it anew.
        """
        is_open = reading.planner.pending or reading.counts.deletes_pending
        if self._options.marks and not is_open and self._may_mark():
            reading.save()

    @property
    def counts(self) -> Counts:
        """What the records came to so far."""
        return self.reading.counts if self.reading is not None else Counts()
