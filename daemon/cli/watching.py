"""What a run or plan is watched with from the command line: a progress line, and a note of its rejects."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.report.noticed import Noticed

if TYPE_CHECKING:
    from daemon.report.progress import Progress
    from daemon.sync.events import Event


@dataclass(frozen=True, slots=True)
class Watch:
    """Observes one run."""

    noticed: Noticed
    progress: "Progress | None"
    """None off a terminal."""

    def __call__(self, event: "Event") -> None:
        """Pass an event on."""
        self.noticed(event)
        if self.progress is not None:
            self.progress(event)


@contextmanager
def watching() -> Iterator[Watch]:
    """Give an observer; its progress line is gone when the block ends.

    Begin it before the log: the log then writes above the progress line instead of into it.
    """
    with ExitStack() as stack:
        progress = None
        if sys.stderr.isatty():
            from daemon.report.progress import Progress

            progress = stack.enter_context(Progress(sys.stderr))
        yield Watch(Noticed(), progress)
