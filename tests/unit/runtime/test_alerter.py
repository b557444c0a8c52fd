"""Whom the service tells of what: over a real state database, restarts, reloads and destinations that fail."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.errors import RefusedError, StateError
from daemon.runtime.alert_channel import Channel, Notice
from daemon.spec import AlertEvent, Schedule
from daemon.store.alert_states import AlertState
from daemon.store.run_row import Trigger
from daemon.sync.certificate import Certificate
from daemon.sync.change import Kind
from daemon.sync.counts import Counts
from daemon.sync.outcome import Ending, Result, Verdict
from daemon.sync.pin import Digest
from daemon.values import Secret
from tests.canaries import seen_in
from tests.unit.runtime.alert_scene import AlertScene, Ear, alert_scene
from tests.unit.runtime.service_scene import Story


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[AlertScene]:
    with alert_scene(tmp_path) as scene:
        yield scene


def test_a_failing_job_is_told_once_and_its_recovery_once(scene: AlertScene) -> None:
    with scene.alerting() as alerter:
        for ending in (Ending.DONE, Ending.FAILED, Ending.UNAVAILABLE, Ending.DONE, Ending.DONE):
            scene.ran(ending)
            alerter.changed("people")
            scene.settled(alerter)

    assert scene.ops.told == [("failure", "people"), ("recovery", "people")]
    assert [event for event, _ in scene.dead.told] == ["good", "failure", "failure", "good", "good"]


def test_an_alert_says_what_happened_why_and_what_to_do(scene: AlertScene) -> None:
    with scene.alerting() as alerter:
        run = scene.ran(Ending.FAILED, error="hr: GET /employees: answered with status code 404")
        alerter.changed("people")
        scene.settled(alerter)

    (alert,) = scene.ops.heard
    assert alert["summary"] == "people failed: hr: GET /employees: answered with status code 404"
    assert (alert["run"], alert["ending"], alert["failures"]) == (run, "failed", 1)
    assert alert["id"] == f"people:failure:{run}"
    assert alert["cure"] == "the reason says what to change; crudsd runs people shows the last runs"
    assert alert["at"] == alert["ended_at"] == "2026-03-01T12:00:01Z"
    assert alert["counts"]["seen"] == 0


def test_no_secret_is_told_whoever_let_it_into_an_error(scene: AlertScene) -> None:
    known = Secret("canary-known-by-another-name").reveal()
    with scene.alerting() as alerter:
        for error in (
            f"E: {known}",
            "E: https://x.example.com/a?api_key=canary-q",
            "E: Authorization: Bearer canary-b",
        ):
            scene.ran(Ending.FAILED, error=error)
            alerter.changed("people")
            scene.settled(alerter)
            scene.ran(Ending.DONE)
            alerter.changed("people")
            scene.settled(alerter)

    told = [alert for alert in scene.ops.heard if alert["event"] == "failure"]
    assert all(alert["reason"].startswith("E: ") for alert in told)
    assert (len(told), seen_in(repr([scene.ops.heard, scene.dead.heard]))) == (3, [])


def test_a_restart_tells_nothing_twice(scene: AlertScene) -> None:
    scene.tells["people"] = {**scene.tells["people"], "on_late": {"to": "ops", "after": "1h"}}
    with scene.alerting() as alerter:
        scene.ran(Ending.DONE)
        alerter.changed("people")
        scene.settled(alerter)
        scene.clock.move(7200)
        scene.ran(Ending.HELD, withheld={Kind.DELETE: Digest(3, 0xAA)})
        alerter.changed("people")
        scene.settled(alerter)
        scene.ran(Ending.FAILED)
        alerter.changed("people")
        scene.settled(alerter)
    before = scene.ops.told[:]

    for _ in range(2):
        with scene.alerting():
            pass

    assert before == [("late", "people"), ("hold", "people"), ("failure", "people")]
    assert scene.ops.told == before
    assert len(scene.dead.told) == 2


def test_what_happened_while_nobody_told_is_told_at_the_next_start(scene: AlertScene) -> None:
    with scene.alerting():
        pass
    scene.ran(Ending.FAILED)

    with scene.alerting():
        pass

    assert scene.ops.told == [("failure", "people")]
    assert scene.dead.told == [("failure", "people")]


def test_what_was_not_told_when_the_service_ended_is_told_at_the_next_start(scene: AlertScene) -> None:
    scene.ops.fails = 1
    with scene.alerting(waits_s=(3600,)) as alerter:
        scene.ran(Ending.FAILED)
        alerter.changed("people")
        scene.story.wait_for("alert.sent", told="failure", alert="dead")
        assert scene.ops.busy.wait(20)
    assert scene.ops.told == []
    assert "alert.failed" in scene.story.names()

    with scene.alerting():
        pass

    assert scene.ops.told == [("failure", "people")]


def test_an_alert_is_told_again_after_a_failure_and_given_up_after_some(scene: AlertScene) -> None:
    with scene.alerting() as alerter:
        scene.ops.fails = 2
        scene.ran(Ending.FAILED)
        alerter.changed("people")
        scene.settled(alerter)
        assert (scene.ops.asked, scene.ops.told) == (3, [("failure", "people")])

        scene.ops.fails = 3
        scene.ran(Ending.DONE)
        alerter.changed("people")
        scene.settled(alerter)

    assert (scene.ops.asked, scene.ops.told) == (6, [("failure", "people")])
    (said,) = [facts for name, facts in scene.story.told if name == "alert.failed"]
    assert said["error"] == "no connection; given up"
    assert said["cure"] == "crudsd alerts test ops"


def test_an_alert_that_is_refused_is_not_repeated(scene: AlertScene) -> None:
    scene.ops.fails, scene.ops.error = 1, RefusedError("404")
    with scene.alerting() as alerter:
        scene.ran(Ending.FAILED)
        alerter.changed("people")
        scene.settled(alerter)

    assert (scene.ops.asked, scene.ops.told) == (1, [])


def test_a_destination_that_crashes_ends_nothing(scene: AlertScene) -> None:
    scene.ops.fails, scene.ops.error = 1, ZeroDivisionError()
    with scene.alerting() as alerter:
        for ending in (Ending.FAILED, Ending.DONE):
            scene.ran(ending)
            alerter.changed("people")
            scene.settled(alerter)

    assert scene.ops.told == [("recovery", "people")]
    assert "alert.crashed" in scene.story.names()


def test_a_destination_that_does_not_answer_holds_up_no_other(scene: AlertScene) -> None:
    scene.ops.gate.clear()
    with scene.alerting() as alerter:
        scene.ran(Ending.FAILED)
        alerter.changed("people")
        assert scene.ops.busy.wait(20)
        for _ in range(2):
            scene.ran(Ending.DONE)
            alerter.changed("people")
            scene.story.wait_for("alert.sent", alert="dead", told="good", times=len(scene.dead.told) or 1)
        scene.ops.gate.set()
        scene.settled(alerter)

    # It was told late that the job failed, and then at once that it is well.
    assert scene.ops.told == [("failure", "people"), ("recovery", "people")]


def test_the_end_of_a_service_does_not_wait_for_a_destination_for_long(scene: AlertScene) -> None:
    scene.ops.gate.clear()
    with scene.alerting() as alerter:
        scene.ran(Ending.FAILED)
        alerter.changed("people")
        assert scene.ops.busy.wait(20)

        alerter.close(within_s=0.05)

        assert "alerts.left" in scene.story.names()
        kept = scene.states.begin(["people"])["people"]
        scene.ops.gate.set()
    assert kept.failing is None, "it is still owed"


def test_a_full_line_drops_its_oldest_and_says_so() -> None:
    story, ear, done = Story(), Ear(), []
    channel = Channel("ops", lambda: ear, story, most=3)
    ear.gate.clear()
    for number in range(6):
        channel.put(Notice(AlertEvent.LATE, {"job": f"job-{number}"}, lambda: done.append(1)))
        assert ear.busy.wait(20)
    ear.gate.set()

    assert channel.join(20)
    assert [job for _, job in ear.told] == ["job-0", "job-3", "job-4", "job-5"]
    assert [facts["job"] for name, facts in story.told if name == "alert.dropped"] == ["job-1", "job-2"]
    assert len(done) == 6


def none_left(thread: threading.Thread) -> None:
    raise RuntimeError(f"can't start new thread {thread.name}")


def test_a_machine_without_a_thread_left_delays_an_alert_and_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    story, ear = Story(), Ear()
    channel = Channel("ops", lambda: ear, story)
    with monkeypatch.context() as patch:
        patch.setattr(
            threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("can't start new thread"))
        )
        channel.put(Notice(AlertEvent.LATE, {"job": "first"}, lambda: None))
    assert story.names() == ["alert.delayed"]

    channel.put(Notice(AlertEvent.LATE, {"job": "second"}, lambda: None))

    assert channel.join(20)
    assert [job for _, job in ear.told] == ["first", "second"]


def test_no_trouble_with_an_alert_reaches_the_run_that_begins(scene: AlertScene) -> None:
    with scene.alerting() as alerter:
        alerter._lookout.begun = lambda job, run: 1 / 0  # type: ignore[method-assign, assignment, return-value]
        alerter.began("people", "r1")

    assert "alert.crashed" in scene.story.names()


def test_a_plan_that_is_held_names_the_command_that_lets_it_pass(scene: AlertScene) -> None:
    verdict = Verdict("deletes", tripped=True, message="30 deletes of 100 linked records (30%) are more than 10%")
    with scene.alerting() as alerter:
        for digest in (0xAA, 0xAA, 0xBB):
            run = scene.ran(Ending.HELD, verdicts=(verdict,), withheld={Kind.DELETE: Digest(30, digest)})
            alerter.changed("people")
            scene.settled(alerter)

    assert [event for event, _ in scene.ops.told] == ["hold", "hold"]
    alert = scene.ops.heard[-1]
    assert (alert["cause"], alert["reason"]) == ("guard", verdict.message)
    assert f"crudsd approve {run}" in alert["cure"]


def test_a_job_that_was_paused_or_needs_a_login_is_told_of_as_held(scene: AlertScene) -> None:
    with scene.alerting() as alerter:
        scene.job_states.pause("people", "3 runs failed, one after the other (pause_after: 3)")
        alerter.changed("people")
        scene.settled(alerter)
        scene.job_states.resume("people")
        scene.login = "connection hr needs a login: none was made; run `crudsd auth login hr`"
        alerter.changed("people")
        scene.settled(alerter)

    paused, login = scene.ops.heard
    assert (paused["cause"], paused["cure"]) == ("paused", "crudsd resume people")
    assert paused["reason"] == "it is paused: 3 runs failed, one after the other (pause_after: 3)"
    assert (login["cause"], login["cure"]) == ("login", "run `crudsd auth login hr`")
    assert login["reason"] == "connection hr needs a login: none was made"


def test_a_job_becomes_late_by_nothing_happening(scene: AlertScene) -> None:
    scene.tells["people"] = {"on_late": {"to": "ops", "after": "1h"}, "on_recovery": "ops"}
    scene.ran(Ending.DONE)
    scene.clock.move(3599)
    with scene.alerting() as alerter:
        assert alerter._look_at == {"people": scene.clock() + timedelta(seconds=1)}
        scene.clock.move(1)
        with alerter._changed:
            alerter._changed.notify_all()
        scene.story.wait_for("alert.sent", told="late")
        scene.settled(alerter)
        assert alerter._look_at == {}
        scene.ran(Ending.REJECTED)
        alerter.changed("people")
        scene.settled(alerter)

    assert scene.ops.told == [("late", "people"), ("recovery", "people")]
    assert scene.ops.heard[0]["reason"] == "its last good run ended at 2026-03-01 12:00:01 UTC"


def test_a_job_that_says_no_time_is_late_at_its_second_fire_without_a_good_run(scene: AlertScene) -> None:
    scene.tells["people"] = {"on_late": "ops"}
    scene.schedules = {"people": Schedule.model_validate({"cron": "0 6 * * mon-fri", "timezone": "UTC"})}
    scene.ran(Ending.DONE)  # on a Sunday at noon
    with scene.alerting() as alerter:
        (at,) = alerter._look_at.values()

    assert f"{at:%a %H:%M}" == "Tue 06:00"


def test_at_its_start_a_service_calls_no_job_late(scene: AlertScene) -> None:
    scene.tells["people"] = {"on_late": {"to": "ops", "after": "1h"}}
    scene.ran(Ending.DONE)
    scene.clock.move(86_400)
    with scene.alerting(grace_s=300) as alerter:
        assert alerter._look_at == {"people": scene.clock() + timedelta(seconds=300)}

    assert scene.ops.told == []


def test_a_run_by_hand_tells_nothing_and_counts_for_lateness(scene: AlertScene) -> None:
    scene.tells["people"] = {**scene.tells["people"], "on_late": {"to": "ops", "after": "1h"}}
    with scene.alerting() as alerter:
        scene.clock.move(3000)
        for ending in (Ending.FAILED, Ending.DONE):
            run = scene.runs.begin("people", trigger=Trigger.MANUAL, revision="r")
            scene.runs.finish(run, _result(ending))
        alerter.changed("people")
        scene.settled(alerter)
        assert alerter._look_at == {"people": scene.clock() + timedelta(hours=1)}

    assert (scene.ops.told, scene.dead.told) == ([], [])


def test_heartbeats_that_want_to_know_hear_of_the_start(scene: AlertScene) -> None:
    deaf = Ear(AlertEvent.GOOD)
    scene.senders["deaf"] = deaf
    scene.tells["people"] = {"heartbeat": ["dead", "deaf"]}
    with scene.alerting() as alerter:
        alerter.began("people", "r1")
        scene.story.wait_for("alert.sent", told="start")
        scene.ran(Ending.FAILED)
        alerter.changed("people")
        scene.settled(alerter)

    assert [event for event, _ in scene.dead.told] == ["start", "failure"]
    assert deaf.told == []


def test_a_reload_takes_over_what_is_told_to_whom(scene: AlertScene) -> None:
    mail = Ear()
    with scene.alerting() as alerter:
        scene.ran(Ending.FAILED)
        alerter.changed("people")
        scene.settled(alerter)

        scene.tells = {"people": {"on_recovery": "mail"}, "tickets": {"on_failure": "mail"}}
        scene.senders = {"mail": mail}
        alerter.replace(scene.plan())
        scene.ran(Ending.FAILED, job="tickets")
        scene.ran(Ending.DONE)
        alerter.changed("people")
        alerter.changed("tickets")
        scene.settled(alerter)

    assert scene.ops.told == [("failure", "people")]
    assert sorted(mail.told) == [("failure", "tickets"), ("recovery", "people")]
    assert scene.ops.closed


def test_a_state_that_cannot_be_written_repeats_nothing_and_is_written_later(
    scene: AlertScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stubborn(type(scene.states)):  # type: ignore[misc]
        full = True

        def keep(self, job: str, state: AlertState) -> None:
            if self.full:
                raise StateError("the disk is full")
            super().keep(job, state)

    states = scene.states = Stubborn(scene.database, scene.clock)
    with scene.alerting() as alerter:
        for _ in range(3):
            scene.ran(Ending.FAILED)
            alerter.changed("people")
            scene.settled(alerter)
        states.full = False
        alerter.changed("people")
        scene.settled(alerter)

    assert scene.ops.told == [("failure", "people")]
    assert scene.states.begin(["people"])["people"].failing is not None
    assert "alert.not_remembered" in scene.story.names()


def test_a_state_that_cannot_be_read_is_looked_at_again(scene: AlertScene) -> None:
    scene.ran(Ending.FAILED)
    endings, locked = scene.states.endings, threading.Event()
    locked.set()

    def reads(job: str, limit: int) -> tuple[tuple[str, Ending], ...]:
        if locked.is_set():
            raise StateError("the database is locked")
        return endings(job, limit)

    scene.states.endings = reads  # type: ignore[method-assign]
    with scene.alerting() as alerter:
        assert "alert.look_failed" in scene.story.names()
        locked.clear()
        scene.clock.move(31)
        with alerter._changed:
            alerter._changed.notify_all()
        scene.story.wait_for("alert.sent", told="failure", alert="ops")

    assert scene.ops.told == [("failure", "people")]


def _result(ending: Ending) -> Result:
    return Result(ending, Counts(), Certificate(end=None), ())
