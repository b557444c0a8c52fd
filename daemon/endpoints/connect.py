"""From a connection in the job file to an exchange: client, credentials, TLS, quota."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import cruds
from cruds.auth import OAuth2
from cruds.events import RequestEvent
from cruds.gate import Leave
from cruds.oauth2.store import TokenStore
from cruds.retries import SAFE_METHODS
from daemon.errors import ConfigError
from daemon.spec import BasicAuth, BearerAuth, Connection, HeaderAuth, OAuth2Auth, SecretRef
from daemon.values import Secret

from .blot import Blotter
from .exchange import Attempts, Exchange
from .rules import unheard
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
    warn: Callable[[str, str], None] = unheard
    """Told, with the connection's name, what an operator should know."""


def connect(name: str, connection: Connection, around: Surroundings) -> Exchange:
    """Make the exchange for a connection. Nothing goes to the network until the first call."""
    retry, timeout = connection.retry, connection.timeout
    blot, attempts = Blotter(), Attempts()
    throttle = Throttle(connection, stop=around.stop)

    def tell(event: RequestEvent) -> None:
        attempts.note(event)
        around.on_event(name, event)

    def gate(method: str, url: str) -> Leave:
        return throttle.enter(method, url, route=_route(method, url, client.host), in_hand=attempts.in_hand)

    try:
        client = cruds.Client(
            connection.host,
            auth=_auth(name, connection, around, blot),
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
            stop=EndOfWaits(around.stop),
            on_event=tell,
            gate=gate,
            **_tls(connection, around.folder),
        )
    except (ValueError, OSError, cruds.exception.CrudsError) as error:
        raise ConfigError(blot(f"connections.{name}: {error}")) from error
    return Exchange(name, client, retry, attempts, blot, warn=partial(around.warn, name))


def _route(method: str, url: str, host: str) -> str:
    """Return the kind of a request, as far as servers have budgets of their own for kinds: reads of users, say."""
    kind = "read" if method in SAFE_METHODS else "write"
    return f"{kind} {url.removeprefix(host).lstrip('/').partition('/')[0]}"


class EndOfWaits(threading.Event):
    """The stop event as the client gets it: ends its waits, and refuses no attempt.

    A change in hand when the work is asked to stop is finished. Its journal row says sent already; refused by the
    client, it would be dropped, planned again by the next run, and a lost answer could not even be looked into.
    Whether something new may begin is asked before, by the engine and the throttle.
    """

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self._asked = stop

    def is_set(self) -> bool:
        """Return False: there is no reason to refuse an attempt."""
        return False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, at most this many seconds, for the work to be asked to stop; say whether it was."""
        return self._asked.wait(timeout)


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


def _auth(name: str, connection: Connection, around: Surroundings, blot: Blotter) -> Any:
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
            return _oauth2(name, connection, auth, around, blot)
        case _:
            return None


def _oauth2(name: str, connection: Connection, auth: OAuth2Auth, around: Surroundings, blot: Blotter) -> OAuth2:
    client_id, client_secret = _text(auth.client_id, around), _secret(auth.client_secret, around, blot)
    blot.learn(f"{quote_plus(client_id)}:{quote_plus(client_secret)}")
    return NotedOAuth2(
        blot,
        auth.url,
        client_id,
        client_secret,
        auth.scope,
        client_auth=auth.client_auth,
        audience=auth.audience,
        store=around.token_store(name, auth, client_id),
        profile=name,
        allow_insecure=connection.allow_insecure,
        stop=EndOfWaits(around.stop),
        **_tls(connection, around.folder),
    )


def _secret(ref: SecretRef, around: Surroundings, blot: Blotter) -> str:
    text = around.resolve(ref).reveal()
    blot.learn(text)
    return text


def _text(value: str | SecretRef, around: Surroundings) -> str:
    return value if isinstance(value, str) else around.resolve(value).reveal()


def _tls(connection: Connection, folder: Path) -> Mapping[str, Any]:
    tls = connection.tls
    return {"ca_file": _file(folder, tls.ca_file), "client_cert": _file(folder, tls.cert_file)}


def _file(folder: Path, file: Path | None) -> str | None:
    """Return a file's whole path. Raises ValueError when it is not there: OpenSSL would not say which one."""
    if file is None:
        return None
    if not (folder / file).is_file():
        raise ValueError(f"there is no file {folder / file}")
    return str(folder / file)
