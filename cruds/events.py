"""What a client tells of each attempt: for logs, counters and tests."""

from dataclasses import dataclass
from enum import StrEnum


class EventKind(StrEnum):
    """How an attempt ended."""

    ANSWER = "answer"
    """With the answer that the call returns or raises."""
    RETRY = "retry"
    """It will be repeated after `wait_s`."""
    RENEWAL = "renewal"
    """With 401; another token is at hand and the request is repeated."""
    REDIRECT = "redirect"
    """It is followed."""
    FAILURE = "failure"
    """With the error that the call raises."""


@dataclass(frozen=True, slots=True)
class RequestEvent:
    """One attempt is over. Holds nothing secret: it may be logged as it is."""

    kind: EventKind
    method: str
    url: str
    """Without its query."""
    status: int | None
    """None when no answer arrived."""
    attempt: int
    """Counted from 1 within the call, redirects and renewals included."""
    wait_s: float | None = None
    """Seconds until the next attempt, for a retry."""
    error: str | None = None
    """The name of the error's type; None when there was an answer."""
