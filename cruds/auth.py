"""OAuth 2.0 for a client: `OAuth2` knows a good token at any time, and asks for one no more often than needed."""

from __future__ import annotations

import random
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from .address import Host, bare, origin_of
from .credentials import AuthABC
from .exception import ClientStoppedError, InsecureError, OAuthAccessTokenError, OAuthErrorKind
from .exception import ReauthorizationRequiredError as Reauthorize
from .exchange import utc_now
from .oauth2.grants import ClientAuth, Registration, details_text, extra_pairs, scope_text, target_pairs
from .oauth2.seal import Sealer
from .oauth2.single_flight import SingleFlight
from .oauth2.store import MemoryTokenStore, TokenStore
from .oauth2.token import Live, TokenState
from .token_endpoint import Granted, TokenEndpoint
from .transport import TransportSettings

__all__ = ["OAuth2"]

_PAUSE_S = 5.0
"""After a failed renewal, how long a token that is still good is used before the next try."""
_SHORTEST_STATE = 16


class OAuth2(AuthABC):
    """A session by client credentials, by password, or made by a person (RFC 6749). Clients and threads share it.

    Nothing goes to the network until a token is needed. Then the store is asked first, so that a restart needs no
    new token; one thread of this process, and one process of those that share the store, asks the token endpoint
    while the others wait or go on with a token that is still good. A new token is used only after the store has it.

    `scope` may be None, a text or a list. `authorization_details` is an object or a list (RFC 9396). `client_auth`
    is basic, post, none or basic_raw. `audience`, `resource` and `extra_params` go along with every token request.
    `default_expires_in` is the life in seconds of tokens that do not say theirs; None: until a server rejects them.
    `timeout` bounds one renewal in seconds, its retries included. With `authorization_url` sessions are made by a
    person: without one, `ReauthorizationRequiredError`.

    `encryption_key` seals what the built-in in-memory store keeps: 32 bytes in base64, or a passphrase. None: it is
    not encrypted. The token in use, the client secret and the password are in plain memory either way.
    """

    is_lazy = True

    def __init__(  # noqa: PLR0913, PLR0917  the reference's parameters, and ours by keyword
        self,
        url: str,
        client_id: str,
        client_secret: str,
        scope: str | Iterable[str] | None,
        authorization_details: Any = None,
        username: str | None = None,
        password: str | None = None,
        encryption_key: str | None = None,
        authorization_url: str | None = None,
        redirect_uri: str | None = None,  # noqa: ARG002  belongs to the flow a person goes through
        state_length: int = 32,
        *,
        client_auth: str = ClientAuth.BASIC,
        audience: str | None = None,
        resource: str | Iterable[str] | None = None,
        extra_params: Mapping[str, str] | None = None,
        store: TokenStore | None = None,
        profile: str = "",
        timeout: float = 30.0,
        default_expires_in: float | None = None,
        ca_file: str | None = None,
        verify_ssl: Any = True,
        client_cert: str | tuple[str, str] | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        allow_insecure: bool = False,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        stop: threading.Event | None = None,
    ) -> None:
        _check(username=username, password=password, state_length=state_length)
        if store is not None and encryption_key is not None:
            raise ValueError("encryption_key is for the built-in store; a store of your own seals for itself")
        for address in filter(None, (url, authorization_url)):
            _check_address(address, allow_insecure=allow_insecure)
        self._registration = Registration(
            client_id=client_id,
            client_secret=client_secret,
            client_auth=ClientAuth(client_auth),
            scope=scope_text(scope),
            username=username,
            password=password,
            is_interactive=authorization_url is not None,
            authorization_details=details_text(authorization_details),
            targets=target_pairs(audience, resource),
            extra=extra_pairs(extra_params),
        )
        settings = TransportSettings(
            verify_ssl=verify_ssl, ca_file=ca_file, client_cert=client_cert, proxy=proxy, trust_env=trust_env
        )
        self._stop = stop or threading.Event()
        self._endpoint = TokenEndpoint(url, settings, timeout=timeout, stop=self._stop)
        sealer = None if encryption_key is None else Sealer(encryption_key, bound_to=(url, client_id))
        self._store: TokenStore = MemoryTokenStore(sealer) if store is None else store
        self._profile, self._timeout, self._default_expires_in = profile, timeout, default_expires_in
        self._clock, self._monotonic = clock, monotonic
        self._flight = SingleFlight[str]()
        self._live: Live | None = None
        self._granted_scope: str | None = None
        self._refused_refresh: str | None = None

    def access_token(self) -> str:
        """Return a token that is good now, getting or renewing it first if that is needed.

        Raises `OAuthAccessTokenError` (its `kind` says what helps), `ReauthorizationRequiredError`,
        `TokenStateError`, or `ClientStoppedError`.
        """
        live = self._live
        if live is not None and self._monotonic() < live.renew_at:
            return live.token
        return self._flight.run(partial(self._obtain, None))

    def is_valid(self) -> bool:
        """Return whether a token is at hand and has not expired. Reads the store, asks nobody else."""
        if self._live is None:
            self._adopt(self._store.load(self._profile), None)
        live = self._live
        return live is not None and self._monotonic() < live.dies_at

    def renew(self, rejected_token: str) -> str:
        """Return a token other than `rejected_token`, renewing only if that one is still the current one.

        Returns the same token if the token endpoint has no other.
        """
        for _ in range(2):  # the first may have joined a renewal that began before the rejection was known
            token = self._flight.run(partial(self._obtain, rejected_token))
            if token != rejected_token:
                break
        return token

    def clear_state(self) -> None:
        """Forget the session, here and in the store. Nothing is revoked at the server."""
        self._store.clear(self._profile)
        self._live = self._refused_refresh = self._granted_scope = None

    @property
    def granted_scope(self) -> str | None:
        """The scope of the token in use, as it was granted; None if unknown or as asked (RFC 6749 section 5.1)."""
        return self._granted_scope

    def __repr__(self) -> str:
        return f"<OAuth2 {self._registration.grant} at {self._endpoint.url}>"

    # ---- below: one thread at a time ----

    def _obtain(self, rejected: str | None) -> str:
        """Return a token other than the rejected one: from this process, from the store, or renewed."""
        give_up = self._monotonic() + self._timeout
        while True:
            if self._is_fresh(rejected) or self._adopt(self._store.load(self._profile), rejected):
                return self._current()
            # A renewal must be over well before its lease is: the next holder would use up the same refresh token.
            with self._store.lease(self._profile, seconds=2 * self._timeout + _PAUSE_S) as is_ours:
                if is_ours and self._renew_under_lease(rejected):
                    return self._current()
            if self._is_alive(rejected):
                return self._current()
            if self._monotonic() >= give_up:
                raise OAuthAccessTokenError(
                    "another process holds the right to renew the token and does not finish",
                    kind=OAuthErrorKind.TEMPORARY,
                )
            if self._stop.wait(random.uniform(0.02, 0.08)):  # noqa: S311  spreads the waiting, hides nothing
                raise ClientStoppedError("stopped while waiting for a token", method="POST", url=self._endpoint.url)

    def _renew_under_lease(self, rejected: str | None) -> bool:
        """Ask for a token and save it; False if somebody else saved one meanwhile."""
        state = self._store.load(self._profile)
        if self._adopt(state, rejected):
            return True
        known = state if state is not None and state.grant == self._registration.grant else None
        try:
            granted = self._ask(known)
        except OAuthAccessTokenError as error:
            if error.kind is not OAuthErrorKind.TEMPORARY or not self._is_alive(rejected):
                raise
            self._live = self._live and self._live.postponed(self._monotonic() + _PAUSE_S)
            return True
        if granted is None:
            return False
        new = self._state(granted, known)
        if not self._store.save(self._profile, new, expected_version=0 if state is None else state.version):
            return False
        self._live = Live.granted(new, now=self._monotonic(), took_s=granted.took_s)
        self._granted_scope = new.scope
        return True

    def _ask(self, state: TokenState | None) -> Granted | None:
        """Renew a session, or make one if that is ours to make; None if the store has moved on meanwhile."""
        if state is not None and state.refresh_token and state.refresh_token != self._refused_refresh:
            try:
                return self._endpoint.ask(self._registration.refresh(state), self._clock)
            except OAuthAccessTokenError as error:
                if error.kind is not OAuthErrorKind.REAUTHORIZE:
                    raise
                now_kept = self._store.load(self._profile)
                if now_kept is None or now_kept.version != state.version:
                    return None
                self._refused_refresh = state.refresh_token
                if self._registration.is_interactive:
                    raise Reauthorize(
                        "the session is over: log in again", error=error.error, status=error.status
                    ) from error
        if self._registration.is_interactive:
            raise Reauthorize("there is no session that could be renewed: log in first")
        return self._endpoint.ask(self._registration.login(), self._clock)

    def _state(self, granted: Granted, before: TokenState | None) -> TokenState:
        answer = granted.answer
        life = answer.expires_in if answer.expires_in is not None else self._default_expires_in
        kept = before if granted.is_refresh else None
        return TokenState(
            access_token=answer.access_token,
            refresh_token=answer.refresh_token or (kept.refresh_token if kept else None),
            token_type=answer.token_type,
            expires_at=None if life is None else granted.asked_at + timedelta(seconds=life),
            obtained_at=granted.asked_at,
            scope=answer.scope or (kept.scope if kept else None),
            grant=str(self._registration.grant),
        )

    def _adopt(self, state: TokenState | None, rejected: str | None) -> bool:
        """Take over what the store has, if it is ours and lives; True if it need not be renewed yet."""
        if state is None or state.access_token == rejected or state.grant != self._registration.grant:
            return False
        if self._live is None or self._live.token != state.access_token:
            found = Live.found(state, now=self._monotonic(), wall=self._clock())
            if found.dies_at <= self._monotonic():
                return False
            self._live = found
            self._granted_scope = state.scope
        return self._is_fresh(rejected)

    def _is_fresh(self, rejected: str | None) -> bool:
        live = self._live
        return live is not None and live.token != rejected and self._monotonic() < live.renew_at

    def _is_alive(self, rejected: str | None) -> bool:
        live = self._live
        return live is not None and live.token != rejected and self._monotonic() < live.dies_at

    def _current(self) -> str:
        live = self._live
        if live is None:  # cleared by another thread a moment ago
            raise OAuthAccessTokenError("the session was cleared", kind=OAuthErrorKind.TEMPORARY)
        return live.token


def _check(*, username: str | None, password: str | None, state_length: int) -> None:
    if (username is None) != (password is None):
        raise ValueError("username and password go together; one of them is missing")
    if state_length < _SHORTEST_STATE:
        raise ValueError(f"state_length is at least {_SHORTEST_STATE}; a shorter one can be guessed")
    if username is not None:
        warnings.warn("the password grant must not be used (RFC 9700 section 2.4)", DeprecationWarning, stacklevel=3)


def _check_address(address: str, *, allow_insecure: bool) -> None:
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
