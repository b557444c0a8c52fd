"""The client: four verbs, one general request, and pages."""

from __future__ import annotations

import random as randomness
import ssl
import threading
from collections.abc import Callable, Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

from urllib3 import PoolManager

from .address import Host, bare
from .body import Files, compatible, encode
from .credentials import (
    AuthABC,
    identify,
    is_credential,
    merged_headers,
)
from .exception import AnswerLostError, HTTPStatusError, InsecureError, RateLimitedError, RedirectError
from .exchange import Call, Exchange, RequestEvent, utc_now
from .pages import Paging
from .reading import Pages
from .response import Response
from .retries import REPEATABLE_METHODS, RetryBudget, RetryPolicy, retry_after_of
from .transport import Transport, TransportSettings, accepted_encodings

__all__ = ["AuthABC", "CallOptions", "Client"]

MAX_RESPONSE_BYTES = 256 * 1024 * 1024
"""A quarter of a gigabyte: above any sane page of records, below what kills a small machine."""


class CallOptions(TypedDict, total=False):
    """What each call may say beside its uri."""

    headers: Mapping[str, str]
    """Sent with this call; they win over the client's."""
    timeout: float | None
    """Total seconds of this call, instead of the client's."""
    idempotency_key: tuple[str, str]
    """Header name and value by which the server recognises a repetition. Makes the call repeatable."""
    repeatable: bool | None
    """None judges by method: GET, HEAD, PUT, DELETE, OPTIONS are, POST and PATCH are not."""


