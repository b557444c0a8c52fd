"""SIGINT and SIGTERM while a run goes on: the first asks it to end well, the second ends it at once."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from daemon.errors import Exit

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_FIRST = b"\ncrudsd: stopping: what is in hand is finished and committed (once more: end at once)\n"
_SECOND = b"\ncrudsd: ended at once; the next run looks up what was in hand and finishes the work\n"
_CURSOR_ON = b"\x1b[?25h"
"""The progress line hides the cursor, and nobody else will bring it back."""


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Give an event that the first signal sets, and have the old handlers back afterwards.

    The second signal leaves without unwinding: a run may be killed at any instruction, and that is what an operator
    who asks twice wants. Off the main thread, where Python allows no handlers, signals stay as they are.
    """
    stop = threading.Event()

    def heed(number: int, frame: FrameType | None) -> None:
        del number, frame
        if stop.is_set():
            _tell(_SECOND + (_CURSOR_ON if sys.__stderr__ is not None and sys.__stderr__.isatty() else b""))
            os._exit(Exit.INTERRUPTED)
        stop.set()
        _tell(_FIRST)

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, heed) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(text: bytes) -> None:
    """Write past Python's buffers, which the signal may have caught in the middle of a write."""
    try:
        os.write(2, text)
    except OSError:
        return  # nobody listens any more, and the signal counts all the same
