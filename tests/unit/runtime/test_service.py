"""The service over work in memory: who runs, who is skipped, who waits for whom, and how it ends."""

import threading
from datetime import datetime

import pytest

from daemon.errors import Exit, LockedError, StateError
from daemon.runtime.work import Capacity
from daemon.sync.outcome import Ending
from tests.unit.runtime.service_scene import T0, T1, YEARLY, HandClock, Scene, held, idle


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
    broken, real = [3], scene.work.waiting

    def waiting() -> dict[str, datetime]:
        if broken[0]:
            broken[0] -= 1
            raise StateError("the database is locked")
        return real()

    scene.work.waiting = waiting  # type: ignore[method-assign]
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
    scene.capacity = Capacity(workers=1, drain_s=20)
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
    scene.capacity = Capacity(drain_s=0)
    scene.work.does["people"] = held(gate)

    with scene.serving() as service:
        scene.fire(service, "people")
        scene.story.wait_for("test.began", job="people")
        scene.stop.set()
        scene.story.wait_for("service.stopped", unfinished=1)


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
