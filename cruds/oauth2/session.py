"""A session that is kept alive: which token is used, when it is renewed, and by whom.

The store is asked first, so that a restart needs no new token; one thread of this process, and one process of those
that share the store, asks the server while the others wait or go on with a token that is still good. A new token is
used only after the store has it.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from cruds.exception import ClientStoppedError, OAuthAccessTokenError, OAuthErrorKind
from cruds.exception import ReauthorizationRequiredError as Reauthorize

from .answer import Granted
from .grants import Grant
from .narrowing import Narrowed, narrowed
from .registration import Registration
from .single_flight import SingleFlight
from .store import TokenStore
from .token import Live, TokenState

_PAUSE_S = 5.0
"""After a failed renewal, how long a token that is still good is used before the next try."""


class Server(Protocol):
    """Who gives tokens. Safe to share between threads; each call bounds its own time."""

    @property
    def url(self) -> str:
        """The server's address as it may be shown."""

    def login(self) -> Granted:
        """Make a new session without a person. Raises `OAuthAccessTokenError` or `ClientStoppedError`."""

    def refresh(self, state: TokenState) -> Granted:
        """Renew a session. Raises the same."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Clocks, limits in seconds, and who ends the waits."""

    timeout: float
    """Bounds one renewal, its retries included."""
    default_expires_in: float | None
    """The life of tokens that do not say theirs; None: until a server rejects them."""
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    stop: threading.Event


