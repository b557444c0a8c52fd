"""A database for one test, SQLite or PostgreSQL, so that the same test runs on both."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from daemon.endpoints.sql.link import SqlLink
from tests.unit.endpoints.sql_rig import link, rows, sqlite

if TYPE_CHECKING:
    from tests.servers.postgres import Postgres


class Place(Protocol):
    """Where the tables are."""

    dialect: str
    url: str

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements beside the program under test; return the rows of the last one."""


class SqlitePlace:
    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = sqlite(path)

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        for statement in statements[:-1]:
            sqlite(self.path, statement)
        if statements[-1].lower().startswith("select"):
            return rows(self.path, statements[-1])
        sqlite(self.path, statements[-1])
        return []


class PostgresPlace:
    dialect = "postgresql"

    def __init__(self, server: "Postgres", database: str) -> None:
        self.server, self.database = server, database
        self.url = server.url(database)

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        return self.server.sql(*statements, database=self.database)


@contextmanager
def emptied(place: PostgresPlace) -> Iterator[PostgresPlace]:
    """Give a database that is shared by all tests, and leave it without tables."""
    try:
        yield place
    finally:
        place.run("DROP SCHEMA IF EXISTS desk CASCADE", "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")


@contextmanager
def linked(place: Place, **connection: Any) -> Iterator[SqlLink]:
    """Give a link to it that is closed afterwards."""
    db = link(place.url, **connection)
    try:
        yield db
    finally:
        db.close()
