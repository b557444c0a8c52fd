"""What a process does before it holds a secret: its memory is nobody's, and what it says in despair is redacted.

docs/decisions/0011-nothing-leaks.md has the reasons.
"""

import gc
import os
import resource
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

from daemon.redaction import KNOWN, redact_text

_PR_SET_DUMPABLE = 4  # prctl(2)
_KEY = "CRUDSD_KEY"
_USUAL = (10_000, *gc.get_threshold()[1:])
"""Ours are hardly ever in a cycle, and to look among each 700 new objects, as Python does by itself, is a tenth of what
a first load costs."""
_SELDOM = 500_000
"""So many new things more than what went are looked at for garbage, while a program is put together."""


def guard() -> None:
    """Guard this process: no core dumps, no memory and environment for others of the same user, redacted tracebacks.

    Where the system refuses (a sandbox) or has no such thing, the process goes on without it.
    """
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # MemoryError: ctypes cannot always be had where memory is never both writable and executable.
    with suppress(OSError, AttributeError, ImportError, MemoryError):
        import ctypes

        # Not only for /proc: a core_pattern that pipes to a program is not bound by the limit above (core(5)).
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    sys.excepthook = _uncaught
    threading.excepthook = lambda hook: _uncaught(hook.exc_type, hook.exc_value, hook.exc_traceback)
    sys.unraisablehook = lambda hook: _uncaught(hook.exc_type, hook.exc_value, hook.exc_traceback)


def starts() -> None:
    """Look for garbage seldom from here on: nearly all that a start makes is there to stay."""
    gc.set_threshold(_SELDOM, *_USUAL[1:])


def started() -> None:
    """Look for it as usual again, and never again among what is there now. Nothing where `starts` was not called."""
    if gc.get_threshold()[0] == _SELDOM:
        gc.freeze()
        gc.set_threshold(*_USUAL)


@contextmanager
def clean_environment() -> Iterator[None]:
    """Keep the key, and every secret that was read, out of the environment while the block starts a child process."""
    kept = {name: value for name, value in os.environ.items() if name == _KEY or KNOWN.holds(value)}
    for name in kept:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(kept)


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> Any:
    """Say what nobody caught, as Python would, but without what is secret."""
    if sys.stderr is not None and not issubclass(kind, SystemExit):
        with suppress(OSError, ValueError):
            sys.stderr.write(redact_text("".join(traceback.format_exception(kind, error, trace))))
