"""What the service makes of fires that were missed, and of a clock that was set."""

import threading
from datetime import timedelta
from typing import Any

import pytest

from daemon.sync.outcome import Ending
from tests.unit.runtime.service_scene import T0, T1, YEARLY, HandClock, Scene, held, idle


def test_what_was_missed_while_the_service_was_down_is_made_up_for_at_the_start() -> None:
    scene = Scene(people={"every": "15m"}, others={"every": "15m", "catch_up": "none"}, fresh={"every": "15m"})
    clock = scene.clock = HandClock()
    clock.now = T0 + timedelta(hours=1, seconds=1)
    scene.work.last_fires = {"people": T0, "others": T0}

    with scene.serving():
        scene.story.wait_for("fires.missed", job="others")
        scene.story.wait_for("test.ended", job="people")

    assert list(scene.work.fired) == [("people", T0 + timedelta(hours=1))]
    assert sorted((job, at) for job, at, _ in scene.work.skipped) == [
        ("others", T0 + timedelta(hours=1)),
        ("people", T0 + timedelta(minutes=45)),
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
        ahead = dict(service._wakeups.ahead)

    assert ahead == {"people": T0}


@pytest.mark.edge(51)
def test_two_hundred_jobs_that_are_due_at_the_start_wait_for_their_turn_and_ready_does_not_wait_for_them(
    gate: threading.Event,
) -> None:
    scene = Scene(**{f"job-{number:03}": {"every": "15m"} for number in range(200)})
    clock = scene.clock = HandClock()
    clock.now = T0 + timedelta(hours=1, seconds=1)
    scene.work.last_fires = {f"job-{number:03}": T0 for number in range(200)}
    under_way, most, lock = 0, 0, threading.Lock()

    def run() -> Ending:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        assert gate.wait(20)
        with lock:
            under_way -= 1
        return Ending.DONE

    scene.work.does.default_factory = lambda: run
    with scene.serving():
        scene.story.wait_for("test.began", times=4)
        gate.set()
        scene.story.wait_for("test.ended", times=200)

    assert most == 4, "as many as there are workers"
    assert set(scene.work.fired.values()) == {"schedule"}
    assert sorted(job for job, _ in scene.work.fired) == sorted(scene.work.last_fires)


def test_a_clock_that_is_set_in_small_steps_is_found_out_when_they_add_up() -> None:
    scene = Scene(people={"every": "1h"})
    clock = scene.clock = HandClock()
    clock.now = T0 + timedelta(minutes=1)

    with scene.serving() as service:
        for _ in range(4):
            clock.now += timedelta(seconds=1)
            service._look_at_clocks()
        assert "clock.jumped" not in scene.story.names()
        clock.now += timedelta(seconds=30)
        scene.story.wait_for("clock.jumped")

    assert scene.work.fired == {}


def test_after_a_jump_a_job_that_never_fired_runs_for_what_became_due() -> None:
    scene = Scene(people={"every": "1h"})
    clock = scene.clock = HandClock()
    clock.now = T0 + timedelta(minutes=1)

    with scene.serving():
        clock.now = T0 + timedelta(hours=3, minutes=1)
        scene.story.wait_for("test.ended", job="people")

    assert list(scene.work.fired) == [("people", T0 + timedelta(hours=3))]
    assert [at for _, at, _ in scene.work.skipped] == [T0 + timedelta(hours=2)]


def test_a_fire_that_had_its_run_asks_no_run_to_make_way(gate: threading.Event) -> None:
    scene = Scene(people={**YEARLY, "overlap": "cancel"})
    scene.work.does["people"] = held(gate)

    with scene.serving() as service:
        scene.fire(service, "people")
        scene.story.wait_for("test.began", job="people")
        scene.fire(service, "people")
        (asked,) = scene.work.runs.values()
        assert not asked.is_asked
        gate.set()
        scene.story.wait_for("test.ended", job="people")


def test_a_wake_up_that_comes_far_too_late_is_a_missed_fire_and_one_a_little_late_is_none() -> None:
    scene = Scene(people={**YEARLY, "catch_up": "none"})
    clock = scene.clock = HandClock()
    clock.now = T0

    with scene.serving() as service:
        service._fired("people", [T0 - timedelta(hours=1)])
        service._fired("people", [T0 - timedelta(seconds=2), T0 - timedelta(seconds=1)])
        scene.story.wait_for("test.ended", job="people")

    assert list(scene.work.fired) == [("people", T0 - timedelta(seconds=1))]
    assert [at for _, at, _ in scene.work.skipped] == [T0 - timedelta(hours=1), T0 - timedelta(seconds=2)]


def test_a_wake_up_that_was_seen_in_time_is_not_missed_though_many_others_stood_before_it() -> None:
    scene = Scene(people={**YEARLY, "catch_up": "none"})
    clock = scene.clock = HandClock()
    clock.now = T1

    with scene.serving() as service:
        service._fired("people", [T0], T0 + timedelta(seconds=1))
        scene.story.wait_for("test.ended", job="people")

    assert list(scene.work.fired) == [("people", T0)]
    assert scene.work.skipped == []


def test_who_is_asked_to_end_writes_no_row_that_would_hide_a_fire_from_the_next_start() -> None:
    scene = Scene(people=YEARLY)
    clock = scene.clock = HandClock()
    clock.now = T1

    with scene.serving() as service:
        scene.stop.set()
        service._fired("people", [T0, T0.replace(minute=5), T0.replace(minute=10)])

    assert (scene.work.fired, scene.work.skipped) == ({}, [])


def test_a_job_that_was_to_follow_another_one_when_the_service_ended_follows_at_the_start() -> None:
    after: dict[str, Any] = {"after": "people"}
    scene = Scene(people=YEARLY, owed=after, old={**after, "catch_up_window": "1s"}, had=after, new=after)
    clock = scene.clock = HandClock()
    clock.now = T1
    scene.work.ended_well = {"people": T0}
    scene.work.followed = {"owed": T0 - timedelta(days=1), "old": T0 - timedelta(days=1), "had": T0}

    with scene.serving() as service:
        scene.story.wait_for("test.ended", job="owed")
        idle(service)

    assert scene.work.fired == {("owed", T0): "after"}
    assert [(job, at) for job, at, _ in scene.work.skipped] == [("old", T0)]
