"""One database of the job file: its engine, and the two ways it is used, a short transaction and a long read.

Every failure leaves as an EndpointError. A write whose COMMIT got no answer is unknown; one that broke off before was
surely not kept.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from daemon.endpoints.blot import Blotter
from daemon.endpoints.surroundings import Surroundings
from daemon.errors import ConfigError, EndpointError, RefusedError, UnknownError
from daemon.spec import SecretRef, SqlConnection, SqlTimeout
from daemon.sync.canonical import decode

from .given import ENCODER
from .sqlite import sqlite_engine
from .trouble import ContendedError, Trouble

_DRIVERS: Final = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "sqlite": "sqlite+pysqlite"}
"""What an address without a driver means here."""
_INSTALL: Final = {"psycopg": "'crudsd[postgres]'"}
_POSTGRES_LINK: Final = {
    "application_name": "crudsd",
    "client_encoding": "utf8",
    # Without these a server that vanished from the network is waited for, for two hours or for ever.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
_POSTGRES_SETTINGS: Final = (
    "SELECT set_config('timezone', 'UTC', false), set_config('statement_timeout', %s, false), "
    "set_config('lock_timeout', %s, false)"
)
_SNAPSHOTS: Final = ("REPEATABLE READ", "SNAPSHOT", "SERIALIZABLE")
"""Under which of them a read sees one state, the cheapest first."""


class SqlLink:
    """A database. Threads may share it."""

    def __init__(
        self,
        name: str,
        engine: Engine,
        blot: Blotter,
        *,
        concurrency: int,
        file: Path | None,
        warn: Callable[[str], None],
    ) -> None:
        self.name = name
        self.blot = blot
        self.warn = warn
        """Told what an operator should know."""
        self.file = file
        """The SQLite file; None where a server keeps the data."""
        self._engine = engine
        self._trouble = Trouble(name, blot)
        # SQLite has one writer: threads of this process queue here instead of polling the file.
        self._turns = threading.BoundedSemaphore(1 if file is not None else concurrency)

    @property
    def dialect(self) -> str:
        """The kind of database, by SQLAlchemy's name: sqlite, postgresql, mysql."""
        return self._engine.dialect.name

    @property
    def paramstyle(self) -> str:
        """How the driver writes parameters."""
        return str(self._engine.dialect.paramstyle)

    @property
    def is_without_file(self) -> bool:
        """Whether it is a SQLite file that is not there."""
        return self.file is not None and not self.file.is_file()

    def make_file(self) -> None:
        """Make the SQLite file, if it is one that is not there. Raises ConfigError when that cannot be."""
        if self.file is not None and self.is_without_file:
            try:
                self.file.touch(mode=0o600)
            except OSError as error:
                raise ConfigError(f"{self.name}: {self.file} cannot be made: {error.strerror}") from error

    @contextmanager
    def read(self, doing: str) -> Iterator[Connection]:
        """Give a connection for a few short questions."""
        with self._turns, self._opened(doing) as connection, self._told(doing):
            yield connection

    @contextmanager
    def write(self, doing: str) -> Iterator[Connection]:
        """Give a connection in a transaction, kept when the block ends and undone when it raises.

        Raises UnknownError when the answer to the commit was lost.
        """
        with self._turns, self._opened(doing, begin="BEGIN IMMEDIATE") as connection:
            with self._told(doing):
                yield connection
            try:
                connection.commit()
            except SQLAlchemyError as error:
                # SQLite leaves a transaction open that it did not commit.
                connection.invalidate()
                raise self._uncommitted(error, doing) from None

    @contextmanager
    def snapshot(self, doing: str) -> Iterator[Connection]:
        """Give a connection that sees one state from its first question to its last, and that cannot write."""
        with self._opened(doing) as connection, self._told(doing):
            if self.dialect == "sqlite":
                connection.exec_driver_sql("PRAGMA query_only=ON")
            try:
                yield connection.execution_options(**self._of_snapshot(connection))
            finally:
                self._release(connection)

    def close(self) -> None:
        """Close every connection. May be repeated."""
        self._engine.dispose()

    def _of_snapshot(self, connection: Connection) -> dict[str, Any]:
        driver = connection.connection.dbapi_connection
        known = connection.dialect.get_isolation_level_values(driver) if driver is not None else ()
        level = next((one for one in _SNAPSHOTS if one in known), None)
        if self.dialect == "sqlite" or level is None:
            return {}  # SQLite's transactions see one state by themselves
        return {"isolation_level": level, **({"postgresql_readonly": True} if self.dialect == "postgresql" else {})}

    def _release(self, connection: Connection) -> None:
        if self.dialect == "sqlite":
            with suppress(SQLAlchemyError):  # it is closed, or its file has gone: nothing is left to release
                connection.rollback()
                connection.exec_driver_sql("PRAGMA query_only=OFF")

    @contextmanager
    def _opened(self, doing: str, *, begin: str = "BEGIN") -> Iterator[Connection]:
        if self.is_without_file:
            raise ConfigError(f"{self.name}: there is no file {self.file}; make it, or mend the connection's url")
        with self._told(doing):
            connection = self._engine.connect().execution_options(crudsd_begin=begin)
        try:
            yield connection
        finally:
            with suppress(SQLAlchemyError):  # what it complains of now was told by the statement before
                connection.close()

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error, OverflowError) as error:
            raise self._trouble.of(error, doing) from None

    def _uncommitted(self, error: SQLAlchemyError, doing: str) -> EndpointError:
        told = self._trouble.of(error, doing)
        # A database that answers has said no, to a deferred rule or for want of space: it kept nothing.
        answered = isinstance(told, (RefusedError, ContendedError))
        if answered or (self.dialect == "sqlite" and "SQLITE_IOERR" not in _name(error)):
            return told
        return UnknownError(f"{told}; the answer to the commit was lost, so it may have been kept")


