"""One run, in the order of its phases: resolve, list, read (a slice at a time: plan, guard, apply, mark), delete.

`plan` and `run` are the same walk; a plan stops before apply. The engine decides and calls ports; it owns no clock,
socket, file or thread.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from daemon.errors import EndpointError, StoppedError, UnavailableError
from daemon.spec import Job, Limit, Mode, changed_blocks, has_moved

from .certificate import Certificate
from .change import Change, Kind
from .counts import Counts
from .cursor import Reach
from .events import FieldContested, PhaseBegan, Pinned, both
from .finder import Finder
from .gone import Forgetting, gone, plan_deletes
from .guards import Facts, withheld_kinds
from .judgement import Judgement
from .mapping import JobMapping
from .options import Options
from .outcome import Ending, Phase, Result, Verdict, ending_of
from .permits import Permits
from .ports import Ports
from .reading import Reading
from .recovery import recover
from .reject_limit import RejectLimit
from .relink import Relinker
from .remarks import Remarks
from .retry import Rests
from .rounds import Rounds
from .spans import Spans
from .walk import Walk

WRITES = (Kind.CREATE, Kind.UPDATE)


def run(job: Job, ports: Ports, options: Options) -> Result:
    """Bring the target in step with the source as far as the job's mode and guards allow.

    Remote failures end the run with a Result that says so; StateError and LeaseLostError are raised, since nothing
    more may be done then. May be repeated at any time: a second run with nothing new writes nothing.
    """
    return _Run(job, ports, options).result()


class _Run:
    """The state of one run on one thread."""

    def __init__(self, job: Job, ports: Ports, options: Options) -> None:
        self._job = job
        self._options = options
        self._mapping = JobMapping(job)
        self._permits = Permits.of(job, self._mapping.set_once, ports.links)
        self._limit = RejectLimit(job.rejects.limit, Rests(ports.links, self._mapping.revision), ports.target)
        self._ports = ports = replace(ports, observe=both(self._limit.note, ports.observe))
        self._judgement = Judgement(job, ports, options.allowance, options.pin)
        self._walk: Walk | None = None
        """The read; None before it began."""
        self._settled = 0
        """The seq of the last change that was settled."""
        self._remarks = Remarks(self._mapping)

    def result(self) -> Result:
        error: EndpointError | None = None
        ending: Ending | None = None
        try:
            self._go()
        except EndpointError as caught:
            error, ending = caught, ending_of(caught)
        counts = self._walk.counts if self._walk is not None else Counts()
        certificate = self._walk.certificate if self._walk is not None else Certificate(end=None)
        reading = self._walk.reading if self._walk is not None else None
        for contested in self._remarks.contests.fields:
            self._ports.observe(FieldContested(contested))
        return Result(
            ending=ending or self._ending(counts),
            counts=counts,
            certificate=certificate,
            verdicts=self._judgement.verdicts,
            error=str(error) if error else "",
            contests=self._remarks.contests.fields,
            key_changes=self._remarks.key_changes.found,
            wait_s=error.retry_after_s if isinstance(error, UnavailableError) else None,
            withheld=self._judgement.withheld,
            selection=self._mapping.selection if error is None and _is_accepted(reading, certificate) else None,
            reach=reading.reach if reading is not None else None,
            since=reading.since if reading is not None else None,
            doubted=tuple(reading.doubted) if reading is not None else (),
            pin_is_spent=self._options.pin is not None and (error is None or self._judgement.is_void),
        )

    def _go(self) -> None:
        ports = self._ports
        ports.prepare(self._options.writes)
        if self._options.pin is not None:
            ports.observe(Pinned(self._options.pin.name))
        unresolved = ports.journal.unresolved() if self._options.writes else ()
        if not self._judgement.may_begin(unresolved):
            return
        mark = ports.journal.last_mark(self._mapping.revision) if self._options.marks else None
        behind = ports.journal.behind_mark([change.key for change in unresolved]) if mark else ()
        if behind and self._job.source.incremental is not None:
            mark = None  # what is planned anew has to be met, and no later read would show it
        spans = Spans(self._job, ports.links, self._options, revision=self._mapping.revision, mark=mark)
        mark = spans.mark
        moved = has_moved(ports.links.last_selection(), self._mapping.selection)
        if (spans.is_reconcile or moved) and ports.target.can_list:
            self._job = self._job.model_copy(update={"compare": "target"})
        walk = self._walk = self._prepared(unresolved, spans)
        self._finish(walk, walk.read(mark, behind if mark else ()))

    def _prepared(self, unresolved: Sequence[Change], spans: Spans) -> Walk:
        """Learn what the target holds, clear up what earlier runs left open, and return the walk that comes after."""
        ports, mark = self._ports, spans.mark
        finder = Finder(self._job, ports, young=self._permits.young, check_stop=self._check_stop)
        finder.list_at_start(unresolved, as_before=mark is not None and mark.listed)
        rests = self._limit.rests
        rests.blocked = recover(unresolved, ports, index=finder.index, permits=self._permits, rests=rests)
        self._rounds = Rounds(
            ports,
            Relinker(self._permits, ports, finder),
            window=self._options.window,
            permits=self._permits,
            settle=self._limit.settle,
            stopping=lambda: self._options.stopping() or self._limit.passed,
        )
        begin = partial(
            Reading,
            self._job,
            self._mapping,
            ports,
            finder=finder,
            rests=rests,
            remarks=self._remarks,
            spans=spans,
        )
        return Walk(
            begin,
            ports,
            self._options,
            limit=self._job.for_each.limit if self._job.for_each is not None else Limit(count=0),
            settle=partial(self._settle_slice, over=False),
            may_mark=lambda: not self._judgement.tripped,
            check_stop=self._check_stop,
        )

    def _finish(self, walk: Walk, reading: Reading) -> None:
        """Settle what is left of the read, and delete; then set the cursors behind it."""
        by_absence = self._job.mode is Mode.MIRROR and reading.shows_absence
        deletes = by_absence and walk.certificate.issued
        whole = self._options.pin is not None
        if deletes and whole:
            self._plan_deletes(reading)
        if self._options.writes and whole:
            self._ports.journal.unmark()  # what is applied from here on is not what a mark stands behind
        self._settle_slice(reading, over=whole or not deletes, last=True)
        if self._options.marks:
            self._ports.journal.unmark()
        if deletes:
            self._delete(reading, judged=whole)
        elif by_absence:
            self._withhold_for_certificate(reading, walk.certificate)
        if not deletes and reading.planner.tombstones:
            self._apply(reading, [Kind.DELETE], Phase.DELETE, again=list(Kind), after=0)
        walk.move(reading, is_over=True)

    def _settle_slice(self, reading: Reading, *, over: bool, last: bool = False) -> None:
        """Guard what is planned so far and apply what may pass; with the last slice, try all that was refused again."""
        self._judge(reading, over=over)
        self._apply(reading, WRITES, Phase.APPLY, again=WRITES, after=0 if last else self._settled)
        self._settled = reading.planner.seq
        reading.planner.pending = reading.pages = 0

    def _delete(self, reading: Reading, *, judged: bool) -> None:
        """Plan and guard the deletes, unless that is done, and apply them: last, once, only after a proven read.

        A new record may have waited for the value of one that is deleted, so what was refused is tried again.
        """
        if not judged:
            self._plan_deletes(reading)
            self._judge(reading, over=True)
        self._apply(reading, [Kind.DELETE], Phase.DELETE, again=list(Kind), after=0)

    def _plan_deletes(self, reading: Reading) -> None:
        forgets = self._options.writes and self._job.source.incremental is not None
        forget = Forgetting(self._ports, reading.together.ended) if forgets else None
        reading.counts = plan_deletes(
            self._job,
            self._ports,
            reading.planner,
            reading.seen,
            reading.counts,
            remarks=self._remarks,
            forget=forget,
            check_stop=self._check_stop,
        )

    def _withhold_for_certificate(self, reading: Reading, certificate: Certificate) -> None:
        """Say how many records are not in the source but may not be deleted, since that is not proven."""
        number = sum(len(links) for links in gone(self._ports, reading.seen, check_stop=self._check_stop))
        if number:
            reading.counts = reading.counts.plus(deletes_withheld=number)
            message = f"{number} records did not appear in the source, but the read is {certificate}"
            self._judgement.note(Verdict("certificate", tripped=True, message=message))

    def _judge(self, reading: Reading, *, over: bool) -> None:
        facts = Facts(
            creates=reading.planner.creates,
            updates=reading.planner.updates,
            deletes=reading.counts.deletes_pending,
            known=reading.known,
            seen=reading.counts.seen,
            seen_before=self._ports.links.last_seen(),
            changed=changed_blocks(self._ports.links.last_selection(), self._mapping.selection),
            read_is_over=over,
            is_whole=reading.is_whole,
        )
        reading.counts = self._judgement.judge(facts, reading.counts)

    def _apply(
        self, reading: Reading, kinds: Sequence[Kind], phase: Phase, *, again: Sequence[Kind], after: int
    ) -> None:
        if not self._options.writes:
            return
        self._ports.observe(PhaseBegan(phase))
        withheld = withheld_kinds(self._judgement.verdicts)
        again = [kind for kind in again if kind not in withheld]
        applied = self._rounds.carry_out(kinds, reading.counts, again=again, after=after)
        reading.counts = applied.counts
        if applied.stopped_by is not None:
            raise applied.stopped_by
        self._limit.check(over=True)
        if not applied.finished:
            raise StoppedError("the run was asked to stop")

    def _check_stop(self) -> None:
        self._limit.check()
        if self._options.stopping():
            raise StoppedError("the run was asked to stop")

    def _ending(self, counts: Counts) -> Ending:
        if self._judgement.tripped:
            return Ending.HELD
        walk = self._walk
        if walk is not None and walk.reading is not None and (walk.reading.together.done.failed or walk.misses_parts):
            return Ending.REJECTED
        return Ending.REJECTED if counts.any_rejected else Ending.DONE


def _is_accepted(reading: Reading | None, certificate: Certificate) -> bool:
    """Say whether later runs may be measured by what this one read.

    It was the whole, it was proven, and no delete of it withheld. Else a source that shrank, or a filter that was
    narrowed, would be news to the guards only once.
    """
    if reading is None or not reading.is_whole or reading.reach is Reach.BACKFILL:
        return False
    return certificate.is_of_all and not reading.counts.deletes_withheld
