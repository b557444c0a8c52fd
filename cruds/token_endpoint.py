"""An authorization server over the network: a request of `oauth2` out, a checked answer back, with retries in time."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from urllib.parse import urlsplit

from .address import Host, bare, origin_of
from .credentials import NoCredentials, merged_headers
from .exception import (
    AnswerLostError,
    ClientStoppedError,
    ConnectError,
    DeadlineError,
    InsecureError,
    OAuthAccessTokenError,
    OAuthErrorKind,
    RequestError,
)
from .exchange import Call, Exchange, utc_now
from .oauth2.answer import Granted, read_answer
from .oauth2.client_auth import ClientAuth
from .oauth2.device import DeviceLogin, read_device_login
from .oauth2.discovery import ENDPOINTS, MetadataCache, ServerMetadata, places, read_metadata
from .oauth2.grants import TokenRequest
from .oauth2.registration import Registration
from .oauth2.revocation import check_revoked, tokens_to_revoke
from .oauth2.session import Timing
from .oauth2.token import TokenState
from .response import Response
from .retries import RetryBudget, RetryPolicy, retry_after_of
from .transport import Transport, TransportSettings, accepted_encodings

_POLICY = RetryPolicy(retries=3, backoff_factor=0.5, status_codes=frozenset({429, 502, 503, 504}), max_wait=10.0)
"""Three tries more, within half a minute; what asks for longer is told to the caller, who may plan it."""
_ONE_TRY = replace(_POLICY, retries=0)
"""For questions that are repeated anyway, at a pace that the server sets (RFC 8628 section 3.5)."""
_MOST_BYTES = 1_048_576
_PASSING = (ConnectError, AnswerLostError, DeadlineError)

Write = Callable[[Registration], TokenRequest]


@dataclass(frozen=True, slots=True)
class Reach:
    """How the server is reached, and what is known of it without asking."""

    known: ServerMetadata
    """The issuer, and endpoints that are set; these hold, whatever the server says."""
    is_discovered: bool
    """Whether the server is asked for the rest, at first need."""
    settings: TransportSettings
    allow_insecure: bool
    cache: MetadataCache


class AuthorizationServer:
    """One client's view of an authorization server. Safe to share between threads.

    Redirects of its endpoints are not followed (RFC 9700 section 4.12). Each call has `timing.timeout` in all, or
    `within` seconds if that is less. Every method raises `OAuthAccessTokenError` or `ClientStoppedError`.
    """

    def __init__(self, registration: Registration, reach: Reach, timing: Timing) -> None:
        self._registration, self._reach, self._timing = registration, reach, timing
        self._budget = RetryBudget()
        self._lock = threading.Lock()
        self._transports: dict[str, Transport] = {}
        if reach.is_discovered:
            self._transport(reach.known.issuer or "")  # certificates are read now, not with the first token
        else:
            self._transport(reach.known.token_endpoint or "")

    @property
    def url(self) -> str:
        """The token URL without its query, or the issuer: what may be shown."""
        return bare(self._reach.known.token_endpoint or self._reach.known.issuer or "")

    def metadata(self) -> ServerMetadata:
        """Return what is known of the server, asking it first if need be."""
        return self._metadata(self._deadline())

    def login(self, *, within: float = math.inf) -> Granted:
        """Make a new session without a person."""
        return self._ask(Registration.login, within=within)

    def refresh(self, state: TokenState, *, within: float = math.inf) -> Granted:
        """Renew a session. After a lost answer the old refresh token is all there is, and it is tried again."""
        return self._ask(lambda client: client.refresh(state), within=within)

    def exchange(self, code: str, *, verifier: str, redirect_uri: str) -> Granted:
        """Give a code for a token."""
        return self._ask(lambda client: client.exchange(code, verifier=verifier, redirect_uri=redirect_uri))

    def poll(self, login: DeviceLogin) -> Granted:
        """Ask once whether a person has agreed."""
        return self._ask(lambda client: client.poll(login.device_code), _ONE_TRY)

    def begin_device_login(self) -> DeviceLogin:
        """Ask for a code that a person enters elsewhere."""
        asked_at, response = (
            self._timing.clock(),
            self._post("device_authorization_endpoint", Registration.device_authorization),
        )
        return read_device_login(
            response.status, response.headers, response.body, asked_at=asked_at, retry_after=_wanted(response)
        )

    def revoke(self, state: TokenState) -> None:
        """Give the tokens of a session back."""
        for token, hint in tokens_to_revoke(state):
            write = partial(Registration.revocation, token=token, hint=hint)
            response = self._post("revocation_endpoint", write)
            check_revoked(response.status, response.headers, response.body, retry_after=_wanted(response))

    def _ask(self, write: Write, policy: RetryPolicy = _POLICY, *, within: float = math.inf) -> Granted:
        began, asked_at, grants = monotonic(), self._timing.clock(), list[str]()

        def noting(client: Registration) -> TokenRequest:
            request = write(client)
            grants.append(str(request.grant))
            return request

        response = self._post("token_endpoint", noting, policy, within=within)
        answer = read_answer(response.status, response.headers, response.body, retry_after=_wanted(response))
        return Granted(answer, grants[-1], asked_at, monotonic() - began)

    def _post(
        self, endpoint: str, write: Write, policy: RetryPolicy = _POLICY, *, within: float = math.inf
    ) -> Response:
        ends_at = min(self._deadline(), monotonic() + within)
        server = self._metadata(ends_at)
        url = getattr(server, endpoint)
        if url is None:
            raise RuntimeError(f"the {endpoint} is not known")
        fresh = _FreshRequests(self._transport(url), partial(write, self._registration.at(server)))
        return self._run(
            Call("POST", url, {}, None, repeatable=True, ends_at=ends_at, is_redirectable=False), fresh, policy
        )

    def _metadata(self, ends_at: float) -> ServerMetadata:
        reach = self._reach
        if not reach.is_discovered:
            return reach.known
        key = (reach.known.issuer, reach.settings, reach.allow_insecure)
        found = reach.cache.get(key, partial(self._discover, reach.known.issuer or "", ends_at))
        if reach.settings.client_cert is not None or self._registration.client_auth is ClientAuth.TLS:
            found = found.with_certificate()
        set_here = {name: getattr(reach.known, name) for name in ENDPOINTS}
        return found.overridden(set_here)

    def _discover(self, issuer: str, ends_at: float) -> ServerMetadata:
        last = 0
        for place in places(issuer):
            call = Call(
                "GET", place, {"Accept": "application/json"}, None, repeatable=True, ends_at=ends_at, is_home_only=True
            )
            response = self._run(call, self._transport(place), _POLICY)
            last = response.status
            found = read_metadata(response.body, issuer=issuer, check=self._check) if last == 200 else None
            if found is not None:
                return found
            if last == 429 or last >= 500:
                break
        raise OAuthAccessTokenError(
            f"no metadata of {bare(issuer)} was found; the last place answered with status code {last}",
            status=last,
            kind=OAuthErrorKind.TEMPORARY if last == 429 or last >= 500 else OAuthErrorKind.CONFIGURATION,
        )

    def _check(self, address: str) -> None:
        try:
            check_address(address, allow_insecure=self._reach.allow_insecure)
        except (ValueError, RequestError) as error:
            raise OAuthAccessTokenError(f"the metadata names an endpoint that is not used: {error}") from error

    def _run(self, call: Call, transport: Transport, policy: RetryPolicy) -> Response:
        headers = merged_headers(call.headers, {"User-Agent": "cruds", "Accept-Encoding": accepted_encodings()})
        exchange = Exchange(
            transport,
            policy,
            NoCredentials(),
            stop=self._timing.stop,
            on_event=None,
            random=random.random,
            budget=self._budget,
        )
        try:
            return exchange.run(replace(call, headers=headers, max_bytes=_MOST_BYTES))
        except ClientStoppedError:
            raise
        except RequestError as error:
            is_passing = isinstance(error, _PASSING)
            raise OAuthAccessTokenError(
                f"the authorization server gave no answer: {error}",
                kind=OAuthErrorKind.TEMPORARY if is_passing else OAuthErrorKind.CONFIGURATION,
            ) from error

    def _transport(self, url: str) -> Transport:
        origin = origin_of(url)
        with self._lock:
            if origin not in self._transports:
                self._transports[origin] = Transport(self._reach.settings, Host(origin, ""))
            return self._transports[origin]

    def _deadline(self) -> float:
        return monotonic() + self._timing.timeout


class _FreshRequests(Transport):
    """A transport that writes the request anew for each attempt: an assertion is good for one (RFC 7523 section 3)."""

    def __init__(self, transport: Transport, write: Callable[[], TokenRequest]) -> None:
        self._real, self._write = transport, write  # no pools of its own

    def send(self, call: Call, headers: Mapping[str, str]) -> Response:
        """Make one attempt with a new request."""
        request = self._write()
        return self._real.send(replace(call, body=request.body), merged_headers(headers, request.headers))


def check_address(address: str, *, allow_insecure: bool) -> None:
    """Raise unless secrets may be sent there: ValueError for what is no OAuth address, `InsecureError` for http."""
    parts = urlsplit(address)
    if parts.fragment or parts.username is not None:
        raise ValueError(f"{bare(address)}: an OAuth address has no fragment and no credentials")
    if Host(origin_of(address), "").is_plain and not allow_insecure:
        raise InsecureError(
            "secrets would travel in the clear; write https, or say allow_insecure",
            method="POST",
            url=bare(address),
            attempts=0,
        )


def check_addresses(known: ServerMetadata, redirect_uri: str | None, *, allow_insecure: bool) -> None:
    """Raise for an address among the settings to which no secret may be sent, and if there is none to ask."""
    if known.issuer is not None:
        places(known.issuer)
    elif known.token_endpoint is None:
        raise ValueError("a token URL or an issuer is needed")
    used = [known.issuer, *(getattr(known, name) for name in ENDPOINTS)]
    if redirect_uri is not None and urlsplit(redirect_uri).scheme in {"http", "https"}:  # else an app's own scheme
        used.append(redirect_uri)
    for address in filter(None, used):
        check_address(address, allow_insecure=allow_insecure)


def _wanted(response: Response) -> float | None:
    return retry_after_of(response.headers, utc_now)
