"""Fires that meet a run, runs that other processes ask for, and jobs that fail too often."""

import threading
from datetime import timedelta

import pytest

from daemon.errors import ConfigError, StateError
from daemon.runtime.service import Limits
from daemon.runtime.work import Capacity
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


def test_a_run_that_ends_while_the_service_looks_is_not_done_again(gate: threading.Event) -> None:
    scene = Scene(people=YEARLY)
    scene.limits = Limits(look_s=60)
    scene.work.does["people"] = held(gate)

    with scene.serving() as service:
        scene.fire(service, "people")
        scene.story.wait_for("test.began", job="people")
        rows = iter([{"people/1": "people"}])  # as it was seen before it began

        def queued() -> dict[str, str]:
            seen = next(rows, None)
            if seen is None:
                return {}
            gate.set()
            idle(service)
            return seen

        scene.work.queued = queued  # type: ignore[method-assign]
        service._dispatcher.look()
        idle(service)

    assert scene.work.ran == ["people"]
    assert "run.triggered" not in scene.story.names()


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


def test_a_run_that_is_asked_to_stop_while_it_is_queued_does_not_start(gate: threading.Event) -> None:
    scene = Scene(people=YEARLY, others=YEARLY, more=YEARLY)
    scene.capacity = limits(hr=1, connections=dict.fromkeys(("people", "others", "more"), "hr"))
    scene.work.does["people"] = held(gate)

    with scene.serving() as service:
        for job in ("people", "others", "more"):
            scene.fire(service, job)
        scene.story.wait_for("test.began", job="people")
        scene.work.triggered = {"run-1": "people", "run-2": "others"}
        scene.story.wait_for("run.triggered", times=2)
        scene.work.asked = dict.fromkeys(("others/2", "run-1"), "a person asked")
        scene.story.wait_for("run.asked_to_stop", run="others/2")
        gate.set()
        scene.story.wait_for("test.ended", job="others")
        idle(service)

    assert scene.work.dropped == {"others/2": "a person asked", "run-1": "a person asked"}
    assert scene.work.ran == ["people", "more", "others"]
    assert "run-2" in scene.work.runs


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


def test_a_run_that_broke_counts_as_a_failure_and_one_that_the_state_could_not_take_does_not() -> None:
    scene = Scene(people={**YEARLY, "pause_after": 2})
    errors = iter([ConfigError("a secret is gone"), StateError("locked"), KeyError("bug")])

    def breaks() -> Ending:
        raise next(errors)

    scene.work.does["people"] = breaks
    with scene.serving() as service:
        for minute in range(3):
            assert scene.work.obstacles == {}
            scene.fire(service, "people", T0.replace(minute=minute))
            scene.story.wait_for("test.began", times=minute + 1, job="people")
            idle(service)
        scene.story.wait_for("job.paused", job="people")


def test_a_run_that_could_not_be_counted_has_ended_as_it_ended() -> None:
    scene = Scene(people=YEARLY, scores={"after": "people"})

    def locked(job: str, *, failed: bool) -> int:
        raise StateError("the database is locked")

    scene.work.failed = locked  # type: ignore[method-assign]
    with scene.serving() as service:
        scene.fire(service, "people")
        scene.story.wait_for("test.ended", job="scores")
        idle(service)
        assert service._dispatcher.failed == ()

    assert "count.failed" in scene.story.names()


# ---- limits ----


def test_a_slow_systems_jobs_wait_for_their_slot_while_others_run(gate: threading.Event) -> None:
    slow = {f"slow_{number}": YEARLY for number in range(4)}
    scene = Scene(**slow, people=YEARLY)
    scene.capacity = limits(slow=2, connections=dict.fromkeys(slow, "slow") | {"people": "hr"})
    for job in slow:
        scene.work.does[job] = held(gate)

    with scene.serving() as service:
        for job in slow:
            scene.fire(service, job)
        scene.story.wait_for("test.began", times=2)
        scene.fire(service, "people")
        scene.story.wait_for("test.ended", job="people")

        assert scene.work.ran == ["slow_0", "slow_1", "people"]
        assert "; queued: slow_2, slow_3; " in service._status()
        gate.set()
        scene.story.wait_for("test.ended", times=5)

    assert sorted(scene.work.ran) == sorted(["people", *slow])


def test_another_reading_of_the_configuration_brings_other_limits(gate: threading.Event) -> None:
    scene = Scene(a=YEARLY, b=YEARLY)
    scene.capacity = limits(hr=1, connections={"a": "hr", "b": "hr"})
    scene.work.does["a"] = held(gate)

    with scene.serving() as service:
        scene.fire(service, "a")
        scene.fire(service, "b")
        scene.story.wait_for("test.began", job="a")
        assert service._dispatcher.in_line == ("b",)
        scene.capacity = limits(hr=2, connections={"a": "hr", "b": "hr"})
        scene.changed(a=YEARLY, b=YEARLY)
        scene.story.wait_for("test.ended", job="b")
        gate.set()


def test_a_queued_run_of_a_job_that_is_gone_from_the_files_is_closed_with_the_reason(gate: threading.Event) -> None:
    scene = Scene(people={**YEARLY, "overlap": "queue"}, others=YEARLY)
    scene.capacity = limits(hr=1, connections={"people": "hr", "others": "hr"})
    scene.work.does["people"] = held(gate)

    with scene.serving() as service:
        scene.fire(service, "people")
        scene.fire(service, "people", T1)
        scene.fire(service, "others")
        scene.story.wait_for("test.began", job="people")
        scene.changed()
        scene.story.wait_for("service.reloaded")
        gate.set()
        idle(service)

    assert scene.work.ran == ["people"]
    assert scene.work.dropped == dict.fromkeys(("people/2", "others/3"), "the job is not in the files any more")


def test_a_jobs_next_run_goes_to_the_end_of_the_line(gate: threading.Event) -> None:
    scene = Scene(people={**YEARLY, "overlap": "queue"}, others=YEARLY)
    scene.capacity = limits(hr=1, connections={"people": "hr", "others": "hr"})
    scene.work.does["people"] = held(gate)

    with scene.serving() as service:
        scene.fire(service, "people")
        scene.story.wait_for("test.began", job="people")
        scene.fire(service, "people", T1)
        scene.fire(service, "others")
        gate.set()
        scene.story.wait_for("test.ended", times=2, job="people")

    assert scene.work.ran == ["people", "others", "people"]


def limits(*, connections: dict[str, str], **runs: int) -> Capacity:
    """Four workers, so many runs on each connection, and which job uses which."""
    uses = {job: frozenset([connection]) for job, connection in connections.items()}
    return Capacity(workers=4, drain_s=20, connections=uses, runs=runs)
