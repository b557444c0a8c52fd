"""`crudsd serve`: runs the jobs on their schedules until it is asked to stop.

APScheduler computes when and wakes us up; the state database decides whether: a fire is one row, unique by job and
fire time, and whoever writes it runs it. One run per job at a time; a fire that meets a running job, or one whose
system asked to be left alone or needs a login, is recorded as skipped, with its reason. When that is over, the work
goes on.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from apscheduler.executors.base import BaseExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from daemon.clock import Clock
from daemon.errors import CrudsdError, Exit, StateError
from daemon.logs import Logger
from daemon.spec import Schedule
from daemon.sync.outcome import Ending

from .notify import Notifier
from .triggers import jitter_of, trigger_of

GOOD_ENDINGS = frozenset({Ending.DONE, Ending.REJECTED})
"""After these a job that waits for this one is started."""


class Work(Protocol):
    """What the service has done, and by whom. Safe to share between threads."""

    def fire(self, job: str, *, fire_time: datetime, trigger: str) -> str | None:
        """Write the run that is due and return its id; None when somebody else has written it."""

    def skip(self, job: str, *, fire_time: datetime, trigger: str, reason: str) -> None:
        """Record a fire that does not run."""

    def carry_out(self, job: str, run: str) -> Ending:
        """Do the run and return how it ended. Raises CrudsdError when it could not even begin."""

    def waits_until(self, job: str) -> datetime | None:
        """Return when the work of a job goes on whose last run is waiting; None where it is not."""

    def login_needed(self, job: str) -> str:
        """Return what a person has to do before this job can run, empty when nothing. Cheap; asks no system."""

    def interrupted(self) -> tuple[str, ...]:
        """Close the runs whose process died, and return their jobs, whose work is to be taken up now."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much at once, and how long to the end."""

    workers: int = 8
    """Runs under way at once."""
    drain_s: float = 60.0
    """Seconds that runs get to finish what is in hand when the service is asked to stop. The unit's
    TimeoutStopSec is longer."""
    look_s: float = 10.0
    """Seconds between two looks for runs whose wait is over. No timers: clocks jump, and machines sleep."""
    again_s: float = 30.0
    """Seconds until a fire is tried again that the state database could not take: longer than it waits for a lock."""


def _nothing_to_do() -> None:
    """Keep no house."""


