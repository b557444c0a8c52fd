"""A query as a source: one state of the database, values that are bound, types that are kept."""

import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from daemon.endpoints.sql.link import SqlLink
from daemon.errors import ConfigError, EndpointError, MalformedError, RefusedError, UnavailableError
from daemon.sync.canonical import decode_object
from daemon.sync.certificate import End
from daemon.sync.ports import Page
from tests.unit.endpoints.databases import Place, PostgresPlace, SqlitePlace, linked
from tests.unit.endpoints.sql_rig import query


@pytest.fixture
def db(place: Place) -> Iterator[SqlLink]:
    place.run(
        "CREATE TABLE people (id BIGINT PRIMARY KEY, name TEXT, updated_at TEXT)",
        "INSERT INTO people VALUES (1, 'Ada', '2026-01-01'), (2, 'Bob', '2026-02-01'), (3, '50% :off', '2026-03-01')",
    )
    with linked(place) as one:
        yield one


def records(db: SqlLink, text: str, scope: Any = None, **said: Any) -> list[Any]:
    steps = query(db, text, **said).read(scope=scope or {})
    return [decode_object(raw) for step in steps if isinstance(step, Page) for raw in step.records]


# ---- parameters --------------------------------------------------------------------------------------------------


def test_values_are_bound_by_their_names_in_the_scope(db: SqlLink) -> None:
    scope = {"cursor": {"start": "2026-02-01"}, "project": {"id": 3, "owner": {"name": "x"}}}
    text = "SELECT id FROM people WHERE updated_at >= :cursor_start AND id <> :project_id ORDER BY id"

    assert records(db, text, scope) == [{"id": 2}]


@pytest.mark.parametrize("value", ["x' OR '1'='1", "'; DROP TABLE people; --", "%s", "\\", '"', "$1", ":cursor_end"])
def test_a_value_is_never_a_part_of_the_statement(place: Place, db: SqlLink, value: str) -> None:
    scope = {"project": {"name": value}}

    assert records(db, "SELECT id FROM people WHERE name = :project_name", scope) == []

    assert place.run("SELECT count(*) FROM people") == [(3,)]


def test_colons_and_percents_of_the_query_itself_stay_as_they_are(db: SqlLink) -> None:
    text = (
        "SELECT id, '10:30 :none' AS a, name LIKE '50%' AS is_half /* :comment */ -- :another\n"
        "FROM people WHERE name = '50% :off' AND id < :limit_id"
    )

    (record,) = records(db, text, {"limit": {"id": 10}})

    assert (record["id"], record["a"], bool(record["is_half"])) == (3, "10:30 :none", True)
    assert len(records(db, "SELECT id FROM people WHERE name LIKE '50%'")) == 1


def test_one_value_may_stand_in_several_places(db: SqlLink) -> None:
    text = "SELECT id FROM people WHERE id = :part_id OR id = :part_id + 1 ORDER BY id"

    assert records(db, text, {"part": {"id": 1}}) == [{"id": 1}, {"id": 2}]


def test_a_parameter_of_which_nothing_is_known_is_told(db: SqlLink) -> None:
    with pytest.raises(ConfigError, match=r"asks for :cursor_start; known while reading: :project_id"):
        records(db, "SELECT id FROM people WHERE updated_at > :cursor_start", {"project": {"id": 1}})


def test_a_cursor_that_is_null_is_told_since_no_row_is_newer_than_null(db: SqlLink) -> None:
    with pytest.raises(ConfigError, match="asks for :cursor_start, and there is none"):
        records(db, "SELECT id FROM people WHERE updated_at > :cursor_start", {"cursor": {"start": None, "end": None}})


def test_a_page_tells_what_time_it_was_at_the_database(place: Place, db: SqlLink) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)

    (page, *_) = query(db, "SELECT id FROM people").read()

    assert isinstance(page, Page)
    assert page.at is not None
    assert before < page.at <= datetime.now(UTC)


# ---- one state, and only reading ---------------------------------------------------------------------------------


