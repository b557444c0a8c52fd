"""The configured budget as a token bucket: never more than `requests` in any stretch of time as long as `per`."""

from daemon.spec import Quota


class Bucket:
    """Not safe to share: its owner holds a lock. Times are monotonic seconds."""

    def __init__(self, quota: Quota, now: float) -> None:
        share = float(quota.share) / 100 if quota.share is not None else 1.0
        ours = (quota.requests or 0) * share
        self._burst = float(max(1, min(int(ours / 10), 10)))
        """A tenth of the budget, at most ten requests, may go out at once; the rest is spread evenly."""
        # What goes at once is taken off the rest: the two together must not pass the budget.
        self._rate = min(ours, ours - self._burst + 1) / quota.per.total_seconds() if quota.requests else None
        self._level = self._burst
        self._filled_at = now

    def take(self, now: float) -> float:
        """Take one token and return the seconds until it is really there; later callers queue behind it."""
        if self._rate is None:
            return 0.0
        self._level = min(self._burst, self._level + (now - self._filled_at) * self._rate) - 1
        self._filled_at = now
        return max(0.0, -self._level / self._rate)

    def give_back(self) -> None:
        """Return a token that was not used after all."""
        self._level += 1
