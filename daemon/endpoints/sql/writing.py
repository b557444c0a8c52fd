"""Several changes of one kind in one transaction: the statements, and which of the rows they met.

SQLite and PostgreSQL insert all rows by one statement, which leaves out a row whose key is there and says which ones
went in. Other databases are asked for each row.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from daemon.errors import ConflictError, GoneError, StaleError
from daemon.sync.change import Change, Kind
from daemon.sync.facts import Fact, fact
from daemon.sync.ports import Answer, Written

from .given import given
from .table import BoundTable, text_of

BULK: Final[Mapping[str, Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""The databases whose INSERT leaves out what is there."""
INSERTS_KEPT: Final = 100
"""Statements that are kept for one table: more only where records have any fields."""


@fact
class Row(Fact, frozen=True):
    """A change whose values were checked, ready to be sent."""

    place: int
    """Where its answer belongs among the answers of the batch."""
    change: Change
    values: Mapping[str, Any]
    """By column, for the driver."""
    at: tuple[Any, ...]
    """The values of the match columns of the row that it is about: nulls where its id is none that a row can have;
    empty for a new one."""
    id: str = ""
    """Of a new one: what it is called once it is there."""


def carry_out(kind: Kind, connection: Connection, table: BoundTable, rows: Sequence[Row]) -> dict[int, Answer]:
    """Carry out the rows' changes; return the answer to each by its place. Nothing is committed here."""
    work = {Kind.CREATE: _insert, Kind.UPDATE: _update, Kind.DELETE: _delete}[kind]
    return dict(work(connection, table, rows))


# ---- create ------------------------------------------------------------------------------------------------------


def _insert(connection: Connection, table: BoundTable, rows: Sequence[Row]) -> Iterator[tuple[int, Answer]]:
    make = BULK.get(connection.dialect.name)
    for alike in _alike(rows):
        if make is None:
            yield from _insert_each(connection, table, alike)
            continue
        if table.version is None and connection.dialect.name == "sqlite" and _insert_new(connection, table, alike):
            yield from ((row.place, Written(row.id)) for row in alike)
            continue
        statement = make(table.table).on_conflict_do_nothing(index_elements=list(table.match))
        kept = [*table.keys, *([table.table.c[table.version]] if table.version else [])]
        got = connection.execute(statement.returning(*kept), [dict(row.values) for row in alike]).all()
        size = len(table.match)
        versions = {table.identity_of(one[:size]): one[size:] for one in got}
        for row in alike:
            if row.id in versions:
                yield row.place, Written(row.id, _version(versions[row.id]))
            else:
                yield row.place, _is_there(table, row.id)


def _insert_new(connection: Connection, table: BoundTable, rows: Sequence[Row]) -> bool:
    """Insert rows that set the same columns, and say so if none of them was there; else insert none.

    SQLite's driver inserts a row for a quarter of what it costs to have each one told.
    """
    sql, order = _statement(connection, table, tuple(rows[0].values))
    place = itemgetter(*order)
    values = [place(row.values) if len(order) > 1 else (place(row.values),) for row in rows]
    # By hand: on an error SQLite may have undone the whole transaction, and then there is nothing to go back to.
    connection.exec_driver_sql("SAVEPOINT before_the_rows")
    is_whole = bool(connection.exec_driver_sql(sql, values).rowcount == len(rows))
    if not is_whole:
        connection.exec_driver_sql("ROLLBACK TO before_the_rows")
    connection.exec_driver_sql("RELEASE before_the_rows")
    return is_whole


