"""A configuration that is read anew while the service runs: what it takes up, and what it refuses."""

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from daemon.errors import ConfigError, Exit
from daemon.runtime.generations import Generations
from daemon.runtime.service import Limits
from daemon.runtime.signals import Hangups
from daemon.runtime.work import Program
from daemon.store.retention import Pruned
from tests.unit.runtime.service_scene import T1, YEARLY, MemoryWork, Scene, held, idle
from tests.unit.runtime.test_service_to_systemd import systemd


def test_jobs_come_go_and_change_and_a_run_under_way_ends_as_it_began(gate: threading.Event) -> None:
    scene = Scene(people=YEARLY, gone=YEARLY, others=YEARLY)
    scene.work.does["gone"] = held(gate)

    with scene.serving() as service:
        scene.fire(service, "gone")
        scene.story.wait_for("test.began", job="gone")
        scene.changed(people={"cron": "0 0 1 1 *"}, others=YEARLY, new={"every": "1s"})
        scene.story.wait_for("service.reloaded", jobs=3)
        scene.story.wait_for("test.ended", job="new")
        scene.fire(service, "gone", T1)
        gate.set()
        scene.story.wait_for("test.ended", job="gone")
        waking = service._wakeups.ahead

    assert waking.keys() == {"people", "others", "new"}
    assert (waking["people"].month, waking["others"].month) == (1, 2)
    assert scene.work.ran.count("gone") == 1


def test_a_run_whose_thread_has_not_begun_yet_is_done_by_the_configuration_that_took_it() -> None:
    scene = Scene(gone=YEARLY)
    scene.limits = Limits(look_s=60)
    after = MemoryWork(scene.story)
    kept: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    class Slow(ThreadPoolExecutor):
        """A pool whose threads take their time."""

        def submit(self, fn: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:
            kept.append((fn, args))
            return Future()

    with scene.serving() as service:
        service._dispatcher._pool = Slow()
        scene.fire(service, "gone")
        service._dispatcher.replace(Program({}, after))
        ((work, given),) = kept
        work(*given)

    assert (scene.work.ran, after.ran) == (["gone"], [])


def test_a_job_whose_moments_have_passed_may_stay_go_and_come_back() -> None:
    past = {"at": "2001-01-01T00:00"}
    scene = Scene(once=past, people=YEARLY)

    with scene.serving() as service:
        scene.changed(people=YEARLY)
        scene.story.wait_for("service.reloaded", jobs=1)
        scene.changed(people={"after": "once"}, once=past)
        scene.story.wait_for("service.reloaded", jobs=2)
        scene.fire(service, "once")
        scene.story.wait_for("test.ended", job="people")

    assert scene.work.ran == ["once", "people"]


def test_a_configuration_that_is_no_good_is_refused_and_said_until_a_good_one_comes(tmp_path: Path) -> None:
    scene = Scene(people=YEARLY)
    with systemd(scene, tmp_path) as heard:
        with scene.serving() as service:
            assert heard() == "READY=1"
            assert heard().startswith("STATUS=1 job; ")
            scene.reloads.append(ConfigError("crudsd.yaml:3: no\nsuch key"))
            scene.story.wait_for("reload.refused")
            assert heard().startswith("RELOADING=1\nMONOTONIC_USEC="), "else Type=notify-reload waits in vain"
            assert heard() == (
                "STATUS=the changed configuration is refused, the one before goes on: crudsd.yaml:3: no such key"
            )
            assert heard() == "READY=1"
            scene.fire(service, "people")
            scene.story.wait_for("test.ended", job="people")
            idle(service)
            scene.changed(people=YEARLY, more=YEARLY)
            scene.story.wait_for("service.reloaded")
            said = heard()
            assert said.startswith("RELOADING=1\nMONOTONIC_USEC=")
            assert heard() == "READY=1"
            assert heard().startswith("STATUS=2 jobs; ")
        assert heard() == "STOPPING=1\nSTATUS=draining"


def test_a_defect_that_a_changed_file_brings_out_does_not_end_the_service() -> None:
    scene = Scene(people=YEARLY)
    with scene.serving() as service:
        scene.reloads.append(ZeroDivisionError("bug"))
        scene.story.wait_for("reload.refused", error="ZeroDivisionError('bug')", exc_info=True)
        scene.fire(service, "people")
        scene.story.wait_for("test.ended", job="people")

    assert scene.exits == [Exit.DONE]


class Reading:
    """One reading of the configuration."""

    def __init__(self, story: list[str], number: int = 1) -> None:
        self.story, self.number = story, number
        self.is_good = True

    def reread(self) -> "Reading":
        if not self.is_good:
            raise ConfigError("no good")
        return Reading(self.story, self.number + 1)

    def program(self) -> Program:
        self.story.append(f"{self.number} begins")
        return Program({}, Scene().work)

    def prune(self) -> Pruned:
        return Pruned(self.number, 0)

    def retire(self) -> None:
        self.story.append(f"{self.number} retires")

    def close(self) -> None:
        self.story.append(f"{self.number} closes")


def test_each_hangup_is_one_reading_and_the_one_before_retires_a_look_later() -> None:
    story: list[str] = []
    first = Reading(story)

    with Hangups() as hangups, Generations(first, hangups) as generations:
        assert generations.next() is None
        os.kill(os.getpid(), signal.SIGHUP)
        assert generations.next() is not None
        assert story == ["2 begins"]
        assert generations.next() is None
        assert generations.prune() == Pruned(2, 0)

    assert story == ["2 begins", "1 retires", "2 closes"]


def test_after_a_reading_that_is_no_good_the_one_before_goes_on() -> None:
    first = Reading([])
    first.is_good = False

    with Hangups() as hangups, Generations(first, hangups) as generations:
        os.kill(os.getpid(), signal.SIGHUP)
        try:
            generations.next()
        except ConfigError:
            pass
        else:
            raise AssertionError("it was taken")
        assert generations.next() is None
        assert generations.prune() == Pruned(1, 0)
