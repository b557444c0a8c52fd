"""The state database: one file for one machine, or a PostgreSQL address for many.

SQLite commits are durable (WAL, `synchronous=FULL`); deleted content is overwritten; the file is its owner's only.
On PostgreSQL the server is told to be as durable (see `server`).
A Database may be shared by threads: each call takes a connection of its own from the pool.
"""

import os
import shutil
import sqlite3
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Self
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool
from sqlalchemy.schema import CreateIndex, CreateTable

from daemon.errors import ConfigError, StateError

from .server import open_engine
from .statements import execute
from .tables import metadata
from .trouble import translated

BUSY_TIMEOUT_S = 10.0
"""How long a write waits for another process's transaction. Ours last milliseconds; a backup or a person with the
sqlite3 shell may hold the file for some seconds."""

_TICK_OPERATIONS = 1_000_000
"""Of SQLite's machine: some hundredths of a second."""
_BEGIN = "crudsd_begin"
_MIGRATING = 0x6372756473  # "cruds": the number of the lock that processes which migrate one PostgreSQL database share


class Database:
    """An open database. `read` and `write` are transactions; close it when nobody uses it any more."""

    def __init__(
        self,
        engine: Engine,
        location: str,
        *,
        busy_timeout_s: float,
        folder: Path | None = None,
        file: Path | None = None,
    ) -> None:
        self.location = location
        """Where it is, for messages; without a password."""
        self._engine = engine
        self._busy_timeout_s = busy_timeout_s
        # SQLite has one writer. Threads of this process queue here, in order, instead of polling the file.
        self._writer = threading.Lock() if engine.dialect.name == "sqlite" else None
        self._remove = weakref.finalize(self, _remove, folder)
        self.file = None if file is None else file.absolute()
        """The SQLite file; None where a server keeps the state."""
        self._identity = None if file is None else _identity(file)

    @staticmethod
    def scratch() -> "Database":
        """Return a private temporary database with the tables made, removed at close.

        A plan journals here, so that it writes nothing to the state. It need not survive anything: no disk syncs.
        """
        folder = Path(tempfile.mkdtemp(prefix="crudsd-"))
        path = folder / "scratch.db"
        _prepare(path, read_only=False)
        engine = _sqlite_engine(path, read_only=False, synchronous="OFF", busy_timeout_s=BUSY_TIMEOUT_S)
        database = Database(engine, str(path), busy_timeout_s=BUSY_TIMEOUT_S, folder=folder)
        with database.write() as connection:
            for statement in _tables_of_a_scratch():
                connection.exec_driver_sql(statement)
        return database

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection whose queries all see the same state. Nothing is kept of what it writes."""
        with translated(self.location), self._engine.connect() as connection:
            self._make_sure_of_the_file()
            # SQLite's readers keep to one state by themselves.
            yield connection if self._writer else connection.execution_options(isolation_level="REPEATABLE READ")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection in a transaction; on SQLite it holds the write lock from its start.

        On PostgreSQL others write at the same time: what depends on what was read has to lock the row first, or to
        make sure of it in the statement that writes. Runs of one job take turns by the row of their lease.
        Committed and durable when the block ends, rolled back when it raises. Not to be nested.
        """
        with self._queued(), translated(self.location), self._engine.connect() as plain:
            connection = plain.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
            with connection.begin():
                self._make_sure_of_the_file()
                yield connection

    @contextmanager
    def migrate(self, *, tick: Callable[[], None] | None = None) -> Iterator[Connection]:
        """Give a write transaction in which tables may be rebuilt. On SQLite `tick` is called while it gets on.

        SQLite rebuilds a table by dropping it, which would cascade into the tables that refer to it. So foreign keys
        are off meanwhile and checked before the commit. Raises StateError, and commits nothing, if one is broken.
        """
        with self._queued(), translated(self.location), self._engine.connect() as plain:
            connection = plain.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
            if self._writer is None:
                with connection.begin():
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
                    yield connection
                return
            driver = connection.connection.cursor()
            driver.execute("PRAGMA foreign_keys=OFF")
            tell_progress(driver.connection, tick)
            try:
                with connection.begin():
                    yield connection
                    if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                        raise StateError(f"{self.location}: the migration would break references; nothing was changed")
            finally:
                tell_progress(driver.connection, None)
                driver.execute("PRAGMA foreign_keys=ON")
                driver.close()

    def get_fact(self, name: str) -> bytes | None:
        """Return a small fact about the database itself; None when there is none of this name."""
        with self.read() as connection:
            value = execute(connection, "SELECT value FROM meta WHERE name = ?", (name,)).scalar()
        return None if value is None else bytes(value)

    def put_fact(self, name: str, value: bytes) -> None:
        """Keep a fact, in place of the one before."""
        with self.write() as connection:
            execute(
                connection,
                "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, value),
            )

    def _make_sure_of_the_file(self) -> None:
        """Raise StateError when the file has another name now, or none: SQLite would go on and commit to nowhere."""
        if self.file is not None and _identity(self.file) != self._identity:
            raise StateError(
                f"{self.location}: the state database was moved, deleted or replaced while it was in use; stop every "
                "crudsd that uses it, put it back with its -wal file, and run again"
            )

    @contextmanager
    def _queued(self) -> Iterator[None]:
        if self._writer is None:
            yield
            return
        if not self._writer.acquire(timeout=self._busy_timeout_s):
            raise StateError(
                f"{self.location}: another thread has been writing for more than {self._busy_timeout_s:g} s; try again"
            )
        try:
            yield
        finally:
            self._writer.release()

    def close(self) -> None:
        """Close every connection. May be repeated."""
        self._engine.dispose()
        self._remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_database(address: str | Path, *, read_only: bool = False, busy_timeout_s: float | None = None) -> Database:
    """Open the database at a path or URL; a SQLite file that is not there is made (0600), without tables.

    A lock of another process is waited for `busy_timeout_s` seconds (None: BUSY_TIMEOUT_S). `read_only` never writes,
    and needs the file to be there. Raises ConfigError for an address that cannot be one, StateError when what is
    there cannot be used.
    """
    busy_timeout_s = BUSY_TIMEOUT_S if busy_timeout_s is None else busy_timeout_s
    if isinstance(address, str) and "://" in address and not address.startswith("sqlite:///"):
        engine, location = open_engine(address, read_only=read_only, busy_timeout_s=busy_timeout_s)
        return Database(engine, location, busy_timeout_s=busy_timeout_s)
    path = Path(address.removeprefix("sqlite:///") if isinstance(address, str) else address)
    if str(path) in {"", ".", ":memory:"}:
        raise ConfigError("the state must outlive the process: write the path of a file in `state:`")
    _prepare(path, read_only=read_only)
    engine = _sqlite_engine(path, read_only=read_only, synchronous="FULL", busy_timeout_s=busy_timeout_s)
    database = Database(engine, str(path), busy_timeout_s=busy_timeout_s, file=path)
    try:
        with database.read() as connection:
            connection.exec_driver_sql("PRAGMA schema_version")
    except StateError:
        database.close()
        raise
    return database


