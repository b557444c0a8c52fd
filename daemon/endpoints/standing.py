"""How a connection's credentials stand, as far as that is known here: no server is asked."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cruds.exception import TokenStateError
from cruds.oauth2.grants import PERSONAL
from cruds.oauth2.store import TokenState, TokenStore
from daemon.spec import BasicAuth, OAuth2Auth, RestConnection


class Standing(StrEnum):
    """What can be said of credentials without asking a server."""

    VALID = "valid"
    """A token is kept that has not run out."""
    EXPIRED = "expired"
    """It has, and is renewed at the next need."""
    NEEDS_LOGIN = "needs_login"
    """A person has to log in before anything can be sent."""
    NOT_USED = "not_used"
    """No token is kept; one is asked for at the first need."""
    STATIC = "static"
    """What is sent stands in the job file, or where it points; it does not run out by itself."""
    UNREADABLE = "unreadable"
    """A token is kept and cannot be opened."""


@dataclass(frozen=True, slots=True)
class AuthStatus:
    """One connection's credentials. Nothing in it is secret. Moments are aware, in UTC."""

    connection: str
    kind: str
    """The type of the job file; for OAuth2, its grant."""
    who: str | None
    """The user name, the subject, or the client; None where nothing says."""
    standing: Standing
    reason: str = ""
    """Why a login is needed, or why the token cannot be opened."""
    since: datetime | None = None
    """Since when a login is needed, where that is known."""
    server: str | None = None
    """Where tokens come from; None without OAuth2."""
    scope_asked: tuple[str, ...] = ()
    scope_granted: tuple[str, ...] | None = None
    """None: no token is kept, or its answer did not say."""
    expires_at: datetime | None = None
    """None: no token is kept, nobody knows, or the session is over, whatever its token says."""
    obtained_at: datetime | None = None
    """When the kept token was got or last renewed."""
    renews: bool | None = None
    """Whether the session goes on without a person when the token runs out; None where none is kept."""

    @property
    def scope_missing(self) -> tuple[str, ...]:
        """What was asked for and not granted, in the order that was asked."""
        granted = self.scope_granted
        return () if granted is None else tuple(one for one in self.scope_asked if one not in granted)

    @property
    def is_well(self) -> bool:
        """Whether the next request can be made without a person."""
        return self.standing not in {Standing.NEEDS_LOGIN, Standing.UNREADABLE}


def usable(auth: OAuth2Auth, state: TokenState | None) -> TokenState | None:
    """Return what is kept, if the grant of the job file goes on with it; None for the session of another principal.

    One that a person made is not a machine's, nor the other way round: the grant may be another since it was kept.
    """
    return state if state is not None and (state.grant in PERSONAL) is auth.is_personal else None


def static_status(name: str, connection: RestConnection) -> AuthStatus:
    """Return how a connection without OAuth2 stands."""
    auth = connection.auth
    who = auth.username if isinstance(auth, BasicAuth) and isinstance(auth.username, str) else None
    return AuthStatus(name, auth.type, who, Standing.STATIC)


def unreadable_status(name: str, auth: OAuth2Auth, client_id: str | None, reason: str) -> AuthStatus:
    """Return how a connection stands whose token is there and cannot be opened."""
    return AuthStatus(
        name,
        auth.grant,
        _who(auth, client_id, None),
        Standing.UNREADABLE,
        reason,
        server=auth.server,
        scope_asked=_words(auth.scope),
    )


def token_status(name: str, auth: OAuth2Auth, client_id: str, store: TokenStore, *, now: datetime) -> AuthStatus:
    """Return how an OAuth2 connection stands, from what the store keeps of its session. Asks nobody else."""
    try:
        state = usable(auth, store.load(name))
    except TokenStateError as error:
        return unreadable_status(name, auth, client_id, str(error))
    standing, reason, since = _standing(auth, state, now)
    is_over = state is not None and state.is_over and auth.is_personal
    return AuthStatus(
        connection=name,
        kind=auth.grant,
        who=_who(auth, client_id, state),
        standing=standing,
        reason=reason,
        since=since,
        server=auth.server,
        scope_asked=_words(auth.scope),
        scope_granted=None if state is None or state.scope is None else _words(state.scope),
        expires_at=None if state is None or is_over else state.expires_at,
        obtained_at=None if state is None else state.obtained_at,
        renews=None if state is None else not is_over and (not auth.is_personal or state.refresh_token is not None),
    )


def _standing(auth: OAuth2Auth, state: TokenState | None, now: datetime) -> tuple[Standing, str, datetime | None]:
    if state is None:
        if auth.is_personal:
            return Standing.NEEDS_LOGIN, "nobody is logged in", None
        return Standing.NOT_USED, "", None
    if state.is_over and auth.is_personal:
        return Standing.NEEDS_LOGIN, state.over_because, state.over_since
    left = state.life_left(now)
    if left is None or left > 0:
        return Standing.VALID, "", None
    if auth.is_personal and state.refresh_token is None:
        return (
            Standing.NEEDS_LOGIN,
            "the token has run out, and the server gave none to renew it with",
            state.expires_at,
        )
    return Standing.EXPIRED, "", None


def _who(auth: OAuth2Auth, client_id: str | None, state: TokenState | None) -> str | None:
    named = (state and state.subject) or auth.subject
    if named and named != client_id:
        return named
    if isinstance(auth.username, str):
        return auth.username
    return None if client_id is None else f"client {client_id}"


def _words(scope: str | list[str] | None) -> tuple[str, ...]:
    return tuple(scope.split()) if isinstance(scope, str) else tuple(scope or ())
