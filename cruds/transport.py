"""One attempt over the network: the answer read whole or piece by piece, failures as this library's errors."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from time import monotonic
from typing import TYPE_CHECKING, Any

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, PoolManager, Timeout
from urllib3 import exceptions as foreign
from urllib3.util import Retry, make_headers

from . import keepalive
from .address import Host, bare
from .exception import (
    AddressError,
    AnswerLostError,
    BodyError,
    ConnectError,
    DeadlineError,
    RequestError,
    ResponseTooLargeError,
    TLSError,
)
from .pools import TransportSettings, manager_for, reload_client_cert
from .response import Response
from .wire import Attempt, attempting

if TYPE_CHECKING:
    from .exchange import Call

__all__ = ["Body", "Transport", "TransportSettings", "accepted_encodings"]

_CHUNK = 65_536
_NO_RETRIES = Retry.from_int(False, redirect=False)
_CLOCK_GRAIN_S = 0.005
"""A socket may wake this much before the deadline it was given."""
_BEFORE_THE_REQUEST = (foreign.NewConnectionError, foreign.ConnectTimeoutError, foreign.NameResolutionError)
_HUNG_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""The other side went away in the handshake: a load balancer restarting, not a matter of trust."""
_OUR_CERTIFICATE = frozenset(
    {
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_UNKNOWN_CA",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    }
)
"""The server wants another certificate of ours. In TLS 1.3 this comes after our first bytes (RFC 8446 section 4.4.2.4),
which it has then thrown away: it reads no request before the handshake is done."""
_TIMEOUTS = (foreign.TimeoutError, TimeoutError)


class Transport:
    """Sends one request and takes its answer. Safe to share between threads."""

    def __init__(self, settings: TransportSettings, host: Host, manager: PoolManager | None = None) -> None:
        self._settings = settings
        self._is_ours = manager is None
        self.manager = manager_for(settings, host) if manager is None else manager
        self._origin, self._netloc = host.origin, host.origin.partition("://")[2]
        # A proxy for plain http reads the whole address, and a manager that is not ours may have a way of its own.
        is_direct = self._is_ours and (self.manager.proxy is None or host.origin.startswith("https:"))
        self._home = self.manager.connection_from_url(host.origin) if is_direct else None
        if manager is not None and not settings.is_pool_free:
            warnings.warn(
                "a supplied manager brings its own TLS, proxy and pool settings; the client's are not used",
                UserWarning,
                stacklevel=3,
            )

    def send(self, call: Call, headers: Mapping[str, str]) -> Response:
        """Make one attempt, no redirects, no repetition, and return the answer whatever its status.

        A call that wants to `receive` is handed the body of a success as it comes; all other bodies are read whole.
        Raises `ConnectError`, `TLSError`, `AnswerLostError`, `DeadlineError`, `ResponseTooLargeError` or `BodyError`
        (a content encoding that does not decode), each with `sent` set, and whatever `receive` raises.
        """
        attempt = Attempt(call.ends_at, self._settings.read_timeout)
        try:
            with attempting(attempt):
                answer = self._open(call, headers, attempt)
        except (AnswerLostError, BodyError, ResponseTooLargeError):
            raise  # like all of this library's errors, one of urllib3's by its type
        except (foreign.HTTPError, HTTPException, OSError) as error:
            raise _translated(error, attempt, call, answered=False) from error
        if isinstance(answer, keepalive.Whole):
            status, fields, whole = answer
            return Response(status, fields, whole, call.url, call.method, parse_float=call.parse_float)
        receive = call.receive if answer.status < 300 else None
        # urllib3 says nothing when what is packed breaks off.
        is_packed = receive is None and answer.headers.get("content-encoding", "").lower() == "gzip"
        body = Body(answer, attempt, call, unpacks=not is_packed)
        try:
            whole = b"" if receive is not None else b"".join(body)
            response = Response(
                status=answer.status,
                headers=answer.headers,
                body=keepalive.unpacked(whole, call) if is_packed else whole,
                url=call.url,
                method=call.method,
                parse_float=call.parse_float,
            )
            if receive is not None:
                receive(response, body)
        except BaseException:
            body.close()
            raise
        return response

    def _open(self, call: Call, headers: Mapping[str, str], attempt: Attempt) -> keepalive.Whole | BaseHTTPResponse:
        target = call.url.removeprefix(self._origin)
        home = self._home_pool() if target.startswith("/") else None
        request = None if home is None else keepalive.plain_request(call, headers, target, self._netloc)
        if home is not None and request is not None:
            answer = keepalive.exchange(home, request, call, attempt)
            if answer is not None:
                return answer
        options: dict[str, Any] = {
            "body": call.body,
            "headers": headers,
            "timeout": self._timeout(call, attempt),
            "retries": _NO_RETRIES,
            "redirect": False,
            "preload_content": False,
        }
        if home is None:
            return self.manager.urlopen(call.method, call.url, **options)
        return home.urlopen(call.method, target, assert_same_host=False, **options)

    def _timeout(self, call: Call, attempt: Attempt) -> Timeout:
        patience = attempt.patience()
        connect = self._settings.connect_timeout
        if connect is not None:
            connect = min(connect, call.ends_at - monotonic())
        elif call.ends_at != float("inf"):
            connect = call.ends_at - monotonic()
        return Timeout(connect=_positive(connect), read=_positive(patience))

    def _home_pool(self) -> HTTPConnectionPool | None:
        """Return the pool of our own host, found once and not for each request; None if the manager is to be asked."""
        home = self._home
        if home is not None and home.pool is None:  # closed by `close`, or as the oldest of many
            home = self._home = self.manager.connection_from_url(self._origin)
        return home

    def reload_client_cert(self) -> None:
        """Read our certificate again, for connections that are opened from now on."""
        if self._is_ours and self._settings.client_cert:
            reload_client_cert(self.manager.connection_pool_kw["ssl_context"], self._settings)

    def close(self) -> None:
        """Close the idle connections of a manager that is ours; a supplied one is its owner's."""
        if self._is_ours:
            self.manager.clear()


class Body:
    """The body of one answer, piece by piece, its content encoding undone. Belongs to one thread; read once.

    Iterating keeps the deadline and the size limit of the call, and raises what `Transport.send` raises; ValueError
    once it is closed, for a body that was cut short must not look like one that ended.
    """

    def __init__(self, answer: BaseHTTPResponse, attempt: Attempt, call: Call, *, unpacks: bool = True) -> None:
        self._answer, self._attempt, self._call, self._unpacks = answer, attempt, call, unpacks
        self._is_open = True

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        while part := self._next():
            size += len(part)
            try:
                keepalive.check_length(size, self._call, is_packed=not self._unpacks)
            except ResponseTooLargeError:
                self.close()
                raise
            yield part
            if self._is_whole():
                break
        self._answer.release_conn()

    def _is_whole(self) -> bool:
        """Whether nothing more can come; a decoder may hold back something until it is asked."""
        return self._is_open and self._answer.length_remaining == 0 and "content-encoding" not in self._answer.headers

    def close(self) -> None:
        """Leave the rest unread. Its connection cannot be used again, unless the body was read to its end."""
        self._is_open = False
        self._answer.close()

    def _next(self) -> bytes:
        if not self._is_open:
            raise ValueError("the body is closed; read a stream within its `with` block")
        try:
            with attempting(self._attempt):
                self._attempt.patience()
                return self._answer.read1(_CHUNK, decode_content=self._unpacks)
        except (foreign.HTTPError, OSError) as error:
            self.close()
            raise _translated(error, self._attempt, self._call, answered=True) from error


def accepted_encodings() -> str:
    """Return the Accept-Encoding of what can be decoded here: gzip always, br and zstd if their modules are there."""
    return make_headers(accept_encoding=True)["accept-encoding"]


def _translated(error: Exception, attempt: Attempt, call: Call, *, answered: bool) -> RequestError:
    """Name a foreign failure by what counts: whether the server may have acted."""
    root = _root(error)
    sent = answered or (attempt.sent if attempt.watched else _may_have_been_sent(root))
    where: dict[str, Any] = {"method": call.method, "url": bare(call.url)}
    if isinstance(root, foreign.LocationParseError | foreign.LocationValueError | foreign.URLSchemeUnknown):
        return AddressError("not an address", **where, attempts=0)
    if isinstance(root, _TIMEOUTS) and monotonic() + _CLOCK_GRAIN_S >= call.ends_at:
        return DeadlineError("the time of the call is used up", **where, sent=sent)
    if isinstance(root, foreign.DecodeError):
        return BodyError(keepalive.UNREADABLE, **where, sent=True)
    if not answered and getattr(_lowest(root), "reason", None) in _OUR_CERTIFICATE:
        return TLSError(f"our certificate is not accepted ({_cause(root)})", **where)
    if sent:
        return AnswerLostError(f"the answer did not arrive ({_cause(root)})", **where, sent=True)
    if isinstance(root, foreign.SSLError) and not isinstance(_lowest(root), _HUNG_UP):
        return TLSError(f"no trusted connection ({_cause(root)})", **where)
    return ConnectError(f"no connection ({_cause(root)})", **where)


def _root(error: Exception) -> Exception:
    while isinstance(error, foreign.ProxyError | foreign.MaxRetryError):
        inner = error.original_error if isinstance(error, foreign.ProxyError) else error.reason
        if inner is None:
            break
        error = inner
    return error


def _may_have_been_sent(root: Exception) -> bool:
    """Judge by type alone, for a manager that is not ours: in doubt, it may."""
    if isinstance(root, foreign.SSLError):
        return "CERTIFICATE_VERIFY_FAILED" not in str(root) and "doesn't match" not in str(root)
    return not isinstance(root, _BEFORE_THE_REQUEST)


def _cause(root: Exception) -> str:
    """Say what happened in the words of the lowest cause; urllib3's own texts name the whole address."""
    cause = _lowest(root)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    return (cause.strerror if isinstance(cause, OSError) and cause.strerror else "") or type(cause).__name__


def _lowest(error: BaseException) -> BaseException:
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return error


def _positive(seconds: float | None) -> float | None:
    return None if seconds is None else max(seconds, 0.001)