def tell_progress(connection: sqlite3.Connection, tick: Callable[[], None] | None) -> None:
    """Have SQLite call `tick` some times a second while it works on a statement; None: no more."""
    connection.set_progress_handler(tick, _TICK_OPERATIONS if tick is not None else 0)


@cache
def _tables_of_a_scratch() -> tuple[str, ...]:
    """Return what makes the tables, compiled once: each run of a service has a scratch of its own."""
    dialect = sqlite_dialect()
    tables = [str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables]
    indexes = [index for table in metadata.sorted_tables for index in sorted(table.indexes, key=str)]
    return (*tables, *(str(CreateIndex(index).compile(dialect=dialect)) for index in indexes))


def _identity(file: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of its name; None when there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _remove(folder: Path | None) -> None:
    """Remove a scratch database's folder; None: this database stays."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(path: Path, *, read_only: bool) -> None:
    """See that the file can be opened, and make a new one readable by its owner only."""
    if path.is_dir():
        raise StateError(f"{path}: is a directory; name a file in `state:`")
    if not path.parent.is_dir():
        raise StateError(f"{path}: the directory {path.parent} is not there; make it, or name another file in `state:`")
    if read_only:
        if not path.exists():
            raise StateError(f"{path}: there is no state database yet; `crudsd db upgrade` makes one")
        return
    try:
        # Before SQLite does it: WAL and shared memory files take over the mode of this one.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if not os.access(path, os.R_OK | os.W_OK):
            raise StateError(f"{path}: this user may not write the state database; check its owner and mode") from None
    except OSError as error:
        raise StateError(f"{path}: the state database cannot be made: {error.strerror}") from error


def _sqlite_engine(path: Path, *, read_only: bool, synchronous: str, busy_timeout_s: float) -> Engine:
    mode = "ro" if read_only else "rw"
    address = f"file:{quote(str(path.absolute()))}?mode={mode}"

    def connect() -> sqlite3.Connection:
        # isolation_level=None: the driver begins nothing by itself; the hook below does, with the lock we ask for.
        return sqlite3.connect(address, uri=True, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_use_lifo=True, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        if not read_only:
            _use_wal(connection, busy_timeout_s)
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))

    return engine


def _use_wal(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    """Turn on the write-ahead log. Processes that open a new file in the same moment get in each other's way."""
    deadline = time.monotonic() + busy_timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            # For this change SQLite does not wait by itself (seen in 2 of 48 openings by four processes at once).
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)
        else:
            return
