import subprocess
import sys
import textwrap
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from daemon.errors import LeaseLostError
from daemon.store import change_rows
from daemon.store.columns import document_text
from daemon.store.database import Database, open_database
from daemon.store.index import SqlTargetIndex
from daemon.store.journal import SqlJournal
from daemon.store.leases import Leases, job_lease
from daemon.store.links import SqlLinks
from daemon.store.statements import execute, is_sqlite
from daemon.store.tables import metadata
from daemon.sync.change import Fate, Kind, Outcome, Reject
from daemon.sync.counts import Counts
from daemon.sync.journal import Journal
from daemon.sync.ports import Links, TargetIndex
from tests.contract.journal import WRITES, a_change, a_link, plan, send, settle
from tests.unit.store.places import HandClock, SqlWorld, other_owner

PROJECT = Path(__file__).parents[3]
AUTO = "sqlite_autoindex_changes_1"
NAMED = {AUTO: "pk_changes", "sqlite_autoindex_links_1": "uq_links_job_key"}
"""What SQLite calls by a number and PostgreSQL as we do."""


def dump(database: Database) -> dict[str, list[tuple[object, ...]]]:
    with database.read() as connection:
        found = {name: connection.execute(table.select()).all() for name, table in metadata.tables.items()}
        return {name: sorted((tuple(row) for row in rows), key=repr) for name, rows in found.items()}


def test_the_ports_are_kept(world: SqlWorld) -> None:
    ports: tuple[Journal, Links, TargetIndex] = (world.journal("run1"), world.links(), world.index("run1"))
    assert len(ports) == 3


class TestLostLease:
    @pytest.fixture
    def journal(self, world: SqlWorld, clock: HandClock) -> SqlJournal:
        """Return the journal of a process that slept while another one took its job."""
        journal = world.journal("run1")
        send(journal, a_change(1))
        plan(journal, a_change(2))
        clock.move(60)
        Leases(world.database, clock, other_owner()).acquire(job_lease(world.job))
        return journal

    def test_no_write_gets_through(self, world: SqlWorld, journal: SqlJournal) -> None:
        before = dump(world.database)
        done = Outcome(a_change(1), Fate.DONE, target_id="t1")
        writes: list[Callable[[], None]] = [
            lambda: journal.plan(
                [a_change(3)], links=[(a_link("a"), {})], rejects=[Reject("b", "c")], counts=Counts(1)
            ),
            lambda: journal.spoil("k2", Reject("k2", "twice"), Counts(seen=1)),
            lambda: journal.commit(sent=[a_change(2)], outcomes=[done], counts=Counts(seen=1)),
            lambda: journal.withhold([Kind.CREATE], "too many", Counts(seen=1)),
            lambda: journal.resolve([done]),
        ]
        for write in writes:
            with pytest.raises(LeaseLostError, match="job/people: another process took over"):
                write()
        assert dump(world.database) == before

    def test_reading_goes_on(self, journal: SqlJournal) -> None:
        assert [change.seq for change in journal.planned(WRITES)] == [2]

    def test_a_lease_taken_again_by_the_same_process_is_another(self, world: SqlWorld, clock: HandClock) -> None:
        journal = world.journal("run1")
        world.leases.release(world.lease)
        world.leases.acquire(job_lease(world.job))
        with pytest.raises(LeaseLostError):
            plan(journal, a_change(1))

    def test_a_lease_that_ran_out_and_nobody_took_is_still_ours(self, world: SqlWorld, clock: HandClock) -> None:
        journal = world.journal("run1")
        clock.move(600)
        plan(journal, a_change(1))
        assert world.leases.is_held(world.lease.name, owner=world.lease.owner, fence=world.lease.fence)


class TestPlanning:
    def test_a_plan_touches_nothing_but_its_scratch(self, world: SqlWorld, clock: HandClock) -> None:
        before = dump(world.database)
        with Database.scratch() as scratch:
            journal = SqlJournal(scratch, run="plan", job="people", clock=clock, lease=None, links_are_kept=False)
            journal.plan([a_change(1)], links=[(a_link("a"), {"a": 1})], rejects=[Reject("b", "c")], counts=Counts(2))
            journal.withhold([Kind.DELETE], "too many", Counts())
            assert journal.known(["k1", "a", "b"]) == {"k1": Fate.PLANNED, "b": None}
            assert list(journal.changes()) == [a_change(1)]
            assert journal.tally() == {(Kind.CREATE, Fate.PLANNED): 1}
            assert journal.unresolved() == ()
            assert SqlLinks(scratch, "people", clock=clock).count() == 0
        assert dump(world.database) == before

    def test_all_changes_can_be_read_whatever_their_fate(self, world: SqlWorld) -> None:
        journal = world.journal("run1")
        plan(journal, *(a_change(seq) for seq in range(1, 2002)))
        journal.commit(sent=[a_change(1)], outcomes=(), counts=Counts())
        found = list(journal.changes())
        assert [change.seq for change in found] == list(range(1, 2002))
        assert found[0].fate is Fate.SENT


