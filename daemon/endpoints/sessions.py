"""The OAuth 2.0 session of a connection: its tokens are blotted out, its secrets may be rotated."""

import threading
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote_plus

from cruds import AuthABC
from cruds.address import bare
from cruds.auth import OAuth2
from cruds.events import EventKind, RequestEvent
from cruds.exception import CrudsError, OAuthAccessTokenError, OAuthErrorKind
from cruds.oauth2.store import TokenStore
from daemon.errors import ConfigError
from daemon.spec import OAuth2Auth, RestConnection

from .blot import Blotter
from .noted_tokens import NotedTokens
from .rotation import Held, Papers, Tell
from .surroundings import EndOfWaits, Surroundings, tls_options
from .watching import watched


class NotedOAuth2(OAuth2):
    """OAuth2 whose tokens are learned by the blotter before anybody can send, and echo, them."""

    def __init__(self, blot: Blotter, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._blot = blot

    def access_token(self) -> str:
        """Return a token that is good now."""
        token = super().access_token()
        self._blot.learn_token(token)
        return token

    def renew(self, rejected_token: str) -> str:
        """Return another token than this one, if there is one."""
        token = super().renew(rejected_token)
        self._blot.learn_token(token)
        return token


class RotatedOAuth2(AuthABC):
    """An OAuth2 session whose client may get another secret, key or certificate; its token is kept over that."""

    is_lazy = True

    def __init__(
        self,
        secrets: Mapping[str, Held],
        papers: Papers,
        build: Callable[[Mapping[str, str]], OAuth2],
        tell: Tell,
    ) -> None:
        self._secrets, self._papers, self._build, self._tell = secrets, papers, build, tell
        self._lock = threading.Lock()
        # The newest values, and the newest that could be used.
        self._seen = self._made_of = {name: secret.now() for name, secret in secrets.items()}
        self._session = build(self._made_of)

    def access_token(self) -> str:
        """Return a token that is good now. A client that is refused looks for another secret of its own, once."""
        session = self._current()
        try:
            return session.access_token()
        except OAuthAccessTokenError as error:
            if error.kind is OAuthErrorKind.TEMPORARY or not self._is_rotated(session):
                raise
        return self._session.access_token()

    def is_valid(self) -> bool:
        """Return whether a token is at hand and has not expired."""
        return self._session.is_valid()

    def renew(self, rejected_token: str) -> str:
        """Return another token than this one, if there is one."""
        session = self._current()
        try:
            return session.renew(rejected_token)
        except OAuthAccessTokenError as error:
            if error.kind is OAuthErrorKind.TEMPORARY or not self._is_rotated(session):
                raise
        return self._session.renew(rejected_token)

    def _current(self) -> OAuth2:
        values = {name: secret.now() for name, secret in self._secrets.items()}
        if values != self._seen:
            self._remake(values)
        self._papers.renew(self._make_again)
        return self._session

    def _is_rotated(self, refused: OAuth2) -> bool:
        values = {name: secret.anew() for name, secret in self._secrets.items()}
        if values != self._seen:
            self._remake(values)
        return self._session is not refused

    def _make_again(self) -> None:
        with self._lock:  # with the newest values: those that this thread has read may be old by now
            self._make(self._made_of)

    def _make(self, values: Mapping[str, str]) -> None:
        session = self._build(values)
        session.take_over(self._session)
        self._session = session

    def _remake(self, values: dict[str, str]) -> None:
        with self._lock:
            if values == self._seen:
                return  # another thread was faster
            try:
                self._make(values)
                self._made_of = values
            except (ValueError, OSError, CrudsError) as error:
                self._tell("secret.stale", f"the new secrets of the client cannot be used: {error}; those before are")
            self._seen = values


def oauth2_of(name: str, connection: RestConnection, around: Surroundings, blot: Blotter) -> OAuth2:
    """Return the OAuth2 session of a connection, also one that a person has to begin. Nothing goes to the network.

    Its secrets, read once, and its tokens are learned by the blotter. Raises ConfigError for a connection with another
    kind of credentials, SecretError for a secret that cannot be had, and ValueError, OSError or CrudsError for settings
    that cannot be used.
    """
    auth = connection.auth
    if not isinstance(auth, OAuth2Auth):
        raise ConfigError(f"connection {name} has no OAuth 2.0 session; its auth is of type {auth.type}")
    values = {key: held.now() for key, held in _held(name, auth, around, blot).items()}
    return _session(name, connection, auth, around, blot)(values)


def rotated_oauth2(
    name: str, connection: RestConnection, auth: OAuth2Auth, around: Surroundings, blot: Blotter
) -> RotatedOAuth2:
    """Return the same for a client that is in use for long; raises what `oauth2_of` raises."""
    tell = partial(around.on_secret, name)
    papers = Papers(tls_options(connection, around.folder)["client_cert"], tell)
    held = _held(name, auth, around, blot)
    return RotatedOAuth2(held, papers, _session(name, connection, auth, around, blot), tell)


_SECRET_KEYS = ("client_secret", "private_key", "password")
_NAME_KEYS = ("client_id", "username")
"""Names may be references, and are no secrets: an error may say them."""


def _held(name: str, auth: OAuth2Auth, around: Surroundings, blot: Blotter) -> dict[str, Held]:
    given = {key: getattr(auth, key) for key in (*_SECRET_KEYS, *_NAME_KEYS)}
    return {
        key: watched(name, around, blot if key in _SECRET_KEYS else None, value, key)
        for key, value in given.items()
        if value is not None
    }


def _session(
    name: str, connection: RestConnection, auth: OAuth2Auth, around: Surroundings, blot: Blotter
) -> Callable[[Mapping[str, str]], OAuth2]:
    """Return what makes the session out of the values of secrets; all that it makes share one store."""
    stores: dict[str, TokenStore] = {}
    options = {**_options(connection, auth), "profile": name, "stop": EndOfWaits(around.stop)}
    options |= tls_options(connection, around.folder)
    options |= {
        "patience": connection.timeout.total.total_seconds(),
        "on_wait": partial(_tell_wait, name, auth, around),
    }

    def build(values: Mapping[str, str]) -> OAuth2:
        client_id, client_secret = values["client_id"], values.get("client_secret")
        if client_secret is not None:
            blot.learn_as("client", f"{quote_plus(client_id)}:{quote_plus(client_secret)}")
        if client_id not in stores:
            stores[client_id] = NotedTokens(around.token_store(name, auth, client_id), blot)
        with _QUIETLY, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the password grant: `validate` warns of it
            return NotedOAuth2(
                blot,
                auth.url or "",
                client_id,
                client_secret,
                auth.scope,
                username=values.get("username"),
                password=values.get("password"),
                private_key=values.get("private_key"),
                store=stores[client_id],
                **options,
            )

    return build


def _tell_wait(name: str, auth: OAuth2Auth, around: Surroundings, wait_s: float, error: OAuthAccessTokenError) -> None:
    around.on_event(name, RequestEvent(EventKind.RETRY, "POST", bare(auth.server), error.status, 1, wait_s))
    around.warn(name, f"no token for now, asked again in {wait_s:.0f} s: {error}")


_QUIETLY = threading.Lock()
"""What the interpreter keeps of warnings is for all threads."""


def _options(connection: RestConnection, auth: OAuth2Auth) -> dict[str, Any]:
    """Return what the job file says of a session, secrets apart, by the library's names."""
    life = auth.default_expires_in
    return {
        "authorization_details": auth.authorization_details,
        "authorization_url": auth.authorization_url,
        "redirect_uri": auth.redirect_uri,
        "grant": auth.grant,
        "issuer": auth.issuer,
        "device_authorization_url": auth.device_authorization_url,
        "revocation_url": auth.revocation_url,
        "client_auth": auth.client_auth,
        "private_key_id": auth.private_key_id,
        "assertion_audience": auth.assertion_audience,
        "assertion_claims": auth.assertion_claims,
        "subject": auth.subject,
        "audience": auth.audience,
        "resource": auth.resource,
        "extra_params": auth.extra,
        "default_expires_in": None if life is None else life.total_seconds(),
        "allow_insecure": connection.allow_insecure,
    }
