"""From a connection in the job file to an exchange: client, credentials, TLS, quota."""

from decimal import Decimal
from functools import partial

import cruds
from cruds.events import RequestEvent
from cruds.gate import Leave
from cruds.retries import SAFE_METHODS
from daemon.errors import ConfigError
from daemon.spec import RestConnection

from .attempts import Attempts
from .blot import Blotter
from .credentials import credentials
from .exchange import Exchange
from .rotation import Papers
from .rules import Rules
from .surroundings import EndOfWaits, Surroundings, tls_options
from .throttle import Throttle


def connect(name: str, connection: RestConnection, around: Surroundings) -> Exchange:
    """Make the exchange for a connection. Nothing goes to the network until the first call."""
    retry, timeout = connection.retry, connection.timeout
    blot, attempts = Blotter(), Attempts()
    throttle = Throttle(connection, stop=around.stop)

    def tell(event: RequestEvent) -> None:
        attempts.note(event)
        around.on_event(name, event)

    def gate(method: str, url: str) -> Leave:
        papers.renew(client.reload_client_cert)
        return throttle.enter(method, url, route=_route(method, url, client.host), in_hand=attempts.in_hand)

    try:
        tls = tls_options(connection, around.folder)
        papers = Papers(tls["client_cert"], partial(around.on_secret, name))
        client = cruds.Client(
            connection.host,
            auth=credentials(name, connection, around, blot),
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
            allowed_hosts=connection.allowed_hosts,
            **tls,
        )
    except (ValueError, OSError, cruds.exception.CrudsError) as error:
        raise ConfigError(blot(f"connections.{name}: {error}")) from error
    rules = Rules(connection.on_response, f"connection {name}") if connection.on_response else None
    return Exchange(name, client, retry, attempts, blot, warn=partial(around.warn, name), rules=rules)


def _route(method: str, url: str, host: str) -> str:
    """Return the kind of a request, as far as servers have budgets of their own for kinds: reads of users, say."""
    kind = "read" if method in SAFE_METHODS else "write"
    return f"{kind} {url.removeprefix(host).lstrip('/').partition('/')[0]}"
