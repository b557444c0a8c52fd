"""How many requests may be under way at once: up slowly while all is well, down by half when the system groans."""


class Concurrency:
    """Additive increase, multiplicative decrease (as TCP does it). Not safe to share: its owner holds a lock."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._cut_at = float("-inf")

    @property
    def limit(self) -> int:
        """Requests that may be under way now: from 1 to what the job file says."""
        return int(self._limit)

    def succeeded(self) -> None:
        """Note a success: as many of them as are under way at once raise the limit by one."""
        self._limit = min(float(self._most), self._limit + 1 / self._limit)

    def overloaded(self, *, began_at: float, now: float) -> bool:
        """Halve the limit, unless the attempt began before the last halving: what was under way then is one complaint.

        Say whether it was halved; at 1 it stays, and a new complaint counts all the same.
        """
        if began_at <= self._cut_at:
            return False
        self._limit, self._cut_at = max(1.0, self._limit / 2), now
        return True
