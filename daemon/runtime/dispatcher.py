"""Decides of each fire whether it starts, waits, or is recorded as skipped; and has the runs done by threads.

One run of a job at a time. What a fire does that meets one is the job's `overlap`. Runs that a person triggered wait
for their turn, whatever the overlap. A run is a row before it is a thread, so that none is lost with the process; it
becomes one when the line (`line.py`) has a worker and slots for it.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from daemon.clock import Clock
from daemon.errors import CrudsdError, LockedError, StateError
from daemon.logs import Logger
from daemon.spec import Overlap
from daemon.sync.outcome import Ending

from .line import Line
from .stop_request import StopRequest
from .work import Fire, Program, Work

RUNS_BEFORE = "the run before it is not over"
WAITS_BEFORE = "the run before it is not over, and another one waits for that already"
MAKES_WAY = "the next run of the job is due (overlap: cancel)"
GONE = "the job is not in the files any more"
FAILURES = frozenset({Ending.FAILED, Ending.UNAVAILABLE})
GOOD_ENDINGS = frozenset({Ending.DONE, Ending.REJECTED})
"""After these a job that waits for this one is started."""
_MOST_THREADS = 10_000
"""More than there can be workers: how many run at once is the line's to say, and may change while they do."""


@dataclass(slots=True)
class _Turns:
    """The runs of one job that this process has: the one under way or in line, and those that come after it."""

    run: str
    stop_request: StopRequest
    waiting: deque[str] = field(default_factory=deque)


