"""The wake-ups: what they tell of, and that nobody waits for who was woken."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from daemon.runtime.wakeups import WakeUps
from daemon.spec import Schedule
from tests.unit.runtime.service_scene import Story

HOURLY = Schedule.model_validate({"every": "1h"})


class Sleeper:
    """Is woken, and takes its time."""

    def __init__(self, gate: threading.Event) -> None:
        self.story, self.gate = Story(), gate

    def woken(self, job: str, moments: list[datetime], seen_at: datetime | None) -> None:
        assert (seen_at is None) == (not moments)
        self.story.tell("woken", job=job, moments=len(moments))
        assert self.gate.wait(20)
        if job == "bad":
            raise RuntimeError("nobody expected this")


@contextmanager
def running(sleeper: Sleeper) -> Iterator[WakeUps]:
    wakeups = WakeUps(sleeper.woken, sleeper.story)
    wakeups.start()
    try:
        yield wakeups
    finally:
        sleeper.gate.set()
        if not wakeups._is_over:
            wakeups.stop()


def test_nobody_waits_for_who_was_woken_and_more_of_the_same_is_one_more_waking(gate: threading.Event) -> None:
    sleeper, now = Sleeper(gate), datetime.now(UTC)
    with running(sleeper) as wakeups:
        wakeups.wake("slow")
        sleeper.story.wait_for("woken", job="slow")

        wakeups.set("late", HOURLY, since=now - timedelta(hours=3))
        wakeups.wake("late")
        wakeups.wake("late")
        assert list(wakeups.ahead) == ["late"]
        while wakeups.ahead["late"] <= now:
            pass  # APScheduler's thread has it in hand
        gate.set()
        sleeper.story.wait_for("woken", job="late", moments=3)

    assert [facts["job"] for event, facts in sleeper.story.told if event == "woken"] == ["slow", "late"]


def test_a_fault_with_one_job_ends_no_other(gate: threading.Event) -> None:
    sleeper = Sleeper(gate)
    gate.set()
    with running(sleeper) as wakeups:
        wakeups.wake("bad")
        wakeups.wake("good")
        sleeper.story.wait_for("woken", job="good")

    assert "wake.failed" in sleeper.story.names()


def test_what_was_not_woken_for_is_left_when_it_is_stopped(gate: threading.Event) -> None:
    sleeper = Sleeper(gate)
    with running(sleeper) as wakeups:
        wakeups.wake("slow")
        sleeper.story.wait_for("woken", job="slow")
        wakeups.wake("next")
        stopping = threading.Thread(target=wakeups.stop)
        stopping.start()
        while not wakeups._is_over:
            pass
        gate.set()
        stopping.join(20)

    assert [facts.get("job") for event, facts in sleeper.story.told if event == "woken"] == ["slow"]
