"""What the attempts of one call came to, as far as the last one does not tell."""

import threading
from http import HTTPStatus

from cruds.events import EventKind, RequestEvent

UNPROCESSED = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_EARLY})
"""Statuses by which a system says that it cannot act on requests now. A 503 without Retry-After may come from a gateway
that lost the system behind it, after the deed."""


class Attempts:
    """This thread's call: what it is for, and whether an attempt before its last one may have been carried out.

    Shared by threads.

    The library repeats a create that has an idempotency key after a lost answer or a 5xx, and its error tells of the
    last attempt only. A refusal of the repetition says nothing of the deed before it, be it 429, or a 409 since the
    first request is still under way: taken for "never arrived", the record would be created again under another key.
    """

    def __init__(self) -> None:
        self._here = threading.local()

    @property
    def may_be_done(self) -> bool:
        """Whether one of them may have been."""
        return getattr(self._here, "may_be_done", False)

    @property
    def in_hand(self) -> bool:
        """Whether the call finishes a change that is begun."""
        return getattr(self._here, "in_hand", False)

    def begin(self, *, in_hand: bool, is_keyed: bool) -> None:
        """Forget what was before: a call begins on this thread. `is_keyed`: it may be repeated by its key."""
        self._here.may_be_done, self._here.in_hand = False, in_hand
        self._here.is_excused, self._here.is_keyed = False, is_keyed

    def excuse(self) -> None:
        """Take the operator's word that the attempt just answered may be repeated, whatever its status."""
        self._here.is_excused = True

    def note(self, event: RequestEvent) -> None:
        """Take in an attempt, on the thread that made it."""
        if event.kind is EventKind.RETRY and getattr(self._here, "is_excused", False):
            self._here.is_excused = False
        elif event.kind is EventKind.RETRY:
            reached = event.status not in UNPROCESSED if event.status is not None else event.error != "ConnectError"
            # Without a key, the library repeats a create after a 503 only if it came with Retry-After.
            in_doubt = event.status == HTTPStatus.SERVICE_UNAVAILABLE and getattr(self._here, "is_keyed", False)
            self._here.may_be_done = self.may_be_done or reached or in_doubt
