"""One HTTP exchange with a connection: throttled, and its failures said in the core's words.

Foreign exceptions are translated here and nowhere else; the original stays as the cause.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import cruds
from cruds import exception as http
from daemon.errors import (
    AuthError,
    ConflictError,
    EndpointError,
    MalformedError,
    RefusedError,
    StaleError,
    StoppedError,
    TrustError,
    UnavailableError,
    UnknownError,
)

from .throttle import Throttle

EXCERPT_CHARACTERS = 300
"""How much of an answer's body an error shows: enough for a problem document's title and detail."""

_LOOKS_SECRET = re.compile(
    r"(?i)(\b(?:authorization|access_token|refresh_token|id_token|client_secret|password|secret|api[_-]?key|token)"
    r"\b[\"']?\s*[:=]\s*[\"']?(?:bearer\s+|basic\s+)?)[^\s\"',;&}]+"
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, rendered and ready to go."""

    method: str
    uri: str
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    data: Any = None
    idempotency: tuple[str, str] | None = None
    """Header and value of the idempotency key; None without one."""
    repeatable: bool = True
    """Whether carrying it out twice is the same as once. A request that is not goes out again only when it surely
    did not arrive, or carries an idempotency key."""
    writes: bool = False
    creates: bool = False
    ok: frozenset[int] = frozenset()
    """Further statuses that mean success."""


class Exchange:
    """A connection's client with its quota. Shared by threads; sees that no failure goes by untranslated."""

    def __init__(self, name: str, client: cruds.Client, throttle: Throttle) -> None:
        self.name = name
        self.client = client
        self._throttle = throttle

    def send(self, call: Call) -> cruds.Response:
        """Make one call and return its answer, or raise the EndpointError that says what to think of it."""
        try:
            with self._throttle.place():
                options: cruds.CallOptions = {"headers": call.headers, "repeatable": call.repeatable}
                if call.idempotency is not None:
                    options["idempotency_key"] = call.idempotency
                return self.client.request(call.method, call.uri, params=call.params, data=call.data, **options)
        except http.HTTPStatusError as error:
            if error.status in call.ok and error.last_response is not None:
                return error.last_response
            raise self._by_status(call, error) from error
        except http.CrudsError as error:
            raise self._by_kind(call, error) from error
        except ValueError as error:
            raise RefusedError(f"{self.name}: {call.method} {call.uri}: {error}") from error

    def _by_status(self, call: Call, error: http.HTTPStatusError) -> EndpointError:
        said = f"{self.name}: {error}"
        excerpt = excerpt_of(error.body)
        status = error.status
        if status == HTTPStatus.UNAUTHORIZED:
            message = f"{said}; the credentials of connection {self.name} are refused"
            return AuthError(message, status=status, excerpt=excerpt)
        if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_EARLY}:
            return UnavailableError(said, status=status, excerpt=excerpt, retry_after_s=error.retry_after)
        if call.creates and not call.repeatable and (status >= 500 or status == HTTPStatus.REQUEST_TIMEOUT):
            return UnknownError(f"{said}; it may have been carried out", status=status, excerpt=excerpt)
        if status in {HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT, HTTPStatus.REQUEST_TIMEOUT} or (
            status >= 500 and not call.writes
        ):
            return UnavailableError(said, status=status, excerpt=excerpt)
        return _refusal(call, status)(said, status=status, excerpt=excerpt)

    def _by_kind(self, call: Call, error: http.CrudsError) -> EndpointError:
        said = f"{self.name}: {error}"
        lost = call.writes and getattr(error, "sent", False)
        match error:
            case http.ClientStoppedError():
                return UnknownError(said) if lost and not call.repeatable else StoppedError(said)
            case http.TLSError():
                cure = "check the certificate, or name its authority in tls.ca_file"
                return TrustError(f"{said}; {cure}")
            case http.OAuthAccessTokenError(kind=http.OAuthErrorKind.TEMPORARY):
                return UnavailableError(said)
            case http.OAuthAccessTokenError() | http.TokenStateError():
                return AuthError(said)
            case http.AnswerLostError() | http.DeadlineError():
                return UnknownError(f"{said}; it may have been carried out") if lost else UnavailableError(said)
            case http.ConnectError():
                return UnavailableError(said)
            case http.BodyError() | http.ResponseTooLargeError() | http.PageError():
                return MalformedError(said)
            case _:
                return RefusedError(said)


def _refusal(call: Call, status: int) -> type[EndpointError]:
    if not call.writes:
        return RefusedError
    if call.creates:
        return ConflictError if status == HTTPStatus.CONFLICT else RefusedError
    stale = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.PRECONDITION_FAILED}
    return StaleError if status in stale else RefusedError


def excerpt_of(body: bytes) -> str:
    """Return the beginning of a body as one line of text, with what looks like a credential blotted out."""
    text = " ".join(body[: EXCERPT_CHARACTERS * 4].decode("utf-8", "ignore").split())
    return _LOOKS_SECRET.sub(r"\1…", text)[:EXCERPT_CHARACTERS]
