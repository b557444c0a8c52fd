"""PostgreSQL on a socket of its own and on loopback: the state database of many machines.

The machine's own programs are used where there are some, else Debian's, unpacked by `make servers`. PostgreSQL refuses
to be run by root, so that root's tests run it as `nobody`, in a folder that belongs to it.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypedDict

from tests.servers.install import POSTGRES, find_postgres
from tests.servers.process import END_S, NotInstalledError, free_port, until

if TYPE_CHECKING:
    from psycopg import Connection

ADMIN = "postgres"
STATE = "state"
CREATE_S = 120
FOR_SPEED = {
    # What was committed must survive the server's end, and does; a power cut is not among the tests.
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "jit": "off",
    "timezone": "GMT",
    "log_timezone": "GMT",
}


class _Identity(TypedDict, total=False):
    user: str
    group: int
    extra_groups: list[int]


class Postgres:
    """A running server. Not for several threads."""

    def __init__(self) -> None:
        found = find_postgres()
        if found is None:
            raise NotInstalledError("PostgreSQL is not installed: run `make servers`")
        self._programs = found
        try:
            import psycopg
        except ImportError as error:
            raise NotInstalledError(f"psycopg is not installed ({error}): install requirements/dev.txt") from error
        self._connect = psycopg.connect
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        self.port = free_port()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            # Not in the tests' own folder: that one is closed to nobody, and a socket's path must be short.
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pg-")))
            if os.geteuid() == 0:
                os.chown(self.folder, pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
            self._run(
                *("initdb", "--pgdata", self._data, "--username", ADMIN, "--encoding", "UTF8", "--locale", "C"),
                *("--auth-local", "trust", "--auth-host", "scram-sha-256", "--no-sync", "--no-instructions"),
            )
            stack.callback(self.stop)
            self.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self) -> None:
        """Start it on the data it has, and wait until it lets somebody in."""
        settings = [part for name, value in FOR_SPEED.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "server.log").open("ab") as log:
            self._process = process = subprocess.Popen(
                [
                    *(*_ends_with_us(), str(self._programs / "postgres"), "-D", str(self._data)),
                    *("-k", str(self.folder), "-h", "127.0.0.1", "-p", str(self.port), *settings),
                ],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **self._identity,
            )
        until(lambda: process.poll() is not None or self._answers(), what="PostgreSQL is up")
        assert process.poll() is None, (self.folder / "server.log").read_text(errors="replace")[-2000:]

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it, by its id: SIGQUIT at once, as a crash does (`-m immediate`), SIGINT in good order (`-m fast`)."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def away(self, how: signal.Signals = signal.SIGQUIT) -> Iterator[None]:
        """Be down while the block lasts."""
        self.stop(how)
        try:
            yield
        finally:
            self.start()

    def url(self, database: str, *, user: str = ADMIN) -> str:
        """What `state:` says to reach a database through the socket, without a password."""
        return f"postgresql://{user}@/{database}?host={self.folder}&port={self.port}"

    def url_by_tcp(self, database: str, *, user: str, password: str) -> str:
        """What it says to reach a database over the network, where a password is asked for."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def empty_database(self, *options: str) -> str:
        """Make a database without tables and return its name."""
        self._made += 1
        name = f"made_{self._made}"
        self.sql(f"CREATE DATABASE {name} {' '.join(options)}")
        return name

    def state_database(self) -> str:
        """Return the name of the one database that has the tables and nothing in them; nobody else is connected."""
        revision = self._revision
        ends = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s AND pid <> %s"
        with self.admin(STATE) as connection:
            connection.execute(ends, (STATE, connection.info.backend_pid))
            tables = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
            )
            # Of these few rows faster than TRUNCATE, which makes every file anew.
            for (table,) in tables.fetchall():
                connection.execute(f"DELETE FROM {table}")
            connection.execute("ALTER SEQUENCE links_id_seq RESTART")
            connection.execute("UPDATE alembic_version SET version_num = %s", (revision,))
        return STATE

    @cached_property
    def _revision(self) -> str:
        """The schema of the state database, which is made when this is asked for the first time."""
        from daemon.store import schema
        from daemon.store.database import open_database

        self.sql(f"CREATE DATABASE {STATE}")
        with open_database(self.url(STATE)) as database:
            schema.upgrade(database)
        return schema.head()

    def admin(self, database: str = "postgres") -> "Connection[Any]":
        """Connect as whoever may do everything; each statement is a transaction of its own."""
        return self._connect(
            host=str(self.folder), port=self.port, dbname=database, user=ADMIN, autocommit=True, connect_timeout=5
        )

    def sql(self, *statements: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run statements, each on its own, and return the rows of the last one."""
        rows: list[tuple[Any, ...]] = []
        with self.admin(database) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
                rows = cursor.fetchall() if cursor.description else []
        return rows

    def _answers(self) -> bool:
        import psycopg

        try:
            self.admin().close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @cached_property
    def _identity(self) -> _Identity:
        if os.geteuid() != 0:
            return {}
        return {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}

    @cached_property
    def _environment(self) -> dict[str, str]:
        libraries = [str(one) for one in POSTGRES.glob("usr/lib/*-linux-gnu")] if self._is_unpacked else []
        path = os.pathsep.join(filter(None, [*libraries, os.environ.get("LD_LIBRARY_PATH", "")]))
        others = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {**others, **({"LD_LIBRARY_PATH": path} if path else {}), "LC_ALL": "C"}

    @property
    def _is_unpacked(self) -> bool:
        return self._programs.is_relative_to(POSTGRES)

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            cwd=self.folder,
            env=self._environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=CREATE_S,
            **self._identity,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def _ends_with_us() -> list[str]:
    # As in `process`, but by the signal that lets PostgreSQL take its shared memory with it.
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "QUIT", "--"] if setpriv else []
