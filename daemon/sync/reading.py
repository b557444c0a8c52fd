"""The read of one run: what it has come to so far, and whether it begins at the beginning or at a mark."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from daemon.errors import MalformedError, RefusedError, UnavailableError
from daemon.spec import Job, Mode

from .certificate import Certificate, End
from .counts import Counts
from .events import ReadRestarted, ReadResumed
from .finder import Finder
from .intake import Intake
from .mapping import JobMapping
from .mark import Mark
from .parts import Part, PartsDone, Together
from .planner import Planner
from .ports import Opened, Page, Ports
from .proof import prove
from .remarks import Remarks
from .retry import Rests
from .seen import Seen

ADOPTED_MARKED = 1_000
"""Adopted records that a mark remembers. A read with more of them is gone on with, and deletes nothing."""


class Reading:
    """What a read has come to so far, with what its pages go through. Not shared between threads."""

    def __init__(
        self,
        job: Job,
        mapping: JobMapping,
        ports: Ports,
        *,
        run: str,
        finder: Finder,
        rests: Rests,
        remarks: Remarks,
        mark: Mark | None = None,
    ) -> None:
        remembered = ports.links.count()
        if job.mode is Mode.MIRROR and remembered.links:
            remarks.expect_deletes()
        self._job = job
        self._mapping = mapping
        self._ports = ports
        self._remarks = remarks
        self._finder = finder
        self.counts = mark.counts if mark else Counts()
        """Of the run, so far; they begin where the mark left them."""
        self.known = mark.known if mark else max(remembered.links, finder.index.count() if finder.index else 0)
        """Records that are known of the target, for the guards."""
        self.seen = Seen(remembered.highest)
        if mark is not None:
            self.seen = Seen(remembered.highest, judged=mark.judged, bits=mark.seen)
        self.intake = Intake(
            mapping,
            ports,
            seen=self.seen,
            blocked=rests.blocked,
        )
        self.planner = Planner(
            job, mapping, ports, run=run, finder=finder, intake=self.intake, rests=rests, remarks=remarks
        )
        if mark is not None:
            self.planner.creates, self.planner.updates = mark.creates, mark.updates
            remarks.adopted.update(mark.adopted)
        self.together = Together(mark.done, mark.doubts) if mark else Together()
        """The parts that are over."""
        self.part = Part()
        """The part that is read."""
        self._is_between = False
        """Whether that part is over, and others may follow."""
        self.pages = 0
        """Pages since the slice began."""
        self.resume: str | None = None
        """The source's word for the page after the last one; None where it gives none."""

    def meet(self, keys: Sequence[str]) -> None:
        """Note that the records of these keys were met before the mark, and have been cleared up since."""
        for link in self._ports.links.by_key(keys).values():
            self.seen.add(link.id)

    def begin(self, part: Part) -> None:
        """Note which part the next pages are of."""
        self.part, self.resume, self._is_between = part, None, False

    def page(self, page: Page) -> None:
        """Plan one page."""
        self.counts = self.planner.page(page, self.counts)
        self.pages += 1
        self.resume = page.resume

    def end(self, end: End | None) -> None:
        """Certify the part that is over; None where it broke off."""
        self.together.add(self.part, self.intake.certify(end))
        self.resume, self._is_between = None, end is not None and bool(self.part.name)

    def certificate(self, parts: End | None, broke: Sequence[str]) -> Certificate:
        """Return the certificate of the whole read; `parts` is how the list of parts ended, `broke` why it did not."""
        return self.together.certificate(parts, (*broke, *self._remarks.doubts))

    def prove(self, first: Certificate, *, check_stop: Callable[[], None]) -> Certificate:
        """Read again where one reading is no proof of what is gone; return the certificate after that."""
        return prove(first, self._job, self._mapping, self._ports, self.seen, check_stop=check_stop)

    def save(self) -> None:
        """Save a mark after the last page, where the source can go on from there. Nothing before it may be pending."""
        if self.resume is None and not self._is_between:
            return  # only a number leads there, and under it other records stand by then
        mark = Mark(
            revision=self._mapping.revision,
            resume=self.resume,
            counts=self.counts,
            creates=self.planner.creates,
            updates=self.planner.updates,
            known=self.known,
            listed=self._finder.index is not None,
            doubts=(
                *self.together.doubts,
                *self.intake.doubts,
                *self.intake.drift,
                *self._remarks.doubts_after(ADOPTED_MARKED),
            ),
            adopted=tuple(sorted(self._remarks.adopted)[:ADOPTED_MARKED]),
            seen=self.seen.bits(self._ports.links.count().highest),
            judged=self.seen.judged,
            part=self.part.name,
            done=self.together.done,
        )
        self._ports.journal.mark(mark)


def take_up(mark: Mark, reading: Reading, ports: Ports) -> Iterator[Opened | End] | None:
    """Open the source at a mark and make the mark this run's own; None when the source does not go on from there.

    Refused or malformed, an empty page, and records that were met before the mark all mean that the token is not taken
    for what it was: an API that forgot it may as well begin anew, or say that nothing is left. Then nothing is
    concluded from it; nor where the parts before the mark are not the ones that they were. Raises the endpoint's other
    errors, and the mark stays for the next run.
    """
    parts = ports.parts.list()
    part = _find(mark, parts)
    if part is None:
        ports.observe(ReadRestarted("the parts before the mark are not what they were"))
        return None
    steps = ports.source.read(mark.resume, scope=part.scope) if mark.resume is not None else iter(())
    first, trouble = _first(steps, reading.intake) if mark.resume is not None else (None, "")
    if trouble:
        ports.observe(ReadRestarted(trouble))
        return None
    ports.journal.take_up()
    ports.observe(ReadResumed(first.number if first else 1, mark.counts))
    here = [(part, chain((first,), steps))] if first is not None else []
    return chain(here, ports.opened(parts))


def _find(mark: Mark, parts: Iterator[Part | End]) -> Part | None:
    """Return the part of the mark, with the parts left behind it; None where others come before it than did."""
    done = PartsDone()
    for step in parts:
        if isinstance(step, End):
            break
        after = done.named(step.name)
        if step.name == mark.part:
            before = done if mark.resume is not None else after
            return step if before.is_like(mark.done) else None
        done = after
    return None


def _first(steps: Iterator[Page | End], intake: Intake) -> tuple[Page | None, str]:
    """Return the first page, or None and why it is not to be had."""
    try:
        page = next(steps)
    except (RefusedError, MalformedError) as error:
        return None, str(error)
    except UnavailableError as error:
        if error.status != 500:
            raise
        # Some servers answer so to a token they do not know; one that is down will not give the first page either.
        return None, str(error)
    if isinstance(page, End) or not page.records:
        return None, "the page after the mark is empty"
    if intake.has_met(page):
        return None, "the page after the mark holds records from before it"
    return page, ""
