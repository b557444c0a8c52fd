import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.errors import ConfigError, StateError
from daemon.store.database import Database, open_database
from daemon.store.statements import execute
from tests.unit.store.places import ready
from tests.unit.store.transactions import Transactions


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with ready(path) as database:
        yield database


class TestOpening:
    def test_a_new_file_is_its_owners_only(self, path: Path) -> None:
        old = os.umask(0)
        try:
            with ready(path):
                modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        finally:
            os.umask(old)
        assert modes["state.db"] == 0o600
        assert set(modes.values()) == {0o600}

    def test_commits_are_durable_and_references_are_kept(self, database: Database) -> None:
        with database.read() as connection:
            pragmas = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "busy_timeout")
            }
        assert pragmas == {
            "journal_mode": "wal",
            "synchronous": 2,
            "foreign_keys": 1,
            "secure_delete": 1,
            "busy_timeout": 10_000,
        }

    def test_a_url_names_the_same_file_as_a_path(self, path: Path, database: Database) -> None:
        database.put_fact("a", b"1")
        with open_database(f"sqlite:///{path}") as other:
            assert other.get_fact("a") == b"1"

    def test_a_path_may_hold_what_urls_may_not(self, tmp_path: Path) -> None:
        odd = tmp_path / "50%?mode=memory#x y.db"
        with ready(odd) as database:
            database.put_fact("a", b"1")
        assert odd.stat().st_size > 0

    @pytest.mark.parametrize(
        "address", ["", ":memory:", "sqlite:///:memory:", "mysql://h/d", "nonsense://", "post gres://x"]
    )
    def test_what_cannot_be_a_state_database_is_refused(self, address: str) -> None:
        with pytest.raises(ConfigError, match="state"):
            open_database(address)

    def test_a_bad_address_does_not_show_its_password(self) -> None:
        with pytest.raises(ConfigError) as caught:
            open_database("postgresql://me:hunter2@host:not-a-port/db")
        assert "hunter2" not in str(caught.value)

    def test_a_missing_directory_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(StateError, match=r"directory .*nowhere is not there"):
            open_database(tmp_path / "nowhere" / "state.db")

    def test_a_directory_is_no_database(self, tmp_path: Path) -> None:
        with pytest.raises(StateError, match="is a directory"):
            open_database(tmp_path)

    def test_processes_may_open_a_new_file_at_once(self, path: Path) -> None:
        code = (
            "import sys; from daemon.store import schema; from daemon.store.database import open_database\n"
            "sys.stdin.readline(); state = open_database(sys.argv[1])\n"
            "schema.upgrade(state); schema.check(state); state.close()"
        )
        command = [sys.executable, "-c", code, str(path)]
        project = Path(__file__).parents[3]
        processes = [subprocess.Popen(command, stdin=subprocess.PIPE, cwd=project) for _ in range(3)]
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        assert [process.wait(60) for process in processes] == [0, 0, 0]

    def test_another_file_is_not_taken_for_a_database(self, path: Path) -> None:
        path.write_bytes(b"This is a letter, and a long one at that.\n" * 100)
        with pytest.raises(StateError, match=r"state.db: .* is not a SQLite database .*`state:`"):
            open_database(path)
        assert path.read_bytes().startswith(b"This is a letter")

    def test_a_damaged_file_is_said_to_be_damaged(self, path: Path) -> None:
        with ready(path) as database:
            database.put_fact("a", b"1" * 100_000)
        content = bytearray(path.read_bytes())
        content[4096:] = b"\xff" * (len(content) - 4096)
        path.write_bytes(content)
        with pytest.raises(StateError, match=r"is damaged .* restore a backup"):
            open_database(path)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write every file")
    def test_a_file_that_may_not_be_written_is_refused(self, path: Path) -> None:
        ready(path).close()
        path.chmod(0o400)
        with pytest.raises(StateError, match="may not write"):
            open_database(path)


