"""A token and how long it is good: what is kept, and when to ask for another."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

_CLOCKS_APART = timedelta(minutes=5)
"""A token obtained further in the future than this means that the clock was set back: its expiry says nothing."""


@dataclass(frozen=True, slots=True)
class TokenState:
    """What is kept of a session. Printing it shows no token."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    """None: the session cannot be renewed without the credentials that made it."""
    token_type: str
    """As the server wrote it; it is Bearer in some spelling."""
    expires_at: datetime | None
    """Aware, UTC, counted from before the token was asked for. None: unknown, good until a server rejects it."""
    obtained_at: datetime
    """Aware, UTC."""
    scope: str | None
    """What was granted, blank-separated; None: the answer did not say, so what was asked (RFC 6749 section 5.1)."""
    grant: str
    """What made the session, as the wire names it. Renewals do not change it."""
    version: int = 0
    """Counts the saves of this profile; set by the store."""
    authorization_details: str | None = None
    """What was granted (RFC 9396 section 7), as JSON; None: the answer did not say."""
    issuer: str | None = None
    """Who gave it: the issuer, or the token URL where none is known. A refresh token goes nowhere else (RFC 9700
    section 4.14). None: a state of before this was kept."""
    client_id: str | None = None
    """To whom it was given; None as above."""
    subject: str | None = None
    """The user name of a password session, the subject of a jwt-bearer one; None: it was not named."""
    began_at: datetime | None = None
    """Aware, UTC: when the session was made; renewals do not change it. None: a state of before this was kept."""
    renewing_since: datetime | None = None
    """Aware, UTC: a renewal began then whose outcome was not saved. It is under way, or it was cut off. Only of
    sessions that a person made."""
    over_since: datetime | None = None
    """Aware, UTC: since when only a login helps; such a state holds no tokens. None: the session is not over."""
    over_because: str = ""
    """Why, for people; empty if it is not over."""

    @property
    def life(self) -> float | None:
        """The seconds it was good when it was obtained; None if unknown."""
        return None if self.expires_at is None else (self.expires_at - self.obtained_at).total_seconds()

    @property
    def is_over(self) -> bool:
        """Whether the server has said that the session cannot be renewed any more."""
        return self.over_since is not None

    def life_left(self, now: datetime) -> float | None:
        """Return the seconds this token is still good, by a wall clock that may have been set; None if unknown.

        Never more than the whole life, so that a clock set back a little does not make an old token young; a clock
        set back a lot makes it too old.
        """
        if self.expires_at is None:
            return None
        if self.obtained_at - now > _CLOCKS_APART:
            return 0.0
        return min(self.expires_at - now, self.expires_at - self.obtained_at).total_seconds()


def login_needed(state: TokenState | None, now: datetime) -> str | None:
    """Return why a session that a person makes needs a login, for people; None: it can be used, or renewed.

    Asks nobody: a session that the server has ended meanwhile is not known to be over until it is used.
    """
    if state is None:
        return "nobody is logged in"
    if state.over_since is not None:
        return f"the session is over since {shown_moment(state.over_since)}: {state.over_because}"
    left = state.life_left(now)
    if state.refresh_token is None and left is not None and left <= 0:
        return (
            f"the session ended with its token at {shown_moment(state.expires_at or now)}; no refresh token was given"
        )
    return None


def shown_moment(moment: datetime) -> str:
    """Return a moment as messages tell it."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True, slots=True, repr=False)
class Live:
    """A token in use, with its times on the monotonic clock, which nobody sets."""

    token: str
    renew_at: float
    """From here on another one is asked for; infinity for a token of unknown life."""
    dies_at: float
    """From here on it is not sent."""

    @classmethod
    def granted(cls, state: TokenState, *, now: float, took_s: float) -> Live:
        """Count the life from before the request: the server began to count before its answer arrived."""
        life = state.life
        left = None if life is None else life - took_s
        return cls._of(state, left, now=now, round_trip=took_s)

    @classmethod
    def found(cls, state: TokenState, *, now: float, wall: datetime) -> Live:
        """Count what is left by the wall clock, for a state that a store gave."""
        return cls._of(state, state.life_left(wall), now=now, round_trip=0.0)

    @classmethod
    def _of(cls, state: TokenState, left: float | None, *, now: float, round_trip: float) -> Live:
        if left is None or state.life is None:
            return cls(state.access_token, float("inf"), float("inf"))
        return cls(state.access_token, now + left - leeway(state.life, round_trip), now + left)

    def postponed(self, until: float) -> Live:
        """Return the same token with another moment to renew it, not after its end."""
        return replace(self, renew_at=min(until, self.dies_at))


def leeway(life: float, round_trip: float) -> float:
    """Return how many seconds before its end a token is renewed.

    A tenth of the life, at most 30 s, but at least a second plus the round trip, since servers count whole seconds
    and the request has to arrive. Never more than half the life: a token of two seconds must be usable too.
    """
    return min(life / 2, max(1.0 + round_trip, min(30.0, life / 10)))
