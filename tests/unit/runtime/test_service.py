"""The service over work in memory: who runs, who is skipped, who waits for whom, and how it ends."""

import os
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.clock import Clock, utc_clock
from daemon.errors import Exit, LockedError, StateError
from daemon.runtime.notify import Notifier
from daemon.runtime.service import Limits, Service
from daemon.runtime.stop_request import StopRequest
from daemon.runtime.wellbeing import Wellbeing, status
from daemon.runtime.work import Fire, Work
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
        self.triggered: dict[str, str] = {}
        self.asked: dict[str, str] = {}
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

    def last_fire(self, job: str) -> datetime | None:
        return self.last_fires.get(job)

    def queued(self) -> dict[str, str]:
        return {run: job for run, job in self.triggered.items() if run not in self.runs}

    def asked_to_stop(self) -> dict[str, str]:
        return dict(self.asked)

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


class Scene:
    """A service on a thread of its own. Nothing is due by itself: tests fire by hand."""

    def __init__(self, **schedules: dict[str, Any] | None) -> None:
        self.story = Story()
        self.clock: Clock = utc_clock
        self.work = MemoryWork(self.story)
        self.stop = threading.Event()
        self.environment: dict[str, str] = {}
        self.limits = Limits(workers=4, drain_s=20, again_s=0, look_s=0.01, waits_s=0)
        self.exits: list[Exit] = []
        self.is_written = True
        self._schedules = {
            name: None if said is None else Schedule.model_validate(said) for name, said in schedules.items()
        }

    @contextmanager
    def serving(self, notifier: Any = None) -> Iterator[Service]:
        work: Work = self.work
        service = Service(
            self._schedules,
            work,
            clock=self.clock,
            log=self.story,
            wellbeing=Wellbeing(notifier or Notifier(self.environment), is_written=lambda: self.is_written),
            stop=self.stop,
            limits=self.limits,
        )
        thread = threading.Thread(target=lambda: self.exits.append(service.run()))
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


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a run waits for; open at the end whatever happens."""
    opened = threading.Event()
    yield opened
    opened.set()


def held(gate: threading.Event, ending: Ending = Ending.DONE) -> Callable[[], Ending]:
    def until_opened() -> Ending:
        assert gate.wait(20)
        return ending

    return until_opened


def idle(service: Service) -> None:
    """Wait until no run is on the books any more: until then a fire of its job is skipped."""
    with service._dispatcher._lock:
        running = [*service._dispatcher._futures.values()]
    assert not wait(running, timeout=20).not_done


YEARLY: dict[str, Any] = {"cron": "0 0 29 2 *"}


def test_a_job_that_is_due_runs_by_itself() -> None:
    scene = Scene(people={"every": "1s"})

    with scene.serving():
        scene.story.wait_for("test.ended", job="people")

    ((job, fire_time), trigger) = next(iter(scene.work.fired.items()))
    assert (job, trigger, fire_time.microsecond) == ("people", "schedule", 0)
    assert scene.exits == [Exit.DONE]


def test_the_recorded_fire_time_is_the_schedules_own_and_not_the_jittered_one() -> None:
    scene = Scene(people={"every": "1s", "jitter": "900ms"})

    with scene.serving():
        scene.story.wait_for("test.ended", job="people")

    assert {time.microsecond for _, time in scene.work.fired} == {0}


def test_one_fire_is_one_run_however_often_it_is_told() -> None:
    scene = Scene(people=YEARLY)

    with scene.serving() as service:
        scene.fire(service, "people")
        idle(service)
        scene.fire(service, "people")
        scene.fire(service, "people", T1)
        scene.story.wait_for("test.ended", times=2)

    assert scene.work.ran == ["people"] * 2
    assert scene.work.skipped == []


def test_a_fire_that_meets_a_run_of_its_job_is_skipped_with_the_reason(gate: threading.Event) -> None:
    scene = Scene(people=YEARLY, others=YEARLY)
    scene.work.does["people"] = held(gate)

    with scene.serving() as service:
        scene.fire(service, "people")
        scene.story.wait_for("test.began", job="people")
        scene.fire(service, "people", T1)
        scene.fire(service, "others", T1)
        scene.story.wait_for("test.ended", job="others")
        gate.set()

    assert scene.work.skipped == [("people", T1, "the run before it is not over")]
    assert scene.work.ran == ["people", "others"]
    assert "run.skipped" in scene.story.names()


@pytest.mark.parametrize("ending", list(Ending))
def test_a_job_starts_after_another_only_where_that_ended_well(ending: Ending) -> None:
    scene = Scene(people=YEARLY, scores={"after": "people"}, more={"after": "scores"})
    scene.work.does["people"] = lambda: ending

    with scene.serving() as service:
        scene.fire(service, "people")
        if ending in {Ending.DONE, Ending.REJECTED}:
            scene.story.wait_for("test.ended", job="more")
            assert [job for job, _ in scene.work.fired] == ["people", "scores", "more"]
            assert [*scene.work.fired.values()] == ["schedule", "after", "after"]
        else:
            scene.story.wait_for("test.ended", job="people")

    assert ("scores" in scene.work.ran) == (ending in {Ending.DONE, Ending.REJECTED})


def test_work_that_was_cut_off_is_taken_up_at_the_start() -> None:
    scene = Scene(people=YEARLY, by_hand=None)
    scene.work.cut_off = ("people", "by_hand")

    with scene.serving():
        scene.story.wait_for("test.ended", job="people")
        scene.story.wait_for("test.ended", job="by_hand")

    assert set(scene.work.fired.values()) == {"resume"}


@pytest.mark.parametrize("trigger", ["schedule", "after"])
def test_a_fire_before_the_end_of_a_wait_is_skipped_with_the_reason(trigger: str) -> None:
    scene = Scene(people=YEARLY if trigger == "schedule" else {"after": "others"}, others=YEARLY)
    scene.clock = HandClock()
    scene.work.waits["people"] = T1

    with scene.serving() as service:
        scene.fire(service, "people" if trigger == "schedule" else "others")
        scene.story.wait_for("run.skipped", job="people")

    reason = "the system asked to be left alone until 2026-11-22 12:15:00 UTC"
    assert scene.work.skipped == [("people", T0, reason)]
    assert "people" not in scene.work.ran


def test_when_a_wait_is_over_the_work_goes_on_once() -> None:
    scene = Scene(people=YEARLY, by_hand=None)
    clock = scene.clock = HandClock()
    scene.work.waits = {"people": T1, "by_hand": T1}

    with scene.serving() as service:
        service._look()
        assert scene.work.ran == []
        clock.now = T1
        scene.story.wait_for("test.ended", job="people")
        scene.story.wait_for("test.ended", job="by_hand")
        idle(service)
        service._look()

    assert scene.work.fired == {("people", T1): "resume", ("by_hand", T1): "resume"}
    assert sorted(scene.work.ran) == ["by_hand", "people"]
    assert scene.work.skipped == []


def test_a_wait_that_was_over_while_the_service_was_down_is_taken_up_at_the_start() -> None:
    scene = Scene(people=YEARLY)
    scene.work.waits["people"] = T0

    with scene.serving():
        scene.story.wait_for("test.ended", job="people")

    assert scene.work.fired == {("people", T0): "resume"}


def test_work_that_was_cut_off_during_a_wait_waits_for_its_end() -> None:
    scene = Scene(people=YEARLY)
    clock = scene.clock = HandClock()
    scene.work.cut_off = ("people",)
    scene.work.waits["people"] = T1

    with scene.serving():
        scene.story.wait_for("run.skipped", job="people")
        assert scene.work.ran == []
        clock.now = T1
        scene.story.wait_for("test.ended", job="people")


def test_a_database_that_cannot_be_read_does_not_end_the_looks() -> None:
    scene = Scene(people=YEARLY)
    clock = scene.clock = HandClock()
    broken, real = [3], scene.work.waits_until

    def waits_until(job: str) -> datetime | None:
        if broken[0]:
            broken[0] -= 1
            raise StateError("the database is locked")
        return real(job)

    scene.work.waits_until = waits_until  # type: ignore[method-assign]
    scene.work.waits["people"] = clock.now

    with scene.serving():
        scene.story.wait_for("test.ended", job="people")

    assert scene.story.names().count("look.failed") == 3


@pytest.mark.parametrize("error", [KeyError("bug"), StateError("disk"), LockedError("held", owner="x"), MemoryError()])
def test_a_run_that_fails_or_crashes_does_not_end_the_service(error: Exception) -> None:
    scene = Scene(people=YEARLY, scores={"after": "people"})

    def breaks() -> Ending:
        raise error

    scene.work.does["people"] = breaks

    with scene.serving() as service:
        scene.fire(service, "people")
        scene.story.wait_for("run.failed" if isinstance(error, StateError | LockedError) else "run.crashed")
        scene.work.does["people"] = lambda: Ending.DONE
        idle(service)
        scene.fire(service, "people", T1)
        scene.story.wait_for("test.ended", job="scores")

    assert scene.exits == [Exit.DONE]


def test_a_fire_that_the_database_could_not_take_is_tried_again() -> None:
    scene = Scene(people=YEARLY)
    scene.work.locked = 3

    with scene.serving() as service:
        scene.fire(service, "people")
        scene.story.wait_for("test.ended", job="people")

    assert scene.work.fired == {("people", T0): "schedule"}
    assert scene.story.names().count("fire.failed") == 3


def test_a_dependant_that_the_database_could_not_take_is_tried_again() -> None:
    scene = Scene(people=YEARLY, scores={"after": "people"})

    def locks() -> Ending:
        scene.work.locked = 2
        return Ending.DONE

    scene.work.does["people"] = locks

    with scene.serving() as service:
        scene.fire(service, "people")
        scene.story.wait_for("test.ended", job="scores")

    assert scene.work.ran == ["people", "scores"]


def test_a_stop_lets_runs_in_hand_finish_and_starts_none(gate: threading.Event) -> None:
    scene = Scene(people=YEARLY, scores={"after": "people"}, others=YEARLY)
    scene.work.does["people"] = held(gate)

    with scene.serving() as service:
        scene.fire(service, "people")
        scene.story.wait_for("test.began", job="people")
        scene.stop.set()
        scene.story.wait_for("service.draining")
        scene.fire(service, "others")
        assert "service.stopped" not in scene.story.names()
        gate.set()

    assert scene.work.ran == ["people"]
    assert scene.story.told[-1] == ("service.stopped", {"unfinished": 0})
    assert "test.ended" in scene.story.names()


def test_what_waits_for_a_worker_when_the_stop_comes_is_left_for_the_next_start(gate: threading.Event) -> None:
    scene = Scene(people=YEARLY, others=YEARLY)
    scene.limits = Limits(workers=1, drain_s=20, again_s=0)
    scene.work.does["people"] = held(gate)

    with scene.serving() as service:
        scene.fire(service, "people")
        scene.story.wait_for("test.began", job="people")
        scene.fire(service, "others")
        scene.stop.set()
        scene.story.wait_for("service.draining")
        gate.set()

    assert scene.work.ran == ["people"]
    assert ("others", T0) in scene.work.fired


def test_a_run_that_does_not_finish_in_time_is_told(gate: threading.Event) -> None:
    scene = Scene(people=YEARLY)
    scene.limits = Limits(drain_s=0)
    scene.work.does["people"] = held(gate)

    with scene.serving() as service:
        scene.fire(service, "people")
        scene.story.wait_for("test.began", job="people")
        scene.stop.set()
        scene.story.wait_for("service.stopped", unfinished=1)


@contextmanager
def systemd(scene: Scene, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Let the scene be systemd's; gives what hears its next message."""
    scene.environment["NOTIFY_SOCKET"] = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears:
        ears.settimeout(20)
        ears.bind(scene.environment["NOTIFY_SOCKET"])
        yield lambda: ears.recv(4096).decode()


