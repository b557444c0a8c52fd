"""What is true of a state database on PostgreSQL alone."""

import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import ConfigError, StateError, UsageError
from daemon.store import schema, server
from daemon.store.backup import back_up
from daemon.store.database import Database, open_database
from daemon.store.leases import Leases, hold
from daemon.store.rejects import Rejects
from daemon.store.statements import execute, many
from daemon.store.texts import escaped, restored
from daemon.sync.change import Fate, Kind, Outcome, Reject
from daemon.sync.counts import Counts
from tests.contract.journal import WRITES, a_change, a_link, send, settle
from tests.servers.postgres import ADMIN, Postgres
from tests.servers.process import until
from tests.unit.store.places import HandClock, SqlWorld, other_owner, ready
from tests.unit.store.transactions import Transactions

pytestmark = pytest.mark.servers


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.url(postgres.state_database())


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with ready(url) as database:
        yield database


def waiting(postgres: Postgres) -> bool:
    """Say whether somebody waits for a lock."""
    return bool(postgres.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))


class TestOpening:
    @pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
    def test_its_usual_addresses_lead_there(self, url: str, scheme: str) -> None:
        with open_database(f"{scheme}{url.removeprefix('postgresql')}") as database:
            assert schema.current(database) == schema.head()

    @pytest.mark.parametrize("scheme", ["postgresql+psycopg2", "postgresql+asyncpg", "mysql"])
    def test_other_drivers_and_databases_are_refused(self, scheme: str) -> None:
        with pytest.raises(ConfigError, match=r"not supported; write a path, or postgresql://host/name"):
            open_database(f"{scheme}://host/name")

    def test_a_missing_driver_is_told_with_what_installs_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(ConfigError, match=r"needs its driver; run `pip install 'crudsd\[postgres\]'`"):
            open_database("postgresql://host/name")

    def test_no_message_shows_a_password(self, postgres: Postgres) -> None:
        shown = []
        for address in (
            postgres.url_by_tcp("postgres", user="nobody_here", password="hunter2"),
            postgres.url_by_tcp("none_such", user=ADMIN, password="hunter2"),
            f"postgresql://me@127.0.0.1:{postgres.port}/db?password=hunter2&sslpassword=hunter2",
            "postgresql://me:hunter2@127.0.0.1:1/db",
            "postgresql://me:hunt@er2@127.0.0.1/db",
            "postgresql://me:hunter2@127.0.0.1:none/db",
        ):
            with pytest.raises((StateError, ConfigError)) as caught, open_database(address) as database:
                database.get_fact("a")
            shown += [str(caught.value), str(caught.value.__cause__)]
        assert not [text for text in shown if "hunt" in text or "er2" in text]
        assert "password authentication failed" in shown[0]

    def test_a_password_lets_us_in(self, postgres: Postgres) -> None:
        postgres.sql("DROP ROLE IF EXISTS let_in", "CREATE ROLE let_in LOGIN PASSWORD 'p@ss/w:rd'")
        address = postgres.url_by_tcp("postgres", user="let_in", password="p%40ss%2Fw%3Ard")
        with open_database(address) as database, database.read() as connection:
            assert execute(connection, "SELECT current_user").scalar() == "let_in"
            assert database.location == f"postgresql://let_in@127.0.0.1:{postgres.port}/postgres"

    def test_a_database_that_cannot_hold_every_text_is_refused(self, postgres: Postgres) -> None:
        name = postgres.empty_database("ENCODING 'SQL_ASCII' TEMPLATE template0")
        with (
            open_database(postgres.url(name)) as database,
            pytest.raises(ConfigError, match=r"encoding is SQL_ASCII.*ENCODING 'UTF8'"),
        ):
            schema.current(database)

    def test_commits_are_durable_and_nobody_waits_for_ever(self, postgres: Postgres) -> None:
        name = postgres.empty_database()
        postgres.sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
        names = ("synchronous_commit", "lock_timeout", "idle_in_transaction_session_timeout", "plan_cache_mode")
        with open_database(postgres.url(name)) as database, database.read() as connection:
            found = [execute(connection, f"SHOW {name}").scalar() for name in names]
        assert found == ["on", "10s", "1min", "force_custom_plan"]

    def test_two_may_make_the_tables_at_once(self, postgres: Postgres) -> None:
        address = postgres.url(postgres.empty_database())
        with open_database(address) as first, open_database(address) as second:
            late = threading.Thread(target=schema.upgrade, args=(second,))
            with first.migrate():
                late.start()
                until(lambda: waiting(postgres), what="the second waits for the first", within_s=20)
            schema.upgrade(first)
            late.join()
            schema.check(second)

    def test_who_only_reads_cannot_write(self, url: str, database: Database) -> None:
        database.put_fact("a", b"1")
        with open_database(url, read_only=True) as other:
            assert other.get_fact("a") == b"1"
            with pytest.raises(StateError, match="cannot be written"):
                other.put_fact("a", b"2")
        assert database.get_fact("a") == b"1"

    def test_a_copy_is_left_to_the_server_s_own_tools(self, database: Database, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="pg_dump"):
            back_up(database, tmp_path / "copy.db")
        assert list(tmp_path.iterdir()) == []


