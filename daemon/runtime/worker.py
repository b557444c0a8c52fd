"""One run of one job, from taking its lease to writing down how it ended.

The worker owns what must happen around the engine: lease and heartbeat, the run's row, threads to wait in, and the
closing of runs whose process died. Threads may share it; each run has a journal and pool of its own.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime

from daemon.clock import Clock
from daemon.errors import CrudsdError, LeaseLostError, StateError
from daemon.spec import Job, Spec, job_revision
from daemon.store.database import Database
from daemon.store.heartbeat import Heartbeat
from daemon.store.index import SqlTargetIndex
from daemon.store.journal import SqlJournal
from daemon.store.leases import Lease, Leases, job_lease
from daemon.store.links import SqlLinks
from daemon.store.run_row import RunRow, Trigger
from daemon.store.runs import RunStore
from daemon.sync import engine
from daemon.sync.certificate import Certificate
from daemon.sync.change import Change, Fate, Kind
from daemon.sync.events import Event, Observe, PhaseBegan
from daemon.sync.options import PLAIN, Asked, Options
from daemon.sync.outcome import Ending, Result
from daemon.sync.ports import Ports

from .both_sides import Endpoints
from .fenced import FencedTarget
from .pinning import Pinning, Pins
from .saved_plan import SavedPlan
from .stop_request import StopRequest

CUT_OFF = "its process ended before it was over; the next run finishes the work"


@dataclass(frozen=True, slots=True)
class Planned:
    """What a run would do now."""

    job: str
    result: Result
    changes: Iterable[Change]
    """In order: creates and updates as the source gave them, deletes last. Read from a temporary file as one walks."""
    tally: Mapping[tuple[Kind, Fate], int]
    unresolved: int
    """Changes of earlier runs whose outcome is not known."""
    held_run: str | None
    """The job's latest run, if it withheld just what this plan withholds."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of a journal, read anew each time they are walked."""

    journal: SqlJournal

    def __iter__(self) -> Iterator[Change]:
        return self.journal.changes()


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run did."""

    job: str
    run: str
    result: Result
    took_s: float
    resume_at: datetime | None = None
    """When the work of a run that is waiting goes on."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A run that this process carries out."""

    run: str
    lease: Lease
    stop_request: StopRequest


def _reason(error: Exception) -> str:
    """Say why a run broke. What a defect says of itself may hold a record, and is for the log alone."""
    if isinstance(error, CrudsdError):
        return str(error)
    return f"unexpected {type(error).__name__}; this is a defect of crudsd: the log has more"


