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
from .planner import Planner
from .ports import Page, Ports
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
        """Where the counts of this read begin."""
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
            doubts=mark.doubts if mark else (),
        )
        self.planner = Planner(
            job, mapping, ports, run=run, finder=finder, intake=self.intake, rests=rests, remarks=remarks
        )
        if mark is not None:
            self.planner.creates, self.planner.updates = mark.creates, mark.updates
            remarks.adopted.update(mark.adopted)
        self.pages = 0
        """Pages since the slice began."""
        self.resume: str | None = None
        """The source's word for the page after the last one; None where it gives none."""

    def meet(self, keys: Sequence[str]) -> None:
        """Note that the records of these keys were met before the mark, and have been cleared up since."""
        for link in self._ports.links.by_key(keys).values():
            self.seen.add(link.id)

    def page(self, page: Page, counts: Counts) -> Counts:
        """Plan one page and return the counts after it."""
        counts = self.planner.page(page, counts)
        self.pages += 1
        self.resume = page.resume
        return counts

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the read cannot be called complete, other than that the source may have changed meanwhile."""
        return (*self.intake.doubts, *self._remarks.doubts)

    def prove(self, first: Certificate, *, check_stop: Callable[[], None]) -> Certificate:
        """Read again where one reading is no proof of what is gone; return the certificate after that."""
        return prove(first, self._job, self._mapping, self._ports, self.seen, check_stop=check_stop)

    def save(self, counts: Counts) -> None:
        """Save a mark after the last page, where the source can go on from there. Nothing before it may be pending."""
        if self.resume is None:
            return  # only a number leads there, and under it other records stand by then
        mark = Mark(
            revision=self._mapping.revision,
            resume=self.resume,
            counts=counts,
            creates=self.planner.creates,
            updates=self.planner.updates,
            known=self.known,
            listed=self._finder.index is not None,
            doubts=(*self.intake.doubts, *self.intake.drift, *self._remarks.doubts_after(ADOPTED_MARKED)),
            adopted=tuple(sorted(self._remarks.adopted)[:ADOPTED_MARKED]),
            seen=self.seen.bits(self._ports.links.count().highest),
            judged=self.seen.judged,
        )
        self._ports.journal.mark(mark)


def take_up(mark: Mark, intake: Intake, ports: Ports) -> Iterator[Page | End] | None:
    """Open the source at a mark and make the mark this run's own; None when the source does not go on from there.

    Refused or malformed, an empty page, and records that were met before the mark all mean that the token is not taken
    for what it was: an API that forgot it may as well begin anew, or say that nothing is left. Then nothing is
    concluded from it. Raises the endpoint's other errors, and the mark stays for the next run.
    """
    steps = ports.source.read(mark.resume)
    first, trouble = _first(steps, intake)
    if first is None:
        ports.observe(ReadRestarted(trouble))
        return None
    ports.journal.take_up()
    ports.observe(ReadResumed(first.number, mark.counts))
    return chain((first,), steps)


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
