"""From the configuration to the systems that it names: each with its secrets, and what they share."""

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from . import logs
from .clock import Clock
from .endpoints.rotation import UNCHANGING, Look, file_stamp
from .endpoints.surroundings import Surroundings
from .errors import ConfigError, LoginNeededError
from .sealing import lookup, open_vault
from .settings import Settings
from .spec import (
    Job,
    Loaded,
    OAuth2Auth,
    SecretRef,
    resolve,
    secret_file,
)
from .store import kept_tokens
from .store.database import Database
from .store.leases import Leases
from .values import Secret

if TYPE_CHECKING:
    from .endpoints.exchange import Exchange
    from .endpoints.login import AuthSession
    from .endpoints.standing import AuthStatus
    from .exchanges import Exchanges

_VAULT_S = 5.0
"""How often a secret of the vault is looked up again while it is in use: each time it is opened anew."""


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
        self._log = logs.get_settled_logger()
        self._made: Exchanges | None = None
        self._making = threading.Lock()
        self._vault, warnings = open_vault(settings, database, needed=_has_oauth2(loaded))
        self.warnings = (*loaded.warnings, *warnings)

    def close(self) -> None:
        """Close every connection to a system over HTTP."""
        if self._made is not None:
            self._made.close()

    def exchange(self, name: str) -> "Exchange":
        """Return the one exchange of a connection, whose quota all jobs share. Raises ConfigError."""
        return self._exchanges().exchange(name, self.around())

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
        return self._exchanges().login_needed(name, auth)

    # ---- sessions, as people deal with them ----

    def check_sealed(self) -> None:
        """Raise ConfigError when there is no key: a refresh token is never kept unsealed."""
        if self._vault is None:
            raise ConfigError(
                "there is no key, and what a login gives is kept sealed or not at all: run "
                f"`crudsd key generate {self._settings.key_file}`, then log in"
            )

    def auth_session(self, name: str, *, redirect_uri: str | None = None) -> "AuthSession":
        """Return a connection's session at its authorization server. Asks nobody yet. Raises ConfigError."""
        return self._exchanges().session(name, self.around(), redirect_uri=redirect_uri)

    def auth_status(self, name: str) -> "AuthStatus":
        """Return how a connection's credentials stand, as far as that is known here. Asks no server."""
        return self._exchanges().status(name)

    def forget_token(self, name: str) -> None:
        """Forget what is kept of a connection's session, whether it can be opened or not. Asks no server."""
        kept_tokens.forget(self._database, name)

    # ---- below ----

    def _exchanges(self) -> "Exchanges":
        """Return those that are talked to over HTTP."""
        from .exchanges import Exchanges  # noqa: PLC0415 - who talks to none pays for none

        with self._making:
            if self._made is None:
                self._made = Exchanges(
                    self._spec.http_connections,
                    self._database,
                    self._leases,
                    self._vault,
                    self._clock,
                    secret=self.secret,
                    warn=self._warn,
                )
            return self._made

    def around(self) -> Surroundings:
        """Return what a connection is made with."""
        return Surroundings(
            resolve=self.secret,
            token_store=lambda *of: self._exchanges().token_store(*of),
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


def _has_oauth2(loaded: Loaded) -> bool:
    return any(isinstance(connection.auth, OAuth2Auth) for connection in loaded.spec.http_connections.values())
