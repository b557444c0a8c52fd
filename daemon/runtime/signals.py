"""SIGTERM and SIGINT ask for a clean end; a second one ends at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stopping_on_signals(stop: threading.Event) -> Iterator[None]:
    """Set `stop` soon after the first SIGTERM or SIGINT while the block lasts. Only on the main thread.

    A thread sets it and not the handler: that runs between any two instructions of the main thread, also while this
    one holds the event's own lock, and would then wait for itself.

    The second signal ends the process as the signal itself would: what was sent stays in the journal as sent, and the
    next run clears it up.
    """
    asked = False
    heard, bell = os.pipe()

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        del frame
        if asked:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        asked = True
        os.write(bell, b"!")

    def heed() -> None:
        if os.read(heard, 1):
            stop.set()

    listener = threading.Thread(target=heed, name="signals", daemon=True)
    listener.start()
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(bell)
        listener.join()
        os.close(heard)