class Client:
    """A client for one host, its API and its credentials. Safe to share between threads.

    Relative uris lie below the host's path, also with a slash in front; absolute ones must be on its origin. No
    scheme means https; plain http with credentials needs a loopback host or `allow_insecure`.

    `auth` is None, a bearer token, a (user, password) pair, a mapping of headers, or an `AuthABC`, which is asked
    for each request and, after a 401, once for another token. `timeout` bounds a whole call in seconds: attempts,
    waits, redirects and body; None means no end. `retry_status_codes` are repeated up to `retries` times if
    repeating is harmless, see `RetryPolicy`. `stop`, once set, ends every wait with `ClientStoppedError`. `on_event`
    is told of each attempt, on the thread that makes it; the client itself logs nothing.

    A `manager` brings its own TLS and proxy settings, and its sockets are watched per operation: a server that
    drips headers can then hold a call beyond `timeout`.
    """

    def __init__(  # noqa: PLR0913, PLR0917  the reference's parameters, and ours by keyword
        self,
        host: str,
        auth: Any = None,
        manager: PoolManager | None = None,
        timeout: float | None = 300.0,
        raise_status: bool = True,  # noqa: FBT001  the reference's order
        retries: int = 4,
        backoff_factor: float = 0.9,
        retry_status_codes: Collection[int] = (504, 503, 502, 500, 429, 425, 408),
        serialize: bool = True,  # noqa: FBT001
        verify_ssl: bool | str | ssl.SSLContext = True,  # noqa: FBT001
        *,
        headers: Mapping[str, str] | None = None,
        connect_timeout: float | None = None,
        read_timeout: float | None = None,
        max_retry_wait: float = 120.0,
        pool_size: int = 10,
        max_response_bytes: int | None = MAX_RESPONSE_BYTES,
        parse_float: Callable[[str], Any] | None = None,
        allow_insecure: bool = False,
        ca_file: str | None = None,
        client_cert: str | tuple[str, str] | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        user_agent: str | None = None,
        stop: threading.Event | None = None,
        on_event: Callable[[RequestEvent], None] | None = None,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        self._host = Host.parse(host)
        self.host = self._host.origin + self._host.base
        """The address below which uris lie, as it was understood."""
        self.status_ignore: set[int] = set()
        """Statuses that are returned and never raised."""
        self._timeout, self._raise_status, self._serialize = timeout, raise_status, serialize
        self._max_response_bytes, self._parse_float = max_response_bytes, parse_float
        self._allow_insecure, self._is_home_only = allow_insecure, client_cert is not None
        settings = TransportSettings(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            pool_size=pool_size,
            verify_ssl=verify_ssl,
            ca_file=ca_file,
            client_cert=client_cert,
            proxy=proxy,
            trust_env=trust_env,
        )
        self._refuse_clear_text(has_credentials=auth is not None)
        proof, credentials = identify(auth)
        self.request_headers: dict[str, str] = merged_headers(_default_headers(user_agent), proof, headers or {})
        """Sent with each request; may be changed between calls."""
        self._transport = Transport(settings, self._host, manager)
        self.manager: PoolManager = self._transport.manager
        self._exchange = Exchange(
            self._transport,
            RetryPolicy(retries, backoff_factor, frozenset(retry_status_codes), max_retry_wait),
            credentials,
            stop=stop or threading.Event(),
            on_event=on_event,
            random=random,
            budget=RetryBudget(),
        )

    # ---- the four verbs: what they return is fixed by the API reference ----

    def create(
        self,
        uri: str,
        data: Any,
        params: Mapping[Any, Any] | None = None,
        files: Files | None = None,
        **options: Unpack[CallOptions],
    ) -> Any:
        """POST `data` and return the answer: parsed if it is JSON, otherwise its bytes (`b""` for none).

        Repeated only if the server surely did not act on it: no connection, 429, 503 with Retry-After.
        """
        return self._value(self.request("POST", uri, params=params, data=data, files=files, **options))

    def read(
        self, uri: str, params: Mapping[Any, Any] | None = None, *, data: Any = None, **options: Unpack[CallOptions]
    ) -> Any:
        """GET and return the answer: parsed if it is JSON, otherwise its bytes."""
        return self._value(self.request("GET", uri, params=params, data=data, **options))

    def update(
        self,
        uri: str,
        data: Any,
        params: Mapping[Any, Any] | None = None,
        replace: bool = False,  # noqa: FBT001  the reference's order
        files: Files | None = None,
        **options: Unpack[CallOptions],
    ) -> Any:
        """PATCH, or PUT with `replace`, and return the answer: parsed if it is JSON, otherwise its bytes.

        PUT is repeated after a lost answer; PATCH only with `repeatable=True` or an idempotency key.
        """
        method = "PUT" if replace else "PATCH"
        return self._value(self.request(method, uri, params=params, data=data, files=files, **options))

    def delete(
        self, uri: str, params: Mapping[Any, Any] | None = None, *, data: Any = None, **options: Unpack[CallOptions]
    ) -> Any:
        """DELETE and return the answer: parsed if it is JSON, otherwise its bytes.

        404 or 410 to a repetition, after an attempt whose answer was lost, is success and returns `b""`.
        """
        return self._value(self.request("DELETE", uri, params=params, data=data, **options))

    # ---- the general request ----

    def request(
        self,
        method: str,
        uri: str,
        *,
        params: Mapping[Any, Any] | None = None,
        data: Any = None,
        files: Files | None = None,
        raise_status: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Response:
        """Make a request and return the answer with its status and headers.

        Raises `HTTPStatusError` for 4xx and 5xx unless `raise_status` is off or `status_ignore` holds the status,
        and the other errors of `cruds.exception`. 304 is an answer, not an error.
        """
        call = self._call(method.upper(), uri, params, encode(data, files, serialize=self._serialize), options)
        raising = self._raise_status if raise_status is None else raise_status
        try:
            response = self._exchange.run(call)
        except RedirectError as error:
            if error.last_response is None or (raising and error.status not in self.status_ignore):
                raise
            return error.last_response
        is_failure = response.status >= 400 and not response.repeated_delete
        if is_failure and raising and response.status not in self.status_ignore:
            self._raise_for(call, response)
        return response

    def pages(self, uri: str, *, paging: Paging, records: str = "", params: Mapping[str, Any] | None = None) -> Pages:
        """Return the pages of a list, read as they are asked for; `.end` says why it ended. See `cruds.pages`.

        `records` is the JMESPath of the list in each page; empty for the document itself.
        """
        return Pages(
            lambda page: self.request("GET", page.uri, params=page.params), self.host, paging, uri, records, params
        )

    def close(self) -> None:
        """Close idle connections. The client can still be used; it opens new ones. A supplied manager stays open."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client {self.host}>"

    # ---- below: how a call is made and judged ----

    def _call(
        self,
        method: str,
        uri: str,
        params: Mapping[Any, Any] | None,
        body: tuple[bytes | None, str | None],
        options: CallOptions,
    ) -> Call:
        content, content_type = body
        typed = {} if content_type is None else {"Content-Type": content_type}
        key = options.get("idempotency_key")
        own = options.get("headers") or {}
        headers = merged_headers(typed, self.request_headers, own, dict([key]) if key is not None else {})
        if content is not None and content_type is not None and content_type.startswith("multipart/"):
            headers = merged_headers(headers, typed)  # only the encoder knows the boundary
        self._refuse_clear_text(has_credentials=any(map(is_credential, headers)))
        timeout = options.get("timeout", self._timeout)
        repeatable = options.get("repeatable")
        if repeatable is None:
            repeatable = method in REPEATABLE_METHODS or key is not None
        return Call(
            method=method,
            url=self._host.join(uri, params),
            headers=headers,
            body=content,
            repeatable=repeatable,
            ends_at=float("inf") if timeout is None else monotonic() + timeout,
            max_bytes=self._max_response_bytes,
            parse_float=self._parse_float,
            is_authenticated=not any(name.lower() == "authorization" for name in own),
            is_home_only=self._is_home_only,
        )

    def _refuse_clear_text(self, *, has_credentials: bool) -> None:
        if has_credentials and self._host.is_plain and not self._allow_insecure:
            raise InsecureError(
                "credentials would travel in the clear; write https, or say allow_insecure",
                method="-",
                url=self.host,
                attempts=0,
            )

    def _raise_for(self, call: Call, response: Response) -> None:
        if response.method != call.method:
            raise AnswerLostError(
                f"it was carried out; reading its result ended with status code {response.status}",
                method=call.method,
                url=bare(call.url),
                attempts=response.attempts,
                sent=True,
                last_response=response,
            )
        retry_after = retry_after_of(response.headers, utc_now)
        is_limit = response.status == 429 or (response.status == 503 and retry_after is not None)
        raise (RateLimitedError if is_limit else HTTPStatusError)(
            response.status,
            response.headers,
            response.body,
            method=response.method,
            url=bare(response.url),
            request_id=response.request_id,
            attempts=response.attempts,
            retry_after=retry_after,
            last_response=response,
        )

    def _value(self, response: Response) -> Any:
        if response.repeated_delete:
            return b""
        if not self._serialize:
            return response.body
        return compatible(response.body, response.content_type, self._parse_float)


def _default_headers(user_agent: str | None) -> dict[str, str]:
    if user_agent is None:
        try:
            user_agent = f"cruds/{version('crudsd')}"
        except PackageNotFoundError:
            user_agent = "cruds"
    return {"Accept": "application/json", "Accept-Encoding": accepted_encodings(), "User-Agent": user_agent}
