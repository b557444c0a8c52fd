"""Whether the service gets on, and what it says of itself to systemd."""

import time
from collections.abc import Callable, Collection
from datetime import datetime

from .notify import Notifier

_SHOWN = 3
"""So many names in a status line; the rest is counted."""


class Wellbeing:
    """Pets the watchdog while every part proves that it gets on, and keeps the status line true. For one thread.

    Petted by a free-running thread, a watchdog proves that this thread runs, and nothing else. So the scheduler has to
    have woken up, and the database has to have been written, since the last time.
    """

    def __init__(self, notifier: Notifier, *, is_written: Callable[[], bool] = lambda: True) -> None:
        """`is_written` says whether the state database was written lately."""
        self._notifier = notifier
        self._is_written = is_written
        self._woke_at, self._petted_at = time.monotonic(), float("-inf")
        self._status = self._refusal = ""

    @property
    def beat_s(self) -> float | None:
        """How often the scheduler has to wake up to be believed; None where nobody watches."""
        watchdog_s = self._notifier.watchdog_s
        return None if watchdog_s is None else watchdog_s / 4

    def ready(self) -> None:
        """Tell systemd that the service has begun."""
        self._notifier.send("READY=1")

    def reloading(self) -> None:
        """Tell systemd that another configuration is taken up; `ready` ends that (sd_notify(3))."""
        self._refusal = ""
        self._notifier.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1_000}")

    def stopping(self) -> None:
        """Tell systemd that the service comes to its end."""
        self._notifier.send("STOPPING=1", "STATUS=draining")

    def woke(self) -> None:
        """Note that the scheduler woke up. Any thread may say so."""
        self._woke_at = time.monotonic()

    def pet(self) -> None:
        """Tell systemd that all is well, if it is and it is time to say so. May be called as often as one likes."""
        beat_s, now = self.beat_s, time.monotonic()
        if beat_s is None or now - self._petted_at < beat_s:
            return
        if now - self._woke_at < 3 * beat_s and self._is_written():
            self._petted_at = now
            self._notifier.send("WATCHDOG=1")

    def say(self, status: str, *, stays: bool = False) -> None:
        """Tell systemd how things stand, if that is news. What `stays` stands before all else until a reload."""
        if stays:
            self._refusal = status.replace("\n", " ")
        status = self._refusal or status
        if status != self._status:
            self._status = status
            self._notifier.send(f"STATUS={status}")


def status(
    jobs: int,
    *,
    running: Collection[str],
    queued: Collection[str] = (),
    failed: Collection[str],
    paused: int,
    due: tuple[str, datetime] | None,
) -> str:
    """Return one line: how many jobs, which run, which wait for a slot, which failed last time, which is due next."""
    said = [f"{jobs} jobs" if jobs != 1 else "1 job"]
    said.append(f"running: {_names(running)}" if running else "none running")
    if queued:
        said.append(f"queued: {_names(queued)}")
    if failed:
        said.append(f"failed: {_names(failed)}")
    if paused:
        said.append(f"{paused} held back")
    if due is not None:
        job, moment = due
        said.append(f"next: {job} at {moment:%Y-%m-%d %H:%M:%S} UTC")
    return "; ".join(said)


def _names(jobs: Collection[str]) -> str:
    shown = sorted(jobs)[:_SHOWN]
    more = len(jobs) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
