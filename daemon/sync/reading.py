"""The read of one run: what it has come to so far, and whether it begins at the beginning or at a mark."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from daemon.spec import CursorType, Job, Mode
from daemon.values import Json

from .apart import keep, take_in
from .certificate import Certificate, End, certify
from .counts import Counts
from .cursor import Cursor, Progress, Reach
from .events import CursorDoubted, Doubt, PartFailed, SpanBegan
from .finder import Finder
from .intake import Intake
from .mapping import JobMapping
from .mark import Mark
from .parts import NOTHING, Part, Together
from .planner import Planner
from .ports import Page, Ports
from .proof import prove
from .remarks import Remarks
from .retry import Rests
from .seen import Seen
from .spans import Spans, resumed, scope_of
from .track import Track
from .trail import Trail

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
        finder: Finder,
        rests: Rests,
        remarks: Remarks,
        spans: Spans,
        mark: Mark | None = None,
    ) -> None:
        remembered, highest = ports.links.count(), ports.links.highest()
        if job.mode is Mode.MIRROR and remembered:
            remarks.expect_deletes()
        self._job, self._mapping, self._ports = job, mapping, ports
        self._remarks = remarks
        self._finder = finder
        self.counts = mark.counts if mark else Counts()
        """Of the run, so far; they begin where the mark left them."""
        self.known = mark.known if mark else max(remembered, finder.index.count() if finder.index else 0)
        """Records that are known of the target, for the guards."""
        self.seen = Seen(highest)
        if mark is not None:
            self.seen = Seen(highest, judged=mark.judged, bits=mark.seen)
        self.intake = Intake(
            mapping,
            ports,
            seen=self.seen,
            blocked=rests.blocked,
            trail=Trail(ports.links) if job.compare == "links" else None,
        )
        self.planner = Planner(
            job, mapping, ports, run=spans.run, finder=finder, intake=self.intake, rests=rests, remarks=remarks
        )
        if mark is not None:
            self.planner.creates, self.planner.updates = mark.creates, mark.updates
            self.planner.tombstones = mark.tombstones
            remarks.adopted.update(mark.adopted)
        self.together = Together(mark.done if mark else None, mark.doubts if mark else (), may_move=mapping.may_move)
        """The parts that are over."""
        self.part: Part | None = None
        """The part that is read; None before the first."""
        self.scope: Mapping[str, Any] = NOTHING
        """What the templates know in that part."""
        self.has_page = False
        """Whether a page of that part has come."""
        self.track: Track | None = None
        """Follows the part's cursor; None where there is none."""
        self.is_whole = mark.is_whole if mark else True
        """Whether all parts so far were read as a whole."""
        self._was_whole = self.is_whole
        """The same, of the parts before this one."""
        self._alike: list[Part] = []
        """Parts of which the source says that they are as they were at the last read."""
        self.ready: dict[str, Cursor] = {}
        """Cursors of parts that are over, to be set once all of them is settled."""
        self._spans = spans
        self._rules = job.source.incremental
        self._doubted: set[Doubt] = set()
        self.doubted: list[str] = []
        """What is wrong with cursors, for the end of the run."""
        self._is_between = False
        """Whether that part is over, and others may follow."""
        self._is_over = True
        """Whether no part is under way."""
        self.pages = 0
        """Pages since the slice began."""
        self.resume: str | None = None
        """The source's word for the page after the last one; None where it gives none."""

    def meet(self, keys: Sequence[str]) -> None:
        """Note that the records of these keys were met before the mark, and have been cleared up since."""
        for link in self._ports.links.by_key(keys).values():
            self.seen.add(link.id)

    def begin(self, part: Part, *, progress: Progress | None = None, whole: bool = False) -> None:
        """Note which part the next pages are of, and decide how much of it is read.

        `progress` is of the mark that is taken up in this part; `whole`: its cursor was refused.
        """
        self.part, self.resume, self._is_between, self._is_over = part, None, False, False
        self.intake.within(part)
        span = resumed(self._spans.of(part, whole=whole), progress)
        if not whole:
            self._was_whole = self.is_whole
        self.is_whole = self._was_whole and span.reach is Reach.WHOLE
        self.scope = scope_of(part, span, self._rules)
        self.has_page = False
        if self._rules is not None:
            self.track = self.intake.track = Track(self._rules, span, now=self._spans.now, progress=progress)
            self._ports.observe(SpanBegan(span))

    def scope_of(self, part: Part) -> Mapping[str, Any]:
        """Return what the templates will know in a part that is to be read."""
        return scope_of(part, self._spans.ahead(part), self._rules)

    def page(self, page: Page) -> None:
        """Plan one page."""
        if self.track is not None:
            self.track.page(page)
        self.counts = self.planner.page(page, self.counts)
        self.pages += 1
        self.has_page = True
        self.resume = page.resume

    def end(self, end: End | None, *, failure: str = "") -> None:
        """Certify the part that is over; None where it broke off. `failure`: the others are read all the same."""
        part = self.part or Part()
        drift = self.intake.drift
        certificate = self.intake.certify(end)
        take_in(part, certificate, self.together, self._ports.links, self.seen, failure=failure)
        if end is not None and end.unchanged:
            self.is_whole = self._was_whole = False  # nothing came, and nothing is absent for it
            self._alike.append(part)
        self.resume, self._is_over = None, True
        self._is_between = bool(part.name and (end is not None or failure))
        if failure:
            self.ready.pop(part.name, None)
            self._ports.observe(PartFailed(part.name, failure))
        if end is not None and self.track is not None:
            self._conclude(self.track, part, end, drift)

    def end_gone(self, reason: str) -> None:
        """Note that the source says that the part is gone, with all that was in it."""
        part = self.part or Part()
        self.intake.certify(None)
        self.together.gone(part)
        self.resume, self._is_over, self._is_between = None, True, True
        self._ports.observe(PartFailed(part.name, reason, is_gone=True))

    def _conclude(self, track: Track, part: Part, end: End, drift: tuple[str, ...]) -> None:
        """Say what is wrong with the part's cursor, and how far it may go.

        Rows that move under page numbers hide others; a token's next page begins where the last one ended.
        """
        for doubt, detail in track.doubts:
            self.doubt(doubt, detail)
        moved = certify(end, (), drift if end.by_number else ())
        if moved.issued:
            cursor = track.at_the_end(self._mapping.revision)
            if cursor is not None:
                self.ready[part.name] = cursor
        elif track.span.reach is not Reach.BACKFILL:
            self.doubt(Doubt.STAYS, "; ".join(moved.doubts))

    def doubt(self, doubt: Doubt, detail: str) -> None:
        """Tell what is wrong with a cursor, once a run for each reason."""
        if doubt not in self._doubted:
            self._doubted.add(doubt)
            told = CursorDoubted(self.part.name if self.part else "", doubt, detail)
            self.doubted.append(str(told))
            self._ports.observe(told)

    def fell_back(self) -> Cursor | None:
        """Return the cursor to be set at once since the part turned out to be out of order; None where it is not."""
        track = self.track
        if track is None or not track.is_disordered or Doubt.DISORDERED in self._doubted:
            return None
        self.doubt(Doubt.DISORDERED, "")
        return track.back(self._mapping.revision)

    def moves(self) -> Sequence[Cursor]:
        """Return the cursors that stand behind everything that was read so far, and forget that they are to be set.

        None passes a change whose answer was lost: it is planned anew when its record comes again.
        """
        on_the_way = self.track.on_the_way(self._mapping.revision) if self.track and not self._is_over else None
        found = [*self.ready.values(), *([on_the_way] if on_the_way is not None else [])]
        self.ready.clear()
        waiting = self.planner.rests.waiting
        return [one for one in found if one.part not in waiting]

    @property
    def reach(self) -> Reach | None:
        """How much of the source is read; None for a job that always reads everything."""
        if self.track is None:
            return None
        if self.track.span.reach is Reach.BACKFILL:
            return Reach.BACKFILL
        return Reach.WHOLE if self.is_whole else Reach.SINCE

    @property
    def shows_absence(self) -> bool:
        """Whether what did not come is gone: each part was read as a whole, or is as it was, and one was read."""
        return self.is_whole or (self.waits_for_the_end and len(self._alike) < self.together.done.number)

    @property
    def waits_for_the_end(self) -> bool:
        """Whether no cursor may be set on the way: with an ETag, nothing of its part comes that is still to delete."""
        return self._rules is not None and self._rules.type is CursorType.ETAG

    @property
    def since(self) -> Json:
        """Where the read began, for a source in one part; None for its beginning."""
        return self.track.span.start if self.track is not None and not self.track.span.part else None

    @property
    def holds_back(self) -> bool:
        """Whether something of this read was withheld that only the same read shows again."""
        counts = self.counts
        if self.waits_for_the_end:
            # Once the ETag is kept nothing comes until the list changes, so nothing may be left to do.
            return bool(counts.withheld or counts.pending or counts.any_rejected or counts.deletes_withheld)
        return bool(counts.withheld or counts.pending or (self.planner.tombstones and counts.deletes_withheld))

    def certificate(self, parts: End | None, broke: Sequence[str]) -> Certificate:
        """Return the certificate of the whole read; `parts` is how the list of parts ended, `broke` why it did not."""
        return self.together.certificate(parts, (*broke, *self._remarks.doubts))

    def prove(self, first: Certificate, *, check_stop: Callable[[], None]) -> Certificate:
        """Read again where one reading is no proof of what is gone; return the certificate after that."""
        if not self.shows_absence:
            return first  # nothing is concluded from what is absent
        for part in self._alike:
            keep(part, self._ports.links, self.seen)
        return prove(first, self._job, self._mapping, self._ports, self.seen, check_stop=check_stop)

    @property
    def is_inside(self) -> bool:
        """Whether it stands where the source cannot be gone on with."""
        return self.resume is None and not self._is_between

    def save(self) -> None:
        """Save a mark after the last page, where the source can go on from there. Nothing before it may be pending."""
        if self.is_inside:
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
            seen=self.seen.bits(self._ports.links.highest()),
            judged=self.seen.judged,
            part=self.part.name if self.part else "",
            done=self.together.done,
            progress=self.track.progress if self.track is not None and not self._is_between else None,
            is_whole=self.is_whole,
            tombstones=self.planner.tombstones,
        )
        self._ports.journal.mark(mark)
