"""The systems of a configuration that are talked to over HTTP: one exchange each, and the sessions they have.

Loaded when the first of them is needed: the library, with all it stands on, is a sixth of what a start takes.
"""

import threading
from collections.abc import Callable, Mapping
from functools import partial

from cruds.exception import TokenStateError
from cruds.oauth2.store import MemoryTokenStore, TokenStore
from cruds.oauth2.token import login_needed

from .clock import Clock
from .endpoints.connect import connect
from .endpoints.exchange import Exchange
from .endpoints.login import AuthSession, auth_session
from .endpoints.standing import AuthStatus, static_status, token_status, unreadable_status, usable
from .endpoints.surroundings import Resolve, Surroundings
from .spec import HttpConnection, OAuth2Auth
from .store import kept_tokens
from .store.database import Database
from .store.leases import Leases
from .store.tokens import SqlTokenStore
from .vault.vault import Vault


class Exchanges:
    """Connects each system when it is first asked for. Threads may share it."""

    def __init__(
        self,
        connections: Mapping[str, HttpConnection],
        database: Database,
        leases: Leases,
        vault: Vault | None,
        clock: Clock,
        *,
        secret: Resolve,
        warn: Callable[[str, str], None],
    ) -> None:
        self._connections = connections
        self._database, self._leases, self._vault, self._clock = database, leases, vault, clock
        self._secret, self._warn = secret, warn
        self._made: dict[str, Exchange] = {}
        self._building = threading.Lock()

    def close(self) -> None:
        """Close every connection to a system."""
        for exchange in self._made.values():
            exchange.client.close()

    def exchange(self, name: str, around: Surroundings) -> Exchange:
        """Return the one exchange of a connection, whose quota all jobs share. Raises ConfigError."""
        with self._building:
            if name not in self._made:
                self._made[name] = connect(name, self._connections[name], around)
            return self._made[name]

    def session(self, name: str, around: Surroundings, *, redirect_uri: str | None) -> AuthSession:
        """Return a connection's session at its authorization server. Asks nobody yet. Raises ConfigError."""
        return auth_session(name, self._connections[name], around, redirect_uri=redirect_uri)

    def login_needed(self, name: str, auth: OAuth2Auth) -> str | None:
        """Return why a person has to log in first; None where nobody has to. A read of the state, and nothing more."""
        try:
            return login_needed(usable(auth, self._store_of(name, auth).load(name)), self._clock())
        except TokenStateError as error:
            return str(error)

    def status(self, name: str) -> AuthStatus:
        """Return how a connection's credentials stand, as far as that is known here. Asks no server."""
        connection = self._connections[name]
        auth = connection.auth
        if not isinstance(auth, OAuth2Auth):
            return static_status(name, connection)
        client_id = self._client_id(auth)
        if self._vault is None and kept_tokens.has_token(self._database, name):
            return unreadable_status(name, auth, client_id, "there is no key")
        return token_status(name, auth, client_id, self.token_store(name, auth, client_id), now=self._clock())

    def token_store(self, name: str, auth: OAuth2Auth, client_id: str) -> TokenStore:
        """Return where the tokens of a connection are kept: sealed, or where there is no key in memory."""
        if self._vault is None:
            return MemoryTokenStore()
        return SqlTokenStore(
            self._database,
            self._vault,
            self._leases,
            clock=self._clock,
            issuer=auth.server,
            client_id=client_id,
            on_drop=None if auth.is_personal else partial(self._warn, name),
        )

    def _store_of(self, name: str, auth: OAuth2Auth) -> TokenStore:
        return self.token_store(name, auth, self._client_id(auth))

    def _client_id(self, auth: OAuth2Auth) -> str:
        return auth.client_id if isinstance(auth.client_id, str) else self._secret(auth.client_id).reveal()