@dataclass(frozen=True, slots=True)
class Worker:
    """Plans and runs jobs. Made by the composition root."""

    spec: Spec
    database: Database
    leases: Leases
    runs: RunStore
    endpoints: Callable[[Job, Callable[[], bool]], Endpoints]
    """Opens both sides of a job for one run, which says whether it was asked to stop: then its waits end."""
    clock: Clock
    stop: threading.Event
    """Set when the process is asked to end."""

    @contextmanager
    def plan(self, name: str, job: Job, *, observe: Observe, full: bool = False) -> Iterator[Planned]:
        """Compute what a run, or a `full` one, would do now. Only renewed tokens are written; gone after the block."""
        with Database.scratch() as scratch, self._pool(job) as pool:
            journal = SqlJournal(scratch, run="plan", job=name, lease=None, clock=self.clock, links_are_kept=False)
            endpoints = self.endpoints(job, self.stop.is_set)
            ports = self._ports(name, endpoints, journal, SqlTargetIndex(scratch, "plan"), pool, observe)
            options = Options(run="plan", writes=False, stopping=self.stop.is_set, now=self.clock(), full=full)
            result = engine.run(job, ports, options)
            yield Planned(
                name, result, Changes(journal), journal.tally(), self._unresolved(name), self._held_run(name, result)
            )

    def run(
        self,
        name: str,
        job: Job,
        *,
        observe: Observe,
        trigger: Trigger,
        run: str | None = None,
        asked: Asked = PLAIN,
        saved: SavedPlan | None = None,
        stop_request: StopRequest | None = None,
    ) -> Finished:
        """Do one run, or the queued one whose id is given; with `saved`, that plan and nothing else.

        `stop_request` may end this run alone, and so does the job's timeout. An approval that waits for the job pins
        the run, unless a saved plan does. Raises LockedError when another run of the job is under way, StateError when
        the state cannot be written.
        """
        began = time.monotonic()
        lease = self.leases.acquire(job_lease(name))
        try:
            resumes = self._close_cut_off(name, lease.before)
            if run is None:
                run = self.runs.begin(name, trigger=trigger, revision=job_revision(job), resumes=resumes)
            pins = Pins(self.database, self.runs, self.clock)
            pinning = pins.find(name, job, saved) if asked.backfill is None else None
            self.runs.start(run, lease, pinned_by=pinning.by if pinning else None)
            try:
                stopped = stop_request or StopRequest()
                with stopped.asked_after(job.timeout):
                    result = self._carry_out(name, job, Taken(run, lease, stopped), observe, asked, pinning)
            except LeaseLostError:
                raise
            except Exception as error:
                # Else the next run says of this one that its process died, and nobody is told that the job fails.
                with suppress(StateError):
                    self.end(run, Ending.FAILED, _reason(error))
                raise
        finally:
            self.leases.release(lease)
        row = self.runs.get(run)
        return Finished(name, run, result, time.monotonic() - began, row.resume_at if row is not None else None)

    def end(self, run: str, ending: Ending, reason: str, *, at: datetime | None = None) -> None:
        """Close a run that did not come to its own end, with the counts it had committed; `at`: it ended then."""
        row = self.runs.get(run)
        if row is not None:
            self.runs.finish(run, Result(ending, row.counts, Certificate(end=None), (), reason), at=at)

    def cut_off(self) -> tuple[RunRow, ...]:
        """Close every run whose process died, or which nobody began, and return them. For the start of a service."""
        rows = (*self.runs.interrupted(self.leases), *self.runs.queued())
        for row in rows:
            self.end(row.id, Ending.INTERRUPTED, CUT_OFF, at=self.leases.held_until(job_lease(row.job)))
        return rows

    def _close_cut_off(self, name: str, ended_at: datetime | None) -> str | None:
        """Close this job's runs whose process died (we hold the lease now) and return the last one's id.

        One that no schedule asked for is queued and begun under the lease, so it is as dead while it is queued.
        """
        last = None
        for row in self.runs.queued():
            if row.job == name and row.fire_time is None:
                self.end(row.id, Ending.INTERRUPTED, CUT_OFF)
                last = row.resumes
        for row in self.runs.interrupted(self.leases):
            if row.job == name:
                self.end(row.id, Ending.INTERRUPTED, CUT_OFF, at=ended_at)
                last = row.id
        return last

    def _unresolved(self, name: str) -> int:
        journal = SqlJournal(self.database, run="plan", job=name, lease=None, clock=self.clock)
        return len(journal.unresolved())

    def _held_run(self, name: str, result: Result) -> str | None:
        latest = self.runs.latest_settled(name) if result.withheld else None
        return latest.id if latest is not None and latest.digests == result.withheld else None

    def _carry_out(
        self,
        name: str,
        job: Job,
        taken: Taken,
        observe: Observe,
        asked: Asked,
        pinning: Pinning | None,
    ) -> Result:
        lost, run, lease = threading.Event(), taken.run, taken.lease
        journal = SqlJournal(self.database, run=run, job=name, lease=lease, clock=self.clock)
        options = Options(
            run=run,
            writes=True,
            window=self._window(job),
            allowance=asked.allowance,
            pin=pinning.pin if pinning else None,
            now=self.clock(),
            # What is pinned was found by reading everything, and is found by that again.
            full=asked.full or (pinning is not None and pinning.is_whole),
            backfill=asked.backfill,
            stopping=lambda: self.stop.is_set() or lost.is_set() or taken.stop_request.is_asked,
        )
        with (
            Heartbeat(self.leases, lease, lost=lost),
            self._pool(job) as pool,
            Database.scratch() as scratch,
        ):
            index = SqlTargetIndex(scratch, run)
            endpoints = self.endpoints(job, options.stopping)
            ports = self._ports(name, endpoints, journal, index, pool, self._noting_phases(run, observe))
            fenced = FencedTarget(ports.target, self.leases, lease, self.clock)
            result = engine.run(job, replace(ports, target=fenced), options)
        if result.ending is Ending.INTERRUPTED and taken.stop_request.is_asked:
            result = replace(result, error=f"{taken.stop_request.reason}; the next run finishes the work")
        if not result.counts.balanced:
            reason = f"the counts do not balance: {result.counts}; this is a fault of crudsd, please report it"
            result = replace(result, ending=Ending.FAILED, error=reason)
        spends = pinning.by if pinning and pinning.is_approval and result.pin_is_spent else None
        if not self.runs.finish(run, result, spends=spends, keep_rejects=job.rejects.keep):
            raise LeaseLostError(f"run {run} was closed while it was under way: another process took over")
        return result

    def _ports(
        self,
        name: str,
        endpoints: Endpoints,
        journal: SqlJournal,
        index: SqlTargetIndex,
        pool: ThreadPoolExecutor,
        observe: Observe,
    ) -> Ports:
        return Ports(
            source=endpoints.source,
            target=endpoints.target,
            links=SqlLinks(self.database, name, clock=self.clock),
            journal=journal,
            index=index,
            pool=pool,
            observe=observe,
            prepare=endpoints.prepare,
            parts=endpoints.parts,
            ahead=endpoints.ahead,
        )

    def _noting_phases(self, run: str, observe: Observe) -> Observe:
        def note(event: Event) -> None:
            if isinstance(event, PhaseBegan):
                self.runs.phase(run, event.phase)
            observe(event)

        return note

    def _pool(self, job: Job) -> ThreadPoolExecutor:
        reads = self.spec.connections[job.source.connection].quota.concurrency if job.for_each is not None else 0
        return ThreadPoolExecutor(self._window(job) + reads, thread_name_prefix="write")

    def _window(self, job: Job) -> int:
        return self.spec.connections[job.target.connection].quota.concurrency
