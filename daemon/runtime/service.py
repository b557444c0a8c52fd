"""`crudsd serve`: runs the jobs on their schedules until it is asked to stop.

APScheduler computes when and wakes us up; the state database decides whether: a fire is one row, unique by job and
fire time, and whoever writes it runs it. What was missed is made up for as the job's `catch_up` says. A fire of a job
that is paused, needs a login, or whose system asked to be left alone, is recorded as skipped, with its reason; when
that is over, the work goes on.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.clock import Clock
from daemon.errors import CrudsdError, Exit, StateError
from daemon.logs import Logger
from daemon.spec import CatchUp, Schedule

from .dispatcher import Dispatcher
from .missed import Missed, fires_between, missed
from .triggers import jitter_of
from .wakeups import WakeUps
from .wellbeing import Wellbeing, status
from .work import Fire, Program

JUMP_S = 5.0
"""The time of day may be set by so much in all before the schedules are computed anew. What is less makes fires late by
less."""
LATE_S = 10.0
"""A fire is missed when we wake up for it later than this; until then it is only late, and runs."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How often the service looks around."""

    look_s: float = 2.0
    """Seconds between two looks for what other processes asked for, and for clocks that jumped."""
    waits_s: float = 10.0
    """Seconds between two looks for runs whose wait is over. No timers: clocks jump, and machines sleep."""
    again_s: float = 30.0
    """Seconds until a fire is tried again that the state database could not take: longer than it waits for a lock."""


