"""On whose behalf a request is made, so that those who share a connection take turns, and one can stop alone."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

_POLL_S = 0.5
"""Seconds until somebody who waits learns that it was asked to stop: it waits for two things at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Caller:
    """One run, or one command. Each is only equal to itself."""

    stopping: Callable[[], bool] | None = None
    """Whether it was asked to stop, it alone; None for one that ends with its process and never before."""

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop, it alone."""
        return self.stopping is not None and self.stopping()

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait, at most so long, until all work or this caller is asked to stop; say whether it was."""
        if self.stopping is None:
            return stop.wait(seconds)
        while not self.stopping():
            step_s = min(_POLL_S, seconds)
            if stop.wait(step_s):
                return True
            seconds -= step_s
            if seconds <= 0:
                return self.stopping()
        return True


NOBODY = Caller()
"""Whoever does not say who it is."""

_Item = TypeVar("_Item")


class Turns(Generic[_Item]):
    """What waits, taken in turns by callers, and of each caller in the order in which it came.

    Not safe to share: its owner holds a lock.
    """

    def __init__(self) -> None:
        self._lines: dict[Caller, deque[_Item]] = {}
        """The caller whose turn it is stands first."""

    def __bool__(self) -> bool:
        return bool(self._lines)

    @property
    def first(self) -> _Item:
        """What goes next. Raises StopIteration when nothing waits."""
        return next(iter(self._lines.values()))[0]

    def join(self, caller: Caller, item: _Item) -> None:
        """Let an item wait."""
        self._lines.setdefault(caller, deque()).append(item)

    def take(self, caller: Caller) -> None:
        """Take out what goes next, which is this caller's; its others come after those of all other callers."""
        line = self._lines.pop(caller)
        line.popleft()
        if line:
            self._lines[caller] = line

    def leave(self, caller: Caller, item: _Item) -> None:
        """Take out an item that does not wait any more."""
        line = self._lines[caller]
        line.remove(item)
        if not line:
            del self._lines[caller]
