from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from daemon.errors import ConfigError, StateError
from daemon.store import schema
from daemon.store.database import Database, open_database
from daemon.store.statements import execute
from daemon.store.tables import metadata
from tests.unit.store.places import ready


@pytest.fixture
def database(bare_state_url: str) -> Iterator[Database]:
    """Return a database of this test's own, since its schema is what they change."""
    with ready(bare_state_url) as database:
        yield database


def stamp(database: Database, revision: str) -> None:
    with database.write() as connection:
        execute(connection, "UPDATE alembic_version SET version_num = ?", (revision,))


def definitions(database: Database) -> dict[str, str]:
    with database.read() as connection:
        rows = execute(
            connection, "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'"
        )
        return {name: " ".join(sql.split()) for name, sql in rows}


def test_the_migrations_make_the_tables(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []


def test_the_migrations_make_them_to_the_letter(path: Path) -> None:
    with ready(path) as database, Database.scratch() as scratch:
        assert definitions(database) == definitions(scratch)


def test_every_constraint_has_a_name() -> None:
    assert [c for table in metadata.tables.values() for c in table.constraints if c.name is None] == []


def test_the_head_is_alembics_head() -> None:
    folder = Path(__file__).parents[3] / "migrations"
    assert ScriptDirectory(str(folder)).get_heads() == [schema.head()]


def test_a_database_without_tables_is_refused(bare_state_url: str) -> None:
    with open_database(bare_state_url) as database:
        assert schema.current(database) is None
        with pytest.raises(ConfigError, match=rf".*: .*not there yet, {schema.head()} .*`crudsd db upgrade`"):
            schema.check(database)


def test_an_upgrade_brings_it_to_the_head_once(database: Database) -> None:
    schema.upgrade(database)
    schema.check(database)
    assert schema.current(database) == schema.head()


def test_a_schema_behind_is_refused_with_both_revisions(database: Database) -> None:
    stamp(database, "0000")
    with pytest.raises(ConfigError, match=rf"behind: it is 0000, .* needs {schema.head()}; run `crudsd db upgrade`"):
        schema.check(database)


def test_a_schema_ahead_is_refused_with_both_revisions(database: Database) -> None:
    stamp(database, "9999")
    for attempt in (schema.check, schema.upgrade):
        with pytest.raises(ConfigError, match=rf"ahead: it is 9999, .* knows {schema.head()}"):
            attempt(database)


def test_an_upgrade_that_breaks_off_leaves_nothing(bare_state_url: str) -> None:
    with open_database(bare_state_url) as database:
        with database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE tokens (mine TEXT)")
        with pytest.raises(StateError, match=r"tokens\"? already exists"):
            schema.upgrade(database)
        assert schema.current(database) is None
        with database.read() as connection:
            assert inspect(connection).get_table_names() == ["tokens"]


def test_a_migration_may_rebuild_a_table_that_others_refer_to(path: Path) -> None:
    with ready(path) as database:
        with database.write() as connection:
            connection.exec_driver_sql("INSERT INTO links VALUES (1, 'j', 'k', 't', x'', x'', NULL, 1, NULL, NULL, '')")
            connection.exec_driver_sql("INSERT INTO documents VALUES (1, '{}')")
        with database.migrate() as connection:
            connection.exec_driver_sql("CREATE TABLE new_links AS SELECT * FROM links")
            connection.exec_driver_sql("DROP TABLE links")
            connection.exec_driver_sql("CREATE TABLE links (id INTEGER PRIMARY KEY)")
            connection.exec_driver_sql("INSERT INTO links SELECT id FROM new_links")
        with database.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM documents").scalar() == 1
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_a_migration_that_breaks_references_is_taken_back(path: Path) -> None:
    with ready(path) as database:
        with pytest.raises(StateError, match="break references"), database.migrate() as connection:
            connection.exec_driver_sql("INSERT INTO documents VALUES (99, '{}')")
        with database.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM documents").scalar() == 0
