"""What a transaction is, on every database; the test classes give the `database`."""

import pytest

from daemon.store.database import Database
from daemon.store.statements import execute


class Transactions:
    def test_an_error_rolls_back(self, database: Database) -> None:
        def write_and_fail() -> None:
            with database.write() as connection:
                execute(connection, "INSERT INTO meta VALUES ('a', ?)", (b"1",))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            write_and_fail()
        assert database.get_fact("a") is None

    def test_a_reader_keeps_nothing(self, database: Database) -> None:
        with database.read() as connection:
            execute(connection, "INSERT INTO meta VALUES ('a', ?)", (b"1",))
        assert database.get_fact("a") is None

    def test_a_reader_sees_one_state_throughout(self, database: Database) -> None:
        with database.read() as connection:
            execute(connection, "SELECT count(*) FROM meta")
            database.put_fact("a", b"1")
            assert execute(connection, "SELECT count(*) FROM meta").scalar() == 0
