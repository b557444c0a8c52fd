"""From a connection in the job file to an exchange: client, credentials, TLS, quota."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import cruds
from cruds.auth import OAuth2
from cruds.exchange import RequestEvent
from cruds.oauth2.store import TokenStore
from daemon.errors import ConfigError
from daemon.spec import BasicAuth, BearerAuth, Connection, HeaderAuth, OAuth2Auth, SecretRef
from daemon.values import Secret

from .exchange import Exchange
from .throttle import Throttle

Resolve = Callable[[SecretRef], Secret]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every connection of this process shares."""

    resolve: Resolve
    token_store: Callable[[str, OAuth2Auth, str], TokenStore]
    """Makes the store for a connection's tokens: its name, its settings, its client id."""
    folder: Path
    """Where relative paths of the job file begin."""
    stop: threading.Event
    on_event: Callable[[str, RequestEvent], None]
    """Told of each attempt, with the connection's name."""


def connect(name: str, connection: Connection, around: Surroundings) -> Exchange:
    """Make the exchange for a connection. Nothing goes to the network until the first call."""
    retry, timeout = connection.retry, connection.timeout
    try:
        client = cruds.Client(
            connection.host,
            auth=_auth(name, connection, around),
            timeout=timeout.total.total_seconds(),
            connect_timeout=timeout.connect.total_seconds(),
            read_timeout=timeout.read.total_seconds(),
            retries=retry.attempts - 1,
            backoff_factor=retry.backoff,
            max_retry_wait=retry.max_wait.total_seconds(),
            headers=connection.headers,
            pool_size=connection.quota.concurrency + 1,
            parse_float=Decimal,
            allow_insecure=connection.allow_insecure,
            stop=around.stop,
            on_event=lambda event: around.on_event(name, event),
            **_tls(connection, around.folder),
        )
    except (ValueError, OSError, cruds.exception.CrudsError) as error:
        raise ConfigError(f"connections.{name}: {error}") from error
    return Exchange(name, client, Throttle(connection.quota, stop=around.stop))


def _auth(name: str, connection: Connection, around: Surroundings) -> Any:
    """Return the credentials in one of the shapes that the client takes."""
    auth = connection.auth
    match auth:
        case BearerAuth():
            return around.resolve(auth.token).reveal()
        case BasicAuth():
            return (_text(auth.username, around), around.resolve(auth.password).reveal())
        case HeaderAuth():
            return {auth.name: around.resolve(auth.value).reveal()}
        case OAuth2Auth():
            return _oauth2(name, connection, auth, around)
        case _:
            return None


def _oauth2(name: str, connection: Connection, auth: OAuth2Auth, around: Surroundings) -> OAuth2:
    client_id = _text(auth.client_id, around)
    return OAuth2(
        auth.url,
        client_id,
        around.resolve(auth.client_secret).reveal(),
        auth.scope,
        client_auth=auth.client_auth,
        audience=auth.audience,
        store=around.token_store(name, auth, client_id),
        profile=name,
        allow_insecure=connection.allow_insecure,
        stop=around.stop,
        **_tls(connection, around.folder),
    )


def _text(value: str | SecretRef, around: Surroundings) -> str:
    return value if isinstance(value, str) else around.resolve(value).reveal()


def _tls(connection: Connection, folder: Path) -> Mapping[str, Any]:
    tls = connection.tls
    return {
        "ca_file": str(folder / tls.ca_file) if tls.ca_file is not None else None,
        "client_cert": str(folder / tls.cert_file) if tls.cert_file is not None else None,
    }