def _statement(connection: Connection, table: BoundTable, names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the statement that inserts a row of these columns where there is none, and the order of its values."""
    found = table.inserts.get(names)
    if found is None:
        statement = sqlite.insert(table.table).on_conflict_do_nothing(index_elements=list(table.match))
        made = statement.compile(dialect=connection.dialect, column_keys=names)
        found = str(made), tuple(made.positiontup or ())
        if len(table.inserts) >= INSERTS_KEPT:
            table.inserts.clear()
        table.inserts[names] = found
    return found


def _insert_each(connection: Connection, table: BoundTable, rows: Sequence[Row]) -> Iterator[tuple[int, Answer]]:
    for row in rows:
        at = table.place(row.id) or ()
        if _there(connection, table, [at]):
            yield row.place, _is_there(table, row.id)
        else:
            connection.execute(insert(table.table), [dict(row.values)])
            yield row.place, Written(row.id, _read_version(connection, table, at))


def _is_there(table: BoundTable, target_id: str) -> ConflictError:
    return ConflictError(f"{_named(table, target_id)} is there already", status=409)


# ---- update ------------------------------------------------------------------------------------------------------


def _update(connection: Connection, table: BoundTable, rows: Sequence[Row]) -> Iterator[tuple[int, Answer]]:
    if table.version is not None or len(rows) == 1 or connection.dialect.name not in BULK:
        for row in rows:
            yield row.place, _update_one(connection, table, row)
        return
    known = [row for row in rows if None not in row.at]
    there = _there(connection, table, [row.at for row in known])
    found = [row for row in known if table.identity_of(row.at) in there]
    for alike in _alike(found):
        names = list(alike[0].values)
        if names:
            statement = update(table.table).where(_is_at(table)).values(_set(names))
            connection.execute(statement, [_parameters(row) for row in alike])
    places = {row.place for row in found}
    for row in rows:
        yield row.place, Written(table.id_after(row.change)) if row.place in places else _gone(table, row.change)


def _update_one(connection: Connection, table: BoundTable, row: Row) -> Answer:
    change = row.change
    where, parameters = [_is_at(table)], _parameters(row)
    if table.version is not None and change.version is not None:
        where.append(table.table.c[table.version] == bindparam("version_"))
        parameters["version_"] = table.version_value(change.version)
    if row.values:
        met = connection.execute(update(table.table).where(*where).values(_set(list(row.values))), parameters).rowcount
    else:
        met = len(connection.execute(select(*table.keys).where(*where), parameters).all())
    if met == 0:
        return _stale(table, change) if _there(connection, table, [row.at]) else _gone(table, change)
    after = table.id_after(change)
    return Written(after, _read_version(connection, table, table.place(after) or ()))


def _stale(table: BoundTable, change: Change) -> StaleError:
    return StaleError(
        f"{_named(table, change.target_id)} has another {table.version} than {change.version}", status=412
    )


def _gone(table: BoundTable, change: Change) -> GoneError:
    return GoneError(f"{_named(table, change.target_id)} is not there", status=404)


# ---- delete ------------------------------------------------------------------------------------------------------


def _delete(connection: Connection, table: BoundTable, rows: Sequence[Row]) -> Iterator[tuple[int, Answer]]:
    versioned = [row for row in rows if table.version is not None and row.change.version is not None]
    plain = [row for row in rows if row not in versioned]
    if plain:
        connection.execute(delete(table.table).where(_is_at(table)), [_parameters(row, sets=False) for row in plain])
    for row in plain:
        yield row.place, None
    for row in versioned:
        parameters = {**_parameters(row, sets=False), "version_": table.version_value(row.change.version or "")}
        is_known = table.table.c[table.version or ""] == bindparam("version_")
        met = connection.execute(delete(table.table).where(_is_at(table), is_known), parameters).rowcount
        moved = met == 0 and bool(_there(connection, table, [row.at]))
        yield row.place, _stale(table, row.change) if moved else None


# ---- below -------------------------------------------------------------------------------------------------------


def where_in(table: BoundTable, places: Sequence[tuple[Any, ...]]) -> Any:
    """Return the condition that a row is at one of these places."""
    if len(table.match) == 1:
        return table.keys[0].in_([place[0] for place in places])
    if len(places) == 1:
        return and_(*(column == value for column, value in zip(table.keys, places[0], strict=True)))
    return tuple_(*table.keys).in_(list(places))


def _there(connection: Connection, table: BoundTable, places: Sequence[tuple[Any, ...]]) -> set[str]:
    """Return the ids of those rows that are there, and keep others from removing them until the end."""
    statement = select(*table.keys).where(where_in(table, places)).with_for_update()
    return {table.identity_of(row) for row in connection.execute(statement)}


def _read_version(connection: Connection, table: BoundTable, at: tuple[Any, ...]) -> str | None:
    if table.version is None:
        return None
    statement = select(table.table.c[table.version]).where(where_in(table, [at]))
    return _version(connection.execute(statement).one())


def _version(found: Iterable[Any]) -> str | None:
    return next((text_of(given(one, None)) for one in found if one is not None), None)


def _alike(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows in groups that set the same columns: one statement each."""
    in_order: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        in_order.setdefault(tuple(row.values), []).append(row)
    groups: dict[frozenset[str], list[Row]] = {}
    for names, some in in_order.items():
        groups.setdefault(frozenset(names), []).extend(some)
    return list(groups.values())


def _set(names: Sequence[str]) -> dict[str, Any]:
    # By their order in the sorted row, since a column's name may hold anything.
    return {name: bindparam(f"set_{number}") for number, name in enumerate(sorted(names))}


def _is_at(table: BoundTable) -> Any:
    return and_(*(column == bindparam(f"at_{number}") for number, column in enumerate(table.keys)))


def _parameters(row: Row, *, sets: bool = True) -> dict[str, Any]:
    at = {f"at_{number}": value for number, value in enumerate(row.at)}
    values = {f"set_{number}": row.values[name] for number, name in enumerate(sorted(row.values))} if sets else {}
    return {**at, **values}


def _named(table: BoundTable, target_id: str | None) -> str:
    return f"{table.system}: {table.shape.name}: a row {(target_id or '').replace(chr(31), '/')}"