class Dispatcher:
    """Takes fires and has them carried out. Threads may share it."""

    def __init__(
        self,
        program: Program,
        *,
        clock: Clock,
        log: Logger,
        stop: threading.Event,
        start: Callable[[Fire], None],
    ) -> None:
        """`start` is told of each job that is due because another one has ended well."""
        self._schedules, self._work = program.schedules, program.work
        self._clock, self._log, self._stop, self._start = clock, log, stop, start
        self._turns: dict[str, _Turns] = {}
        self._futures: dict[str, Future[None]] = {}
        self._told: dict[str, str] = {}
        """The obstacle of each job that was told: once, not again with each fire."""
        self._failed: dict[str, Ending] = {}
        self._lock = threading.Lock()
        self._line = Line(program.capacity)
        self._pool = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="run")

    def replace(self, program: Program) -> None:
        """Take fires by another program from now on; runs under way end as they began."""
        with self._lock:
            self._schedules, self._work = program.schedules, program.work
            self._line.replace(program.capacity)
            for job, turns in [*self._turns.items()]:
                if job not in program.schedules:
                    self._forget(job, turns)
            self._start_next()
            for job in {*self._told, *self._failed} - program.schedules.keys():
                self._told.pop(job, None)
                self._failed.pop(job, None)

    @property
    def running(self) -> Mapping[str, str]:
        """The runs under way by their jobs."""
        with self._lock:
            return {job: self._turns[job].run for job in self._line.under_way}

    @property
    def in_line(self) -> tuple[str, ...]:
        """The jobs with a run that waits for a worker, or for a slot of a connection; who came first stands first."""
        with self._lock:
            return self._line.waiting

    @property
    def failed(self) -> tuple[str, ...]:
        """The jobs whose last run here failed."""
        with self._lock:
            return tuple(self._failed)

    @property
    def held_back(self) -> tuple[str, ...]:
        """The jobs whose last fire was skipped because a person has to do something first."""
        with self._lock:
            return tuple(self._told)

    def is_busy(self, job: str) -> bool:
        """Whether a run of the job is under way, or in line."""
        with self._lock:
            return job in self._turns

    def fire(self, fire: Fire, *, waits: bool = False) -> None:
        """Start a run, or line it up, or record why not. `waits`: behind a run under way, whatever the overlap.

        Raises StateError when the row could not be written.
        """
        with self._lock:
            if self._stop.is_set():
                return
            reason = self._obstacle(fire.job) or ("" if waits else self._overlap(fire))
            if reason:
                self._skip(fire, reason)
                return
            run = self._work.fire(fire)
            if run is None:
                return  # had before, such as after the clock was set back
            if not waits:
                self._make_way(fire.job)
            self._take(fire.job, run)

    def look(self) -> None:
        """Take up what other processes asked for: runs that were triggered, and runs that are to stop."""
        queued, asked = self._work.queued(), self._work.asked_to_stop()
        with self._lock:
            if self._stop.is_set():
                return
            known = {run for turns in self._turns.values() for run in (turns.run, *turns.waiting)}
            if not queued.keys() <= known:
                queued = self._work.queued()  # anew: one of ours may have begun and ended since
            for run, job in queued.items():
                if run not in known and job in self._schedules:
                    self._log.info("run.triggered", job=job, run=run)
                    self._take(job, run)
            for job, turns in [*self._turns.items()] if asked else ():
                self._heed(job, turns, asked)

    def drain(self, within_s: float) -> int:
        """Start nothing more, wait for the runs under way, and return how many are not over then."""
        with self._lock:
            running = tuple(self._futures.values())
        late = wait(running, timeout=within_s).not_done
        self._pool.shutdown(wait=not late, cancel_futures=True)
        return len(late)

    # ---- under the lock ----

    def _obstacle(self, job: str) -> str:
        """Return why a job may not start now, and remember that it was told; empty when it may."""
        obstacle = self._work.obstacle(job)
        if obstacle:
            return obstacle
        self._told.pop(job, None)
        until = self._work.waits_until(job)
        if until is not None and until > self._clock():
            return f"the system asked to be left alone until {until:%Y-%m-%d %H:%M:%S} UTC"
        return ""

    def _overlap(self, fire: Fire) -> str:
        """Return why a fire may not even wait, empty when it may."""
        turns, schedule = self._turns.get(fire.job), self._schedules.get(fire.job)
        if turns is None:
            return ""
        overlap = schedule.overlap if schedule is not None else Overlap.SKIP
        if overlap is Overlap.SKIP:
            return RUNS_BEFORE
        if turns.waiting:
            return WAITS_BEFORE
        return ""

    def _make_way(self, job: str) -> None:
        """Ask the run under way to stop, if the one whose row is written now wants its place."""
        turns, schedule = self._turns.get(job), self._schedules.get(job)
        if turns is not None and schedule is not None and schedule.overlap is Overlap.CANCEL:
            turns.stop_request.ask(MAKES_WAY)

    def _skip(self, fire: Fire, reason: str) -> None:
        self._work.skip(fire, reason=reason)
        is_news = self._told.get(fire.job) != reason
        if self._work.obstacle(fire.job):
            self._told[fire.job] = reason
        tell = self._log.warning if is_news else self._log.debug
        tell("run.skipped", job=fire.job, reason=reason)

    def _take(self, job: str, run: str) -> None:
        """Put a run whose row is written in line, or behind the job's own run before it."""
        if job in self._turns:
            self._turns[job].waiting.append(run)
            return
        self._turns[job] = _Turns(run, StopRequest())
        self._line.join(job)
        self._start_next()

    def _heed(self, job: str, turns: _Turns, asked: Mapping[str, str]) -> None:
        """Ask the run under way to stop, and take out of the line what is to stop before it started."""
        for run in [run for run in turns.waiting if run in asked]:
            self._work.drop(run, asked[run])
            turns.waiting.remove(run)
        if turns.run not in asked or turns.stop_request.is_asked:
            return
        reason = asked[turns.run]
        self._log.info("run.asked_to_stop", run=turns.run, reason=reason)
        if job in self._line.waiting:
            self._work.drop(turns.run, reason)
            self._line.leave(job)
            self._follow(job, turns)
        else:
            turns.stop_request.ask(reason)

    def _forget(self, job: str, turns: _Turns) -> None:
        """Start no run any more of a job that is gone; the one under way ends as it began."""
        is_in_line = job in self._line.waiting
        for run in (turns.run, *turns.waiting) if is_in_line else tuple(turns.waiting):
            try:
                self._work.drop(run, GONE)
            except StateError as error:  # the next start of the service closes it
                self._log.error("drop.failed", job=job, run=run, error=str(error))
        turns.waiting.clear()
        if is_in_line:
            self._line.leave(job)
            del self._turns[job]

    def _start_next(self) -> None:
        """Start every run whose turn it is."""
        while not self._stop.is_set() and (job := self._line.next()) is not None:
            self._futures[job] = self._pool.submit(self._carry_out, job, self._work)

    def _end_turn(self, job: str) -> None:
        """Give back what a run had taken. The job's next one goes to the end of the line."""
        self._line.over(job)
        del self._futures[job]
        self._follow(job, self._turns[job])

    def _follow(self, job: str, turns: _Turns) -> None:
        """Put the job's next run in line, if it has one, and start whose turn it is."""
        if turns.waiting:
            turns.run, turns.stop_request = turns.waiting.popleft(), StopRequest()
            self._line.join(job)
        else:
            del self._turns[job]
        self._start_next()

    # ---- on a thread of the pool ----

    def _carry_out(self, job: str, work: Work) -> None:
        """Do one run of a job, by the program that took it: another one may not have the job any more."""
        ending = Ending.SKIPPED if self._stop.is_set() else self._do(job, self._turns[job], work)
        with self._lock:
            self._note(job, ending)
            self._end_turn(job)
        if ending in GOOD_ENDINGS:
            self._start_dependants(job)

    def _note(self, job: str, ending: Ending) -> None:
        if ending in FAILURES:
            self._failed[job] = ending
        elif ending is not Ending.SKIPPED:
            self._failed.pop(job, None)

    def _do(self, job: str, turns: _Turns, work: Work) -> Ending:
        run = turns.run
        try:
            ending = work.carry_out(job, run, turns.stop_request)
        except CrudsdError as error:
            self._log.error("run.failed", job=job, run=run, error=str(error))
            if isinstance(error, StateError | LockedError):
                return Ending.FAILED  # no fault of the job's
            ending = Ending.FAILED
        except Exception as error:  # noqa: BLE001 - the last handler of a worker: one run must not end the service
            self._log.error("run.crashed", job=job, run=run, error=repr(error), exc_info=True)
            ending = Ending.FAILED
        try:
            self._count(job, ending, turns.stop_request)
        except StateError as error:
            self._log.error("count.failed", job=job, run=run, error=str(error))
        return ending

    def _count(self, job: str, ending: Ending, stop_request: StopRequest) -> None:
        """Pause a job that failed so often in a row as its schedule allows."""
        if ending is Ending.SKIPPED or (ending is Ending.INTERRUPTED and not stop_request.is_timeout):
            return
        failures = self._work.failed(job, failed=ending in FAILURES or ending is Ending.INTERRUPTED)
        most = schedule.pause_after if (schedule := self._schedules.get(job)) is not None else None
        if most is not None and failures >= most:
            count = "1 run failed" if failures == 1 else f"{failures} runs failed, one after the other"
            reason = f"{count} (pause_after: {most})"
            self._work.pause(job, reason)
            self._log.error("job.paused", job=job, reason=reason, cure=f"crudsd resume {job}")

    def _start_dependants(self, job: str) -> None:
        for name, schedule in self._schedules.items():
            if schedule is not None and schedule.after == job:
                self._start(Fire(name, self._clock(), "after"))
