"""A column keeps a value as it is, or refuses it: nothing is cut, rounded or turned into something near it."""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.endpoints.sql.target import SqlTarget
from daemon.errors import RefusedError
from daemon.sync.canonical import agrees, key_text
from tests.unit.endpoints.rig import change
from tests.unit.endpoints.sql_rig import link, sqlite, table

if TYPE_CHECKING:
    from tests.servers.postgres import Postgres

COLUMNS = {
    "text_": "TEXT",
    "short": "VARCHAR(5)",
    "small": "SMALLINT",
    "whole": "BIGINT",
    "price": "NUMERIC(8,2)",
    "exact": "NUMERIC",
    "flag": "BOOLEAN",
    "at": "{moment}",
    "day": "DATE",
    "raw": "{bytes}",
    "tree": "{json}",
}
KINDS = {
    "sqlite": {"moment": "TIMESTAMP", "bytes": "BLOB", "json": "JSON"},
    "postgres": {"moment": "TIMESTAMPTZ", "bytes": "BYTEA", "json": "JSONB"},
}
NUMBERS = itertools.count()
NO_TIME = timedelta(0)

moments = (
    st.datetimes(timezones=st.timezones())
    .filter(lambda moment: (moment.utcoffset() or NO_TIME).seconds % 60 == 0)  # offsets of old times had seconds
    .map(lambda moment: moment.isoformat())
)
numbers = (
    st.integers(-(2**70), 2**70)
    | st.integers(-40_000, 40_000)
    | st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**7), max_value=10**7)
    | st.decimals(allow_nan=False, allow_infinity=False).filter(lambda one: abs(one.adjusted()) < 60)
)
plain = st.none() | st.booleans() | numbers | st.text(st.characters(codec="utf-8"), max_size=12) | moments
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner))


def statement(dialect: str) -> str:
    columns = ", ".join(f"{name} {type_.format(**KINDS[dialect])}" for name, type_ in COLUMNS.items())
    return f"CREATE TABLE kept (id BIGINT PRIMARY KEY, {columns})"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlTarget]:
    db = link(sqlite(tmp_path_factory.mktemp("values") / "data.db", statement("sqlite"), "PRAGMA synchronous=OFF"))
    yield table(db, "kept")
    db.close()


@pytest.fixture(scope="module")
def target_on_postgres(postgres: "Postgres") -> Iterator[SqlTarget]:
    name = postgres.empty_database()
    postgres.sql(statement("postgres"), database=name)
    db = link(postgres.url(name))
    yield table(db, "kept")
    db.close()


def keeps_or_refuses(target: SqlTarget, column: str, value: Any) -> None:
    number = next(NUMBERS)
    try:
        target.create(change(key=str(number), document={"id": number, column: value}))
    except RefusedError:
        return
    found = target.get(str(number), str(number), {})
    assert found is not None
    assert agrees(value, found.document[column]), (value, found.document[column])


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(column=st.sampled_from(sorted(COLUMNS)), value=values)
def test_sqlite_keeps_a_value_or_refuses_it(target: SqlTarget, column: str, value: Any) -> None:
    keeps_or_refuses(target, column, value)


@pytest.mark.servers
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(column=st.sampled_from(sorted(COLUMNS)), value=values)
def test_postgresql_keeps_a_value_or_refuses_it(target_on_postgres: SqlTarget, column: str, value: Any) -> None:
    keeps_or_refuses(target_on_postgres, column, value)


@given(value=st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=2) | st.text(max_size=8))
def test_a_key_of_a_column_is_read_only_from_its_own_text(value: Any) -> None:
    from daemon.endpoints.sql.figures import Exact, Whole

    try:
        text = key_text(value)
    except ValueError:
        return
    for takes in (Whole(), Exact()):
        read = takes.key(text)
        assert read is None or key_text(read if isinstance(read, Decimal) else int(read)) == text
