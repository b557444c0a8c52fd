"""Asking one run to stop, while the others go on."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta


class StopRequest:
    """Asks one run to stop between two steps: what was begun is finished and committed. Threads may share it."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._reason = ""
        self.is_timeout = False
        """Whether it was the job's timeout that asked."""

    @property
    def is_asked(self) -> bool:
        """Whether somebody asked."""
        return self._asked.is_set()

    @property
    def reason(self) -> str:
        """Why, in the words of whoever asked first; empty where nobody did."""
        return self._reason

    def wait(self, timeout_s: float) -> bool:
        """Wait, at most this many seconds, for somebody to ask; say whether anybody did."""
        return self._asked.wait(timeout_s)

    def ask(self, reason: str) -> None:
        """Ask; the first reason stays."""
        with self._lock:
            self._reason = self._reason or reason
        self._asked.set()

    @contextmanager
    def asked_after(self, timeout: timedelta | None) -> Iterator[None]:
        """Ask by itself if the block takes longer than this; None: however long it takes."""
        if timeout is None:
            yield
            return
        seconds = timeout.total_seconds()
        timer = threading.Timer(seconds, self._time_out, args=(seconds,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _time_out(self, seconds: float) -> None:
        self.is_timeout = not self.is_asked
        self.ask(f"it took longer than its timeout of {seconds:g} s")
