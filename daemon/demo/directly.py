"""Reach this machine without the proxy that the environment may name for the world."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_NAMES = ("no_proxy", "NO_PROXY")


@contextmanager
def without_proxy() -> Iterator[None]:
    """Except loopback from HTTP_PROXY and its like within the block. Sets this process's environment meanwhile."""
    before = {name: os.environ.get(name) for name in _NAMES}
    kept = before["no_proxy"] or before["NO_PROXY"]
    for name in _NAMES:
        os.environ[name] = f"{kept},127.0.0.1" if kept else "127.0.0.1"
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
