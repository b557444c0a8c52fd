"""What the library raises, as a tree that says by type whether the server may have acted.

    CrudsError
    ├── RequestError               also urllib3.exceptions.HTTPError; `sent` = the server may have acted
    │   ├── HTTPStatusError        the server answered, and the status is an error
    │   │   └── RateLimitedError   ... and asks to be left alone for now (429, or 503 with Retry-After)
    │   ├── ConnectError           nothing reached the server: repeating is harmless
    │   ├── TLSError               nothing reached the server, and repeating does not help
    │   ├── AnswerLostError        bytes went out, the answer did not arrive: it may have been carried out
    │   ├── DeadlineError          the call's total time is used up
    │   ├── ClientStoppedError     the stop event was set while the call waited
    │   ├── GateClosedError        the client's own gate lets nothing out for now
    │   ├── RedirectError          a redirect that must not be followed
    │   ├── ResponseTooLargeError  the body exceeds `max_response_bytes`
    │   ├── BodyError              the body is not what its content type says
    │   ├── AddressError           also ValueError; the uri leaves the host, or is no uri
    │   └── InsecureError          credentials would travel in the clear
    ├── PageError                  pagination repeats itself or has no declared end; never "the end"
    ├── OAuthAccessTokenError      no token could be had; `kind` says what helps
    │   └── ReauthorizationRequiredError   a person has to log in again
    ├── OAuthStateError            also RuntimeError; an authorization answer is to no login of ours
    └── TokenStateError            a stored token state cannot be opened; never a silent new login
        └── TokenNotSavedError     a session was renewed, and its new tokens could not be saved

Facts are attributes, and every error can be pickled. Texts hold no query string, body or credential.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from .response import Response

BODY_LIMIT = 65_536
"""How much of an error's body an exception keeps, in bytes: enough for any problem document, bounded in memory."""

_E = TypeVar("_E", bound="CrudsError")


def _rebuild(kind: type[_E], args: tuple[Any, ...], facts: dict[str, Any]) -> _E:
    """Make the error again without its constructor, whose arguments are facts and not `args`."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


class CrudsError(Exception):
    """Root of everything this library raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))


class RequestError(CrudsError, HTTPError):
    """A call did not succeed."""

    def __init__(
        self,
        message: str,
        *,
        method: str,
        url: str,
        attempts: int = 1,
        sent: bool = False,
        last_response: Response | None = None,
    ) -> None:
        super().__init__(f"{method} {url}: {message}")
        self.method = method
        self.url = url
        """The address without its query."""
        self.attempts = attempts
        """How many attempts were made, counted from 1; 0 when the call was refused before the first."""
        self.sent = sent
        """Whether the server may have acted on this call, in whichever attempt."""
        self.last_response = last_response
        """The last answer that arrived in this call; None if there was none."""


class HTTPStatusError(RequestError):
    """The server answered with a status that means failure (RFC 9110 section 15)."""

    def __init__(  # noqa: PLR0913  facts, by keyword
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        *,
        method: str,
        url: str,
        request_id: str | None = None,
        attempts: int = 1,
        retry_after: float | None = None,
        last_response: Response | None = None,
    ) -> None:
        tries = "" if attempts == 1 else f" after {attempts} attempts"
        known_as = f" (request id {request_id})" if request_id else ""
        super().__init__(
            f"answered with status code {status}{tries}{known_as}",
            method=method,
            url=url,
            attempts=attempts,
            sent=True,
            last_response=last_response,
        )
        self.status = status
        self.headers = headers
        """The answer's headers; names are found in any case."""
        self.body = body[:BODY_LIMIT]
        """The beginning of the answer's body, at most `BODY_LIMIT` bytes."""
        self.request_id = request_id
        """The server's own name for this exchange; None if it gave none."""
        self.retry_after = retry_after
        """How many seconds the server asked to be left alone; None if it did not say."""


class RateLimitedError(HTTPStatusError):
    """The server asks to be left alone: 429 (RFC 6585 section 4), or 503 with Retry-After.

    Raised when the retries are used up, and at once when the wait it asks for is longer than the client obeys
    or the deadline allows. `retry_after` is for whoever plans the next try.
    """


