"""The misbehaving server with a budget that it keeps and counts: fixed windows, and 429 for what goes beyond."""

import time
from typing import Any

from tests.fakes.misbehaving import Fault, MisbehavingServer, Seen
from tests.fakes.misbehaving_faults import Dialect, rate_limit_headers


class LimitedServer(MisbehavingServer):
    """Answers `limit` requests in each window of `per_s` seconds; the first request begins a window.

    `dialect` is how it tells of the budget, None for not at all; `says_when`: whether a 429 has Retry-After.
    """

    def __init__(
        self, limit: int, per_s: int, *, dialect: Dialect | None = None, says_when: bool = False, **more: Any
    ) -> None:
        super().__init__(**more)
        self._limit, self._per_s, self._dialect, self._says_when = limit, per_s, dialect, says_when
        self._began = float("-inf")
        self.windows: list[int] = []
        """How many requests arrived in each window, those that were refused included."""
        self.arrivals: list[float] = []
        """When each arrived, in monotonic seconds."""

    def arrived(self, seen: Seen, target: str) -> Fault:
        """Count a request, and refuse it when the budget is used up."""
        fault = super().arrived(seen, target)
        with self._lock:
            now = time.monotonic()
            self.arrivals.append(now)
            if now >= self._began + self._per_s:
                self._began = now
                self.windows.append(0)
            self.windows[-1] += 1
            left = self._limit - self.windows[-1]
            reset_s = int(self._began + self._per_s - now)  # cut off, as many do
        headers = rate_limit_headers(self._limit, max(left, 0), reset_s, self._dialect) if self._dialect else {}
        refusal = Fault.too_many(reset_s + 1 if self._says_when else None) if left < 0 else Fault()
        return fault | refusal | Fault.with_headers(headers)

    @property
    def overdrawn(self) -> int:
        """How many requests it had to refuse."""
        return sum(max(0, arrived - self._limit) for arrived in self.windows)