def _name(error: SQLAlchemyError) -> str:
    return str(getattr(getattr(error, "orig", None), "sqlite_errorname", ""))


def open_link(name: str, connection: SqlConnection, around: Surroundings) -> SqlLink:
    """Make the link of a connection. Nothing is asked of the database yet. Raises ConfigError."""
    blot = Blotter()
    url = _url(name, connection, around, blot)
    timeout, places, warn = connection.timeout, connection.quota.concurrency, partial(around.warn, name)
    try:
        if url.get_backend_name() == "sqlite":
            file = around.folder / (url.database or "")
            engine = sqlite_engine(file, lock_s=timeout.lock.total_seconds())
            return SqlLink(name, engine, blot, concurrency=places, file=file, warn=warn)
        engine = _server_engine(url, timeout, places)
    except ImportError as error:
        package = error.name or "its driver"
        told = f"{url.drivername} needs the package {package}; run `pip install {_INSTALL.get(package, package)}`"
        raise ConfigError(f"connections.{name}: {told}") from error
    except (ArgumentError, NoSuchModuleError, ValueError):
        # From none of them: their text may quote the address, and with it a password.
        told = f"{url.drivername}:// is no kind of database that is known here; install its SQLAlchemy dialect"
        raise ConfigError(f"connections.{name}: {told}") from None
    _renew_credentials(engine, lambda: _url(name, connection, around, blot))
    return SqlLink(name, engine, blot, concurrency=places, file=None, warn=warn)


def _url(name: str, connection: SqlConnection, around: Surroundings, blot: Blotter) -> URL:
    said = connection.url
    text = around.resolve(said).reveal() if isinstance(said, SecretRef) else said
    if isinstance(said, SecretRef):
        blot.learn(text)
    try:
        url = make_url(text)
        if "@" in (url.host or ""):
            # What stands before it is the end of a password, which must not come into any message.
            raise ConfigError(f"connections.{name}: an @ in the url's password must be written as %40")
    except (ArgumentError, ValueError):
        what = "write sqlite:///file.db or postgresql://user@host/name"
        raise ConfigError(f"connections.{name}: its url is no address of a database; {what}") from None
    if url.password:
        blot.learn(str(url.password))
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def _server_engine(url: URL, timeout: SqlTimeout, places: int) -> Engine:
    postgres = url.get_backend_name() == "postgresql"
    link: dict[str, Any] = {}
    if postgres:
        known = {**_POSTGRES_LINK, "connect_timeout": str(max(2, round(timeout.connect.total_seconds())))}
        link = {name: value for name, value in known.items() if name not in url.query}
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        poolclass=QueuePool,
        pool_size=places,
        max_overflow=-1,
        connect_args=link,
        json_serializer=lambda value: ENCODER.encode(value).decode(),
        json_deserializer=lambda text: decode(text if isinstance(text, bytes) else text.encode()),
    )
    if postgres:
        waits = [f"{max(round(wait.total_seconds() * 1000), 1)}ms" for wait in (timeout.statement, timeout.lock)]

        @event.listens_for(engine, "connect")
        def prepare(driver: Any, _: object) -> None:
            with driver.cursor() as cursor:
                cursor.execute(_POSTGRES_SETTINGS, waits)
            driver.commit()

    return engine


def _renew_credentials(engine: Engine, read: Callable[[], URL]) -> None:
    """Let each new connection of the pool use the secret as it is then: it may have been rotated."""

    @event.listens_for(engine, "do_connect")
    def renew(dialect: Any, _: object, cargs: Any, cparams: dict[str, Any]) -> None:
        del cargs
        _, fresh = dialect.create_connect_args(read())
        cparams.update({key: value for key, value in fresh.items() if key in {"user", "password", "passwd"}})
