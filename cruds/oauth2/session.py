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
from datetime import datetime
from functools import partial

from cruds.exception import (
    ClientStoppedError,
    OAuthAccessTokenError,
    OAuthErrorKind,
    TokenNotSavedError,
    TokenStateError,
)
from cruds.exception import ReauthorizationRequiredError as Reauthorize

from .answer import Granted
from .narrowing import Narrowed, narrowed
from .patience import Patience
from .registration import Registration
from .renewal import Renewals, Renewed, Right, Server
from .single_flight import SingleFlight
from .store import TokenStore
from .token import Live, TokenState, login_needed

_PAUSE_S = 5.0
"""After a failed renewal, how long a token that is still good is used before the next try."""


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
    patience: float = 0.0
    """How long a session that has had a token waits for a server that gives none for now."""
    on_wait: Callable[[float, OAuthAccessTokenError], None] | None = None
    """Told the seconds of each such wait before it begins, and why."""

    @property
    def lease(self) -> float:
        """How long the right to renew lasts: a renewal is over in less than half of it."""
        return 2 * self.timeout + 1.0


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
        self._renewals = Renewals(
            registration,
            server,
            store,
            profile,
            default_expires_in=timing.default_expires_in,
            clock=timing.clock,
            monotonic=timing.monotonic,
            stop=timing.stop,
        )
        self._patience = Patience(
            timing.patience, server.url, monotonic=timing.monotonic, stop=timing.stop, on_wait=timing.on_wait
        )
        self._live: Live | None = None
        self._state: TokenState | None = None

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
        return self._flight.run(partial(self._wait_for_one, None))

    def is_valid(self) -> bool:
        """Return whether a token is at hand and has not expired. Reads the store, asks nobody else."""
        if self._live is None:
            self._adopt(self._store.load(self._profile), None)
        return self._is_alive(None)

    def renew(self, rejected: str) -> str:
        """Return a token other than the rejected one; the same one if there is no other."""
        for _ in range(2):  # the first may have joined a renewal that began before the rejection was known
            token = self._flight.run(partial(self._wait_for_one, rejected))
            if token != rejected:
                break
        return token

    def begin(self, granted: Granted) -> str:
        """Replace whatever session there is by one that a person has made, and return its token."""
        answered = self._renewals.answered(granted, None, replaces=0)
        new = answered.state
        with self._leased():
            for _ in range(10):
                before = self._replaceable()
                if self._store.save(self._profile, new, expected_version=0 if before is None else before.version):
                    self._use(answered)
                    return new.access_token
        raise OAuthAccessTokenError("the store does not take the new session", kind=OAuthErrorKind.TEMPORARY)

    def take_over(self, before: Session) -> None:
        """Go on with what an earlier client over the same store has been given, and could not save."""
        self._renewals.take_over(before._renewals)

    def clear(self) -> None:
        """Forget the session, here and in the store."""
        self._store.clear(self._profile)
        self._live = self._state = None
        self._renewals.forget()

    def end(self, give_back: Callable[[TokenState], None]) -> None:
        """Let `give_back` revoke the tokens of a session that is ours, then forget it. An error keeps it."""
        with self._leased():
            state = self._store.load(self._profile)
            if state is not None and not state.is_over and self._registration.owns(state):
                give_back(state)
            self.clear()

    # ---- below: one thread at a time ----

    def _wait_for_one(self, rejected: str | None) -> str:
        """Return a token; wait for a server that is down, if we are in the middle of our work and not at its start."""
        work = partial(self._obtain, rejected)
        return work() if self._live is None else self._patience.run(work)

    def _obtain(self, rejected: str | None) -> str:
        """Return a token other than the rejected one: from this process, from the store, or renewed."""
        # A holder that is paused may be waited for to the end of its lease, and the next one to the end of its work.
        give_up = self._monotonic() + self._timing.lease + self._timing.timeout
        while True:
            if self._is_fresh(rejected) or self._adopt_kept(rejected):
                return self._current()
            began = self._monotonic()
            # A renewal must be over well before its lease is: the next holder would use up the same refresh token.
            with self._lease() as is_ours:
                right = Right(began + self._timing.timeout, began + self._timing.lease)
                if is_ours and self._renew_under_lease(rejected, right):
                    return self._current()
            if self._is_alive(rejected):
                return self._current()
            if self._monotonic() >= give_up:
                raise OAuthAccessTokenError(
                    "another process holds the right to renew the token and does not finish",
                    kind=OAuthErrorKind.TEMPORARY,
                )
            self._pause()

    def _renew_under_lease(self, rejected: str | None, right: Right) -> bool:
        """Ask for a token and save it; False if somebody else saved one meanwhile."""
        state = self._store.load(self._profile)
        if self._adopt(state, rejected):
            return True
        try:
            renewed = self._renewals.carry_out(state, right)
        except (OAuthAccessTokenError, TokenNotSavedError) as error:
            is_passing = isinstance(error, TokenNotSavedError) or error.kind is OAuthErrorKind.TEMPORARY
            if not is_passing or not self._is_alive(rejected):
                raise
            self._live = self._live and self._live.postponed(self._monotonic() + _PAUSE_S)
            return True
        if renewed is not None:
            self._use(renewed)
        return renewed is not None

    def _replaceable(self) -> TokenState | None:
        """Return what a login replaces. What cannot be opened is cleared: whoever logs in has no use for it."""
        try:
            return self._store.load(self._profile)
        except TokenStateError:
            self._store.clear(self._profile)
            return None

    def _use(self, renewed: Renewed) -> None:
        self._live = Live.granted(renewed.state, now=renewed.answered_at, took_s=renewed.granted.took_s)
        self._state = renewed.state
        less = self.narrowed
        if less and self._on_narrowed is not None:
            self._on_narrowed(less)

    def _adopt_kept(self, rejected: str | None) -> bool:
        """Take over what the store has now. Raises `ReauthorizationRequiredError` if that says that it is over."""
        state = self._store.load(self._profile)
        is_over = state is not None and state.is_over and self._registration.owns(state)
        if is_over and self._registration.is_interactive:
            raise Reauthorize(f"{login_needed(state, self._clock())}; log in again")
        return self._adopt(state, rejected)

    def _adopt(self, state: TokenState | None, rejected: str | None) -> bool:
        """Take over what the store has, if it is ours and lives; True if it need not be renewed yet."""
        if state is None or state.is_over or state.access_token == rejected or not self._registration.owns(state):
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
        return self._store.lease(self._profile, seconds=self._timing.lease)

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
