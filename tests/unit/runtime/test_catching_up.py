"""What the service makes of fires that were missed, and of a clock that was set."""

import threading
from datetime import timedelta

from tests.unit.runtime.service_scene import T0, T1, YEARLY, HandClock, Scene


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
