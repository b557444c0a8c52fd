"""A service on a thread of its own, over work in memory, and a log that a test can wait on."""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from typing import Any

import pytest

from daemon.clock import Clock, utc_clock
from daemon.errors import Exit, StateError
from daemon.runtime.notify import Notifier
from daemon.runtime.service import Limits, Service
from daemon.runtime.stop_request import StopRequest
from daemon.runtime.wellbeing import Wellbeing
from daemon.runtime.work import Capacity, Fire, Program, Work
from daemon.spec import Schedule
from daemon.sync.outcome import Ending

T0 = datetime(2026, 11, 22, 12, tzinfo=UTC)
T1 = datetime(2026, 11, 22, 12, 15, tzinfo=UTC)
T2 = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)


class Story:
    """A log that a test can wait on, and the facts it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self._changed = threading.Condition()

    def tell(self, event: str, **facts: Any) -> None:
        with self._changed:
            self.told.append((event, facts))
            self._changed.notify_all()

    debug = info = warning = error = tell

    def wait_for(self, event: str, times: int = 1, **facts: Any) -> None:
        def there() -> bool:
            return sum(name == event and facts.items() <= said.items() for name, said in self.told) >= times

        with self._changed:
            assert self._changed.wait_for(there, 20), (event, facts, self.told)

    def names(self) -> list[str]:
        return [name for name, _ in self.told]


class MemoryWork:
    """The rows of the state database in a dictionary; each run does what the test says."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.fired: dict[tuple[str, datetime], str] = {}
        self.skipped: list[tuple[str, datetime, str]] = []
        self.ran: list[str] = []
        self.cut_off: tuple[str, ...] = ()
        self.does: defaultdict[str, Callable[[], Ending]] = defaultdict(lambda: lambda: Ending.DONE)
        self.locked = 0
        self.waits: dict[str, datetime] = {}
        self.obstacles: dict[str, str] = {}
        self.last_fires: dict[str, datetime] = {}
        self.ended_well: dict[str, datetime] = {}
        self.followed: dict[str, datetime] = {}
        self.triggered: dict[str, str] = {}
        self.asked: dict[str, str] = {}
        self.dropped: dict[str, str] = {}
        self.failures: defaultdict[str, int] = defaultdict(int)
        self.runs: dict[str, StopRequest] = {}
        """The runs that were begun, and what could end them."""
        self._lock = threading.Lock()

    def fire(self, fire: Fire) -> str | None:
        with self._lock:
            if self.locked:
                self.locked -= 1
                raise StateError("the database is locked")
            if (fire.job, fire.fire_time) in self.fired:
                return None
            self.fired[fire.job, fire.fire_time] = fire.trigger
            return f"{fire.job}/{len(self.fired)}"

    def skip(self, fire: Fire, *, reason: str) -> None:
        self.skipped.append((fire.job, fire.fire_time, reason))

    def obstacle(self, job: str) -> str:
        return self.obstacles.get(job, "")

    def held_back(self, jobs: Collection[str]) -> dict[str, str]:
        return {job: self.obstacles[job] for job in jobs if self.obstacles.get(job)}

    def waiting(self) -> dict[str, datetime]:
        return dict(self.waits)

    def fired_last(self) -> dict[str, datetime]:
        return dict(self.last_fires)

    def ended_well_last(self) -> dict[str, datetime]:
        return dict(self.ended_well)

    def followed_last(self) -> dict[str, datetime]:
        return dict(self.followed)

    def queued(self) -> dict[str, str]:
        return {run: job for run, job in self.triggered.items() if run not in self.runs}

    def asked_to_stop(self) -> dict[str, str]:
        return dict(self.asked)

    def drop(self, run: str, reason: str) -> None:
        self.dropped[run] = reason
        self.triggered.pop(run, None)

    def failed(self, job: str, *, failed: bool) -> int:
        self.failures[job] = self.failures[job] + 1 if failed else 0
        return self.failures[job]

    def pause(self, job: str, reason: str) -> None:
        self.obstacles[job] = reason

    def carry_out(self, job: str, run: str, stop_request: StopRequest) -> Ending:
        self.ran.append(job)
        self.runs[run] = stop_request
        self.story.tell("test.began", job=job)
        ending = self.does[job]()
        self.story.tell("test.ended", job=job)
        return ending

    def waits_until(self, job: str) -> datetime | None:
        return self.waits.get(job)

    def interrupted(self) -> tuple[str, ...]:
        return self.cut_off


class HandClock:
    """The time of day, moved by hand."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> datetime:
        return self.now


class RunningClock:
    """A time of day that goes on by itself, from T2 on, so that no fire here is old or of the future."""

    def __init__(self) -> None:
        self._began = utc_clock()

    def __call__(self) -> datetime:
        return T2 + (utc_clock() - self._began)


def shown_by(clock: Clock) -> type[datetime]:
    """Return the class `datetime` with another idea of now."""

    class Shown(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return clock().astimezone(tz)

    return Shown


class Scene:
    """A service on a thread of its own. Nothing is due by itself: tests fire by hand."""

    def __init__(self, **schedules: dict[str, Any] | None) -> None:
        self.story = Story()
        self.clock: Clock = RunningClock()
        self.work = MemoryWork(self.story)
        self.stop = threading.Event()
        self.environment: dict[str, str] = {}
        self.limits = Limits(again_s=0, look_s=0.01, waits_s=0)
        self.capacity = Capacity(workers=4, drain_s=20)
        self.exits: list[Exit] = []
        self.is_written = True
        self.reloads: list[Program | Exception] = []
        self._schedules = {
            name: None if said is None else Schedule.model_validate(said) for name, said in schedules.items()
        }

    def reload(self) -> Program | None:
        if not self.reloads:
            return None
        found = self.reloads.pop()
        if isinstance(found, Exception):
            raise found
        return found

    def changed(self, **schedules: dict[str, Any] | None) -> None:
        """Let the service find another configuration."""
        read = {name: None if said is None else Schedule.model_validate(said) for name, said in schedules.items()}
        self.reloads.append(Program(read, self.work, self.capacity))

    @contextmanager
    def serving(self, notifier: Any = None) -> Iterator[Service]:
        work: Work = self.work
        service = Service(
            Program(self._schedules, work, self.capacity),
            clock=self.clock,
            log=self.story,
            wellbeing=Wellbeing(notifier or Notifier(self.environment), is_written=lambda: self.is_written),
            stop=self.stop,
            limits=self.limits,
            reload=self.reload,
        )
        thread = threading.Thread(target=lambda: self.exits.append(service.run()))
        with pytest.MonkeyPatch.context() as patch:
            # APScheduler asks the machine for the time, and cannot be given another clock.
            patch.setattr("apscheduler.schedulers.base.datetime", shown_by(self.clock))
            thread.start()
            try:
                self.story.wait_for("service.ready")
                yield service
            finally:
                self.stop.set()
                thread.join(30)
        assert not thread.is_alive()

    def fire(self, service: Service, job: str, at: datetime = T0) -> None:
        service._fired(job, [at])


def held(gate: threading.Event, ending: Ending = Ending.DONE) -> Callable[[], Ending]:
    def until_opened() -> Ending:
        assert gate.wait(20)
        return ending

    return until_opened


def idle(service: Service) -> None:
    """Wait until no run is on the books any more: until then a fire of its job is skipped."""
    while True:
        with service._dispatcher._lock:
            running = [*service._dispatcher._futures.values()]
        if not running:
            return
        assert not wait(running, timeout=20).not_done


YEARLY: dict[str, Any] = {"cron": "0 0 29 2 *"}