class Session:
    """One client's tokens under one profile of a store. Safe to share between threads."""

    def __init__(
        self,
        registration: Registration,
        server: Server,
        store: TokenStore,
        *,
        profile: str,
        timing: Timing,
        on_narrowed: Callable[[Narrowed], None] | None,
    ) -> None:
        self._registration, self._server, self._store, self._profile = registration, server, store, profile
        self._timing, self._on_narrowed = timing, on_narrowed
        self._clock, self._monotonic, self._stop = timing.clock, timing.monotonic, timing.stop
        self._flight = SingleFlight[str]()
        self._live: Live | None = None
        self._state: TokenState | None = None
        self._refused_refresh: str | None = None

    @property
    def state(self) -> TokenState | None:
        """The session whose token is in use; None before the first token."""
        return self._state

    @property
    def narrowed(self) -> Narrowed:
        """What was asked for and not granted to the token in use."""
        state, asked = self._state, self._registration
        return narrowed(
            asked_scope=asked.scope,
            scope=state.scope if state else None,
            asked_details=asked.authorization_details,
            details=state.authorization_details if state else None,
        )

    def token(self) -> str:
        """Return a token that is good now, getting or renewing it first if that is needed."""
        live = self._live
        if live is not None and self._monotonic() < live.renew_at:
            return live.token
        return self._flight.run(partial(self._obtain, None))

    def is_valid(self) -> bool:
        """Return whether a token is at hand and has not expired. Reads the store, asks nobody else."""
        if self._live is None:
            self._adopt(self._store.load(self._profile), None)
        return self._is_alive(None)

    def renew(self, rejected: str) -> str:
        """Return a token other than the rejected one; the same one if there is no other."""
        for _ in range(2):  # the first may have joined a renewal that began before the rejection was known
            token = self._flight.run(partial(self._obtain, rejected))
            if token != rejected:
                break
        return token

    def begin(self, granted: Granted) -> str:
        """Replace whatever session there is by one that a person has made, and return its token."""
        with self._leased():
            for _ in range(10):
                before = self._store.load(self._profile)
                new = self._new_state(granted, None)
                if self._store.save(self._profile, new, expected_version=0 if before is None else before.version):
                    self._use(new, granted)
                    return new.access_token
        raise OAuthAccessTokenError("the store does not take the new session", kind=OAuthErrorKind.TEMPORARY)

    def clear(self) -> None:
        """Forget the session, here and in the store."""
        self._store.clear(self._profile)
        self._live = self._state = self._refused_refresh = None

    def end(self, give_back: Callable[[TokenState], None]) -> None:
        """Let `give_back` revoke the tokens of a session that is ours, then forget it. An error keeps it."""
        with self._leased():
            state = self._store.load(self._profile)
            if state is not None and self._registration.owns(state):
                give_back(state)
            self.clear()

    # ---- below: one thread at a time ----

    def _obtain(self, rejected: str | None) -> str:
        """Return a token other than the rejected one: from this process, from the store, or renewed."""
        give_up = self._monotonic() + self._timing.timeout
        while True:
            if self._is_fresh(rejected) or self._adopt(self._store.load(self._profile), rejected):
                return self._current()
            # A renewal must be over well before its lease is: the next holder would use up the same refresh token.
            with self._lease() as is_ours:
                if is_ours and self._renew_under_lease(rejected):
                    return self._current()
            if self._is_alive(rejected):
                return self._current()
            if self._monotonic() >= give_up:
                raise OAuthAccessTokenError(
                    "another process holds the right to renew the token and does not finish",
                    kind=OAuthErrorKind.TEMPORARY,
                )
            self._pause()

    def _renew_under_lease(self, rejected: str | None) -> bool:
        """Ask for a token and save it; False if somebody else saved one meanwhile."""
        state = self._store.load(self._profile)
        if self._adopt(state, rejected):
            return True
        known = state if state is not None and self._registration.owns(state) else None
        try:
            granted = self._ask(known)
        except OAuthAccessTokenError as error:
            if error.kind is not OAuthErrorKind.TEMPORARY or not self._is_alive(rejected):
                raise
            self._live = self._live and self._live.postponed(self._monotonic() + _PAUSE_S)
            return True
        if granted is None:
            return False
        new = self._new_state(granted, known if granted.grant == Grant.REFRESH_TOKEN else None)
        if not self._store.save(self._profile, new, expected_version=0 if state is None else state.version):
            return False
        self._use(new, granted)
        return True

    def _ask(self, state: TokenState | None) -> Granted | None:
        """Renew a session, or make one if that is ours to make; None if the store has moved on meanwhile."""
        if state is not None and state.refresh_token and state.refresh_token != self._refused_refresh:
            try:
                return self._server.refresh(state)
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
        return self._server.login()

    def _new_state(self, granted: Granted, before: TokenState | None) -> TokenState:
        """Return the state after a grant; `before` is the session that was renewed, None for a new one."""
        answer, client = granted.answer, self._registration
        life = answer.expires_in if answer.expires_in is not None else self._timing.default_expires_in
        return TokenState(
            access_token=answer.access_token,
            refresh_token=answer.refresh_token or (before.refresh_token if before else None),
            token_type=answer.token_type,
            expires_at=None if life is None else granted.asked_at + timedelta(seconds=life),
            obtained_at=granted.asked_at,
            scope=answer.scope or (before.scope if before else None),
            grant=before.grant if before else str(granted.grant),
            authorization_details=answer.authorization_details or (before.authorization_details if before else None),
            issuer=client.issuer,
            client_id=client.client_id,
            subject=client.principal,
        )

    def _use(self, new: TokenState, granted: Granted) -> None:
        self._live = Live.granted(new, now=self._monotonic(), took_s=granted.took_s)
        self._state = new
        less = self.narrowed
        if less and self._on_narrowed is not None:
            self._on_narrowed(less)

    def _adopt(self, state: TokenState | None, rejected: str | None) -> bool:
        """Take over what the store has, if it is ours and lives; True if it need not be renewed yet."""
        if state is None or state.access_token == rejected or not self._registration.owns(state):
            return False
        if self._live is None or self._live.token != state.access_token:
            found = Live.found(state, now=self._monotonic(), wall=self._clock())
            if found.dies_at <= self._monotonic():
                return False
            self._live, self._state = found, state
        return self._is_fresh(rejected)

    @contextmanager
    def _leased(self) -> Iterator[None]:
        """Wait for the right to renew, so that no renewal of the old session is under way; not for ever."""
        give_up = self._monotonic() + self._timing.timeout
        while True:
            with self._lease() as is_ours:
                if is_ours or self._monotonic() >= give_up:
                    yield
                    return
            self._pause()

    def _lease(self) -> AbstractContextManager[bool]:
        return self._store.lease(self._profile, seconds=2 * self._timing.timeout + _PAUSE_S)

    def _pause(self) -> None:
        if self._stop.wait(random.uniform(0.02, 0.08)):  # noqa: S311  spreads the waiting, hides nothing
            raise ClientStoppedError("stopped while waiting for a token", method="POST", url=self._server.url)

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