class TestReadOnly:
    def test_it_reads_and_writes_nothing(self, path: Path, database: Database) -> None:
        database.put_fact("a", b"1")
        with open_database(path, read_only=True) as other:
            assert other.get_fact("a") == b"1"
            with pytest.raises(StateError, match=r"state.db: .*cannot be written .*owner and mode"):
                other.put_fact("a", b"2")
        assert database.get_fact("a") == b"1"

    def test_it_makes_no_file(self, path: Path) -> None:
        with pytest.raises(StateError, match=r"no state database yet; `crudsd db upgrade`"):
            open_database(path, read_only=True)
        assert not path.exists()


class TestTransactions(Transactions):
    def test_a_writer_holds_the_lock_from_its_start(self, path: Path, database: Database) -> None:
        with (
            database.write(),
            open_database(path, busy_timeout_s=0.01) as other,
            pytest.raises(StateError, match=r"state.db: .*locked by another process"),
            other.write(),
        ):
            pass

    def test_a_database_locked_by_another_process_is_said_so(self, path: Path, database: Database) -> None:
        with open_database(path, busy_timeout_s=0.01) as mine:
            other = sqlite3.connect(path, isolation_level=None)
            try:
                other.execute("BEGIN EXCLUSIVE")
                with pytest.raises(StateError, match="try again when that one is done"):
                    mine.put_fact("a", b"1")
            finally:
                other.close()
            mine.put_fact("a", b"2")
        assert database.get_fact("a") == b"2"

    def test_a_second_writing_thread_is_not_kept_waiting_for_ever(self, path: Path) -> None:
        with (
            ready(path, busy_timeout_s=0.01) as database,
            database.write(),
            pytest.raises(StateError, match="another thread"),
            database.write(),
        ):
            pass

    def test_a_full_disk_is_said_to_be_full(self, path: Path, database: Database) -> None:
        def fill() -> None:
            with database.write() as connection:
                connection.exec_driver_sql("PRAGMA max_page_count=30")
                execute(connection, "INSERT INTO meta VALUES ('a', ?)", (b"1" * 1_000_000,))

        with pytest.raises(StateError, match=r"state.db: .*disk is full.*free some space"):
            fill()
        assert database.get_fact("a") is None

    def test_a_missing_table_points_to_the_upgrade(self, path: Path) -> None:
        with open_database(path) as bare, pytest.raises(StateError, match="crudsd db upgrade"):
            bare.get_fact("a")

    def test_errors_do_not_quote_what_was_written(self, database: Database) -> None:
        with pytest.raises(StateError) as caught, database.write() as connection:
            execute(connection, "INSERT INTO meta VALUES (?, NULL)", ("ada@example.com",))
        assert "ada@example.com" not in f"{caught.value}{caught.value.__cause__}"

    def test_threads_share_it(self, database: Database) -> None:
        with database.write() as connection:
            execute(connection, "INSERT INTO meta VALUES ('n', ?)", (b"0",))

        def raise_by(times: int) -> None:
            for _ in range(times):
                with database.write() as connection:
                    value = execute(connection, "SELECT value FROM meta WHERE name = 'n'").scalar_one()
                    execute(connection, "UPDATE meta SET value = ? WHERE name = 'n'", (b"%d" % (int(value) + 1),))

        threads = [threading.Thread(target=raise_by, args=(25,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert database.get_fact("n") == b"200"


class TestScratch:
    def test_it_has_the_tables_and_goes_away(self) -> None:
        scratch = Database.scratch()
        folder = Path(scratch.location).parent
        scratch.put_fact("a", b"1")
        assert scratch.get_fact("a") == b"1"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        scratch.close()
        scratch.close()
        assert not folder.exists()

    def test_two_are_apart(self) -> None:
        with Database.scratch() as one, Database.scratch() as two:
            one.put_fact("a", b"1")
            assert two.get_fact("a") is None
