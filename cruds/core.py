"""The client: four verbs, one general request, streams, downloads and pages.

Longer than other modules, because it is the face: what a caller may say stands in one place, and each method hands
it on to the module that knows how.
"""

from __future__ import annotations

import random as randomness
import ssl
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import CookieJar
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self, Unpack

from urllib3 import PoolManager

from .address import Host
from .body import Files, compatible, encode
from .cookies import Cookies
from .credentials import AuthABC, identify, is_credential, merged_headers, proven_headers
from .download import Saving
from .events import RequestEvent
from .exception import InsecureError, RedirectError, RequestError
from .exchange import Call, Exchange
from .gate import Gate
from .options import CallOptions, VerbOptions, refuse_unknown
from .pages import Paging
from .reading import Pages
from .response import Response
from .retries import REPEATABLE_METHODS, RetryBudget, RetryPolicy
from .streaming import Catcher, Stream
from .transport import Body, Transport, TransportSettings, accepted_encodings
from .verdict import failure

__all__ = ["AuthABC", "CallOptions", "Client", "VerbOptions"]

MAX_RESPONSE_BYTES = 256 * 1024 * 1024
"""A quarter of a gigabyte: above any sane page of records, below what kills a small machine."""


class Client:
    """A client for one host, its API and its credentials. Safe to share between threads.

    Relative uris lie below the host's path, also with a slash in front; absolute ones must be on its origin. No
    scheme means https; plain http with credentials needs a loopback host or `allow_insecure`.

    `auth` is None, a bearer token, a (user, password) pair, a mapping of headers, or an `AuthABC`, which is asked
    for each request and, after a 401, once for another token (so is `cruds.credentials.Credentials`). `timeout` bounds
    a whole call in seconds: attempts, waits, redirects and body; None means no end. `retry_status_codes` are repeated
    up to `retries` times if repeating is harmless, see `RetryPolicy`. `stop`, once set, ends every wait with
    `ClientStoppedError`. `on_event` is told of each attempt, on the thread that makes it; the client itself logs
    nothing. `gate` is passed by each attempt, repeats, redirects and renewals included: see `cruds.gate.Gate`.

    `allowed_hosts` are other hosts of the same API, whole (`https://files.example.com`): absolute uris, next addresses
    and redirects may lead there, and take along what they would at home. Anywhere else no credentials go: absolute
    uris, next addresses and redirects of writes are refused, redirects of reads are followed without them.

    `cookies` keeps what the host sets and shows it to this host only; like a credential, not over plain http. What
    counts of the environment (`trust_env`) and what wins over it is said in `cruds.pools`.

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
        allowed_hosts: Collection[str] = (),
        cookies: bool = False,
        user_agent: str | None = None,
        stop: threading.Event | None = None,
        on_event: Callable[[RequestEvent], None] | None = None,
        gate: Gate | None = None,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        self._host = Host.parse(host, allowed_hosts)
        self._trusts = self._host.origins
        self.host = self._host.origin + self._host.base
        """The address below which uris lie, as it was understood."""
        self.allowed_hosts = self._host.allowed
        """The other origins where our credentials belong."""
        self.status_ignore: set[int] = set()
        """Statuses that are returned and never raised."""
        self._timeout, self._raise_status, self._serialize = timeout, raise_status, serialize
        self._max_response_bytes, self._parse_float = max_response_bytes, parse_float
        self._allow_insecure, self._is_home_only = allow_insecure, client_cert is not None
        self._is_guarded = self._host.is_plain and not allow_insecure
        self._usual: dict[str | None, tuple[dict[str, str], dict[str, str]]] = {}
        self._thread = threading.local()
        kept = Cookies(self._host.origin) if cookies else None
        self.cookies: CookieJar | None = None if kept is None else kept.jar
        """The cookies kept so far; None without `cookies`. `cookies.clear()` forgets the session."""
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
        self._refuse_clear_text(has_credentials=auth is not None or cookies)
        proof, credentials = identify(auth)
        self.secret_params = credentials.param_names
        """The parameters by which `auth` identifies us in queries; nobody else can set them."""
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
            cookies=kept,
            gate=gate,
        )

    # ---- the four verbs: what they return is fixed by the API reference ----

    def create(
        self,
        uri: str,
        data: Any,
        params: Mapping[Any, Any] | None = None,
        files: Files | None = None,
        **options: Unpack[VerbOptions],
    ) -> Any:
        """POST `data` and return the answer: parsed if it is JSON, otherwise its bytes (`b""` for none).

        Repeated only if the server surely did not act on it: no connection, 429, 503 with Retry-After.
        """
        return self._verb("POST", uri, params, data, files, options)

    def read(
        self, uri: str, params: Mapping[Any, Any] | None = None, *, data: Any = None, **options: Unpack[VerbOptions]
    ) -> Any:
        """GET and return the answer: parsed if it is JSON, otherwise its bytes."""
        return self._verb("GET", uri, params, data, None, options)

    def update(
        self,
        uri: str,
        data: Any,
        params: Mapping[Any, Any] | None = None,
        replace: bool = False,  # noqa: FBT001  the reference's order
        files: Files | None = None,
        **options: Unpack[VerbOptions],
    ) -> Any:
        """PATCH, or PUT with `replace`, and return the answer: parsed if it is JSON, otherwise its bytes.

        PUT is repeated after a lost answer; PATCH only with `repeatable=True` or an idempotency key.
        """
        method = "PUT" if replace else "PATCH"
        return self._verb(method, uri, params, data, files, options)

    def delete(
        self, uri: str, params: Mapping[Any, Any] | None = None, *, data: Any = None, **options: Unpack[VerbOptions]
    ) -> Any:
        """DELETE and return the answer: parsed if it is JSON, otherwise its bytes.

        404 or 410 to a repetition, after an attempt whose answer was lost, is success and returns `b""`.
        """
        return self._verb("DELETE", uri, params, data, None, options)

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
        body = encode(data, files, serialize=self._serialize)
        return self._run(self._call(method, uri, params, body, options), raise_status=raise_status)

    @property
    def last_response(self) -> Response | None:
        """The answer that this thread's last call ended with, also if it was raised; None if it got none.

        Each thread has its own, whatever other threads do with the client. Kept until the thread's next call.
        """
        response: Response | None = getattr(self._thread, "response", None)
        return response

    # ---- large answers ----

    @contextmanager
    def stream(
        self,
        method: str,
        uri: str,
        *,
        params: Mapping[Any, Any] | None = None,
        data: Any = None,
        files: Files | None = None,
        raise_status: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Iterator[Stream]:
        """Make a request and give the body of its answer piece by piece, for the length of the `with` block.

        Repeated and raised like `request`, up to the first byte of the body; what is lost after it raises
        `AnswerLostError`. `timeout` counts until the block's last piece, and the size limit for all pieces together.
        """
        body, catcher = encode(data, files, serialize=self._serialize), Catcher()
        try:
            response = self._run(self._call(method, uri, params, body, options, catcher), raise_status=raise_status)
            yield Stream(response, catcher.body)
        finally:
            catcher.close()

    def download(
        self,
        uri: str,
        path: str | Path | None = None,
        filename: str | None = None,
        params: Mapping[Any, Any] | None = None,
        *,
        file: str | Path | None = None,
        overwrite: bool = False,
        **options: Unpack[CallOptions],
    ) -> Path:
        """GET into a file and return where it is.

        `path` is a folder that exists; None is the current one. The name is the server's (Content-Disposition), else
        the last segment of the address that answered, else `filename`, each made harmless: no path, nothing hidden.
        `file` says folder and name itself. Written aside and renamed when it is whole and on the disk; asked for
        again after a lost answer. Anything but 2xx is raised, whatever `raise_status` says: it is not the file.

        Raises FileExistsError unless `overwrite`, NotADirectoryError, and ValueError if there is no usable name.
        """
        saving = Saving(
            Path.cwd() if path is None else Path(path),
            fallback=filename,
            file=None if file is None else Path(file),
            overwrite=overwrite,
        )
        options["headers"] = merged_headers({"Accept": "*/*"}, options.get("headers") or {})
        call = self._call("GET", uri, params, (None, None), options, saving)
        response = self._run(call, raise_status=True)
        if saving.path is None:
            raise failure(call, response)
        return saving.path

    def pages(self, uri: str, *, paging: Paging, records: str = "", params: Mapping[str, Any] | None = None) -> Pages:
        """Return the pages of a list, read as they are asked for; `.end` says why it ended. See `cruds.pages`.

        `records` is the JMESPath of the list in each page; empty for the document itself.
        """
        return Pages(
            lambda page: self.request("GET", page.uri, params=page.params),
            self.host,
            paging,
            uri,
            records,
            params,
            allowed_hosts=self.allowed_hosts,
            leave_out=self.secret_params,
        )

    def reload_client_cert(self) -> None:
        """Read the files of `client_cert` again; connections that are opened from now on show what is in them.

        Raises ValueError or OSError when they cannot be used, and goes on with what was read before.
        """
        self._transport.reload_client_cert()

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

    def _verb(
        self,
        method: str,
        uri: str,
        params: Mapping[Any, Any] | None,
        data: Any,
        files: Files | None,
        options: VerbOptions,
    ) -> Any:
        wants_response = options.pop("with_response", False)
        body = encode(data, files, serialize=self._serialize)
        response = self._run(self._call(method, uri, params, body, options))
        value = self._value(response)
        return (value, response) if wants_response else value

    def _run(self, call: Call, *, raise_status: bool | None = None) -> Response:
        """Carry out a call, remember its answer, and judge it."""
        self._thread.response = None
        raising = self._raise_status if raise_status is None else raise_status
        try:
            response = self._exchange.run(call)
        except RequestError as error:
            self._thread.response = error.last_response
            is_wanted = isinstance(error, RedirectError) and (not raising or error.status in self.status_ignore)
            if error.last_response is None or not is_wanted:
                raise
            return error.last_response
        self._thread.response = response
        is_failure = response.status >= 400 and not response.repeated_delete
        if is_failure and raising and response.status not in self.status_ignore:
            raise failure(call, response)
        return response

    def _call(
        self,
        method: str,
        uri: str,
        params: Mapping[Any, Any] | None,
        body: tuple[bytes | None, str | None],
        options: CallOptions,
        receive: Callable[[Response, Body], None] | None = None,
    ) -> Call:
        refuse_unknown(options)
        method, (content, content_type) = method.upper(), body
        key = options.get("idempotency_key")
        own = options.get("headers") or {}
        headers = self._usual_headers(content_type)
        if own or key is not None:
            headers = proven_headers(headers, merged_headers(own, dict([key]) if key is not None else {}))
        if content_type is not None and content_type.startswith("multipart/"):
            headers = merged_headers(headers, {"Content-Type": content_type})  # only the encoder knows the boundary
        if self._is_guarded:
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
            max_bytes=options.get("max_bytes", self._max_response_bytes),
            parse_float=self._parse_float,
            is_authenticated=not any(name.lower() == "authorization" for name in own),
            trusts=self._trusts,
            is_home_only=self._is_home_only,
            receive=receive,
            judge=options.get("judge"),
        )

    def _usual_headers(self, content_type: str | None) -> Mapping[str, str]:
        """Return the headers of a call that brings none of its own: checked once, until somebody changes ours."""
        before, made = self._usual.get(content_type, (None, {}))
        if before != self.request_headers:
            before = dict(self.request_headers)
            made = merged_headers({} if content_type is None else {"Content-Type": content_type}, before)
            if content_type is None or not content_type.startswith("multipart/"):  # they name a boundary each time
                self._usual[content_type] = (before, made)
        return made

    def _refuse_clear_text(self, *, has_credentials: bool) -> None:
        if has_credentials and self._host.is_plain and not self._allow_insecure:
            raise InsecureError(
                "credentials would travel in the clear; write https, or say allow_insecure",
                method="-",
                url=self.host,
                attempts=0,
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
