"""A circuit breaker: a system that failed so often in a row is left alone for a while, then asked once."""

from enum import StrEnum


class State(StrEnum):
    """Where a breaker is."""

    CLOSED = "closed"
    """Requests go out."""
    OPEN = "open"
    """None goes out."""
    DUE = "due"
    """One may go out, to see."""
    PROBING = "probing"
    """It is under way."""


class CircuitBreaker:
    """Counts failures of the system itself in a row. Not safe to share: its owner holds a lock."""

    def __init__(self, failures: int, cool_down_s: float) -> None:
        self._most, self._cool_down_s = failures, cool_down_s
        self._probing = False
        self._until: float | None = None
        """When it was or will be due, while it is not closed."""
        self.failures = 0
        """How many there were in a row."""

    def state(self, now: float) -> State:
        """Return where it is at this moment."""
        if self._until is None:
            return State.CLOSED
        if self._probing:
            return State.PROBING
        return State.OPEN if now < self._until else State.DUE

    def wait_s(self, now: float) -> float:
        """Return the seconds until it is due; 0 where it is, or is closed."""
        return max(0.0, (self._until or now) - now)

    def begin(self, now: float) -> bool:
        """Note that an attempt goes out, and say whether it is the probe."""
        self._probing = self.state(now) in {State.DUE, State.PROBING}
        return self._probing

    def succeeded(self) -> None:
        """Note an answer by which the system shows that it does business."""
        self._until, self._probing, self.failures = None, False, 0

    def failed(self, now: float, *, probe: bool) -> None:
        """Note a failure. One that was under way when the breaker opened does not prolong the pause."""
        self.failures += 1
        if probe or (self._until is None and self.failures >= self._most):
            self._until, self._probing = now + self._cool_down_s, False

    def unjudged(self, *, probe: bool) -> None:
        """Note an attempt that says nothing of the system; after a probe the next attempt is the probe."""
        self._probing = self._probing and not probe
