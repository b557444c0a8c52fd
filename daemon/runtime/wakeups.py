"""When to wake up, by APScheduler: it says when a job is due, and has no say in what becomes of it."""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.executors.base import BaseExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from daemon.logs import Logger
from daemon.spec import Schedule

from .missed import fires_between
from .triggers import EveryTrigger, LateTrigger, jitter_of, trigger_of

BEAT = "(beat)"
"""A job of ours: it proves that the scheduler wakes up. No job of a file has brackets in its name."""
_TICK = timedelta(microseconds=1)


class WakeUps:
    """Calls `woken` with a job, the moments that have come, in order, and when that was seen; on a thread of its own.

    The moments are wake-ups: fire times and the job's jitter. There are several when we were late; of very many, those
    of `fires_between`. What is woken for may take its time: APScheduler's own thread, which holds its lock while it
    hands on what is due, only makes a note. A job that comes due again meanwhile has one note with more moments.
    """

    def __init__(self, woken: Callable[[str, list[datetime], datetime | None], None], log: Logger) -> None:
        self._woken, self._log = woken, log
        self._schedules: dict[str, Schedule] = {}
        self._due: dict[str, tuple[datetime, datetime] | None] = {}
        """Jobs to wake up for: the first moment, and until when there may be more; None: none has come."""
        self._changed = threading.Condition()
        self._is_over = False
        # In UTC: a clock change then never lengthens its sleep.
        self._scheduler = BackgroundScheduler(
            timezone=UTC, executors={"default": _Wakes(self._note)}, job_defaults={"misfire_grace_time": None}
        )
        self._thread = threading.Thread(target=self._wake, name="wake-ups", daemon=True)

    def set(self, job: str, schedule: Schedule | None, *, since: datetime) -> None:
        """Wake up for this job from a moment on, which may have passed; never for one whose schedule has no times."""
        trigger = trigger_of(job, schedule)
        first = None if trigger is None else trigger.get_next_fire_time(None, since)
        if schedule is None or first is None:
            self.unset(job)
        else:
            self._schedules[job] = schedule
            self._add(job, trigger, next_run_time=first)

    def unset(self, job: str) -> None:
        """Wake up for this job no more."""
        self._schedules.pop(job, None)
        if self._scheduler.get_job(job) is not None:
            self._scheduler.remove_job(job)

    def beat(self, every_s: float | None) -> None:
        """Wake up each time so many seconds have passed, for nothing else; None: do not."""
        if every_s is not None:
            self._add(BEAT, LateTrigger(EveryTrigger(timedelta(seconds=every_s)), timedelta(0)))

    def _add(self, job: str, trigger: LateTrigger | None, **more: Any) -> None:
        self._scheduler.add_job(
            _nothing, trigger, id=job, coalesce=False, max_instances=1_000, replace_existing=True, **more
        )

    @property
    def ahead(self) -> Mapping[str, datetime]:
        """The next wake-up of each job that has one, in the order in which they are due."""
        # A job whose moments have all passed wakes up no more.
        waking = [job for job in self._scheduler.get_jobs() if job.id != BEAT and job.next_run_time is not None]
        return {job.id: job.next_run_time for job in waking}

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._scheduler.start()

    def look_again(self) -> None:
        """Compare with the clock now: it may have been set forward."""
        self._scheduler.wakeup()

    def wake(self, job: str) -> None:
        """Wake up for this job now, although no moment of it has come."""
        with self._changed:
            self._due.setdefault(job, None)
            self._changed.notify()

    def stop(self) -> None:
        """Wake up no more. What has come and was not woken for is left to the next start."""
        self._scheduler.shutdown(wait=False)
        with self._changed:
            self._is_over = True
            self._changed.notify()
        self._thread.join()

    def _note(self, waking: Any, run_times: list[datetime]) -> None:
        """Note that a job is due. Of what is overdue, the trigger names the first alone."""
        with self._changed:
            noted = self._due.get(waking.id)
            self._due[waking.id] = (noted[0] if noted else run_times[0], waking.trigger.asked_at)
            self._changed.notify()

    def _wake(self) -> None:
        """Wake up for one job after the other, who came first first."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._due or self._is_over)
                if self._is_over:
                    return
                job = next(iter(self._due))
                noted = self._due.pop(job)
            try:
                if noted is None:
                    self._woken(job, [], None)
                else:
                    self._woken(job, self._moments(job, *noted), noted[1])
            except Exception as error:  # noqa: BLE001 - the last handler of this thread: one job must not end the others
                self._log.error("wake.failed", job=job, error=repr(error), exc_info=True)

    def _moments(self, job: str, first: datetime, until: datetime) -> list[datetime]:
        schedule = self._schedules.get(job)
        if schedule is None:
            return [first]
        late = jitter_of(job, schedule)
        return [first, *(fire + late for fire in fires_between(schedule, first - late, until - late + _TICK))]


class _Wakes(BaseExecutor):  # type: ignore[misc]  # APScheduler ships no types
    """Hands each wake-up to one function, and runs nothing itself."""

    def __init__(self, wake: Callable[[Any, list[datetime]], None]) -> None:
        super().__init__()
        self._wake = wake

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        self._wake(job, run_times)
        self._run_job_success(job.id, [])


def _nothing() -> None:
    """Stand in for the work."""