class TestMemory:
    def test_documents_need_not_be_kept(self, world: SqlWorld) -> None:
        journal = world.journal("run1", documents_are_kept=False)
        send(journal, a_change(1))
        settle(journal, Outcome(a_change(1), Fate.DONE, target_id="t1"))
        journal.plan((), links=[(a_link("a"), {"a": 1})], rejects=(), counts=Counts())
        assert world.links().count() == 2
        assert dump(world.database)["documents"] == []

    def test_jobs_do_not_see_each_other(self, world: SqlWorld, database: Database, clock: HandClock) -> None:
        other = SqlWorld(database, clock, job="teams")
        for one in (world, other):
            journal = one.journal(f"run of {one.job}")
            send(journal, a_change(1, run=one.job))
            journal.plan((), links=[(a_link("a", target_id=one.job), {"job": one.job})], rejects=(), counts=Counts())
        assert world.links().by_key(["a"])["a"].target_id == "people"
        assert other.links().count() == 1
        assert [link.target_id for link in other.links().range(0, 100, 10)] == ["teams"]
        assert len(world.journal("later").unresolved()) == 1

    def test_documents_of_other_mappings_are_kept(self) -> None:
        from types import MappingProxyType

        frozen = MappingProxyType({"a": MappingProxyType({"b": Decimal("1.0")})})
        assert document_text(frozen) == '{"a":{"b":1.0}}'

    @pytest.mark.parametrize("value", ["\ud800", object()])
    def test_what_json_cannot_say_is_refused(self, value: object) -> None:
        with pytest.raises(ValueError, match="cannot be kept as JSON"):
            document_text({"a": value})

    def test_the_index_is_cleared_at_start_and_end(self, world: SqlWorld) -> None:
        from daemon.sync.ports import TargetRecord

        left_by_a_crash = SqlTargetIndex(world.database, "run1")
        left_by_a_crash.put([TargetRecord("1", "a", {}, None)])
        with world.index("run1") as index:
            assert index.count() == 0


class TestKill:
    def test_what_a_killed_process_sent_is_found(self, world: SqlWorld, state_url: str) -> None:
        world.leases.release(world.lease)
        script = textwrap.dedent(
            """
            import os, signal, sys
            from daemon.store.database import open_database
            from daemon.sync.counts import Counts
            from tests.contract.journal import a_change
            from tests.unit.store.places import HandClock, SqlWorld
            world = SqlWorld(open_database(sys.argv[1]), HandClock())
            journal = world.journal("run1")
            changes = [a_change(n) for n in range(1, 6)]
            journal.plan(changes, links=(), rejects=(), counts=Counts(seen=5, pending=5))
            journal.commit(sent=changes[:2], outcomes=(), counts=Counts(seen=5, pending=5))
            with world.database.write() as connection:
                connection.exec_driver_sql("UPDATE changes SET fate = 'done'")
                os.kill(os.getpid(), signal.SIGKILL)
            """
        )
        killed = subprocess.run([sys.executable, "-c", script, state_url], cwd=PROJECT, check=False, timeout=60)
        assert killed.returncode == -9
        with open_database(state_url) as database:
            again = SqlWorld(database, world.clock)  # at once: the holder is dead
            assert [change.key for change in again.journal("run2").unresolved()] == ["k1", "k2"]
            assert again.journal("run1").tally() == {(Kind.CREATE, Fate.SENT): 2, (Kind.CREATE, Fate.PLANNED): 3}
            assert again.lease.fence == world.lease.fence + 2


MANY_LINKS = (
    "INSERT INTO links (job, key, target_id, fingerprint, raw, owned) "
    "SELECT '1', 'k' || n, 't', '', '', true FROM generate_series(1, 2000) AS n"
)

MANY_CHANGES = (
    "INSERT INTO changes "
    "(run, seq, job, kind, key, fields, fingerprint, raw, owned, idempotency_key, fate, updated_at) "
    "SELECT '1', n, '1', 'create', 'k' || n, '', '', '', true, n, 'done', '' FROM generate_series(1, 2000) AS n"
)


class TestSpeed:
    """The hot queries use the index that was made for them, whatever the size."""

    @pytest.mark.parametrize(
        ("index", "sql"),
        [
            ("ix_changes_planned", change_rows.PLANNED),
            ("ix_changes_open", change_rows.UNRESOLVED),
            ("ix_changes_open", change_rows.BY_IDEMPOTENCY_KEY),
            (AUTO, change_rows.BY_SEQ),
            (AUTO, change_rows.ALL),
            ("ix_changes_run_key", "SELECT key, fate, seq FROM changes WHERE run = ? AND key IN (?, ?)"),
            ("sqlite_autoindex_links_1", "SELECT * FROM links WHERE job = ? AND key IN (?, ?)"),
            ("ix_links_job_id", "SELECT * FROM links WHERE id > ? AND id <= ? AND job = ? ORDER BY id LIMIT ?"),
            ("ix_target_records_run_match_key", "SELECT * FROM target_records WHERE run = ? AND match_key IN (?, ?)"),
            ("ix_runs_job_id", "SELECT * FROM runs WHERE job = ? AND is_complete ORDER BY id DESC LIMIT ?"),
        ],
    )
    def test_the_index_is_used(self, database: Database, index: str, sql: str) -> None:
        with database.read() as connection:
            if not is_sqlite(connection):
                execute(connection, "SET enable_seqscan = off")  # what it would rather do with an empty table
                if index == "ix_changes_run_key":  # the others are of few changes, or of all
                    execute(connection, MANY_CHANGES)
                    execute(connection, "ANALYZE changes")
                execute(connection, MANY_LINKS)
                execute(connection, "ANALYZE links")
                plan = "\n".join(execute(connection, f"EXPLAIN {sql}", ("1",) * sql.count("?")).scalars().all())
                # In an empty table each index that begins with the run is as good as another.
                assert NAMED.get(index, index) in plan or (index == AUTO and "ix_changes_run_key" in plan)
                return
            steps = [row[3] for row in execute(connection, f"EXPLAIN QUERY PLAN {sql}", (None,) * sql.count("?"))]
        assert index in steps[0]
        # The few changes that are open may be sorted; nothing else may.
        assert index == "ix_changes_open" or "USE TEMP B-TREE FOR ORDER BY" not in steps