class Service:
    """The scheduler, the workers and what they need to know of each other. Made and run by one thread."""

    def __init__(
        self,
        schedules: Mapping[str, Schedule | None],
        work: Work,
        *,
        clock: Clock,
        log: Logger,
        notifier: Notifier,
        stop: threading.Event,
        limits: Limits = Limits(),
        housekeeping: Callable[[], None] = _nothing_to_do,
    ) -> None:
        self._schedules = schedules
        self._work = work
        self._clock = clock
        self._log = log
        self._notifier = notifier
        self._stop = stop
        self._limits = limits
        self._housekeeping = housekeeping
        self._busy: dict[str, Future[None]] = {}
        self._again: dict[str, threading.Timer] = {}
        """Fires that the database could not take, by job."""
        self._paused: dict[str, str] = {}
        """Why a job is paused until somebody logs in, as it was told: not again with each fire."""
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(limits.workers, thread_name_prefix="run")
        # The scheduler itself runs in UTC: a clock change then never lengthens its sleep.
        self._scheduler = BackgroundScheduler(
            timezone=UTC, executors={"default": _Fires(self._fired)}, job_defaults={"misfire_grace_time": None}
        )

    def run(self) -> Exit:
        """Serve until `stop` is set, then drain. Returns DONE; raises what makes it impossible to begin."""
        for job in self._work.interrupted():
            self._log.info("run.resumed", job=job)
            self._start(job, fire_time=self._clock(), trigger="resume")
        for job, schedule in self._schedules.items():
            self._schedule(job, schedule)
        self._scheduler.start()
        scheduled = len(self._scheduler.get_jobs())
        self._notifier.send("READY=1", f"STATUS={scheduled} jobs scheduled")
        self._log.info("service.ready", jobs=len(self._schedules), scheduled=scheduled)
        self._look()
        while not self._stop.wait(self._limits.look_s):
            self._look()
            self._housekeeping()
        self._drain()
        return Exit.DONE

    def _schedule(self, job: str, schedule: Schedule | None) -> None:
        trigger = trigger_of(job, schedule)
        if trigger is not None:
            # coalesce: after a pause of the machine one run makes up for all that were missed.
            self._scheduler.add_job(_nothing, trigger, id=job, args=(job,), coalesce=True, max_instances=1_000)

    def _look(self) -> None:
        """Take up the work of the jobs whose system asked for a wait that is over now, or somebody logged in to."""
        for job in self._schedules:
            try:
                self._look_for_login(job)
                until = self._work.waits_until(job)
            except CrudsdError as error:
                self._log.error("look.failed", job=job, error=str(error))
                return
            with self._lock:
                is_due = until is not None and until <= self._clock() and job not in self._busy
            if until is not None and is_due:
                # The moment is the fire time, so it is taken up once, however often and by whomever it is seen.
                self._start(job, fire_time=until, trigger="resume")

    def _look_for_login(self, job: str) -> None:
        """Make up for the fires that were skipped for want of a login, once there is one."""
        if job in self._paused and not self._work.login_needed(job):
            self._log.info("job.unpaused", job=job)
            self._start(job, fire_time=self._clock(), trigger="resume")

    def _fired(self, job: str, woken_for: datetime) -> None:
        """Take a wake-up: on the scheduler's thread, so do no more than write the row.

        The fire time that is written is the schedule's own, before jitter.
        """
        schedule = self._schedules[job]
        fire_time = woken_for - jitter_of(job, schedule) if schedule is not None else woken_for
        self._start(job, fire_time=fire_time, trigger="schedule")

    def _start(self, job: str, *, fire_time: datetime, trigger: str) -> None:
        """Run a job now, or record why not."""
        try:
            self._start_or_skip(job, fire_time=fire_time, trigger=trigger)
        except StateError as error:
            self._log.error("fire.failed", job=job, error=str(error), again_s=self._limits.again_s)
            self._start_again(job, fire_time=fire_time, trigger=trigger)
        except CrudsdError as error:
            self._log.error("fire.failed", job=job, error=str(error))

    def _start_again(self, job: str, *, fire_time: datetime, trigger: str) -> None:
        """Try a fire again soon: a nightly run must not be lost because the database was locked in that minute.

        The latest fire takes the place of one that still waits, since one run makes up for both. Not a job of the
        scheduler's: that has a lock of its own, and trips over one-off jobs while it is shut down.
        """
        facts = {"fire_time": fire_time, "trigger": trigger}
        timer = threading.Timer(self._limits.again_s, self._start, args=(job,), kwargs=facts)
        timer.daemon = True
        with self._lock:
            if job in self._again:
                self._again[job].cancel()
            self._again[job] = timer
            timer.start()

    def _start_or_skip(self, job: str, *, fire_time: datetime, trigger: str) -> None:
        with self._lock:
            if self._stop.is_set():
                return
            login = self._work.login_needed(job)
            reason = self._obstacle(job) or login
            if reason:
                self._work.skip(job, fire_time=fire_time, trigger=trigger, reason=reason)
                tell = self._log.debug if self._paused.get(job) == reason else self._log.warning
                tell("run.skipped", job=job, reason=reason)
            if login:
                self._paused[job] = login
            else:
                self._paused.pop(job, None)
            if reason:
                return
            run = self._work.fire(job, fire_time=fire_time, trigger=trigger)
            if run is not None:
                self._busy[job] = self._pool.submit(self._carry_out, job, run)

    def _obstacle(self, job: str) -> str:
        """Return why a job may not start now; empty when it may."""
        if job in self._busy:
            return "the run before it is not over"
        until = self._work.waits_until(job)
        if until is not None and until > self._clock():
            return f"the system asked to be left alone until {until:%Y-%m-%d %H:%M:%S} UTC"
        return ""

    def _carry_out(self, job: str, run: str) -> None:
        ending = Ending.FAILED
        try:
            if not self._stop.is_set():
                ending = self._work.carry_out(job, run)
        except CrudsdError as error:
            self._log.error("run.failed", job=job, run=run, error=str(error))
        except Exception as error:  # noqa: BLE001 - the last handler of a worker: one run must not end the service
            self._log.error("run.crashed", job=job, run=run, error=repr(error), exc_info=True)
        finally:
            with self._lock:
                del self._busy[job]
        if ending in GOOD_ENDINGS:
            self._start_dependants(job)

    def _start_dependants(self, job: str) -> None:
        for name, schedule in self._schedules.items():
            if schedule is not None and schedule.after == job:
                self._start(name, fire_time=self._clock(), trigger="after")

    def _drain(self) -> None:
        """Start nothing new; give the runs in hand their time to finish and commit."""
        self._notifier.send("STOPPING=1", "STATUS=draining")
        self._scheduler.shutdown(wait=False)
        with self._lock:
            running = dict(self._busy)
            waiting = tuple(self._again.values())
        for timer in waiting:
            timer.cancel()
        self._log.info("service.draining", runs=len(running))
        late = wait(running.values(), timeout=self._limits.drain_s).not_done
        self._pool.shutdown(wait=not late, cancel_futures=True)
        self._log.info("service.stopped", unfinished=len(late))


class _Fires(BaseExecutor):  # type: ignore[misc]  # APScheduler ships no types
    """Hands each wake-up with its fire times to one function, and runs nothing itself."""

    def __init__(self, fired: Callable[[str, datetime], None]) -> None:
        super().__init__()
        self._fired = fired

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        self._fired(job.args[0], run_times[-1])
        self._run_job_success(job.id, [])


def _nothing(job: str) -> None:
    """Stand in for the work, which the executor hands on by its name."""
    del job
