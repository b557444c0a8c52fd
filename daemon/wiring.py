"""From the configuration to the systems that it names: one exchange a connection, with its secrets and its tokens."""

import threading

from cruds.oauth2.store import MemoryTokenStore, TokenStore

from . import logs
from .clock import Clock
from .endpoints.connect import connect
from .endpoints.exchange import Exchange
from .endpoints.login import AuthSession, auth_session
from .endpoints.rest_read import RestSource
from .endpoints.rest_write import RestTarget
from .endpoints.standing import AuthStatus, static_status, token_status, unreadable_status
from .endpoints.surroundings import Surroundings
from .errors import ConfigError
from .runtime.worker import Endpoints
from .settings import Settings
from .spec import Job, Loaded, OAuth2Auth, SecretRef, resolve
from .store import kept_tokens
from .store.database import Database
from .store.leases import Leases
from .store.tokens import SqlTokenStore
from .values import Secret
from .vault.keys import find_key_ring
from .vault.vault import Vault


class Connections:
    """The systems of one configuration, each connected when it is first asked for. Threads may share it."""

    def __init__(
        self,
        settings: Settings,
        loaded: Loaded,
        database: Database,
        leases: Leases,
        clock: Clock,
        *,
        stop: threading.Event,
    ) -> None:
        self._settings = settings
        self._spec = loaded.spec
        self._database = database
        self._leases = leases
        self._clock = clock
        self._stop = stop
        self._log = logs.get_logger()
        self._exchanges: dict[str, Exchange] = {}
        self._building = threading.Lock()
        self._vault, self.warnings = _open_vault(settings, database, needed=_has_oauth2(loaded))

    def close(self) -> None:
        """Close every connection to a system."""
        for exchange in self._exchanges.values():
            exchange.client.close()

    def endpoints(self, job: Job) -> Endpoints:
        """Return both sides of a job."""
        return Endpoints(
            source=RestSource(self.exchange(job.source.connection), job.source.request),
            target=RestTarget(self.exchange(job.target.connection), job.target),
        )

    def exchange(self, name: str) -> Exchange:
        """Return the one exchange of a connection, whose quota all jobs share. Raises ConfigError."""
        with self._building:
            if name not in self._exchanges:
                self._exchanges[name] = connect(name, self._spec.connections[name], self._around())
            return self._exchanges[name]

    # ---- sessions, as people deal with them ----

    def check_sealed(self) -> None:
        """Raise ConfigError when there is no key: a refresh token is never kept unsealed."""
        if self._vault is None:
            raise ConfigError(
                "there is no key, and what a login gives is kept sealed or not at all: run "
                f"`crudsd key generate {self._settings.key_file}`, then log in"
            )

    def auth_session(self, name: str, *, redirect_uri: str | None = None) -> AuthSession:
        """Return a connection's session at its authorization server. Asks nobody yet. Raises ConfigError."""
        return auth_session(name, self._spec.connections[name], self._around(), redirect_uri=redirect_uri)

    def auth_status(self, name: str) -> AuthStatus:
        """Return how a connection's credentials stand, as far as that is known here. Asks no server."""
        connection = self._spec.connections[name]
        auth = connection.auth
        if not isinstance(auth, OAuth2Auth):
            return static_status(name, connection)
        client_id = auth.client_id if isinstance(auth.client_id, str) else self._secret(auth.client_id).reveal()
        if self._vault is None and kept_tokens.has_token(self._database, name):
            return unreadable_status(name, auth, client_id, "there is no key")
        return token_status(name, auth, client_id, self._token_store(name, auth, client_id), now=self._clock())

    def forget_token(self, name: str) -> None:
        """Forget what is kept of a connection's session, whether it can be opened or not. Asks no server."""
        kept_tokens.forget(self._database, name)

    # ---- below ----

    def _around(self) -> Surroundings:
        return Surroundings(
            resolve=self._secret,
            token_store=self._token_store,
            folder=self._settings.folder,
            stop=self._stop,
            on_event=lambda name, event: logs.tell_attempt(self._log, name, event),
            warn=lambda name, message: self._log.warning("response.rule", connection=name, message=message),
        )

    def _secret(self, ref: SecretRef) -> Secret:
        settings = self._settings
        return resolve(ref, environment=settings.environment, credentials=settings.credentials, folder=settings.folder)

    def _token_store(self, name: str, auth: OAuth2Auth, client_id: str) -> TokenStore:
        del name
        if self._vault is None:
            return MemoryTokenStore()
        return SqlTokenStore(
            self._database, self._vault, self._leases, clock=self._clock, issuer=auth.server, client_id=client_id
        )


def _has_oauth2(loaded: Loaded) -> bool:
    return any(isinstance(connection.auth, OAuth2Auth) for connection in loaded.spec.connections.values())


def _open_vault(settings: Settings, database: Database, *, needed: bool) -> tuple[Vault | None, tuple[str, ...]]:
    """Return the vault, None without a key, and what the operator should know about it."""
    ring, warnings = find_key_ring(settings.environment, settings.credentials, settings.key_file)
    if ring is None:
        missing = (
            f"there is no key, so OAuth2 tokens stay in memory and each start asks for new ones; "
            f"`crudsd key generate {settings.key_file}` makes one"
        )
        return None, (*warnings, missing) if needed else warnings
    vault = Vault(ring)
    vault.check_canary(database)
    return vault, warnings
