"""A copy of a live state, and what a look at a state finds."""

import os
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from daemon.errors import StateError, UsageError
from daemon.store import schema
from daemon.store.backup import back_up
from daemon.store.database import Database, open_database
from daemon.store.health import Finding, Verdict, check
from daemon.store.run_row import Trigger
from daemon.store.statements import execute
from tests.unit.store.places import ON_SQLITE, SqlWorld


def found(database: Database) -> dict[str, Finding]:
    return {finding.what: finding for finding in check(database)}


def damage_of(database: Database) -> str:
    """Return what is said of a damage, wherever SQLite stumbles over it."""
    try:
        finding = found(database)["file"]
    except StateError as error:
        return str(error) if "is damaged" in str(error) else ""
    return finding.message if finding.verdict is Verdict.FAIL else ""


@ON_SQLITE
def test_a_backup_holds_what_was_committed_and_stands_alone(world: SqlWorld, tmp_path: Path) -> None:
    run = world.runs.begin("people", trigger=Trigger.MANUAL, revision="r1")

    size = back_up(world.database, tmp_path / "copy.db")

    assert size == (tmp_path / "copy.db").stat().st_size > 0
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.glob("*copy*")) == ["copy.db"]
    with open_database(tmp_path / "copy.db", read_only=True) as copy:
        schema.check(copy)
        assert [finding.verdict for finding in check(copy) if finding.verdict is not Verdict.OK] == []
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("SELECT id FROM runs").fetchall() == [(run,)]


@ON_SQLITE
def test_a_backup_is_of_one_moment_while_others_write(world: SqlWorld, tmp_path: Path) -> None:
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            with world.database.write() as connection:
                connection.exec_driver_sql("INSERT INTO meta VALUES ('a' || (SELECT count(*) FROM meta), x'00')")
                connection.exec_driver_sql("INSERT INTO meta VALUES ('b' || (SELECT count(*) FROM meta), x'00')")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            back_up(world.database, tmp_path / f"copy{number}.db")
    finally:
        done.set()
        writer.join()

    for number in range(5):
        with closing(sqlite3.connect(tmp_path / f"copy{number}.db")) as connection:
            pairs = connection.execute("SELECT substr(name, 1, 1), count(*) FROM meta GROUP BY 1").fetchall()
            assert len({count for letter, count in pairs if letter in "ab"}) <= 1, "half a transaction was copied"


@ON_SQLITE
def test_a_backup_never_takes_the_place_of_a_file(world: SqlWorld, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    for name in ("precious", "link"):
        with pytest.raises(UsageError, match="is there already"):
            back_up(world.database, tmp_path / name)

    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()


@ON_SQLITE
def test_a_backup_that_cannot_be_written_leaves_nothing(world: SqlWorld, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be written"):
        back_up(world.database, tmp_path / "no such folder" / "copy.db")


def test_a_sound_state_has_only_good_findings(world: SqlWorld) -> None:
    findings = found(world.database)

    assert {finding.verdict for finding in findings.values()} == {Verdict.OK}
    assert "file" not in findings or "every page and index is sound" in findings["file"].message
    assert "0 links" in findings["records"].message


@ON_SQLITE
def test_a_damaged_file_is_told(path: Path, world: SqlWorld) -> None:
    for _ in range(200):
        world.runs.begin("people", trigger=Trigger.MANUAL, revision="r1")
    with world.database.read() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    world.database.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size - size // 4)
        file.write(os.urandom(2_000))

    with open_database(path, read_only=True) as damaged:
        assert damage_of(damaged)


def test_a_schema_that_is_behind_is_told_with_the_cure(world: SqlWorld) -> None:
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")

    assert [(one.verdict, "crudsd db upgrade" in one.message) for one in check(world.database)] == [
        (Verdict.FAIL, True)
    ]


def test_what_should_not_be_is_a_warning(world: SqlWorld) -> None:
    with world.database.write() as connection:
        for key in ("a", "b"):
            sql = "INSERT INTO links (job, key, target_id, fingerprint, raw, owned) VALUES (?, ?, ?, ?, ?, ?)"
            execute(connection, sql, ("people", key, "7", b"0", b"0", True))

    warned = [finding for finding in check(world.database) if finding.verdict is Verdict.WARN]

    assert [finding.what for finding in warned] == ["links"]