def test_systemd_hears_when_the_service_is_ready_how_it_stands_and_when_it_stops(tmp_path: Path) -> None:
    scene = Scene(people=YEARLY, by_hand=None)
    with systemd(scene, tmp_path) as heard:
        with scene.serving() as service:
            assert heard() == "READY=1"
            assert heard() == "STATUS=2 jobs; none running; next: people at 2028-02-29 00:00:00 UTC"
            scene.work.does["people"] = lambda: Ending.FAILED
            scene.fire(service, "people")
            scene.story.wait_for("test.ended", job="people")
            idle(service)
            said = heard()
            while "failed: people" not in said:
                said = heard()

        said = heard()
    assert said == "STOPPING=1\nSTATUS=draining"


class Pets:
    """Counts what a manager would be told."""

    watchdog_s = 0.4

    def __init__(self) -> None:
        self._told = threading.Event()

    def send(self, *lines: str) -> None:
        if "WATCHDOG=1" in lines:
            self._told.set()

    def come(self) -> bool:
        """Whether one more comes."""
        self._told.clear()
        return self._told.wait(20)

    def end(self) -> bool:
        """Whether they come to an end."""
        for _ in range(20):
            self._told.clear()
            if not self._told.wait(1.0):
                return True
        return False


def test_the_watchdog_is_petted_while_the_scheduler_wakes_and_the_state_is_written() -> None:
    scene, pets = Scene(people=YEARLY), Pets()
    with scene.serving(notifier=pets) as service:
        assert pets.come()
        assert pets.come()
        service._scheduler.pause()
        assert pets.end()
        service._scheduler.resume()
        assert pets.come()
        scene.is_written = False
        assert pets.end()


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_a_watchdog_is_heeded_that_is_meant_for_this_process(
    environment: dict[str, str], watchdog_s: float | None
) -> None:
    assert Notifier(environment).watchdog_s == watchdog_s