class ConnectError(RequestError):
    """No connection: name not found, refused, timed out. Nothing reached the server, so repeating is harmless."""


class TLSError(RequestError):
    """No trust: certificate, name, date or protocol version. Nothing reached the server; a person must look."""


class AnswerLostError(RequestError):
    """Bytes went out and the answer did not arrive whole: read timeout, reset, truncated body.

    The request may have been carried out. One that is not repeatable was not repeated.
    """


class DeadlineError(RequestError):
    """The total time of the call is used up. `sent` tells whether the server may have acted."""


class ClientStoppedError(RequestError):
    """The stop event is set. `sent` tells whether the server may have acted on an earlier attempt."""


class GateClosedError(RequestError):
    """The client's own gate let this attempt not go out. `sent` tells of an earlier one.

    `wait_s` says in how many seconds another call may get through; None where the gate does not say.
    """

    def __init__(self, message: str, *, wait_s: float | None, **facts: Any) -> None:
        super().__init__(message, **{"attempts": 0, **facts})
        self.wait_s = wait_s


class RedirectError(RequestError):
    """A redirect that is not followed: a write's 301 or 302, another origin, a loop, no Location.

    `status` is the redirect's status, `location` where it points, without query; None if it pointed nowhere.
    """

    def __init__(self, message: str, *, status: int, location: str | None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.status = status
        self.location = location


class ResponseTooLargeError(RequestError):
    """The decoded body exceeds `limit` bytes; reading was broken off."""

    def __init__(self, *, limit: int, **facts: Any) -> None:
        super().__init__(f"the answer is larger than {limit} bytes (max_response_bytes)", **facts)
        self.limit = limit


class BodyError(RequestError):
    """The body cannot be read as what its content type says."""


class AddressError(RequestError, ValueError):
    """The uri is on another origin, leaves the host's path, or holds what no uri may hold."""


class InsecureError(RequestError):
    """Credentials would travel over plain http to a host that is not this machine. Write https, or `allow_insecure`."""


class PageError(CrudsError):
    """Pagination cannot be trusted: a page or token repeats, `max_pages` is reached, a promise is broken.

    What was read so far is not a complete list. `page` counts from 1.
    """

    def __init__(self, message: str, *, page: int) -> None:
        super().__init__(f"page {page}: {message}")
        self.page = page


class OAuthErrorKind(StrEnum):
    """What helps when no token can be had."""

    CONFIGURATION = "configuration"
    """Settings must change; asking again does not help."""
    REAUTHORIZE = "reauthorize"
    """The grant is gone; credentials must be given again."""
    TEMPORARY = "temporary"
    """Asking later may help."""


class OAuthAccessTokenError(CrudsError):
    """The authorization server gave no usable token, or did not do what it was asked (RFC 6749 section 5.2)."""

    def __init__(
        self,
        message: str,
        *,
        error: str | None = None,
        error_description: str | None = None,
        error_uri: str | None = None,
        status: int | None = None,
        kind: OAuthErrorKind = OAuthErrorKind.CONFIGURATION,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.error = error
        """The error code, as RFC 6749 section 5.2 and its kin name them; None if the answer named none."""
        self.error_description = error_description
        self.error_uri = error_uri
        self.status = status
        """The HTTP status; None when there was no answer."""
        self.kind = kind
        self.retry_after = retry_after
        """Seconds the token endpoint asked to be left alone; None if it did not say."""


class ReauthorizationRequiredError(OAuthAccessTokenError):
    """The session is over and was made by a person: only a new login helps. Never replaced by another grant."""

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message, **{"kind": OAuthErrorKind.REAUTHORIZE, **facts})


class OAuthStateError(CrudsError, RuntimeError):
    """An authorization answer is to no login of ours.

    Its `state` is unknown, used or too old (RFC 6749 section 10.12), or another server sent it (RFC 9207).
    """


class TokenStateError(CrudsError):
    """A stored token state is there and cannot be opened: wrong key, damaged, moved. The old state is kept."""


class TokenNotSavedError(TokenStateError):
    """A person's session was renewed and its new tokens could not be saved, so they are not used.

    They stay in memory, and each use of the session tries to save them first. If the process ends before that works,
    they are lost, and the refresh token in the store is used up: a person has to log in again.
    """