def test_a_read_sees_one_state_whatever_is_written_meanwhile(place: Place, db: SqlLink) -> None:
    if isinstance(place, SqlitePlace):
        place.run("PRAGMA journal_mode=WAL")
    steps = query(db, "SELECT id FROM people ORDER BY id", page_size=1).read()
    first = next(steps)

    place.run("DELETE FROM people WHERE id = 2", "UPDATE people SET id = 9 WHERE id = 3")
    rest = list(steps)

    assert isinstance(first, Page)
    assert [step.records[0] for step in rest if isinstance(step, Page)] == [b'{"id":2}', b'{"id":3}']
    assert isinstance(rest[-1], End)
    assert records(db, "SELECT id FROM people ORDER BY id") == [{"id": 1}, {"id": 9}]


def test_a_query_that_writes_is_refused_and_writes_nothing(place: Place, db: SqlLink) -> None:
    writing = {
        "sqlite": ("WITH one AS (SELECT 1) DELETE FROM people RETURNING id", "readonly database"),
        "postgresql": ("WITH gone AS (DELETE FROM people RETURNING id) SELECT * FROM gone", "data-modifying"),
    }
    statement, words = writing[place.dialect]

    with pytest.raises(EndpointError, match=words):
        records(db, statement)

    assert place.run("SELECT count(*) FROM people") == [(3,)]


@pytest.mark.servers
@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_a_function_that_writes_is_refused_by_the_transaction(place: Place, db: SqlLink) -> None:
    place.run("CREATE FUNCTION add() RETURNS bigint LANGUAGE sql AS 'INSERT INTO people VALUES (9) RETURNING id'")

    with pytest.raises(EndpointError, match=r"read-only transaction.*nothing may be written here"):
        records(db, "SELECT add() AS id")

    assert place.run("SELECT count(*) FROM people") == [(3,)]


def test_after_a_read_the_connection_can_write_again(place: Place, db: SqlLink) -> None:
    list(query(db, "SELECT id FROM people").read())

    with db.write("a test") as connection:
        connection.exec_driver_sql("DELETE FROM people WHERE id = 1")

    assert place.run("SELECT count(*) FROM people") == [(2,)]


def test_a_read_that_is_left_in_its_middle_gives_its_connection_back(place: Place, db: SqlLink) -> None:
    steps = query(db, "SELECT id FROM people", page_size=1).read()
    next(steps)

    steps.close()  # type: ignore[attr-defined]

    place.run("DELETE FROM people")
    assert records(db, "SELECT id FROM people") == []


# ---- what a row becomes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("NUMERIC(30,10)", "12345678901234567890.0123456789", Decimal("12345678901234567890.0123456789")),
        ("NUMERIC", "'NaN'", "NaN"),
        ("BIGINT", "9223372036854775807", 2**63 - 1),
        ("DOUBLE PRECISION", "0.1", Decimal("0.1")),
        ("DOUBLE PRECISION", "'Infinity'", "inf"),
        ("BOOLEAN", "true", True),
        ("TIMESTAMPTZ", "'2026-10-25 02:30:00.5+02'", "2026-10-25T00:30:00.500000+00:00"),
        ("TIMESTAMP", "'2026-10-25 02:30:00'", "2026-10-25T02:30:00"),
        ("DATE", "'2026-10-25'", "2026-10-25"),
        ("TIME", "'02:30'", "02:30:00"),
        ("INTERVAL", "'1 day 1.5 seconds'", "PT86401.5S"),
        ("BYTEA", r"'\x0001ff'", "AAH/"),
        (
            "JSONB",
            "'{\"a\": [1, null, 19.90, 9007199254740993]}'",
            {"a": [1, None, Decimal("19.90"), 9007199254740993]},
        ),
        ("JSON", "'null'", None),
        ("UUID", "'6F9619FF-8B86-D011-B42D-00CF4FC964FF'", "6f9619ff-8b86-d011-b42d-00cf4fc964ff"),
        ("INT[]", "'{1,NULL,3}'", [1, None, 3]),
        ("INET", "'10.0.0.1'", "10.0.0.1"),
        ("TEXT", "NULL", None),
    ],
)
@pytest.mark.servers
@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_a_value_of_postgresql_becomes_json(place: Place, column: str, value: str, expected: Any) -> None:
    place.run(f"CREATE TABLE one (value {column})", f"INSERT INTO one VALUES ({value})")
    with linked(place) as db:
        assert records(db, "SELECT value FROM one") == [{"value": expected}]


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("NUMERIC(8,2)", "19.90", Decimal("19.9")),
        ("NUMERIC", "7", 7),
        ("INTEGER", "9223372036854775807", 2**63 - 1),
        ("REAL", "0.1", Decimal("0.1")),
        ("BOOLEAN", "1", True),
        ("TIMESTAMP", "'2026-10-25T02:30:00+02:00'", "2026-10-25T02:30:00+02:00"),
        ("DATE", "'2026-10-25'", "2026-10-25"),
        ("BLOB", "x'0001ff'", "AAH/"),
        ("JSON", "'{\"a\": [1, null, 19.90]}'", {"a": [1, None, Decimal("19.90")]}),
        ("JSON", "'not JSON'", "not JSON"),
        ("TEXT", "NULL", None),
    ],
)
def test_a_value_of_sqlite_becomes_json(tmp_path: Path, column: str, value: str, expected: Any) -> None:
    place = SqlitePlace(tmp_path / "data.db")
    place.run(f"CREATE TABLE one (value {column})", f"INSERT INTO one VALUES ({value})")
    with linked(place) as db:
        assert records(db, "SELECT value FROM one") == [{"value": expected}]