def test_a_status_line_stays_short() -> None:
    many = [f"job-{number}" for number in range(9)]
    said = status(9, running=many, failed=many[:4], paused=2, ahead={"a": T1, "b": T0})

    assert said == (
        "9 jobs; running: job-0, job-1, job-2 and 6 more; failed: job-0, job-1, job-2 and 1 more; 2 held back; "
        "next: b at 2026-11-22 12:00:00 UTC"
    )


def test_a_job_that_needs_a_login_is_skipped_and_said_once_and_goes_on_by_itself_after_it() -> None:
    scene = Scene(people=YEARLY, others=YEARLY)
    scene.clock = HandClock()
    scene.story.debug = lambda event, **facts: scene.story.tell(f"quietly {event}", **facts)  # type: ignore[method-assign]
    cure = "connection hr needs a login: nobody is logged in; run `crudsd auth login hr`"
    scene.work.obstacles["people"] = cure

    with scene.serving() as service:
        for at in (T0, T1):
            scene.fire(service, "people", at)
        scene.story.wait_for("quietly run.skipped", job="people", reason=cure)
        scene.fire(service, "others", T1)
        scene.story.wait_for("test.ended", job="others")
        assert scene.work.ran == ["others"]
        scene.work.obstacles["people"] = ""
        scene.story.wait_for("test.ended", job="people")
        idle(service)
        scene.work.obstacles["people"] = cure
        scene.fire(service, "people", T1.replace(minute=30))
        scene.story.wait_for("run.skipped", times=2, job="people", reason=cure)

    assert scene.work.skipped == [("people", at, cure) for at in (T0, T1, T1.replace(minute=30))]
    assert scene.work.fired["people", T0] == "resume"
    assert scene.work.ran == ["others", "people"]


