"""One attempt over the network: pools, TLS and proxies as settings, failures as this library's errors."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import BaseHTTPResponse, HTTPHeaderDict, PoolManager, ProxyManager, Timeout
from urllib3 import exceptions as foreign
from urllib3.util import make_headers

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
from .response import Response
from .wire import POOLS, Attempt, attempting

if TYPE_CHECKING:
    from .exchange import Call

_CHUNK = 65_536
_CLOCK_GRAIN_S = 0.005
"""A socket may wake this much before the deadline it was given."""
_BEFORE_THE_REQUEST = (foreign.NewConnectionError, foreign.ConnectTimeoutError, foreign.NameResolutionError)
_HUNG_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""The other side went away in the handshake: a load balancer restarting, not a matter of trust."""
_TIMEOUTS = (foreign.TimeoutError, TimeoutError)


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """How to reach a host; the same for an API and for its token endpoint. Times are in seconds."""

    connect_timeout: float | None = None
    """To open a connection; None leaves it to the deadline of the call."""
    read_timeout: float | None = None
    """Longest silence of the server; None leaves it to the deadline of the call."""
    pool_size: int = 10
    """Connections kept open. More may be in use at once."""
    verify_ssl: bool | str | ssl.SSLContext = True
    """True: the system's authorities, or SSL_CERT_FILE. A path: these authorities. A context: used as it is."""
    ca_file: str | None = None
    """Authorities to trust instead of the system's."""
    client_cert: str | tuple[str, str] | None = None
    """Our certificate for mutual TLS: one PEM file with certificate and key, or two."""
    proxy: str | None = None
    """`http://[user:password@]host:port`; None asks the environment if `trust_env`."""
    trust_env: bool = True
    """Whether HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR count."""


class Transport:
    """Sends one request and reads its answer whole. Safe to share between threads."""

    def __init__(self, settings: TransportSettings, host: Host, manager: PoolManager | None = None) -> None:
        self._settings = settings
        self._is_ours = manager is None
        self.manager = _manager(settings, host) if manager is None else manager
        if manager is not None and settings != _pool_free(settings):
            warnings.warn(
                "a supplied manager brings its own TLS, proxy and pool settings; the client's are not used",
                UserWarning,
                stacklevel=3,
            )

    def send(self, call: Call, headers: Mapping[str, str]) -> Response:
        """Make one attempt, no redirects, no repetition, and return the answer whatever its status.

        Raises `ConnectError`, `TLSError`, `AnswerLostError`, `DeadlineError`, `ResponseTooLargeError` or `BodyError`
        (a content encoding that does not decode), each with `sent` set.
        """
        attempt = Attempt(call.ends_at, self._settings.read_timeout)
        answer: BaseHTTPResponse | None = None
        try:
            with attempting(attempt):
                answer = self._open(call, headers, attempt)
                body = _read(answer, attempt, call)
        except RequestError:
            _drop(answer)
            raise
        except (foreign.HTTPError, OSError) as error:
            _drop(answer)
            raise _translated(error, attempt, call, answered=answer is not None) from error
        return Response(
            status=answer.status,
            headers=HTTPHeaderDict(answer.headers),
            body=body,
            url=call.url,
            method=call.method,
            parse_float=call.parse_float,
        )

    def _open(self, call: Call, headers: Mapping[str, str], attempt: Attempt) -> BaseHTTPResponse:
        patience = attempt.patience()
        connect = self._settings.connect_timeout
        if connect is not None:
            left = call.ends_at - monotonic()
            connect = min(connect, left)
        elif call.ends_at != float("inf"):
            connect = call.ends_at - monotonic()
        return self.manager.urlopen(
            call.method,
            call.url,
            body=call.body,
            headers=headers,
            timeout=Timeout(connect=_positive(connect), read=_positive(patience)),
            retries=False,
            redirect=False,
            preload_content=False,
        )

    def close(self) -> None:
        """Close the idle connections of a manager that is ours; a supplied one is its owner's."""
        if self._is_ours:
            self.manager.clear()


def accepted_encodings() -> str:
    """Return the Accept-Encoding of what can be decoded here: gzip always, br and zstd if their modules are there."""
    return make_headers(accept_encoding=True)["accept-encoding"]


def _read(answer: BaseHTTPResponse, attempt: Attempt, call: Call) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := answer.read1(_CHUNK, decode_content=True):
        size += len(part)
        if call.max_bytes is not None and size > call.max_bytes:
            raise ResponseTooLargeError(limit=call.max_bytes, method=call.method, url=bare(call.url), sent=True)
        parts.append(part)
        attempt.patience()
    answer.release_conn()
    return b"".join(parts)


def _drop(answer: BaseHTTPResponse | None) -> None:
    """Close the connection of an answer that was not read to its end: it cannot be used again."""
    if answer is not None:
        answer.close()


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
        return BodyError("the content encoding of the answer does not decode", **where, sent=True)
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


# ---- building the pools --------------------------------------------------------------------------------------


def _pool_free(settings: TransportSettings) -> TransportSettings:
    """Return what still counts with a supplied manager; all else at its default."""
    return TransportSettings(
        connect_timeout=settings.connect_timeout, read_timeout=settings.read_timeout, trust_env=settings.trust_env
    )


def _manager(settings: TransportSettings, host: Host) -> PoolManager:
    context = _context(settings) if host.origin.startswith("https") else None
    proxy = settings.proxy or (_environment_proxy(host) if settings.trust_env else None)
    manager: PoolManager
    if proxy is None:
        manager = PoolManager(num_pools=4, maxsize=settings.pool_size, ssl_context=context)
    else:
        address, headers = _proxy(proxy)
        manager = ProxyManager(
            address, num_pools=4, maxsize=settings.pool_size, ssl_context=context, proxy_headers=headers
        )
    manager.pool_classes_by_scheme = POOLS
    return manager


def _proxy(proxy: str) -> tuple[str, Mapping[str, str] | None]:
    address = proxy if "://" in proxy else f"http://{proxy}"
    parts = urlsplit(address)
    if parts.username is None:
        return address, None
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    clean = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    # urllib3 encodes as latin-1; through bytes it is UTF-8 (RFC 7617 section 2.1).
    return clean, make_headers(proxy_basic_auth=credentials.encode().decode("latin-1"))


def _environment_proxy(host: Host) -> str | None:
    proxies = getproxies()
    parts = urlsplit(host.origin)
    if not proxies or proxy_bypass(parts.netloc):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")


def _context(settings: TransportSettings) -> ssl.SSLContext:
    verify = settings.verify_ssl
    if isinstance(verify, ssl.SSLContext):
        if settings.ca_file or settings.client_cert:
            raise ValueError("an SSLContext brings its own ca_file and client_cert")
        return verify
    authorities = settings.ca_file or (verify if isinstance(verify, str) else None)
    if authorities is None and not settings.trust_env:
        paths = ssl.get_default_verify_paths()
        context = ssl.create_default_context(cafile=paths.openssl_cafile)
    else:
        is_folder = authorities is not None and Path(authorities).is_dir()
        context = ssl.create_default_context(
            cafile=None if is_folder else authorities, capath=authorities if is_folder else None
        )
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.client_cert:
        pair = settings.client_cert
        context.load_cert_chain(*((pair,) if isinstance(pair, str) else pair))
    return context
