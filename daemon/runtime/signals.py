"""SIGTERM and SIGINT ask for a clean end, and a second one ends at once; SIGHUP asks to read the files again."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

from daemon.errors import Exit

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_FIRST = b"\ncrudsd: stopping: what is in hand is finished and committed (once more: end at once)\n"
_SECOND = b"\ncrudsd: ended at once; the next run looks up what was in hand and finishes the work\n"
_CURSOR_ON = b"\x1b[?25h"
"""A progress line hides the cursor, and nobody else will bring it back."""


@contextmanager
def stop_on_signals(stop: threading.Event | None = None, *, speaks: bool = True) -> Iterator[threading.Event]:
    """Give an event (`stop`, if there is one) that the first signal sets soon, while the block lasts.

    A thread sets it and not the handler: that runs between any two instructions of the main thread, also while this
    one holds the event's own lock, and would then wait for itself. The second signal leaves without unwinding, with
    Exit.INTERRUPTED: what was sent stays in the journal as sent, and the next run clears it up. `speaks`: tell the
    person at the terminal. Off the main thread, where Python allows no handlers, signals stay as they are.
    """
    stop = stop or threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    asked = False
    heard, bell = os.pipe()

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        del number, frame
        if asked:
            _tell(_SECOND + (_CURSOR_ON if _has_terminal() else b""), speaks=speaks)
            os._exit(Exit.INTERRUPTED)
        asked = True
        os.write(bell, b"!")
        _tell(_FIRST, speaks=speaks)

    def heed() -> None:
        if os.read(heard, 1):
            stop.set()

    listener = threading.Thread(target=heed, name="signals", daemon=True)
    listener.start()
    before = {number: signal.signal(number, on_signal) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(bell)
        listener.join()
        os.close(heard)


class Hangups:
    """Counts SIGHUPs while the block lasts. On the main thread; elsewhere none comes."""

    def __init__(self) -> None:
        self._is_asked = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGHUP, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, self._before)

    def take(self) -> bool:
        """Whether one came since this was asked last."""
        was_asked, self._is_asked = self._is_asked, False
        return was_asked

    def _note(self, number: int, frame: FrameType | None) -> None:
        # A plain assignment: an event's own lock may be held by the code that this interrupts.
        del number, frame
        self._is_asked = True


def _has_terminal() -> bool:
    return sys.__stderr__ is not None and sys.__stderr__.isatty()


def _tell(text: bytes, *, speaks: bool) -> None:
    """Write past Python's buffers, which the signal may have caught in the middle of a write."""
    if speaks:
        with contextlib.suppress(OSError):  # nobody listens any more, and the signal counts all the same
            os.write(2, text)
