"""What the service tells systemd: that it is ready, how it stands, that it gets on, and that it stops."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon.runtime.notify import Notifier
from daemon.runtime.wellbeing import status
from daemon.sync.outcome import Ending
from tests.unit.runtime.service_scene import T0, YEARLY, Scene, idle


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
        assert set(service._wakeups.ahead) == {"people"}, "the status line would tell of the scheduler's own job"
        service._wakeups._scheduler.pause()
        assert pets.end()
        service._wakeups._scheduler.resume()
        assert pets.come()
        scene.is_written = False
        assert pets.end()


def test_each_wake_up_proves_that_the_scheduler_gets_on_since_many_at_once_hold_up_the_beat() -> None:
    scene = Scene(people=YEARLY)
    with scene.serving() as service:
        service._wellbeing._woke_at = float("-inf")
        scene.fire(service, "people")
        assert service._wellbeing._woke_at > 0


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
    said = status(9, running=many, queued=many[:1], failed=many[:4], paused=2, due=("b", T0))

    assert said == (
        "9 jobs; running: job-0, job-1, job-2 and 6 more; queued: job-0; failed: job-0, job-1, job-2 and 1 more; "
        "2 held back; next: b at 2026-11-22 12:00:00 UTC"
    )
