"""The token endpoint: a token request out, a checked answer back, with retries and a deadline of its own."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from .address import Host, bare, origin_of
from .credentials import NoCredentials, merged_headers
from .exception import (
    AnswerLostError,
    ClientStoppedError,
    ConnectError,
    DeadlineError,
    OAuthAccessTokenError,
    OAuthErrorKind,
    RequestError,
)
from .exchange import Call, Exchange, utc_now
from .oauth2.answer import TokenAnswer, read_answer
from .oauth2.grants import Grant, TokenRequest
from .retries import RetryBudget, RetryPolicy, retry_after_of
from .transport import Transport, TransportSettings, accepted_encodings

_POLICY = RetryPolicy(retries=3, backoff_factor=0.5, status_codes=frozenset({429, 502, 503, 504}), max_wait=10.0)
"""Three tries more, within half a minute; what asks for longer is told to the caller, who may plan it."""
_MOST_BYTES = 1_048_576
_PASSING = (ConnectError, AnswerLostError, DeadlineError)


@dataclass(frozen=True, slots=True)
class Granted:
    """A checked answer, and when it was asked for."""

    answer: TokenAnswer
    is_refresh: bool
    asked_at: datetime
    """Aware, UTC: before the request that brought the answer was sent."""
    took_s: float
    """Seconds from then to the answer, retries included."""


class TokenEndpoint:
    """One token endpoint. Redirects are not followed (RFC 9700 section 4.12). Safe to share between threads."""

    def __init__(self, url: str, settings: TransportSettings, *, timeout: float, stop: threading.Event) -> None:
        self.url = bare(url)
        """Without its query: what may be shown."""
        self._url, self._timeout = url, timeout
        self._exchange = Exchange(
            Transport(settings, Host(origin_of(url), "")),
            _POLICY,
            NoCredentials(),
            stop=stop,
            on_event=None,
            random=random.random,
            budget=RetryBudget(),
        )

    def ask(self, request: TokenRequest, clock: Callable[[], datetime]) -> Granted:
        """Send a token request and return the token.

        Asking twice is allowed for every grant: after a lost answer the old refresh token is all there is, and
        servers that rotate keep it good for a moment. Raises `OAuthAccessTokenError` or `ClientStoppedError`.
        """
        began, asked_at = monotonic(), clock()
        call = Call(
            method="POST",
            url=self._url,
            headers=merged_headers(request.headers, {"User-Agent": "cruds", "Accept-Encoding": accepted_encodings()}),
            body=request.body,
            repeatable=True,
            ends_at=began + self._timeout,
            max_bytes=_MOST_BYTES,
            is_redirectable=False,
        )
        try:
            response = self._exchange.run(call)
        except ClientStoppedError:
            raise
        except RequestError as error:
            is_passing = isinstance(error, _PASSING)
            raise OAuthAccessTokenError(
                f"the token endpoint gave no answer: {error}",
                kind=OAuthErrorKind.TEMPORARY if is_passing else OAuthErrorKind.CONFIGURATION,
            ) from error
        retry_after = retry_after_of(response.headers, utc_now)
        answer = read_answer(response.status, response.headers, response.body, retry_after=retry_after)
        return Granted(answer, request.grant is Grant.REFRESH_TOKEN, asked_at, monotonic() - began)
