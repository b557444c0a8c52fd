"""Waiting for a server that gives no token for now."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from itertools import count
from typing import TypeVar

from cruds.exception import ClientStoppedError, OAuthAccessTokenError, OAuthErrorKind

T = TypeVar("T")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 15.0


class Patience:
    """Repeats what failed for a reason that may pass, for so many seconds. Safe to share between threads."""

    def __init__(
        self,
        seconds: float,
        url: str,
        *,
        monotonic: Callable[[], float],
        stop: threading.Event,
        on_wait: Callable[[float, OAuthAccessTokenError], None] | None,
    ) -> None:
        self._seconds, self._url = seconds, url
        self._monotonic, self._stop, self._on_wait = monotonic, stop, on_wait

    def run(self, work: Callable[[], T]) -> T:
        """Return what the work gives.

        Raises its last error when the time is up, or would be up before the server wants to be asked again, and
        `ClientStoppedError` when the stop event ends a wait.
        """
        give_up = self._monotonic() + self._seconds
        for attempt in count():
            try:
                return work()
            except OAuthAccessTokenError as error:
                wait = error.retry_after if error.retry_after is not None else _pause(attempt)
                if error.kind is not OAuthErrorKind.TEMPORARY or self._monotonic() + wait >= give_up:
                    raise
                if self._on_wait is not None:
                    self._on_wait(wait, error)
            if self._stop.wait(wait):
                raise ClientStoppedError("stopped while the token endpoint was down", method="POST", url=self._url)
        raise AssertionError("unreachable")


def _pause(attempt: int) -> float:
    longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt)
    return random.uniform(longest / 2, longest)  # noqa: S311  spreads the asking, hides nothing