class TestTransactions(Transactions):
    def test_a_writer_sees_what_others_have_committed(self, database: Database) -> None:
        with database.read():
            pass  # the connection that comes next has read at one state before
        with database.write() as connection:
            execute(connection, "SELECT count(*) FROM meta")
            database.put_fact("a", b"1")
            assert execute(connection, "SELECT count(*) FROM meta").scalar() == 1

    def test_a_lock_is_not_waited_for_for_ever(self, url: str, database: Database) -> None:
        database.put_fact("a", b"1")
        with (
            database.write() as connection,
            open_database(url, busy_timeout_s=0.01) as impatient,
        ):
            execute(connection, "UPDATE meta SET value = ?", (b"2",))
            with pytest.raises(StateError, match=r"is locked by another process.*pg_stat_activity"):
                impatient.put_fact("a", b"3")
        assert database.get_fact("a") == b"2"

    def test_threads_that_want_more_connections_than_there_are_take_turns(self, url: str) -> None:
        with open_database(url) as database:
            start = threading.Barrier(server.POOL + server.OVERFLOW + 4)
            found: list[bytes | None] = []

            def look() -> None:
                start.wait()
                found.extend(database.get_fact("none") for _ in range(5))

            threads = [threading.Thread(target=look) for _ in range(start.parties)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(found) == 5 * start.parties

    def test_a_process_that_stands_still_in_a_transaction_does_not_hold_its_successor_up(
        self, url: str, clock: HandClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server, "IDLE_S", 0.05)
        with open_database(url) as paused, open_database(url) as database:
            lease = Leases(paused, clock, other_owner()).acquire("job/a")
            clock.move(60)
            mine = Leases(database, clock, other_owner(nonce="mine"))

            def stand_still() -> None:
                with paused.write() as connection:
                    hold(connection, lease, clock())
                    execute(connection, "INSERT INTO meta VALUES ('a', ?)", (b"1",))
                    assert mine.acquire("job/a").fence == lease.fence + 1
                    execute(connection, "SELECT 1")

            with pytest.raises(StateError, match=r"stood still.*nothing was committed"):
                stand_still()
            assert database.get_fact("a") is None


class TestRowsThatTwoWrite:
    def test_a_person_and_a_run_that_write_the_same_rejects_do_not_lock_each_other_out(
        self, postgres: Postgres, world: SqlWorld
    ) -> None:
        journal = world.journal("run1")
        journal.plan((), links=(), rejects=[Reject("a", "no"), Reject("b", "no")], counts=Counts())
        person = threading.Thread(target=lambda: Rejects(world.database).retry("people", ["b", "a"]))

        with world.database.write() as connection:
            hold(connection, world.lease, world.clock())
            execute(connection, "UPDATE rejects SET reason = 'still no' WHERE key = 'a'")
            person.start()
            until(lambda: waiting(postgres), what="the person waits for the run")
            execute(connection, "UPDATE rejects SET reason = 'still no' WHERE key = 'b'")
        person.join()

        assert {one.reason for one, _ in world.rejects().values()} == {"still no"}

    def test_a_run_that_is_closed_while_it_commits_does_not_lock_the_other_out(
        self, postgres: Postgres, world: SqlWorld
    ) -> None:
        from daemon.sync.outcome import Ending

        send(world.journal("run1"), a_change(1))
        closing = threading.Thread(target=lambda: world.end("run1", Ending.INTERRUPTED))

        with world.database.write() as connection:
            hold(connection, world.lease, world.clock())
            execute(connection, "UPDATE changes SET reason = 'x' WHERE run = 'run1'")
            closing.start()
            until(lambda: waiting(postgres), what="the other waits")
            execute(connection, "UPDATE runs SET counts = counts WHERE id = 'run1'")
        closing.join()

        row = world.runs.get("run1")
        assert row is not None
        assert row.ending is Ending.INTERRUPTED

    def test_two_who_take_a_new_lease_at_once_are_one_who_has_it(
        self, postgres: Postgres, database: Database, clock: HandClock
    ) -> None:
        from daemon.errors import LockedError

        refused = threading.Event()

        def take() -> None:
            try:
                Leases(database, clock, other_owner()).acquire("job/new")
            except LockedError:
                refused.set()

        late = threading.Thread(target=take)
        with database.write() as connection:
            values = ("job/new", "first", 1, "t", "t", "h", "m", 1, "s")
            execute(connection, "INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            late.start()
            until(lambda: waiting(postgres), what="the second waits for the first")
        late.join()
        assert refused.is_set()

    def test_an_update_costs_no_number_of_a_link(self, world: SqlWorld) -> None:
        for _ in range(5):
            world.journal("run1").plan((), links=[(a_link("a"), {"a": 1})], rejects=(), counts=Counts())
        world.journal("run1").plan((), links=[(a_link("b"), None)], rejects=(), counts=Counts())
        assert {key: link.id for key, link in world.links().by_key(["a", "b"]).items()} == {"a": 1, "b": 2}


class TestTexts:
    @pytest.mark.edge(19)
    def test_nul_characters_are_kept_wherever_they_stand(self, world: SqlWorld) -> None:
        odd = "a\0b\ufdd0\ufdd00\0"
        change = a_change(1, key=odd, document={odd: odd, "deep": [odd]}, contest=odd)
        journal = world.journal("run1")
        journal.plan(
            [change], links=[(a_link(odd + "1"), {"a": odd})], rejects=[Reject(odd + "2", odd)], counts=Counts()
        )
        assert list(journal.planned(WRITES)) == [change]
        assert journal.known([odd, "a"]) == {odd: Fate.PLANNED}
        journal.commit(sent=[change], outcomes=(), counts=Counts())
        settle(journal, Outcome(change, Fate.DONE, target_id=odd, version=odd))
        link = world.links().by_key([odd])[odd]
        assert (link.target_id, link.version) == (odd, odd)
        assert world.links().documents([link.id])[link.id] == change.document
        assert world.rejects() == {odd + "2": (Reject(odd + "2", odd), 1)}

    @given(st.text(alphabet=st.sampled_from("\0\ufdd001a"), max_size=12))
    def test_an_escaped_text_has_no_nul_and_comes_back(self, text: str) -> None:
        assert "\0" not in escaped(text)
        assert restored(escaped(text)) == text

    def test_what_stands_for_another_word_is_kept_by_its_value(self, world: SqlWorld) -> None:
        journal = world.journal("run1")
        send(journal, a_change(1, Kind.UPDATE))
        settle(journal, Outcome(a_change(1, Kind.UPDATE), Fate.FAILED, reason="no", status=422))
        with world.database.read() as connection:
            assert execute(connection, "SELECT kind, retry FROM rejects").one() == ("update", "each_run")

    def test_a_percent_sign_in_a_statement_is_one(self, database: Database) -> None:
        with database.read() as connection:
            assert execute(connection, "SELECT 7 % 4, 'a%b' LIKE ?", ("a%",)).one() == (3, True)

    def test_rows_of_many_statements_are_counted_together(self, database: Database) -> None:
        with database.write() as connection:
            assert many(connection, "INSERT INTO meta VALUES (?, ?)", [(str(n), b"") for n in range(7)]) == 7
            rows = [(b"x", str(n)) for n in (1, 2, 99)]
            assert many(connection, "UPDATE meta SET value = ? WHERE name = ?", rows) == 2


class TestTrouble:
    @pytest.mark.parametrize(
        ("state", "told"),
        [
            ("53100", "the server's disk is full .*free some space"),
            ("53300", "takes no more connections .*max_connections"),
            ("53200", "short of memory .*log"),
            ("55P03", "is locked by another process .*pg_stat_activity"),
            ("40P01", "in the same moment .*nothing was committed; run again"),
            ("40001", "in the same moment .*nothing was committed; run again"),
            ("57014", "gave up on a statement .*statement_timeout"),
            ("57P01", "was shut down .*what was committed is kept"),
            ("57P03", "is starting up .*what was committed is kept"),
            ("25P03", "stood still"),
            ("25006", "the server is read-only .*primary"),
            ("42501", "does not allow this .*role"),
            ("42P01", "lacks a part of the schema .*`crudsd db upgrade`"),
            ("58030", "the disk reports an error"),
            ("XX001", "is damaged .*restore a backup"),
            ("22012", r"refused: told \(SQLSTATE 22012\)"),
        ],
    )
    def test_it_is_told_with_its_cure(self, database: Database, state: str, told: str) -> None:
        raised = f"DO $$ BEGIN RAISE EXCEPTION 'told' USING ERRCODE = '{state}', DETAIL = 'ada@example.com'; END $$"
        with (
            pytest.raises(StateError, match=rf"postgresql://.*: the state database .*{told}") as caught,
            database.write() as connection,
        ):
            execute(connection, raised)
        assert "ada@" not in f"{caught.value}{caught.value.__cause__}"

    def test_a_row_that_is_refused_is_not_quoted(self, database: Database) -> None:
        with pytest.raises(StateError, match="null value in column") as caught, database.write() as connection:
            execute(connection, "INSERT INTO meta VALUES (?, NULL)", ("ada@example.com",))
        assert "ada@" not in f"{caught.value}{caught.value.__cause__}"

    def test_a_role_that_may_not_write_is_told_so(self, postgres: Postgres, url: str) -> None:
        postgres.sql("DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN")
        with (
            open_database(url.replace(f"{ADMIN}@", "reader@")) as database,
            pytest.raises(StateError, match=r"does not allow this .*own the database"),
        ):
            database.put_fact("a", b"1")

    def test_a_missing_table_points_to_the_upgrade(self, postgres: Postgres) -> None:
        with (
            open_database(postgres.url(postgres.empty_database())) as bare,
            pytest.raises(StateError, match="crudsd db upgrade"),
        ):
            bare.get_fact("a")

    def test_a_missing_database_is_named(self, postgres: Postgres) -> None:
        with (
            open_database(postgres.url("none_such")) as database,
            pytest.raises(StateError, match=r'/none_such.*database "none_such" does not exist.*`state:`'),
        ):
            database.get_fact("a")

    def test_a_server_that_was_restarted_is_used_again(self, postgres: Postgres, database: Database) -> None:
        database.put_fact("a", b"1")
        with postgres.away():
            pass
        assert database.get_fact("a") == b"1"

    def test_a_server_that_is_down_is_told_and_no_obstacle_later(self, postgres: Postgres, database: Database) -> None:
        database.put_fact("a", b"1")
        with postgres.away(), pytest.raises(StateError, match=r"does not answer .*see that the server is up"):
            database.get_fact("a")
        assert database.get_fact("a") == b"1"

    def test_a_server_that_goes_away_in_a_transaction_keeps_nothing_of_it(
        self, postgres: Postgres, database: Database
    ) -> None:
        def cut_off() -> None:
            with database.write() as connection:
                execute(connection, "INSERT INTO meta VALUES ('a', ?)", (b"1",))
                with postgres.away():
                    pass
                execute(connection, "INSERT INTO meta VALUES ('b', ?)", (b"1",))

        with pytest.raises(StateError, match=r"what was committed is kept"):
            cut_off()

        database.put_fact("c", b"1")
        assert [database.get_fact(name) for name in "abc"] == [None, None, b"1"]


def test_an_owner_on_another_machine_is_waited_for_until_its_lease_runs_out(
    database: Database, clock: HandClock
) -> None:
    from daemon.errors import LockedError

    mine = Leases(database, clock, other_owner(nonce="mine"))
    theirs = Leases(database, clock, replace(other_owner(), machine="third"))
    theirs.acquire("job/a")
    clock.move(29)
    with pytest.raises(LockedError):
        mine.acquire("job/a")
    clock.move(1)
    assert mine.acquire("job/a").fence == 2
