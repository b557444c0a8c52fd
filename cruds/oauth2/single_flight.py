"""One at a time, and one result for all who came meanwhile."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Generic, TypeVar

from cruds.exception import CrudsError

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs a piece of work once for however many threads ask for it at the same time.

    Whoever comes first does it; the others wait and get its result, or a copy of its error: a token endpoint that
    fails is asked once, not once for each thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flight: Future[T] | None = None

    def run(self, work: Callable[[], T]) -> T:
        """Return the result of `work`, ours or that of the thread that is at it. The work bounds its own time."""
        with self._lock:
            flight = self._flight
            if flight is None:
                mine = self._flight = Future[T]()
        if flight is not None:
            return self._await(flight, work)
        try:
            result = work()
        except BaseException as error:
            self._land()
            if isinstance(error, Exception):
                mine.set_exception(error)
            else:  # an interrupt is for this thread only; the others start anew
                mine.cancel()
            raise
        self._land()
        mine.set_result(result)
        return result

    def _await(self, flight: Future[T], work: Callable[[], T]) -> T:
        try:
            error = flight.exception()
        except CancelledError:
            return self.run(work)
        if isinstance(error, CrudsError):
            raise copy.copy(error) from error  # each thread its own: a traceback belongs to one
        return flight.result()

    def _land(self) -> None:
        with self._lock:
            self._flight = None
