"""From the configuration to the systems that it names: one exchange a connection, with its secrets and its tokens."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from cruds.exception import TokenStateError
from cruds.oauth2.store import MemoryTokenStore, TokenStore
from cruds.oauth2.token import login_needed

from . import logs
from .clock import Clock
from .endpoints.call_read import CallSource as CallReader
from .endpoints.call_write import CallTarget as CallWriter
from .endpoints.caller import Caller
from .endpoints.connect import connect
from .endpoints.databases import LateDatabases
from .endpoints.exchange import Exchange
from .endpoints.file_read import FileSource as FileReader
from .endpoints.file_write import FileTarget as FileWriter
from .endpoints.folder import Folder
from .endpoints.folders import open_folder
from .endpoints.login import AuthSession, auth_session
from .endpoints.models import Model, open_interface
from .endpoints.rest_read import RestSource
from .endpoints.rest_write import RestTarget
from .endpoints.rotation import UNCHANGING, Look, file_stamp
from .endpoints.standing import AuthStatus, static_status, token_status, unreadable_status, usable
from .endpoints.surroundings import Surroundings
from .errors import ConfigError, LoginNeededError
from .runtime.worker import Endpoints
from .sealing import lookup, open_vault
from .settings import Settings
from .spec import (
    CallSource,
    CallTarget,
    FilesConnection,
    FileSource,
    FileTarget,
    InterfaceConnection,
    Job,
    LinkedParents,
    ListedParents,
    Loaded,
    OAuth2Auth,
    Parents,
    QuerySource,
    RequestSource,
    RequestTarget,
    SecretRef,
    TableTarget,
    resolve,
    secret_file,
)
from .store import kept_tokens
from .store.database import Database
from .store.leases import Leases
from .store.parents import LinkSource
from .store.tokens import SqlTokenStore
from .sync.change import Change
from .sync.explanation import Sending
from .sync.parents import ListSource, ParentParts
from .sync.parts import WHOLE, Parts
from .sync.ports import Source, Target
from .values import Secret

_VAULT_S = 5.0
"""How often a secret of the vault is looked up again while it is in use: each time it is opened anew."""


class ShownTarget(Target, Protocol):
    """A target that can say what it would do."""

    def shown(self, change: Change) -> tuple[Sending, ...]:
        """Return what would be sent for a change, in order, as people may see it."""


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
        self._databases = LateDatabases(self._spec.connections, self._around, database.get_fact, database.put_fact)
        self._folders: dict[str, Folder] = {}
        self._interfaces: dict[str, Any] = {}
        self._building = threading.Lock()
        self._vault, warnings = open_vault(settings, database, needed=_has_oauth2(loaded))
        self.warnings = (*loaded.warnings, *warnings)

    def close(self) -> None:
        """Close every connection to a system."""
        for exchange in self._exchanges.values():
            exchange.client.close()
        self._databases.close()

    def endpoints(self, job: Job, stopping: Callable[[], bool]) -> Endpoints:
        """Return both sides of a job for one run of it; its waits end when `stopping` says so."""
        caller = Caller(stopping)
        ends = self._ends(job, caller)
        if job.for_each is None:
            return ends
        quota = self._spec.connections[job.source.connection].quota
        return replace(ends, parts=self._parts(job.for_each, job, caller), ahead=quota.concurrency)

    def _ends(self, job: Job, caller: Caller) -> Endpoints:
        source = self._source(job, caller)
        if isinstance(job.target, TableTarget):
            table = self._databases.get().target(job, job.target)
            return Endpoints(source=source, target=table, shown=table.shown, prepare=table.prepare)
        target = self._target(job, caller)
        return Endpoints(source=source, target=target, shown=target.shown)

    def _parts(self, block: Parents | None, job: Job, caller: Caller) -> Parts:
        """Return the parts that a job's source has, one for each of its parents."""
        match block:
            case None:
                return WHOLE
            case ListedParents():
                source: Source = ListSource(block.in_)
            case LinkedParents():
                source = LinkSource(self._database, block.links_of)
            case _:
                # Parents are read as any source is: their block says the same of it.
                source = self._source(job.model_copy(update={"source": block}), caller)
        return ParentParts(block, source, self._parts(block.for_each, job, caller))

    def blot(self, name: str) -> Callable[[str], str]:
        """Return what takes the secrets of this connection out of texts."""
        if name in self._databases:
            return self._databases.get().blot(name)
        if isinstance(self._spec.connections[name], FilesConnection):
            return self.folder(name).blot
        return self.exchange(name).blot

    def _source(self, job: Job, caller: Caller) -> Source:
        match job.source:
            case RequestSource() as source:
                token = source.incremental.answered if source.incremental is not None else None
                exchange = self.exchange(source.connection).on_behalf_of(caller)
                return RestSource(exchange, source.request, token=token)
            case QuerySource() as source:
                return self._databases.get().source(source)
            case FileSource() as source:
                return FileReader(self.folder(source.connection), source)
            case CallSource() as source:
                model = self._model(source.connection, source.call.partition(".")[0], caller)
                return CallReader(model, source.listing)
            case other:
                raise ConfigError(f"connection {other.connection}: no such source yet")

    def _target(self, job: Job, caller: Caller) -> "ShownTarget":
        match job.target:
            case RequestTarget() as target:
                return RestTarget(self.exchange(target.connection).on_behalf_of(caller), target)
            case FileTarget() as target:
                return FileWriter(self.folder(target.connection), target, job.columns)
            case CallTarget() as target:
                return CallWriter(self._model(target.connection, target.model, caller), target)
            case other:
                raise ConfigError(f"connection {other.connection}: no such target yet")

    def exchange(self, name: str) -> Exchange:
        """Return the one exchange of a connection, whose quota all jobs share. Raises ConfigError."""
        with self._building:
            if name not in self._exchanges:
                self._exchanges[name] = connect(name, self._spec.http_connections[name], self._around())
            return self._exchanges[name]

    def folder(self, name: str) -> Folder:
        """Return the folder of a connection. Raises ConfigError."""
        with self._building:
            if name not in self._folders:
                connection = self._spec.connections[name]
                assert isinstance(connection, FilesConnection)  # noqa: S101 - the kinds of both were compared
                self._folders[name] = open_folder(name, connection, self.secret)
            return self._folders[name]

    def _model(self, name: str, model: str, caller: Caller) -> Model:
        exchange = self.exchange(name)
        with self._building:
            if name not in self._interfaces:
                connection = self._spec.connections[name]
                assert isinstance(connection, InterfaceConnection)  # noqa: S101 - the kinds of both were compared
                self._interfaces[name] = open_interface(name, connection, exchange)
        return Model(exchange.on_behalf_of(caller), self._interfaces[name], model)

    def logged_in(self, job: Job) -> Job:
        """Return the job. Raises LoginNeededError, before anybody is asked, if a person has to log in for it first."""
        obstacle = self.login_obstacle(job)
        if obstacle:
            raise LoginNeededError(obstacle)
        return job

    def login_obstacle(self, job: Job) -> str:
        """Return which connection of a job needs a login, why, and the cure; empty when none does."""
        for name in job.connections:
            try:
                reason = self.login_needed(name)
            except ConfigError:  # such as a secret that is not there: the run itself says it, in its row
                continue
            if reason is not None:
                return f"connection {name} needs a login: {reason}; run `crudsd auth login {name}`"
        return ""

    def login_needed(self, name: str) -> str | None:
        """Return why a connection can do nothing before a person logs in; None when it can, or needs no person.

        A read of the state database, and nothing more. Raises ConfigError for a secret that is not there.
        """
        connection = self._spec.http_connections.get(name)
        auth = connection.auth if connection is not None else None
        if not isinstance(auth, OAuth2Auth) or not auth.is_personal:
            return None
        if self._vault is None:
            return f"there is no key to keep one with; `crudsd key generate {self._settings.key_file}` makes one"
        client_id = auth.client_id if isinstance(auth.client_id, str) else self.secret(auth.client_id).reveal()
        try:
            return login_needed(usable(auth, self._token_store(name, auth, client_id).load(name)), self._clock())
        except TokenStateError as error:
            return str(error)

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
        return auth_session(name, self._spec.http_connections[name], self._around(), redirect_uri=redirect_uri)

    def auth_status(self, name: str) -> AuthStatus:
        """Return how a connection's credentials stand, as far as that is known here. Asks no server."""
        connection = self._spec.http_connections[name]
        auth = connection.auth
        if not isinstance(auth, OAuth2Auth):
            return static_status(name, connection)
        client_id = auth.client_id if isinstance(auth.client_id, str) else self.secret(auth.client_id).reveal()
        if self._vault is None and kept_tokens.has_token(self._database, name):
            return unreadable_status(name, auth, client_id, "there is no key")
        return token_status(name, auth, client_id, self._token_store(name, auth, client_id), now=self._clock())

    def forget_token(self, name: str) -> None:
        """Forget what is kept of a connection's session, whether it can be opened or not. Asks no server."""
        kept_tokens.forget(self._database, name)

    # ---- below ----

    def _around(self) -> Surroundings:
        return Surroundings(
            resolve=self.secret,
            token_store=self._token_store,
            folder=self._settings.folder,
            stop=self._stop,
            on_event=lambda name, event: logs.tell_attempt(self._log, name, event),
            watch=self._watch,
            on_secret=self._tell_secret,
            warn=self._warn,
        )

    def secret(self, ref: SecretRef) -> Secret:
        """Return what a reference names now. Raises SecretError."""
        settings = self._settings
        return resolve(
            ref,
            environment=settings.environment,
            credentials=settings.credentials,
            folder=settings.folder,
            vault=lookup(self._database, self._vault),
        )

    def _watch(self, ref: SecretRef) -> Look:
        path = secret_file(ref, credentials=self._settings.credentials, folder=self._settings.folder)
        if path is not None:
            return partial(file_stamp, str(path))
        if ref.vault is not None:
            return lambda: (int(time.monotonic() / _VAULT_S), 0)
        return lambda: UNCHANGING

    def _warn(self, connection: str, message: str) -> None:
        self._log.warning("connection.warning", connection=connection, message=message)

    def _tell_secret(self, connection: str, event: str, message: str) -> None:
        log = self._log.info if event == "secret.reread" else self._log.warning
        log(event, connection=connection, message=message)

    def _token_store(self, name: str, auth: OAuth2Auth, client_id: str) -> TokenStore:
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


def _has_oauth2(loaded: Loaded) -> bool:
    return any(isinstance(connection.auth, OAuth2Auth) for connection in loaded.spec.http_connections.values())
