"""Where a call stands between its attempts, and the whole truth about it when it ends with an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .address import bare
from .exception import AnswerLostError, ConnectError, CrudsError, RequestError, TLSError
from .response import Response
from .retries import SAFE_METHODS

if TYPE_CHECKING:
    from .exchange import Call


class Talk:
    """Where a call stands. Belongs to the thread that makes it."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.written: Call | None = None
        """The write whose 303 is being followed: it was carried out, whatever happens now."""
        self.attempts = 0
        self.retries = 0
        self.hops = 0
        self.has_renewed = False
        self.may_be_done = False
        """An earlier attempt may have been carried out."""
        self.last: Response | None = None

    def note_ambiguity(self, *, sent: bool) -> None:
        """Note that an attempt ended without a word about what became of it, if it was `sent` and writes."""
        self.may_be_done |= sent and self.call.method not in SAFE_METHODS


def whole_truth(error: CrudsError, talk: Talk) -> AnswerLostError | None:
    """Complete the error's facts, and return another one if it is true of the last attempt only."""
    if isinstance(error, RequestError):
        error.attempts, error.last_response = talk.attempts, error.last_response or talk.last
        error.sent = error.sent or talk.may_be_done or talk.written is not None
    if talk.written is None and not (talk.may_be_done and _claims_nothing_happened(error)):
        return None
    call = talk.written or talk.call
    return AnswerLostError(
        f"it may have been carried out, and then: {type(error).__name__}",
        method=call.method,
        url=bare(call.url),
        attempts=talk.attempts,
        sent=True,
        last_response=talk.last,
    )


def _claims_nothing_happened(error: CrudsError) -> bool:
    return isinstance(error, ConnectError | TLSError) or not isinstance(error, RequestError)


def where(talk: Talk) -> dict[str, Any]:
    """Return what an error says of the request: method and address, without its query."""
    return {"method": talk.call.method, "url": bare(talk.call.url)}