@pytest.mark.servers
@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_a_time_without_a_zone_is_in_the_one_that_the_job_names(place: Place) -> None:
    place.run("CREATE TABLE one (at TIMESTAMP)", "INSERT INTO one VALUES ('2026-10-25 01:30'), ('2026-10-25 03:30')")
    with linked(place) as db:
        found = records(db, "SELECT at FROM one ORDER BY at", timezone="Europe/Berlin")

    assert found == [{"at": "2026-10-25T01:30:00+02:00"}, {"at": "2026-10-25T03:30:00+01:00"}]


def test_two_columns_of_one_name_are_an_error(db: SqlLink) -> None:
    with pytest.raises(MalformedError, match="two columns are called id"):
        records(db, "SELECT a.id, b.id FROM people a, people b")


def test_a_column_that_is_not_there_is_told_with_its_name(db: SqlLink) -> None:
    with pytest.raises(EndpointError, match="mail"):
        records(db, "SELECT mail FROM people")


@pytest.mark.parametrize("place", [pytest.param("postgres", marks=pytest.mark.servers), "sqlite"], indirect=True)
def test_many_rows_take_no_more_memory_than_a_page(place: Place) -> None:
    rows = {
        "sqlite": "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
        "SELECT i, printf('%05000d', i) AS text FROM n",
        "postgresql": "SELECT i, lpad(i::text, 5000, '0') AS text FROM generate_series(1, 2000) AS n (i)",
    }
    with linked(place) as db:
        source = query(db, rows[place.dialect], page_size=10)
        tracemalloc.start()
        number = sum(len(step.records) for step in source.read() if isinstance(step, Page))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert number == 2_000
    assert peak < 2_000_000  # all of them are 10 MB


# ---- when it is away ---------------------------------------------------------------------------------------------


@pytest.mark.servers
@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_a_connection_that_is_cut_in_mid_read_is_an_outage_and_the_next_read_is_whole(place: Place) -> None:
    assert isinstance(place, PostgresPlace)
    text = "SELECT i FROM generate_series(1, 2000) AS n (i)"
    with linked(place) as db:
        steps = query(db, text, page_size=10).read()
        next(steps)
        place.run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'crudsd'")

        with pytest.raises(UnavailableError, match="the source's query"):
            list(steps)

        assert len(records(db, text)) == 2000


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_locked_file_is_an_outage(place: Place, db: SqlLink) -> None:
    assert isinstance(place, SqlitePlace)
    with closing(sqlite3.connect(place.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UnavailableError, match="another program has locked it"):
            records(db, "SELECT id FROM people")


def test_a_read_cannot_be_taken_up_in_its_middle(db: SqlLink) -> None:
    with pytest.raises((MalformedError, RefusedError)):
        list(query(db, "SELECT id FROM people").read("5"))
