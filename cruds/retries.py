"""When a request is repeated, and after how long: a policy that can be read, compared and tested without a server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from .exception import AnswerLostError, RequestError

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110 section 9.2.1)."""

REPEATABLE_METHODS = SAFE_METHODS | {"PUT", "DELETE"}
"""Methods whose repetition is harmless by definition (RFC 9110 section 9.2.2). POST and PATCH are not among them."""

_BACKOFF_LIMIT_S = 60.0
"""Longest wait of our own making: beyond a minute the scheduler above plans better than a sleeping thread."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, on what and how slowly. Waits are in seconds."""

    retries: int = 4
    """Repetitions after the first attempt."""
    backoff_factor: float = 0.9
    status_codes: frozenset[int] = frozenset({504, 503, 502, 500, 429, 425, 408})
    max_wait: float = 120.0
    """The longest Retry-After that is obeyed. A longer one ends the call, and the error carries the wish."""

    def after_status(
        self, status: int, *, retry: int, repeatable: bool, retry_after: float | None, random: Callable[[], float]
    ) -> float | None:
        """Return the wait before repetition number `retry` (from 1), or None if the answer is final.

        A request that is not repeatable is sent again only when the server says that it did not process it: 429,
        425 (RFC 8470 section 5.2), 503 with Retry-After. Any other 5xx may come after the deed.
        """
        if status not in self.status_codes or retry > self.retries:
            return None
        if not repeatable and not is_unprocessed(status, retry_after):
            return None
        return self.on_order(retry=retry, retry_after=retry_after, random=random)

    def on_order(self, *, retry: int, retry_after: float | None, random: Callable[[], float]) -> float | None:
        """Return the wait before repetition number `retry` (from 1) of a request that may be repeated, or None."""
        if retry > self.retries or (retry_after is not None and retry_after > self.max_wait):
            return None
        return max(retry_after or 0.0, self.backoff(retry, random))

    def after_error(
        self, error: RequestError, *, retry: int, repeatable: bool, random: Callable[[], float]
    ) -> float | None:
        """Return the wait before repetition number `retry` (from 1), or None if the error is final."""
        if retry > self.retries or (isinstance(error, AnswerLostError) and not repeatable):
            return None
        return self.backoff(retry, random)

    def backoff(self, retry: int, random: Callable[[], float]) -> float:
        """Return a wait with full jitter: anything from nothing to factor * 2^(retry-1), at most a minute."""
        return random() * min(_BACKOFF_LIMIT_S, self.backoff_factor * 2.0 ** (retry - 1))


def is_unprocessed(status: int, retry_after: float | None) -> bool:
    """Whether this answer says that the server did not act on the request."""
    return status in {425, 429} or (status == 503 and retry_after is not None)


def retry_after_of(headers: Mapping[str, str], now: Callable[[], datetime]) -> float | None:
    """Return the wait that Retry-After asks for, in seconds, never negative; None without a readable one.

    Reads seconds and all three date forms (RFC 9110 sections 10.2.3 and 5.6.7). A date is counted from the
    server's own Date header if it sent one, so that a wrong clock on either side does no harm.
    """
    text = (headers.get("retry-after") or "").strip()
    if text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    at = _date(text)
    if at is None:
        return None
    start = _date(headers.get("date") or "") or now()
    return max(0.0, (at - start).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


class RetryBudget:
    """Keeps an outage from being hammered: repetitions are paid for by answers. Safe to share between threads.

    Starts full. A repetition costs 1, an answer that is no 5xx gives `refill` back; an empty budget ends calls at
    their first failure until something succeeds again.
    """

    def __init__(self, capacity: float = 100.0, refill: float = 0.2) -> None:
        self._capacity, self._refill = capacity, refill
        self._left = capacity
        self._lock = threading.Lock()

    def earn(self) -> None:
        """Note an answer."""
        if self._left < self._capacity:
            with self._lock:
                self._left = min(self._capacity, self._left + self._refill)

    def spend(self) -> bool:
        """Pay for one repetition; False when the budget is empty."""
        with self._lock:
            if self._left < 1.0:
                return False
            self._left -= 1.0
            return True
