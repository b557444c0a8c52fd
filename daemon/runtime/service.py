"""`crudsd serve`: runs the jobs on their schedules until it is asked to stop.

APScheduler computes when and wakes us up; the state database decides whether: a fire is one row, unique by job and
fire time, and whoever writes it runs it. What was missed is made up for as the job's `catch_up` says. A fire of a job
that is paused, needs a login, or whose system asked to be left alone, is recorded as skipped, with its reason; when
that is over, the work goes on.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.executors.base import BaseExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from daemon.clock import Clock
from daemon.errors import CrudsdError, Exit, StateError
from daemon.logs import Logger
from daemon.spec import CatchUp, Schedule

from .dispatcher import Dispatcher
from .missed import fires_between, missed
from .triggers import EveryTrigger, jitter_of, trigger_of
from .wellbeing import Wellbeing, status
from .work import Fire, Program

JUMP_S = 5.0
"""The wall clock and the monotonic one may differ so much between two looks before the schedules are computed anew."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How often the service looks around."""

    look_s: float = 2.0
    """Seconds between two looks for what other processes asked for, and for clocks that jumped."""
    waits_s: float = 10.0
    """Seconds between two looks for runs whose wait is over. No timers: clocks jump, and machines sleep."""
    again_s: float = 30.0
    """Seconds until a fire is tried again that the state database could not take: longer than it waits for a lock."""


_BEAT = ""
"""The scheduler's own job: it proves that the scheduler wakes up. No job of a file has an empty name."""


def _nothing_to_do() -> None:
    """Keep no house."""


def _no_other() -> None:
    """Stay with the program that there is."""