_REFUSED = "the changed configuration is refused, the one before goes on"


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
        self._behind: dict[str, tuple[datetime, datetime]] = {}
        """The jobs that may have missed fires before we began: the last one they had, and when we began."""
        self._lock = threading.Lock()
        self._clocks = clock() - timedelta(seconds=time.monotonic())
        self._waits_looked_at = 0.0
        self._wakeups = WakeUps(self._fired, log)

    def run(self) -> Exit:
        """Serve until `stop` is set, then drain. Returns DONE; raises what makes it impossible to begin."""
        interrupted = self._work.interrupted()
        owed = self._owed()
        since = self._clock()  # what is due from now on wakes us up
        # Before the first new fire, which would be the last one.
        self._behind = {job: (last, since) for job, last in self._work.fired_last().items()}
        for job, schedule in self._schedules.items():
            self._wakeups.set(job, schedule, since=since)
        self._wakeups.start()
        self._wakeups.beat(self._wellbeing.beat_s)
        self._wellbeing.ready()
        self._log.info("service.ready", jobs=len(self._schedules), scheduled=len(self._wakeups.ahead))
        for job in interrupted:
            self._log.info("run.resumed", job=job)
            self._start(Fire(job, self._clock(), "resume"))
        for job, fire_time in owed.items():
            self._make_up_after(job, fire_time)
        for job in self._schedules:
            self._wakeups.wake(job)
        self._look()
        while not self._stop.wait(min(self._limits.look_s, self._wellbeing.beat_s or self._limits.look_s)):
            self._look_for_another_program()
            self._look()
            self._wellbeing.pet()
            self._housekeeping()
        self._drain()
        return Exit.DONE

    # ---- looking around ----

    def _look_for_another_program(self) -> None:
        """Go over to a configuration that was read anew; with one that is no good, go on as before and say so."""
        try:
            program = self._reload()
        except Exception as error:  # noqa: BLE001 - a defect that a file brings out would meet the next start, too
            known = isinstance(error, CrudsdError)
            told = str(error) if known else repr(error)
            self._log.error("reload.refused", error=told, message=_REFUSED, exc_info=not known)
            # The same two messages as for one that is taken up: with Type=notify-reload systemd waits for them.
            self._wellbeing.reloading()
            self._wellbeing.say(f"{_REFUSED}: {told}", stays=True)
            self._wellbeing.ready()
            return
        if program is None:
            return
        self._wellbeing.reloading()
        before, self._schedules, self._work = self._schedules, program.schedules, program.work
        self._drain_s = program.capacity.drain_s
        self._dispatcher.replace(program)
        for job in before.keys() | self._schedules.keys():
            if before.get(job) != self._schedules.get(job):
                self._wakeups.set(job, self._schedules.get(job), since=self._clock())
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
        return status(
            len(self._schedules),
            running=dispatcher.running,
            queued=dispatcher.in_line,
            failed=dispatcher.failed,
            paused=len(dispatcher.held_back),
            due=next(iter(self._wakeups.ahead.items()), None),
        )

    def _look_at_clocks(self) -> None:
        """Wake up anew when somebody set the clock, or the machine slept."""
        clocks = self._clock() - timedelta(seconds=time.monotonic())
        jump = clocks - self._clocks
        if abs(jump.total_seconds()) < JUMP_S:
            return
        self._clocks, now = clocks, self._clock()
        seconds = round(jump.total_seconds(), 1)
        self._wakeups.beat(self._wellbeing.beat_s)
        if jump > timedelta(0):
            self._log.warning("clock.jumped", seconds=seconds)
            # Not set anew: what has become due by the jump is known to the wake-ups, and to nobody else for a new job.
            self._wakeups.look_again()
            return
        had_come = f"fires until {now - jump:%Y-%m-%d %H:%M:%S} UTC have been, and do not run again"
        self._log.warning("clock.jumped", seconds=seconds, message=had_come)
        for job, schedule in self._schedules.items():
            self._wakeups.set(job, schedule, since=now)

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

    def _catch_up(self, job: str) -> None:
        """Make up, once, for what a job missed between its last fire and our start, as its schedule says."""
        schedule, behind = self._schedules.get(job), self._behind.pop(job, None)
        if schedule is not None and behind is not None:
            last, until = behind
            # What is not due yet for its jitter is not missed.
            fires = fires_between(schedule, last, until - jitter_of(job, schedule))
            self._make_up(job, schedule, missed(schedule, fires, now=self._clock()))

    def _owed(self) -> dict[str, datetime]:
        """Return the jobs whose turn it was after another one that ended while we did, and when it ended."""
        ended, followed = self._work.ended_well_last(), self._work.followed_last()
        waits_for = {job: schedule.after for job, schedule in self._schedules.items() if schedule and schedule.after}
        # A job that never followed another one is new: it waits for the next good run.
        return {
            job: ended[other]
            for job, other in waits_for.items()
            if other in ended and job in followed and followed[job] < ended[other]
        }

    def _make_up_after(self, job: str, ended_at: datetime) -> None:
        """Fire a job that waits for another one, as far as its schedule makes up for what was missed."""
        schedule = self._schedules[job]
        if schedule is not None:
            self._make_up(job, schedule, missed(schedule, [ended_at], now=self._clock()), trigger="after")

    def _fired(self, job: str, woken_for: list[datetime], seen_at: datetime | None = None) -> None:
        """Take wake-ups: on their own thread, so do no more than write rows.

        The fire time that is written is the schedule's own, before jitter. There are several when we were late, and
        none when there is only something to catch up with. `seen_at` is when it was seen that they had come; what took
        until now, such as a thousand jobs before this one, makes no fire a missed one.
        """
        self._wellbeing.woke()  # whatever for: a thousand jobs that are due at once hold up the beat
        if self._stop.is_set():
            return  # the next start makes up for what came after the last row, so there must be no later one
        self._catch_up(job)
        schedule = self._schedules.get(job)
        if schedule is None or not woken_for:
            return
        fires = [moment - jitter_of(job, schedule) for moment in woken_for]
        is_due = (seen_at or self._clock()) - woken_for[-1] <= timedelta(seconds=LATE_S)
        if is_due and len(fires) == 1:
            self._start(Fire(job, fires[0]))
        else:
            self._make_up(job, schedule, missed(schedule, fires, now=self._clock(), is_due=is_due))

    def _make_up(self, job: str, schedule: Schedule, found: Missed, *, trigger: str = "schedule") -> None:
        if found.skipped is not None:
            self._log.warning("fires.missed", job=job, reason=found.reason)
            try:
                self._work.skip(Fire(job, found.skipped, trigger), reason=found.reason)
            except StateError as error:
                self._log.error("skip.failed", job=job, error=str(error))
        for fire_time in found.due:
            self._start(Fire(job, fire_time, trigger), waits=schedule.catch_up is CatchUp.ALL)
            self._wellbeing.woke()  # there may be a thousand, and each of them is progress

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
        self._wakeups.stop()
        with self._lock:
            for timer in self._again.values():
                timer.cancel()
        self._log.info("service.draining", runs=len(self._dispatcher.running))
        late = self._dispatcher.drain(self._drain_s)
        self._log.info("service.stopped", unfinished=late)
