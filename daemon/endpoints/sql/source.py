"""A query as a source: the rows of one snapshot, fetched as they are needed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, CursorResult

from daemon.errors import ConfigError, MalformedError
from daemon.spec import QuerySource, query_parameters, query_pieces
from daemon.sync.certificate import End
from daemon.sync.parts import NOTHING
from daemon.sync.ports import Page
from daemon.values import Json

from .given import ENCODER, given
from .link import SqlLink

_POSITIONAL = {"qmark": "?", "format": "%s"}
_CLOCKS = {"postgresql": "SELECT now()::text", "sqlite": "SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')"}
"""What tells the time of a transaction by the database's own clock. PostgreSQL's is that of its begin."""


class SqlSource:
    """The source of one job. Each `read` is one transaction on one connection, on one thread.

    What it yields is one state of the database, so that its End proves the read complete by itself.
    """

    def __init__(self, link: SqlLink, source: QuerySource) -> None:
        self._link = link
        self._query = source.query
        self._page_size = source.page_size
        self._zone = ZoneInfo(source.timezone) if source.timezone is not None else None

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any] = NOTHING) -> Iterator[Page | End]:
        """Yield the rows as pages of JSON objects, then one End."""
        doing = "the source's query"
        if resume is not None:
            raise MalformedError(f"{self._link.name}: {doing}: a read that was cut off begins anew")
        values = self._values(scope)
        statement = _written(self._query, self._link.paramstyle)
        given_: Any = tuple(values[name] for name in _order(self._query)) if statement[1] else values
        number = count = 0
        with self._link.snapshot(doing) as connection:
            at = _clock(connection)
            options = {"stream_results": True, "max_row_buffer": self._page_size}
            with closing(connection.exec_driver_sql(statement[0], given_ or None, options)) as result:
                names = self._names(result)
                for rows in result.partitions(self._page_size):
                    number += 1
                    count += len(rows)
                    yield Page(number, self._records(names, rows), at=at)
        yield End("the last row", max(number, 1), count, None)

    def _values(self, scope: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the value of each parameter. Raises ConfigError for one of which nothing is known."""
        known = _flat(scope)
        values = {}
        for name in query_parameters(self._query):
            if name not in known:
                there = ", ".join(f":{one}" for one in sorted(known)) or "nothing"
                raise ConfigError(f"{self._link.name}: the query asks for :{name}; known while reading: {there}")
            if known[name] is None and name.startswith("cursor_"):
                # Compared with null no row is newer, and an empty read would be taken for all there is.
                raise ConfigError(
                    f"{self._link.name}: the query asks for :{name}, and there is none; say where it starts"
                )
            values[name] = known[name]
        return values

    def _names(self, result: CursorResult[Any]) -> Sequence[str]:
        names = list(result.keys()) if result.returns_rows else []
        twice = sorted({name for name in names if names.count(name) > 1 or name in {"", "?column?"}})
        if not names or twice:
            told = f"two columns are called {', '.join(twice)}" if twice else "it gives no rows"
            raise MalformedError(
                f"{self._link.name}: the source's query: {told}; give each column a name of its own (AS …)"
            )
        return names

    def _records(self, names: Sequence[str], rows: Sequence[Any]) -> tuple[bytes, ...]:
        zone = self._zone
        return tuple(
            ENCODER.encode({name: given(value, zone) for name, value in zip(names, row, strict=True)}) for row in rows
        )


def _clock(connection: Connection) -> datetime | None:
    """Return what time it is at the database, before anything is read; None where nobody asks it."""
    question = _CLOCKS.get(connection.dialect.name)
    told = connection.exec_driver_sql(question).scalar() if question is not None else None
    return None if told is None else datetime.fromisoformat(str(told)).astimezone(UTC)


def _order(query: str) -> tuple[str, ...]:
    return tuple(name for name, is_parameter in query_pieces(query) if is_parameter)


def _written(query: str, style: str) -> tuple[str, bool]:
    """Return a query with its parameters as a driver wants them, and whether it wants them by their order."""
    mark = _POSITIONAL.get(style)
    escape = style in {"format", "pyformat"}
    text = ""
    for piece, is_parameter in query_pieces(query):
        if is_parameter:
            text += mark or (f"%({piece})s" if style == "pyformat" else f":{piece}")
        else:
            text += piece.replace("%", "%%") if escape else piece
    return text, mark is not None


def _flat(scope: Mapping[str, Any], before: str = "") -> dict[str, Json]:
    """Return the values of a scope under one name each: {cursor: {start: …}} gives cursor_start."""
    found: dict[str, Json] = {}
    for name, value in scope.items():
        if isinstance(value, Mapping):
            found.update(_flat(value, f"{before}{name}_"))
        else:
            found[f"{before}{name}"] = value
    return found
