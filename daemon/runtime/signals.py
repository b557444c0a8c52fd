"""SIGTERM and SIGINT ask for a clean end; a second one ends at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stopping_on_signals(stop: threading.Event) -> Iterator[None]:
    """Set `stop` on the first SIGTERM or SIGINT while the block lasts. Only on the main thread.

    The second signal ends the process as the signal itself would: what was sent stays in the journal as sent, and the
    next run clears it up.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