def test_a_login_that_cannot_be_looked_up_is_looked_up_again() -> None:
    scene = Scene(people=YEARLY)
    broken = [1]

    def obstacle(job: str) -> str:
        if broken:
            broken.pop()
            raise StateError("the database is locked")
        return ""

    scene.work.obstacle = obstacle  # type: ignore[method-assign]
    with scene.serving() as service:
        scene.fire(service, "people")
        scene.story.wait_for("fire.failed", job="people")
        scene.story.wait_for("test.ended", job="people")

    assert scene.work.ran == ["people"]


# ---- overlap ----


def test_a_fire_that_is_queued_runs_when_the_run_before_it_is_over(gate: threading.Event) -> None:
    scene = Scene(people={**YEARLY, "overlap": "queue"})
    scene.work.does["people"] = held(gate)

    with scene.serving() as service:
        scene.fire(service, "people")
        scene.story.wait_for("test.began", job="people")
        scene.fire(service, "people", T1)
        scene.fire(service, "people", T2)
        assert scene.work.ran == ["people"]
        gate.set()
        scene.story.wait_for("test.ended", times=2, job="people")

    assert list(scene.work.fired) == [("people", T0), ("people", T1)]
    reason = "the run before it is not over, and another one waits for that already"
    assert scene.work.skipped == [("people", T2, reason)]


