"""One renewal, or the making of a session, under the lease: what is asked, and what is durable before and after it.

    marked ──▶ the server is asked ──▶ saved ──▶ used
       │               └─ refused, and nobody was faster ──▶ saved as over, with its time and cause
       └─ the process ends before it is saved: the next one finds the mark, and tries the old refresh token once

The mark is also the fence of the request: who lost the lease cannot save it, and asks nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from cruds.exception import (
    CrudsError,
    OAuthAccessTokenError,
    OAuthErrorKind,
    RequestError,
    TokenNotSavedError,
)
from cruds.exception import ReauthorizationRequiredError as Reauthorize

from .answer import Granted
from .registration import Registration
from .store import TokenStore
from .token import TokenState, login_needed, shown_moment

_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _MOST_SAVES = 0.1, 5.0, 15
"""Between two tries to save: half a minute in all, if each fails at once."""


class Server(Protocol):
    """Who gives tokens. Safe to share between threads; each call is over after `within` seconds at the latest."""

    @property
    def url(self) -> str:
        """The server's address as it may be shown."""

    def login(self, *, within: float) -> Granted:
        """Make a new session without a person. Raises `OAuthAccessTokenError` or `ClientStoppedError`."""

    def refresh(self, state: TokenState, *, within: float) -> Granted:
        """Renew a session. Raises the same."""


@dataclass(frozen=True, slots=True)
class Right:
    """The right to renew now, and its ends on the monotonic clock."""

    answer_by: float
    """Nobody is asked after this: the next holder would use up the same refresh token."""
    ends_at: float


@dataclass(frozen=True, slots=True)
class Renewed:
    """A new state, and the version that it takes the place of."""

    state: TokenState
    granted: Granted
    replaces: int
    answered_at: float
    """On the monotonic clock. The save may come much later."""


