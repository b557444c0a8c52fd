"""The time, handed in: nothing below the composition root asks the machine for it."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time. Safe to share between threads."""

    def __call__(self) -> datetime:
        """Return now, as an aware datetime in UTC."""


def utc_clock() -> datetime:
    """Return the machine's time in UTC."""
    return datetime.now(UTC)