def test_a_fire_that_cancels_asks_the_run_before_it_to_stop_and_takes_its_place() -> None:
    scene = Scene(people={**YEARLY, "overlap": "cancel"})

    def until_asked() -> Ending:
        (request,) = scene.work.runs.values() if len(scene.work.runs) == 1 else (None,)
        if request is None:
            return Ending.DONE
        assert request.wait(20)
        return Ending.INTERRUPTED

    scene.work.does["people"] = until_asked
    with scene.serving() as service:
        scene.fire(service, "people")
        scene.story.wait_for("test.began", job="people")
        scene.fire(service, "people", T1)
        scene.story.wait_for("test.ended", times=2, job="people")

    first, second = scene.work.runs.values()
    assert (first.reason, second.reason) == ("the next run of the job is due (overlap: cancel)", "")
    assert scene.work.skipped == []


# ---- what other processes ask for ----


def test_a_run_that_was_triggered_is_done_once_and_waits_for_its_turn(gate: threading.Event) -> None:
    scene = Scene(people=YEARLY, by_hand=None)
    scene.work.does["people"] = held(gate)

    with scene.serving() as service:
        scene.fire(service, "people")
        scene.story.wait_for("test.began", job="people")
        scene.work.triggered = {"run-1": "people", "run-2": "by_hand", "run-3": "not a job any more"}
        scene.story.wait_for("test.ended", job="by_hand")
        assert scene.work.ran == ["people", "by_hand"]
        gate.set()
        scene.story.wait_for("test.ended", times=2, job="people")
        service._look()

    assert sorted(scene.work.ran) == ["by_hand", "people", "people"]


def test_a_run_that_somebody_asked_to_stop_is_told_so_and_no_other(gate: threading.Event) -> None:
    scene = Scene(people=YEARLY, others=YEARLY)
    for job in ("people", "others"):
        scene.work.does[job] = held(gate)

    with scene.serving() as service:
        scene.fire(service, "people")
        scene.fire(service, "others")
        scene.story.wait_for("test.began", times=2)
        scene.work.asked = {"people/1": "a person asked it to stop"}
        scene.story.wait_for("run.asked_to_stop")
        gate.set()

    assert scene.work.runs["people/1"].reason == "a person asked it to stop"
    assert not scene.work.runs["others/2"].is_asked


# ---- failures ----


@pytest.mark.parametrize("ending", [Ending.FAILED, Ending.UNAVAILABLE])
def test_a_job_that_failed_too_often_in_a_row_is_paused_with_the_reason(ending: Ending) -> None:
    scene = Scene(people={**YEARLY, "pause_after": 2})
    endings = iter([ending, Ending.DONE, ending, Ending.SKIPPED, ending])
    scene.work.does["people"] = lambda: next(endings)

    with scene.serving() as service:
        for minute in range(5):
            scene.fire(service, "people", T0.replace(minute=minute))
            scene.story.wait_for("test.ended", times=minute + 1, job="people")
            idle(service)
        scene.fire(service, "people", T1)
        scene.story.wait_for("run.skipped", job="people")

    reason = "2 runs failed, one after the other (pause_after: 2)"
    assert scene.work.skipped == [("people", T1, reason)]
    assert [facts for name, facts in scene.story.told if name == "job.paused"] == [
        {"job": "people", "reason": reason, "cure": "crudsd resume people"}
    ]