class Renewals:
    """Renews the session of one profile. One thread at a time, which holds the lease."""

    def __init__(
        self,
        registration: Registration,
        server: Server,
        store: TokenStore,
        profile: str,
        *,
        default_expires_in: float | None,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        stop: threading.Event,
    ) -> None:
        self._registration, self._server, self._store, self._profile = registration, server, store, profile
        self._default_expires_in = default_expires_in
        self._clock, self._monotonic, self._stop = clock, monotonic, stop
        self._refused: str | None = None
        """A refresh token that the server does not take."""
        self._unsaved: list[Renewed] = []
        """What the store has not taken yet: one, or none."""

    def take_over(self, before: Renewals) -> None:
        """Save what an earlier client over the same store could not save: its tokens are nowhere else."""
        self._unsaved = before._unsaved

    def forget(self) -> None:
        """Forget what is remembered of a session that was cleared."""
        self._refused = None
        self._unsaved.clear()

    def carry_out(self, kept: TokenState | None, right: Right) -> Renewed | None:
        """Ask for a token and save it; None if somebody else saved one meanwhile, or the right is about to end.

        Raises `ReauthorizationRequiredError` when only a person can help; that a session is over is saved first.
        """
        version = kept.version if kept is not None else 0
        unsaved = self._unsaved.pop() if self._unsaved else None
        if unsaved is not None and unsaved.replaces == version and self._registration.owns(unsaved.state):
            return self._saved(unsaved, right, tries=1)
        known = kept if kept is not None and self._registration.owns(kept) else None
        if known is not None and known.refresh_token and known.refresh_token != self._refused:
            return self._renew(known, right)
        return self._begin_anew(known, version, right)

    def answered(self, granted: Granted, before: TokenState | None, *, replaces: int) -> Renewed:
        """Return what a grant that was just answered comes to; `before` is the session that it renewed, if any."""
        return Renewed(self._new_state(granted, before), granted, replaces, self._monotonic())

    def _new_state(self, granted: Granted, before: TokenState | None) -> TokenState:
        answer, client = granted.answer, self._registration
        life = answer.expires_in if answer.expires_in is not None else self._default_expires_in
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
            began_at=before.began_at if before else granted.asked_at,
        )

    def _begin_anew(self, known: TokenState | None, version: int, right: Right) -> Renewed | None:
        if self._registration.is_interactive:
            reason = login_needed(known, self._clock()) or "the token is not taken, and no refresh token was given"
            raise Reauthorize(f"there is no session that could be renewed: log in first ({reason})")
        within = right.answer_by - self._monotonic()
        if within < 0:
            return None
        granted = self._server.login(within=within)
        return self._saved(self.answered(granted, None, replaces=version), right)

    def _renew(self, known: TokenState, right: Right) -> Renewed | None:
        marked = self._marked(known)
        if marked is None:
            return None
        within = right.answer_by - self._monotonic()
        if within < 0:  # we slept: somebody else may be at it by now
            return None
        try:
            granted = self._server.refresh(marked, within=within)
        except OAuthAccessTokenError as error:
            if error.kind is not OAuthErrorKind.REAUTHORIZE:
                self._unmark(marked, error)
                raise
            return self._refused_with(error, known, marked, right)
        except CrudsError as error:
            self._unmark(marked, error)
            raise
        return self._saved(self.answered(granted, marked, replaces=marked.version), right)

    def _marked(self, state: TokenState) -> TokenState | None:
        """Save that a renewal begins, where one that is cut off costs a person; None if somebody else was faster.

        Saved even where one before it left its mark: that nobody else renews is known only by it.
        """
        if not self._registration.is_interactive:
            return state
        marked = replace(state, renewing_since=state.renewing_since or self._clock())
        is_saved = self._store.save(self._profile, marked, expected_version=state.version)
        return replace(marked, version=state.version + 1) if is_saved else None

    def _unmark(self, marked: TokenState, error: CrudsError) -> None:
        """Take the mark back if the server surely has not used the refresh token up."""
        if marked.renewing_since is not None and _is_unused(error):
            self._store.save(self._profile, replace(marked, renewing_since=None), expected_version=marked.version)

    def _refused_with(
        self, error: OAuthAccessTokenError, known: TokenState, marked: TokenState, right: Right
    ) -> Renewed | None:
        """Look again before a refusal is believed: a faster process may have used the refresh token up."""
        now_kept = self._store.load(self._profile)
        if now_kept is None or now_kept.version != marked.version:
            return None
        self._refused = marked.refresh_token
        if not self._registration.is_interactive:
            return self._begin_anew(marked, marked.version, right)
        over = self._over(known, error)
        if not self._store.save(self._profile, over, expected_version=marked.version):
            return None
        raise Reauthorize(
            f"{login_needed(over, self._clock())}; log in again", error=error.error, status=error.status
        ) from error

    def _over(self, known: TokenState, error: OAuthAccessTokenError) -> TokenState:
        because = str(error)
        if known.renewing_since is not None:
            began = shown_moment(known.renewing_since)
            because = f"a refresh was interrupted at {began}, before its answer was saved; then {because}"
        return replace(
            known,
            access_token="",
            refresh_token=None,
            renewing_since=None,
            over_since=self._clock(),
            over_because=because,
        )

    def _saved(self, renewed: Renewed, right: Right, tries: int = _MOST_SAVES) -> Renewed | None:
        """Save it, as often as the right lasts if its loss would cost a person a login; None if we came too late."""
        last: Exception | None = None
        for pause in self._pauses(right, tries):
            try:
                is_saved = self._store.save(self._profile, renewed.state, expected_version=renewed.replaces)
            except Exception as error:
                if not self._registration.is_interactive:
                    raise  # nothing is lost: another one is asked for
                last = error
            else:
                return renewed if is_saved else None
            if pause and self._stop.wait(pause):
                threading.Event().wait(pause)  # a stop does not make it less worth saving
        self._unsaved[:] = [renewed]
        raise TokenNotSavedError(
            f"the session was renewed, and its new tokens cannot be saved: {last}. They are not used, and stay in the "
            "memory of this process, which saves them as soon as that works; if it ends before, the session is over"
        ) from last

    def _pauses(self, right: Right, tries: int) -> Iterator[float]:
        """Yield the pause after each try, none after the last."""
        pause = _FIRST_PAUSE_S
        for number in range(1, tries + 1):
            is_last = number == tries or self._monotonic() + pause >= right.ends_at
            yield 0.0 if is_last else pause
            if is_last:
                return
            pause = min(2 * pause, _LONGEST_PAUSE_S)


def _is_unused(error: CrudsError) -> bool:
    """Whether a request that ended so surely has not used up the refresh token."""
    status: int | None = getattr(error, "status", None)
    if status is not None:
        return 400 <= status < 500 or status == 503
    cause = error.__cause__ if isinstance(error, OAuthAccessTokenError) else error
    return isinstance(cause, RequestError) and not cause.sent
