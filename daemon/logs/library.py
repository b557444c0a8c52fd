"""structlog, without what it takes along only to show the values of local variables in tracebacks, which never happens.

That is rich, which is installed for the progress line of a terminal; a service would keep it in memory for nothing.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["structlog"]


@contextmanager
def _without(package: str) -> Iterator[None]:
    """Let a package not be found in the block, unless it is loaded already."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # how Python is told that there is none
    try:
        yield
    finally:
        del sys.modules[package]


with _without("rich"):
    import structlog
