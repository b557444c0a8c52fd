"""What a person answers while a login waits for them: a browser that comes back, or an address that they paste."""

import os
import selectors
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from types import TracebackType
from typing import Self

from .login_listener import Arrived, LoginListener
from .login_page import Page

_LOOK_S = 0.2
"""How often it is looked whether to stop: what a person takes for at once."""
_MOST_BYTES = 65_536
"""Of one pasted line; a terminal hands over 4,096 at most."""


class Pasted:
    """Lines that a person pastes into a file descriptor, a terminal's or a pipe's. Belongs to one thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._got = b""
        self.is_over = not _can_be_watched(descriptor)
        """Nobody can paste any more."""

    def watch(self, selector: selectors.BaseSelector) -> None:
        """Have a selector watch it, if more can come."""
        if not self.is_over:
            selector.register(self._descriptor, selectors.EVENT_READ, self._read)

    def lines(self) -> Iterator[str]:
        """Yield the whole lines that have come, without blanks around them; empty ones are left out."""
        while b"\n" in self._got:
            line, _, self._got = self._got.partition(b"\n")
            text = line.decode("utf-8", "replace").strip()
            if text:
                yield text

    def _read(self) -> None:
        piece = os.read(self._descriptor, _MOST_BYTES)
        if not piece:
            self.is_over = True
            piece = b"\n"  # what was pasted without one counts all the same
        self._got = (self._got + piece)[-_MOST_BYTES:]


class Answers:
    """The ways by which an answer may come. Closing it closes the listener."""

    def __init__(self, listener: LoginListener | None, pasted: Pasted | None) -> None:
        self._listener, self._pasted = listener, pasted

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._listener is not None:
            self._listener.__exit__(kind, error, traceback)

    def next(self, *, ends_at: float, stop: threading.Event) -> Arrived | None:
        """Wait for the next answer; None when it is `ends_at` (monotonic), when `stop` is set, or no way is left."""
        while not stop.is_set() and monotonic() < ends_at:
            if self._pasted is not None:
                for line in self._pasted.lines():
                    return Arrived(line, _no_browser, by_hand=True)
            if self._listener is None and (self._pasted is None or self._pasted.is_over):
                return None
            arrived = self._look(min(_LOOK_S, ends_at - monotonic()))
            if arrived is not None:
                return arrived
        return None

    def _look(self, seconds: float) -> Arrived | None:
        with selectors.DefaultSelector() as selector:
            for way in (self._listener, self._pasted):
                if way is not None:
                    way.watch(selector)
            for key, _ in selector.select(max(0.0, seconds)):
                heard: Callable[[], Arrived | None] = key.data
                arrived = heard()
                if arrived is not None:
                    return arrived  # what else has come is still there at the next look
        return None


def _can_be_watched(descriptor: int) -> bool:
    """Whether a person may be there: not at a file, at /dev/null, or at nothing."""
    with selectors.DefaultSelector() as selector:
        try:
            selector.register(descriptor, selectors.EVENT_READ)
        except (OSError, ValueError):
            return False
    return True


def _no_browser(page: Page) -> None:
    """Show a page to nobody: the browser is elsewhere, and has shown its own."""
    del page
