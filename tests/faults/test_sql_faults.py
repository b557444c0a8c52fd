"""Databases that go away, are locked or full, and processes that die: no row is lost, doubled or forgotten."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from daemon.endpoints.sql.link import SqlLink
from daemon.errors import AuthError, UnavailableError, UnknownError
from daemon.sync.change import Change, Kind
from daemon.sync.outcome import Ending
from daemon.sync.ports import Written
from daemon.upkeep import generate_key
from tests.fakes.misbehaving import MisbehavingServer
from tests.faults.processes import nursery
from tests.faults.steps import Order
from tests.integration.harness import Desk, wrote
from tests.integration.test_sql_jobs import person as one_of
from tests.integration.test_sql_jobs import to_table
from tests.servers.cutting_proxy import CuttingProxy
from tests.unit.endpoints.databases import PostgresPlace, SqlitePlace, linked
from tests.unit.endpoints.rig import change
from tests.unit.endpoints.sql_rig import link, query, sent, table

if TYPE_CHECKING:
    from tests.servers.postgres import Postgres
    from tests.unit.endpoints.databases import Place

TABLE = "CREATE TABLE people (external_id VARCHAR(20) PRIMARY KEY, name VARCHAR(20) NOT NULL, email VARCHAR(40))"
POSTGRES = pytest.mark.parametrize("place", [pytest.param("postgres", marks=pytest.mark.servers)], indirect=True)
SQLITE = pytest.mark.parametrize("place", ["sqlite"], indirect=True)


def person(number: int, name: str = "Ada") -> Change:
    return change(key=f"E{number}", document={"external_id": f"E{number}", "name": name})


def keys(place: "Place") -> list[str]:
    return sorted(row[0] for row in place.run("SELECT external_id FROM people"))


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[MisbehavingServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with MisbehavingServer(seed=7) as server:
        yield server


@pytest.fixture
def line(postgres: "Postgres") -> Iterator[CuttingProxy]:
    with CuttingProxy(postgres.folder / f".s.PGSQL.{postgres.port}") as proxy:
        yield proxy


# ---- a line that is cut ------------------------------------------------------------------------------------------


@POSTGRES
@pytest.mark.edge(37)
@pytest.mark.parametrize(("cut", "kept"), [("before", []), ("after", ["E1", "E2"])])
def test_a_commit_whose_answer_is_lost_is_unknown(
    place: "Place", line: CuttingProxy, cut: str, kept: list[str]
) -> None:
    assert isinstance(place, PostgresPlace)
    place.run(TABLE)
    db = link(line.url(place.database))
    line.cut = cut

    with pytest.raises(UnknownError, match="the answer to the commit was lost"):
        table(db).write([person(1), person(2)])

    assert keys(place) == kept
    # What is looked up next comes over a new line.
    assert [one.id for one in table(db).lookup("E1", {})] == kept[:1]
    db.close()


@POSTGRES
@pytest.mark.edge(37)
@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_run_whose_commit_got_no_answer_looks_and_doubles_nothing(
    api: MisbehavingServer, place: "Place", line: CuttingProxy, cut: str, tmp_path: Path
) -> None:
    assert isinstance(place, PostgresPlace)
    place.run(TABLE)
    api.collection("people", paging="cursor").put(one_of(number) for number in range(3))
    job = to_table(api, place)
    job["connections"]["db"]["url"] = line.url(place.database)
    desk = Desk(tmp_path, job)
    line.cut = cut

    first, again = desk.run().result, desk.run().result

    assert {first.ending, again.ending} <= {Ending.DONE, Ending.UNAVAILABLE, Ending.REJECTED}
    assert again.ending is Ending.DONE
    assert first.counts.adopted == again.counts.adopted == 0
    assert keys(place) == ["E0", "E1", "E2"]
    assert wrote(desk.run().result.counts) == (0, 0, 0)


@POSTGRES
def test_connections_that_the_server_ended_are_made_anew(place: "Place") -> None:
    place.run(TABLE)
    with linked(place) as db:
        target = table(db)
        target.create(person(1))
        place.run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'crudsd'")

        target.create(person(2))

    assert keys(place) == ["E1", "E2"]


@POSTGRES
def test_a_connection_that_is_cut_before_the_commit_kept_nothing(place: "Place") -> None:
    place.run(
        TABLE,
        "CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.name = 'away' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$",
        "CREATE TRIGGER away BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION away()",
    )
    with linked(place) as db:
        target = table(db)
        with pytest.raises(UnavailableError):
            target.write([person(1), person(2, "away"), person(3)])
        assert keys(place) == []
        assert isinstance(target.create(person(1)), Written)


@POSTGRES
def test_what_comes_after_the_part_that_was_kept_has_the_error_in_its_place(place: "Place") -> None:
    place.run(
        TABLE,
        "CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.name = 'away' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$",
        "CREATE TRIGGER away BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION away()",
        "ALTER TABLE people ADD CHECK (name <> 'bad')",
    )
    with linked(place) as db:
        # The bad one is refused first, so that the batch is halved; then the server goes away in the second half.
        answers = sent(table(db), [person(1, "bad"), person(2), person(3, "away"), person(4)])

    told = [type(answer).__name__ for answer in answers]
    assert told == ["RefusedError", "Written", "UnavailableError", "UnavailableError"]
    assert keys(place) == ["E2"]


# ---- contention --------------------------------------------------------------------------------------------------


@SQLITE
def test_a_locked_file_ends_the_run_and_the_next_one_finishes_the_work(
    api: MisbehavingServer, place: "Place", tmp_path: Path
) -> None:
    assert isinstance(place, SqlitePlace)
    place.run(TABLE)
    api.collection("people", paging="cursor").put(one_of(number) for number in range(3))
    job = to_table(api, place)
    job["connections"]["db"]["timeout"] = {"lock": "50ms"}
    desk = Desk(tmp_path, job)
    with closing(sqlite3.connect(place.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        away = desk.run().result

    assert (away.ending, keys(place)) == (Ending.UNAVAILABLE, [])
    assert "another program has locked it" in away.error
    assert wrote(desk.run().result.counts) == (3, 0, 0)


@POSTGRES
def test_a_locked_row_is_waited_for_and_then_told(place: "Place") -> None:
    assert isinstance(place, PostgresPlace)
    place.run(TABLE, "INSERT INTO people VALUES ('E1', 'Ada')")
    update = change(Kind.UPDATE, target_id="E1", document={"name": "new"}, fields=("name",))
    with linked(place, timeout={"lock": "50ms"}) as db:
        with place.server.admin(place.database) as other, other.transaction():
            other.execute("SELECT * FROM people FOR UPDATE")
            with pytest.raises(UnavailableError, match="lock"):
                table(db).update(update)
        assert table(db).update(update) == Written("E1")


@SQLITE
def test_a_full_disk_keeps_what_was_committed(place: "Place") -> None:
    place.run(TABLE)
    with linked(place) as db:
        target = table(db)
        target.write([person(number) for number in range(10)])
        fill_up(db)

        with pytest.raises(UnavailableError, match="the disk is full"):
            target.write([change(key=f"L{n}", document={"external_id": f"L{n}", "name": "x" * 20}) for n in range(500)])

    assert keys(place) == sorted(f"E{number}" for number in range(10))


@POSTGRES
def test_a_statement_that_takes_too_long_is_an_outage(place: "Place") -> None:
    with linked(place, timeout={"statement": "50ms"}) as db:
        with pytest.raises(UnavailableError, match=r"raise timeout\.statement of the connection"):
            list(query(db, "SELECT 1 AS one, pg_sleep(30)::text AS slept").read())
        assert len(list(query(db, "SELECT 1 AS one").read())) == 2


@POSTGRES
@pytest.mark.edge(37)
@pytest.mark.parametrize(("times", "kept"), [(2, ["E1"]), (9, [])])
def test_a_transaction_that_met_another_one_is_made_again_a_few_times(
    place: "Place", times: int, kept: list[str]
) -> None:
    place.run(
        TABLE,
        "CREATE SEQUENCE tries",
        "CREATE FUNCTION clash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF nextval('tries') <= {times} THEN RAISE 'deadlock' USING ERRCODE = '40P01'; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER clash BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION clash()",
    )
    with linked(place) as db:
        if kept:
            table(db).create(person(1))
        else:
            with pytest.raises(UnavailableError, match="deadlock"):
                table(db).create(person(1))

    assert keys(place) == kept


@pytest.mark.edge(37)
def test_a_rule_that_speaks_only_at_the_commit_costs_its_own_row_alone(place: "Place") -> None:
    late = "REFERENCES staff (id) DEFERRABLE INITIALLY DEFERRED"
    place.run(f"CREATE TABLE staff (id INTEGER PRIMARY KEY, boss INTEGER {late})")
    staff = [change(key=str(n), document={"id": n, "boss": boss}) for n, boss in ((1, None), (2, 99), (3, 1))]
    with linked(place) as db:
        answers = sent(table(db, "staff"), staff)

    assert [type(answer).__name__ for answer in answers] == ["Written", "RefusedError", "Written"]
    assert sorted(place.run("SELECT id FROM staff")) == [(1,), (3,)]


@POSTGRES
def test_what_the_role_may_not_do_stops_the_run(place: "Place") -> None:
    assert isinstance(place, PostgresPlace)
    place.run(
        TABLE, "CREATE ROLE looker LOGIN", "GRANT USAGE ON SCHEMA public TO looker", "GRANT SELECT ON people TO looker"
    )
    db = link(place.server.url(place.database, user="looker"))
    try:
        with pytest.raises(AuthError, match="permission denied for table people; grant it"):
            table(db).create(person(1))
    finally:
        db.close()
        place.run("DROP OWNED BY looker", "DROP ROLE looker")


@POSTGRES
def test_a_password_that_was_rotated_is_used_by_the_next_connection(place: "Place") -> None:
    assert isinstance(place, PostgresPlace)
    place.run("CREATE ROLE rotated LOGIN PASSWORD 'canary-first-password'")
    environment = {"URL": place.server.url_by_tcp(place.database, user="rotated", password="canary-first-password")}
    db = link("URL", environment=environment)
    try:
        assert len(list(query(db, "SELECT 1 AS one").read())) == 2
        place.run(
            "ALTER ROLE rotated PASSWORD 'canary-second-password'",
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'rotated'",
        )
        with pytest.raises(AuthError, match="check the user and the password") as caught:
            list(query(db, "SELECT 1 AS one").read())
        environment["URL"] = environment["URL"].replace("first", "second")
        assert len(list(query(db, "SELECT 1 AS one").read())) == 2
    finally:
        db.close()
        place.run("DROP ROLE rotated")
    assert "canary" not in str(caught.value)


def fill_up(db: SqlLink) -> None:
    """Let the file not grow any more."""

    @event.listens_for(vars(db)["_engine"], "checkout")
    def full(driver: Any, *_: object) -> None:
        driver.execute("PRAGMA max_page_count=1")


# ---- a process that dies -----------------------------------------------------------------------------------------

STRUCK = ("Target.create after", "Target.create before", "Target.update after", "Target.delete after",
          "Target.write after", "Journal.commit after")  # fmt: skip


@pytest.mark.edge(37)
def test_a_run_that_is_killed_between_the_commit_and_the_journal_is_made_good(
    api: MisbehavingServer, tmp_path: Path, long: bool
) -> None:
    place = SqlitePlace(tmp_path / "data.db")
    place.run(TABLE)
    people = api.collection("people", paging="cursor")
    people.put(one_of(number) for number in range(6))
    folder = tmp_path / "desk"
    folder.mkdir()
    job = to_table(api, place, guards={"deletes": "100%", "updates": "100%"})
    (folder / "crudsd.yaml").write_text(json.dumps({"version": 1, **job}))
    generate_key(folder / "crudsd.key")
    with nursery() as warm:

        def run(order: Order | None = None) -> int:
            return warm.start(folder, ("run", "people"), environment={}, order=order).ended().code

        assert run() == 0
        people.put([one_of(1, name="Changed"), one_of(7), one_of(8)])
        people.remove("E3")
        kept = tmp_path / "kept"
        shutil.copytree(folder, kept)
        shutil.copy(place.path, tmp_path / "kept.db")
        assert run(Order(steps=str(tmp_path / "steps"))) == 0
        steps = [step for step in (tmp_path / "steps").read_text().splitlines() if step.startswith(STRUCK)]
        for step in steps if long else steps[::4]:
            shutil.rmtree(folder)
            shutil.copytree(kept, folder)
            shutil.copy(tmp_path / "kept.db", place.path)

            assert run(Order(at=step)) == -9, step
            assert run() == 0, step

            assert keys(place) == ["E0", "E1", "E2", "E4", "E5", "E7", "E8"], step
            assert place.run("SELECT name FROM people WHERE external_id = 'E1'") == [("Changed",)], step
            with closing(sqlite3.connect(folder / "crudsd.db")) as state:
                assert state.execute("SELECT count(*), min(owned) FROM links").fetchall() == [(7, 1)], step
                assert state.execute("SELECT count(*) FROM changes WHERE fate = 'sent'").fetchall() == [(0,)], step
    assert len(steps) >= 6
