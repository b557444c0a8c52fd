"""One run, in the order of its phases: resolve, list, read (a slice at a time: plan, guard, apply), delete.

`plan` and `run` are the same walk; a plan stops before apply. The engine decides and calls ports; it owns no clock,
socket, file or thread.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from daemon.errors import EndpointError, StoppedError, UnavailableError
from daemon.spec import Job, Mode

from .apply import apply
from .certificate import Certificate, End, certify
from .change import Kind
from .counts import Counts
from .events import FieldContested, PageDone, PhaseBegan, ReadEnded
from .finder import Finder
from .gone import gone, plan_deletes
from .guards import Allowance, Facts
from .intake import Intake
from .judgement import Judgement
from .mapping import JobMapping
from .outcome import Ending, Phase, Result, Verdict
from .permits import Permits
from .planner import Planner
from .ports import Page, Ports
from .recovery import recover
from .remarks import Remarks
from .seen import Seen

SLICE_CHANGES = 50_000
"""Changes that are journalled before they are guarded and applied: bounds journal and memory of a long first load."""


@dataclass(frozen=True, slots=True)
class Options:
    """What one run is asked to do."""

    run: str
    """The run's id; with a change's seq it makes the idempotency key."""
    writes: bool
    """False for a plan: stop before apply, and touch nothing."""
    window: int = 4
    """Changes under way at once."""
    slice_changes: int = SLICE_CHANGES
    allowance: Allowance = field(default_factory=Allowance)
    stopping: Callable[[], bool] = lambda: False
    """Turns true when the run should start nothing new and come to an end."""


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
        self._ports = ports
        self._options = options
        self._mapping = JobMapping(job)
        self._permits = Permits.of(job.mode, self._mapping.set_once)
        self._seen = Seen(0)
        self._known = 0
        self._certificate = Certificate(end=None)
        self._judgement = Judgement(job, ports, options.allowance)
        self._counts = Counts()
        self._remarks = Remarks(self._mapping)

    def result(self) -> Result:
        error: EndpointError | None = None
        ending: Ending | None = None
        try:
            self._walk()
        except EndpointError as caught:
            error, ending = caught, _ending_of(caught)
        for contested in self._remarks.contests.fields:
            self._ports.observe(FieldContested(contested))
        return Result(
            ending=ending or self._ending(),
            counts=self._counts,
            certificate=self._certificate,
            verdicts=self._judgement.verdicts,
            error=str(error) if error else "",
            contests=self._remarks.contests.fields,
            key_changes=self._remarks.key_changes.found,
        )

    def _walk(self) -> None:
        ports = self._ports
        unresolved = ports.journal.unresolved() if self._options.writes else ()
        finder = Finder(self._job, ports, check_stop=self._check_stop)
        finder.list_at_start(unresolved)
        blocked = recover(unresolved, ports, index=finder.index, permits=self._permits)
        remembered = ports.links.count()
        self._seen = Seen(remembered.highest)
        if self._job.mode is Mode.MIRROR and remembered.links:
            self._remarks.expect_deletes()
        self._known = max(remembered.links, finder.index.count() if finder.index is not None else 0)
        intake = Intake(self._mapping, ports, seen=self._seen, blocked=blocked)
        planner = Planner(
            self._job,
            self._mapping,
            ports,
            run=self._options.run,
            finder=finder,
            intake=intake,
            blocked=blocked,
            remarks=self._remarks,
        )
        self._read(planner, intake)
        deletes = self._job.mode is Mode.MIRROR and self._certificate.issued
        self._settle_slice(planner, over=not deletes)
        if deletes:
            self._delete(planner)
        elif self._job.mode is Mode.MIRROR:
            self._withhold_for_certificate()

    def _read(self, planner: Planner, intake: Intake) -> None:
        """Walk the source's pages, a slice at a time, and certify the read.

        A read that breaks off ends the run: slices that were applied stay applied, the rest is planned anew next time.
        """
        self._ports.observe(PhaseBegan(Phase.READ))
        end: End | None = None
        broke = ["the read was interrupted"]
        try:
            for step in self._ports.source.read():
                if isinstance(step, End):
                    end, broke = step, []
                else:
                    self._page(planner, step)
                    self._check_stop()
        except EndpointError as error:
            broke = [f"the read broke off: {error}"]
            raise
        finally:
            self._certificate = certify(end, (*broke, *intake.doubts, *self._remarks.doubts))
            self._ports.observe(ReadEnded(self._certificate))

    def _page(self, planner: Planner, page: Page) -> None:
        self._counts = planner.page(page, self._counts)
        self._ports.observe(PageDone(page.number, self._counts))
        if self._options.writes and planner.pending >= self._options.slice_changes:
            self._settle_slice(planner, over=False)

    def _settle_slice(self, planner: Planner, *, over: bool) -> None:
        """Guard what is planned so far and apply what may pass."""
        self._judge(planner, deletes=0, over=over)
        self._apply([Kind.CREATE, Kind.UPDATE], Phase.APPLY)
        planner.pending = 0

    def _delete(self, planner: Planner) -> None:
        """Plan, guard and apply the deletes: last, once, and only after a read that is proven complete."""
        self._counts = plan_deletes(
            self._job,
            self._ports,
            planner,
            self._seen,
            self._counts,
            remarks=self._remarks,
            check_stop=self._check_stop,
        )
        self._judge(planner, deletes=self._counts.deletes_pending, over=True)
        self._apply([Kind.DELETE], Phase.DELETE)

    def _withhold_for_certificate(self) -> None:
        """Say how many records are not in the source but may not be deleted, since that is not proven."""
        number = sum(len(links) for links in gone(self._ports, self._seen, check_stop=self._check_stop))
        if number:
            self._counts = self._counts.plus(deletes_withheld=number)
            message = f"{number} records did not appear in the source, but the read is {self._certificate}"
            self._judgement.note(Verdict("certificate", tripped=True, message=message))

    def _judge(self, planner: Planner, *, deletes: int, over: bool) -> None:
        facts = Facts(
            creates=planner.creates,
            updates=planner.updates,
            deletes=deletes,
            known=self._known,
            seen=self._counts.seen,
            seen_before=self._ports.links.last_seen(),
            selection_changed=self._ports.links.last_selection() not in {None, self._mapping.selection},
            read_is_over=over,
        )
        self._counts = self._judgement.judge(facts, self._counts)

    def _apply(self, kinds: list[Kind], phase: Phase) -> None:
        options, ports = self._options, self._ports
        if not options.writes:
            return
        ports.observe(PhaseBegan(phase))
        applied = apply(
            kinds,
            ports,
            self._counts,
            window=options.window,
            permits=self._permits,
            stopping=options.stopping,
        )
        self._counts = applied.counts
        if applied.stopped_by is not None:
            raise applied.stopped_by
        if not applied.finished:
            raise StoppedError("the run was asked to stop")

    def _check_stop(self) -> None:
        if self._options.stopping():
            raise StoppedError("the run was asked to stop")

    def _ending(self) -> Ending:
        if self._judgement.tripped:
            return Ending.HELD
        return Ending.REJECTED if self._counts.any_rejected else Ending.DONE


def _ending_of(error: EndpointError) -> Ending:
    if isinstance(error, StoppedError):
        return Ending.INTERRUPTED
    return Ending.UNAVAILABLE if isinstance(error, UnavailableError) else Ending.FAILED
