"""What a caller may order to be done with an answer, before the client judges it by its status."""

from enum import StrEnum


class Ruling(StrEnum):
    """An order about one answer. `CallOptions.judge` gives it."""

    FINAL = "final"
    """It ends the call as it is: it is neither repeated nor taken for a refused token."""
    RETRY = "retry"
    """The request is sent again, as often and as slowly as the client repeats; then the answer ends the call.

    The caller says that repeating does no harm, whatever the method.
    """
    RENEW = "renew"
    """The token is renewed and the request sent again, once in a call, as after a 401; then the answer ends it."""