class Service:
    """The scheduler, and what it needs to know of the world. Made and run by one thread."""

    def __init__(
        self,
        program: Program,
        *,
        clock: Clock,
        log: Logger,
        wellbeing: Wellbeing,
        stop: threading.Event,
        limits: Limits = Limits(),
        housekeeping: Callable[[], None] = _nothing_to_do,
        reload: Callable[[], Program | None] = _no_other,
    ) -> None:
        """`reload` is asked at each look for another program; it raises CrudsdError for one that is no good."""
        self._schedules, self._work, self._drain_s = program.schedules, program.work, program.capacity.drain_s
        self._clock, self._log, self._wellbeing, self._stop = clock, log, wellbeing, stop
        self._limits, self._housekeeping, self._reload = limits, housekeeping, reload
        self._dispatcher = Dispatcher(program, clock=clock, log=log, stop=stop, start=self._start)
        self._again: dict[str, threading.Timer] = {}
        """Fires that the database could not take, by job."""
        self._lock = threading.Lock()
        self._clocks = clock() - timedelta(seconds=time.monotonic())
        self._waits_looked_at = 0.0
        # The scheduler itself runs in UTC: a clock change then never lengthens its sleep.
        self._scheduler = BackgroundScheduler(
            timezone=UTC, executors={"default": _Fires(self._fired)}, job_defaults={"misfire_grace_time": None}
        )

    def run(self) -> Exit:
        """Serve until `stop` is set, then drain. Returns DONE; raises what makes it impossible to begin."""
        for job in self._work.interrupted():
            self._log.info("run.resumed", job=job)
            self._start(Fire(job, self._clock(), "resume"))
        self._catch_up()
        for job in self._schedules:
            self._schedule(job)
        self._scheduler.start()
        scheduled = len(self._scheduler.get_jobs())
        self._keep_beating()
        self._wellbeing.ready()
        self._log.info("service.ready", jobs=len(self._schedules), scheduled=scheduled)
        self._look()
        while not self._stop.wait(min(self._limits.look_s, self._wellbeing.beat_s or self._limits.look_s)):
            self._look_for_another_program()
            self._look()
            self._wellbeing.pet()
            self._housekeeping()
        self._drain()
        return Exit.DONE

    def _schedule(self, job: str) -> None:
        trigger = trigger_of(job, self._schedules[job])
        if trigger is not None:
            self._scheduler.add_job(
                _nothing, trigger, id=job, args=(job,), coalesce=False, max_instances=1_000, replace_existing=True
            )

    def _keep_beating(self) -> None:
        if self._wellbeing.beat_s is not None:
            every = EveryTrigger(timedelta(seconds=self._wellbeing.beat_s))
            self._scheduler.add_job(_nothing, every, id=_BEAT, args=(_BEAT,), replace_existing=True)

    # ---- looking around ----

    def _look_for_another_program(self) -> None:
        """Go over to a configuration that was read anew; with one that is no good, go on as before and say so."""
        try:
            program = self._reload()
        except CrudsdError as error:
            self._log.error("reload.refused", error=str(error))
            # The same two messages as for one that is taken up: with Type=notify-reload systemd waits for them.
            self._wellbeing.reloading()
            self._wellbeing.say(f"the changed configuration is refused, the one before goes on: {error}", stays=True)
            self._wellbeing.ready()
            return
        if program is None:
            return
        self._wellbeing.reloading()
        before, self._schedules, self._work = self._schedules, program.schedules, program.work
        self._drain_s = program.capacity.drain_s
        self._dispatcher.replace(program)
        for waking in self._scheduler.get_jobs():
            if waking.id != _BEAT and trigger_of(waking.id, self._schedules.get(waking.id)) is None:
                waking.remove()
        for job in self._schedules:
            if before.get(job) != self._schedules[job]:
                self._schedule(job)
        self._wellbeing.ready()
        self._log.info("service.reloaded", jobs=len(self._schedules))

    def _look(self) -> None:
        try:
            self._look_at_clocks()
            self._dispatcher.look()
            self._look_for_obstacles()
            if time.monotonic() - self._waits_looked_at >= self._limits.waits_s or not self._waits_looked_at:
                self._waits_looked_at = time.monotonic()
                self._look_for_waits()
        except CrudsdError as error:
            self._log.error("look.failed", error=str(error))
        self._wellbeing.say(self._status())

    def _status(self) -> str:
        dispatcher = self._dispatcher
        # In the order in which they are due; a job whose moments have all passed wakes up no more.
        waking = (job for job in self._scheduler.get_jobs() if job.id != _BEAT and job.next_run_time is not None)
        due = next(((job.id, job.next_run_time) for job in waking), None)
        return status(
            len(self._schedules),
            running=dispatcher.running,
            queued=dispatcher.in_line,
            failed=dispatcher.failed,
            paused=len(dispatcher.held_back),
            due=due,
        )

    def _look_at_clocks(self) -> None:
        """Compute the schedules anew when somebody set the clock, or the machine slept."""
        before, self._clocks = self._clocks, self._clock() - timedelta(seconds=time.monotonic())
        jump_s = (self._clocks - before).total_seconds()
        if abs(jump_s) < JUMP_S:
            return
        self._log.warning("clock.jumped", seconds=round(jump_s, 1))
        self._keep_beating()
        if jump_s > 0:
            self._catch_up()
        for job in self._schedules:
            self._schedule(job)

    def _look_for_obstacles(self) -> None:
        """Make up for the fires that were skipped until a person did something, once it is done."""
        held_back = self._dispatcher.held_back
        left = self._work.held_back(held_back) if held_back else {}
        for job in held_back:
            if job not in left:
                self._log.info("job.unpaused", job=job)
                self._start(Fire(job, self._clock(), "resume"))

    def _look_for_waits(self) -> None:
        """Take up the work of the jobs whose system asked for a wait that is over now."""
        now = self._clock()
        for job, until in self._work.waiting().items():
            if job in self._schedules and until <= now and not self._dispatcher.is_busy(job):
                # The moment is the fire time, so it is taken up once, however often and by whomever it is seen.
                self._start(Fire(job, until, "resume"))

    # ---- fires ----

    def _catch_up(self) -> None:
        """Make up for what was missed since each job's last fire, as its schedule says."""
        fired = self._work.fired_last()
        for job, schedule in self._schedules.items():
            last = fired.get(job)
            if schedule is not None and last is not None:
                # What is not due yet for its jitter is not missed.
                self._make_up(job, schedule, fires_between(schedule, last, self._clock() - jitter_of(job, schedule)))

    def _fired(self, job: str, woken_for: list[datetime]) -> None:
        """Take wake-ups: on the scheduler's thread, so do no more than write rows.

        The fire time that is written is the schedule's own, before jitter. There are several when we were late.
        """
        if job == _BEAT:
            self._wellbeing.woke()
            return
        schedule = self._schedules.get(job)
        if schedule is None:
            return
        fires = [moment - jitter_of(job, schedule) for moment in woken_for]
        if len(fires) == 1:
            self._start(Fire(job, fires[0]))
        else:
            self._make_up(job, schedule, fires)

    def _make_up(self, job: str, schedule: Schedule, fires: Sequence[datetime]) -> None:
        found = missed(schedule, fires, now=self._clock())
        if found.skipped is not None:
            self._log.warning("fires.missed", job=job, reason=found.reason)
            try:
                self._work.skip(Fire(job, found.skipped), reason=found.reason)
            except StateError as error:
                self._log.error("skip.failed", job=job, error=str(error))
        for fire_time in found.due:
            self._start(Fire(job, fire_time), waits=schedule.catch_up is CatchUp.ALL)

    def _start(self, fire: Fire, *, waits: bool = False) -> None:
        """Have a job run, or record why not."""
        try:
            self._dispatcher.fire(fire, waits=waits)
        except StateError as error:
            self._log.error("fire.failed", job=fire.job, error=str(error), again_s=self._limits.again_s)
            self._start_again(fire, waits=waits)
        except CrudsdError as error:
            self._log.error("fire.failed", job=fire.job, error=str(error))

    def _start_again(self, fire: Fire, *, waits: bool) -> None:
        """Try a fire again soon: a nightly run must not be lost because the database was locked in that minute.

        The latest fire takes the place of one that still waits, since one run makes up for both. Not a job of the
        scheduler's: that has a lock of its own, and trips over one-off jobs while it is shut down.
        """
        timer = threading.Timer(self._limits.again_s, self._start, args=(fire,), kwargs={"waits": waits})
        timer.daemon = True
        with self._lock:
            if fire.job in self._again:
                self._again[fire.job].cancel()
            self._again[fire.job] = timer
            timer.start()

    def _drain(self) -> None:
        """Start nothing new; give the runs in hand their time to finish and commit."""
        self._wellbeing.stopping()
        self._scheduler.shutdown(wait=False)
        with self._lock:
            for timer in self._again.values():
                timer.cancel()
        self._log.info("service.draining", runs=len(self._dispatcher.running))
        late = self._dispatcher.drain(self._drain_s)
        self._log.info("service.stopped", unfinished=late)


class _Fires(BaseExecutor):  # type: ignore[misc]  # APScheduler ships no types
    """Hands each wake-up with its fire times to one function, and runs nothing itself."""

    def __init__(self, fired: Callable[[str, list[datetime]], None]) -> None:
        super().__init__()
        self._fired = fired

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        self._fired(job.args[0], run_times)
        self._run_job_success(job.id, [])


def _nothing(job: str) -> None:
    """Stand in for the work, which the executor hands on by its name."""
    del job
