"""One reading of the configuration after another, while the service runs on."""

from typing import Protocol, Self

from daemon.store.retention import Pruned

from .signals import Hangups
from .work import Program


class Generation(Protocol):
    """The program as one reading of the configuration says it."""

    def reread(self) -> Self:
        """Return the program of the files as they are now. Raises ConfigError for files that are no good."""

    def program(self) -> Program:
        """Return what the service runs."""

    def prune(self) -> Pruned:
        """Forget history that is older than it has to be kept."""

    def retire(self) -> None:
        """Close it once the runs that it has under way are over."""

    def close(self) -> None:
        """Close it now. May be repeated."""


class Generations:
    """The program that a service runs now, and the one before it, which finishes what it has under way.

    For one thread, but for `prune`. Closes the last one at the end of the block.
    """

    def __init__(self, first: Generation, hangups: Hangups) -> None:
        self._now = first
        self._before: Generation | None = None
        self._hangups = hangups

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._now.close()

    def prune(self) -> Pruned:
        """Forget history that is older than the files say now that it has to be kept."""
        return self._now.prune()

    def next(self) -> Program | None:
        """Return the program of the files as they are now, if somebody asked for it since; else None.

        Raises ConfigError for files that are no good: then the one before goes on.
        """
        if self._before is not None:
            # One look later: until then a thread may be about to begin a run of it.
            self._before.retire()
            self._before = None
        if not self._hangups.take():
            return None
        after = self._now.reread()
        self._before, self._now = self._now, after
        return after.program()
