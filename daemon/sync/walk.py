"""The walk over the source in one run: part after part, page after page, a slice at a time.

A read that breaks off ends the run: slices that were applied stay applied. The next run goes on at the last mark, or
reads anew.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from daemon.errors import EndpointError, RefusedError, UnavailableError

from .certificate import Certificate, End
from .counts import Counts
from .cursor import Cursor
from .events import CursorMoved, Doubt, PageDone, PhaseBegan, ReadEnded
from .mark import Mark
from .options import Options
from .outcome import Phase
from .parts import Part
from .ports import Page, Ports, each_part
from .reading import Reading, take_up

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
        settle: Callable[[Reading], None],
        may_mark: Callable[[], bool],
        check_stop: Callable[[], None],
    ) -> None:
        """`settle` guards and applies what is planned so far; `may_mark`: nothing before now is withheld."""
        self._begin = begin
        self._ports = ports
        self._options = options
        self._settle = settle
        self._may_mark = may_mark
        self._check_stop = check_stop
        self.reading: Reading | None = None
        """What the read came to so far; None before it began."""
        self.certificate = Certificate(end=None)

    def read(self, mark: Mark | None, behind: Sequence[str]) -> Reading:
        """Read the source to its end, from the mark or the beginning, and certify the read."""
        self._ports.observe(PhaseBegan(Phase.READ))
        parts: End | None = None
        broke: Sequence[str] = INTERRUPTED
        reading = self.reading = self._begin(mark=mark)
        reading.meet(behind)
        try:
            steps = take_up(mark, reading, self._ports, self._pages) if mark is not None else None
            if mark is not None and steps is None:
                reading = self.reading = self._begin()
            for step in steps or each_part(self._ports.parts.list(), self._pages):
                if isinstance(step, End):
                    parts, broke = step, ()
                else:
                    self._part(reading, *step)
        except EndpointError as error:
            broke = (f"the read broke off: {error}",)
            raise
        finally:
            self.certificate = reading.certificate(parts, broke)
            self._ports.observe(ReadEnded(self.certificate))
        self.certificate = reading.prove(self.certificate, check_stop=self._check_stop)
        return reading

    def _part(self, reading: Reading, part: Part, pages: Iterator[Page | End]) -> None:
        """Read one part to its end, and certify it."""
        end: End | None = None
        if reading.part is not part:
            reading.begin(part)
        try:
            for step in self._until_trouble(pages, reading):
                if isinstance(step, End):
                    end = step
                else:
                    self._page(reading, step)
        finally:
            reading.end(end)
        if part.name:
            self._slice(reading, is_long=reading.pages >= self._options.slice_pages)

    def _pages(self, part: Part) -> Iterator[Page | End]:
        """Read a part from its cursor; as a whole where the source takes its token no more."""
        reading = self.reading
        if reading is None:
            return
        steps = self._ports.source.read(scope=reading.scope)
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
