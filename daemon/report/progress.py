"""Live progress on a terminal, one line that is rewritten; nothing at all anywhere else."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from daemon.sync.counts import Counts
from daemon.sync.events import ChangesSettled, Event, PageDone, PhaseBegan, TargetListed
from daemon.sync.outcome import Phase

_WORDS = {
    Phase.QUEUED: "waiting",
    Phase.READ: "reading",
    Phase.APPLY: "writing",
    Phase.DELETE: "deleting",
    Phase.OVER: "done",
}
_PER_S = 8
"""Redraws a second: smooth enough, and cheap beside a request."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a run is, as its events tell."""

    phase: Phase = Phase.QUEUED
    pages: int = 0
    listed: int = 0
    """Records of the target's own list."""
    counts: Counts = field(default_factory=Counts)

    def after(self, event: Event) -> "Standing":
        """Return the standing once `event` has happened."""
        if isinstance(event, PhaseBegan):
            return replace(self, phase=event.phase)
        if isinstance(event, TargetListed):
            return replace(self, listed=event.records)
        if isinstance(event, PageDone):
            return replace(self, pages=event.number, counts=event.counts)
        if isinstance(event, ChangesSettled):
            return replace(self, counts=event.counts)
        return self


def line(standing: Standing, elapsed_s: float) -> str:
    """Return one line: where the run is, its figures, and records read or writes made a second since its start."""
    counts = standing.counts
    reading = standing.phase in {Phase.QUEUED, Phase.READ}
    rate = (counts.seen if reading else counts.wrote) / elapsed_s if elapsed_s >= 1 else 0.0
    figures = [
        (standing.listed, "in the target"),
        (standing.pages, "page" if standing.pages == 1 else "pages"),
        (counts.seen, "seen"),
        (counts.pending + counts.deletes_pending, "to write"),
        (counts.created, "created"),
        (counts.updated, "updated"),
        (counts.deleted, "deleted"),
        (counts.rejected + counts.deletes_rejected, "rejected"),
    ]
    parts = [f"{number:,} {word}" for number, word in figures if number or word == "seen"]
    speed = f"  {rate:,.0f} {'records' if reading else 'writes'}/s" if rate else ""
    return f"{_WORDS[standing.phase]}  {', '.join(parts)}{speed}  {_clock(elapsed_s)}"


class Progress:
    """Observes one run and draws it while the `with` block lasts.

    Call it from one thread. Off a terminal it draws nothing; what it drew is wiped at the end.
    """

    def __init__(self, stream: TextIO, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._console = Console(file=stream, highlight=False)
        self._seconds = seconds
        self._began_s = seconds()
        self._standing = Standing()
        self._spinner = Spinner("dots")
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(
                get_renderable=self._drawn, console=self._console, refresh_per_second=_PER_S, transient=True
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, event: Event) -> None:
        """Take note of an event; the line is redrawn by a thread of its own."""
        self._standing = self._standing.after(event)

    def _drawn(self) -> Spinner:
        text = line(self._standing, self._seconds() - self._began_s)
        self._spinner.update(text=Text(text, no_wrap=True, overflow="ellipsis"))
        return self._spinner


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
