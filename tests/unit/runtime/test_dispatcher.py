"""Fires that meet a run, runs that other processes ask for, and jobs that fail too often."""

import threading
from datetime import timedelta

import pytest

from daemon.sync.outcome import Ending
from tests.unit.runtime.service_scene import T0, T1, T2, YEARLY, Scene, held, idle


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