def test_a_run_that_was_stopped_with_the_service_is_no_failure_and_one_that_took_too_long_is() -> None:
    scene = Scene(people={**YEARLY, "pause_after": 1})

    def stopped() -> Ending:
        return Ending.INTERRUPTED

    def too_long() -> Ending:
        request = [*scene.work.runs.values()][-1]
        with request.asked_after(timedelta(0)):
            assert request.wait(20)
        return Ending.INTERRUPTED

    scene.work.does["people"] = stopped
    with scene.serving() as service:
        scene.fire(service, "people")
        scene.story.wait_for("test.ended", job="people")
        idle(service)
        assert scene.work.obstacles == {}
        scene.work.does["people"] = too_long
        scene.fire(service, "people", T1)
        scene.story.wait_for("job.paused", job="people")


# ---- what was missed ----


def test_what_was_missed_while_the_service_was_down_is_made_up_for_at_the_start() -> None:
    scene = Scene(people={"every": "15m"}, others={"every": "15m", "catch_up": "none"}, fresh={"every": "15m"})
    clock = scene.clock = HandClock()
    clock.now = T0 + timedelta(hours=1, seconds=1)
    scene.work.last_fires = {"people": T0, "others": T0}

    with scene.serving():
        scene.story.wait_for("test.ended", job="people")

    assert list(scene.work.fired) == [("people", T0 + timedelta(hours=1))]
    assert [(job, at) for job, at, _ in scene.work.skipped] == [
        ("people", T0 + timedelta(minutes=45)),
        ("others", T0 + timedelta(hours=1)),
    ]
    assert all("were missed" in reason for _, _, reason in scene.work.skipped)


def test_each_missed_fire_runs_where_the_job_wants_all(gate: threading.Event) -> None:
    scene = Scene(people={"every": "15m", "catch_up": "all"})
    clock = scene.clock = HandClock()
    clock.now = T0 + timedelta(minutes=50)
    scene.work.last_fires = {"people": T0}

    with scene.serving():
        scene.story.wait_for("test.ended", times=3, job="people")

    assert [at for _, at in scene.work.fired] == [T0 + timedelta(minutes=minute) for minute in (15, 30, 45)]
    assert scene.work.skipped == []


def test_wake_ups_that_come_late_together_are_missed_fires() -> None:
    scene = Scene(people=YEARLY)
    clock = scene.clock = HandClock()
    clock.now = T1

    with scene.serving() as service:
        service._fired("people", [T0, T0.replace(minute=5), T0.replace(minute=10)])
        scene.story.wait_for("test.ended", job="people")

    assert list(scene.work.fired) == [("people", T0.replace(minute=10))]
    assert [at for _, at, _ in scene.work.skipped] == [T0.replace(minute=5)]


def test_a_clock_that_is_set_forward_is_told_and_what_lies_between_is_made_up_for() -> None:
    scene = Scene(people={"every": "1h"})
    clock = scene.clock = HandClock()
    clock.now = T0 + timedelta(minutes=1)
    scene.work.last_fires = {"people": T0}

    with scene.serving():
        clock.now = T0 + timedelta(minutes=61)
        scene.story.wait_for("test.ended", job="people")

    assert list(scene.work.fired) == [("people", T0 + timedelta(hours=1))]
    assert "clock.jumped" in scene.story.names()


def test_a_clock_that_is_set_back_runs_nothing_twice_and_the_next_fire_comes_in_time() -> None:
    scene = Scene(people={"every": "1h"})
    clock = scene.clock = HandClock()
    scene.work.last_fires = {"people": T0}

    with scene.serving() as service:
        clock.now = T0 - timedelta(minutes=30)
        scene.story.wait_for("clock.jumped")
        scene.fire(service, "people", T0 - timedelta(hours=1))
        scene.story.wait_for("test.ended", job="people")
        (waking,) = service._scheduler.get_jobs()

    assert waking.next_run_time is not None
