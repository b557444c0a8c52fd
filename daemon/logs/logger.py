"""What the program needs of a logger, and how to get one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from .library import structlog


class Logger(Protocol):
    """What the program needs of a logger."""

    def debug(self, event: str, **facts: Any) -> Any:
        """Tell a developer."""

    def info(self, event: str, **facts: Any) -> Any:
        """Tell the operator the story."""

    def warning(self, event: str, **facts: Any) -> Any:
        """Somebody should look this week."""

    def error(self, event: str, **facts: Any) -> Any:
        """Somebody should look today."""


def get_logger() -> Logger:
    """Return a logger; what is bound by `bound` goes with each event."""
    logger: Logger = structlog.get_logger()
    return logger


def get_settled_logger() -> Logger:
    """Return a logger as logging is set up by now: for what is told of each request, where to look it up is dear."""
    logger: Logger = structlog.get_logger().bind()
    return logger


@contextmanager
def bound(**facts: Any) -> Iterator[None]:
    """Bind facts (job, run) to every event of this thread while the block lasts."""
    with structlog.contextvars.bound_contextvars(**facts):
        yield
