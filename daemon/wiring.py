"""From the configuration to the systems that it names: one exchange a connection, with its secrets and its tokens."""

import threading

from cruds.oauth2.store import MemoryTokenStore, TokenStore

from . import logs
from .clock import Clock
from .endpoints.connect import connect
from .endpoints.exchange import Exchange
from .endpoints.rest_read import RestSource
from .endpoints.rest_write import RestTarget
from .endpoints.surroundings import Surroundings
from .runtime.worker import Endpoints
from .sealing import lookup, open_vault
from .settings import Settings
from .spec import Job, Loaded, OAuth2Auth, SecretRef, resolve
from .store.database import Database
from .store.leases import Leases
from .store.tokens import SqlTokenStore
from .values import Secret


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
        self._vault, warnings = open_vault(settings, database, needed=_has_oauth2(loaded))
        self.warnings = (*loaded.warnings, *warnings)

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
                around = Surroundings(
                    resolve=self._secret,
                    token_store=self._token_store,
                    folder=self._settings.folder,
                    stop=self._stop,
                    on_event=lambda name, event: logs.tell_attempt(self._log, name, event),
                    warn=lambda name, message: self._log.warning("response.rule", connection=name, message=message),
                )
                self._exchanges[name] = connect(name, self._spec.connections[name], around)
            return self._exchanges[name]

    def _secret(self, ref: SecretRef) -> Secret:
        settings = self._settings
        return resolve(
            ref,
            environment=settings.environment,
            credentials=settings.credentials,
            folder=settings.folder,
            vault=lookup(self._database, self._vault),
        )

    def _token_store(self, name: str, auth: OAuth2Auth, client_id: str) -> TokenStore:
        del name
        if self._vault is None:
            return MemoryTokenStore()
        return SqlTokenStore(
            self._database, self._vault, self._leases, clock=self._clock, issuer=auth.server, client_id=client_id
        )


def _has_oauth2(loaded: Loaded) -> bool:
    return any(isinstance(connection.auth, OAuth2Auth) for connection in loaded.spec.connections.values())
