"""One budget for each real account: a token bucket and a concurrency limit, shared by all jobs of a connection."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from daemon.errors import StoppedError
from daemon.spec import Quota


class Throttle:
    """Lets requests through as the connection's quota allows. Shared by threads."""

    def __init__(self, quota: Quota, *, stop: threading.Event, monotonic: Callable[[], float] = time.monotonic) -> None:
        share = float(quota.share) / 100 if quota.share is not None else 1.0
        self._rate = quota.requests * share / quota.per.total_seconds() if quota.requests else None
        self._burst = max(1.0, min(quota.requests * share / 10, 10.0)) if quota.requests else 0.0
        """A tenth of the budget, at most ten requests, may go out at once; the rest is spread evenly."""
        self._level = self._burst
        self._filled_at = monotonic()
        self._monotonic = monotonic
        self._stop = stop
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(quota.concurrency)

    @contextmanager
    def place(self, *, in_hand: bool = False) -> Iterator[None]:
        """Wait for a place and a token, hold the place for the time of one request.

        Raises StoppedError when the work was asked to stop, or is while it waits. `in_hand`: the request finishes a
        change that is begun, so it goes out all the same if it need not wait.
        """
        if not in_hand:
            self._check_stop()
        while not self._places.acquire(timeout=0.5):
            self._check_stop()
        try:
            wait_s = self._take()
            if wait_s > 0 and self._stop.wait(wait_s):
                self._check_stop()
            yield
        finally:
            self._places.release()

    def _take(self) -> float:
        """Take one token and return the seconds until it is really there; later callers queue behind it."""
        if self._rate is None:
            return 0.0
        with self._lock:
            now = self._monotonic()
            self._level = min(self._burst, self._level + (now - self._filled_at) * self._rate) - 1
            self._filled_at = now
            return max(0.0, -self._level / self._rate)

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise StoppedError("the run was asked to stop before this request went out")
