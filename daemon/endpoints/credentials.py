"""The credentials of a connection, in one of the shapes that the client takes."""

from typing import Any
from urllib.parse import quote_plus

from cruds.auth import OAuth2
from daemon.errors import ConfigError
from daemon.spec import BasicAuth, BearerAuth, Connection, HeaderAuth, OAuth2Auth, SecretRef

from .blot import Blotter
from .surroundings import EndOfWaits, Surroundings, tls_options


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


def credentials(name: str, connection: Connection, around: Surroundings, blot: Blotter) -> Any:
    """Return the credentials in one of the shapes that the client takes."""
    auth = connection.auth
    match auth:
        case BearerAuth():
            return _secret(auth.token, around, blot)
        case BasicAuth():
            user, password = _text(auth.username, around), _secret(auth.password, around, blot)
            blot.learn(f"{user}:{password}")
            return (user, password)
        case HeaderAuth():
            return {auth.name: _secret(auth.value, around, blot)}
        case OAuth2Auth():
            return oauth2_of(name, connection, around, blot)
        case _:
            return None


def oauth2_of(name: str, connection: Connection, around: Surroundings, blot: Blotter) -> OAuth2:
    """Return the OAuth2 session of a connection, also one that a person has to begin. Nothing goes to the network.

    Its secrets and tokens are learned by the blotter. Raises ConfigError for a connection with another kind of
    credentials, SecretError for a secret that cannot be had, and ValueError, OSError or CrudsError for settings that
    cannot be used.
    """
    auth = connection.auth
    if not isinstance(auth, OAuth2Auth):
        raise ConfigError(f"connection {name} has no OAuth 2.0 session; its auth is of type {auth.type}")

    def secret(ref: SecretRef | None) -> str | None:
        return None if ref is None else _secret(ref, around, blot)

    client_id, client_secret = _text(auth.client_id, around), secret(auth.client_secret)
    if client_secret is not None:
        blot.learn(f"{quote_plus(client_id)}:{quote_plus(client_secret)}")
    life = auth.default_expires_in
    return NotedOAuth2(
        blot,
        auth.url or "",
        client_id,
        client_secret,
        auth.scope,
        auth.authorization_details,
        None if auth.username is None else _text(auth.username, around),
        secret(auth.password),
        authorization_url=auth.authorization_url,
        redirect_uri=auth.redirect_uri,
        grant=auth.grant,
        issuer=auth.issuer,
        device_authorization_url=auth.device_authorization_url,
        revocation_url=auth.revocation_url,
        client_auth=auth.client_auth,
        private_key=secret(auth.private_key),
        private_key_id=auth.private_key_id,
        assertion_audience=auth.assertion_audience,
        assertion_claims=auth.assertion_claims,
        subject=auth.subject,
        audience=auth.audience,
        resource=auth.resource,
        extra_params=auth.extra,
        default_expires_in=None if life is None else life.total_seconds(),
        store=around.token_store(name, auth, client_id),
        profile=name,
        allow_insecure=connection.allow_insecure,
        stop=EndOfWaits(around.stop),
        **tls_options(connection, around.folder),
    )


def _secret(ref: SecretRef, around: Surroundings, blot: Blotter) -> str:
    text = around.resolve(ref).reveal()
    blot.learn(text)
    return text


def _text(value: str | SecretRef, around: Surroundings) -> str:
    return value if isinstance(value, str) else around.resolve(value).reveal()
