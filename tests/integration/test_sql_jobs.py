"""Whole jobs with a database on one side: API → table, and query → API, each on SQLite and on PostgreSQL."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from daemon.app import open_app
from daemon.errors import ConfigError, Exit
from daemon.spec import SpecError
from daemon.sync.guards import Allowance
from daemon.sync.outcome import Ending
from tests.fakes.misbehaving import MisbehavingServer
from tests.integration.harness import Desk, wrote
from tests.unit.endpoints.databases import Place, PostgresPlace, SqlitePlace

ONE = pytest.mark.parametrize("place", ["sqlite"], indirect=True)
"""For what does not depend on the kind of database."""
TABLE = (
    "CREATE TABLE people (external_id VARCHAR(20) PRIMARY KEY, name VARCHAR(20) NOT NULL, email VARCHAR(40) UNIQUE, "
    "note VARCHAR(20) DEFAULT 'by the table')"
)
PAGES = {"type": "cursor", "param": "cursor", "next": "data.next_cursor", "total": "data.total"}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[MisbehavingServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with MisbehavingServer(seed=7) as server:
        yield server


def person(number: int, **fields: Any) -> dict[str, Any]:
    return {"external_id": f"E{number}", "name": f"Name {number}", "email": f"p{number}@example.test", **fields}


def to_table(api: MisbehavingServer, place: Place, **job: Any) -> dict[str, Any]:
    """Return the job that keeps a table in step with the API."""
    target = {"connection": "db", "table": "people", **job.pop("target", {})}
    return {
        "connections": {"api": {"host": api.url}, "db": {"type": "sql", "url": place.url}},
        "jobs": {
            "people": {
                "mode": "mirror",
                "source": {"connection": "api", "read": "people", "records": "data.items", "paginate": PAGES},
                "key": "record.external_id",
                "map": {name: f"record.{name}" for name in ("external_id", "name", "email")},
                "target": target,
                **job,
            }
        },
    }


def to_api(api: MisbehavingServer, place: Place, **job: Any) -> dict[str, Any]:
    """Return the job that keeps the API in step with a query."""
    source = {"connection": "db", "query": "SELECT external_id, name, email FROM people ORDER BY external_id"}
    return {
        "connections": {"api": {"host": api.url}, "db": {"type": "sql", "url": place.url}},
        "jobs": {
            "people": {
                "mode": "mirror",
                "source": {**source, **job.pop("source", {})},
                "key": "record.external_id",
                "target": {
                    "connection": "api",
                    "match": "external_id",
                    "lookup": {"uri": "users", "params": {"external_id": "{{ key }}"}, "records": "users"},
                    "create": "users",
                    "update": {"uri": "users/{{ target.id }}", "body": "changed"},
                    "delete": "users/{{ target.id }}",
                },
                **job,
            }
        },
    }


def held(place: Place) -> dict[str, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in place.run("SELECT external_id, name, email, note FROM people")}


@pytest.mark.edge(37)
def test_an_api_is_mirrored_into_a_table(api: MisbehavingServer, place: Place, tmp_path: Path) -> None:
    place.run(TABLE, "INSERT INTO people VALUES ('E3', 'Old name', 'p3@example.test', 'by hand')")
    place.run("INSERT INTO people VALUES ('F1', 'Nobody''s business', NULL, NULL)")
    people = api.collection("people", paging="cursor", page_size=5)
    people.put(person(number) for number in range(12))
    desk = Desk(tmp_path, to_table(api, place))

    first = desk.run().result
    again = desk.run().result
    people.put([person(5, name="Changed")])
    people.remove("E3")
    people.remove("E7")
    third = desk.run().result

    assert (first.ending, wrote(first.counts), first.counts.adopted) == (Ending.DONE, (11, 1, 0), 1)
    assert (again.ending, wrote(again.counts), again.counts.unchanged) == (Ending.DONE, (0, 0, 0), 12)
    assert (third.ending, wrote(third.counts)) == (Ending.DONE, (0, 1, 1))
    rows = held(place)
    assert rows["E5"] == ("Changed", "p5@example.test", "by the table")
    assert rows["E3"] == ("Name 3", "p3@example.test", "by hand")  # was there before us, so it is not deleted
    assert rows["F1"][0] == "Nobody's business"
    assert set(rows) == {f"E{number}" for number in range(12)} - {"E7"} | {"F1"}


def test_a_table_is_mirrored_into_an_api(api: MisbehavingServer, place: Place, tmp_path: Path) -> None:
    place.run(TABLE)
    place.run(*(f"INSERT INTO people VALUES ('E{n}', 'Name {n}', 'p{n}@example.test', NULL)" for n in range(25)))
    users = api.collection("users", paging="page")
    desk = Desk(tmp_path, to_api(api, place, source={"page_size": 10}))

    first, again = desk.run().result, desk.run().result
    place.run("UPDATE people SET name = 'Changed' WHERE external_id = 'E4'", "DELETE FROM people WHERE name = 'Name 9'")
    third = desk.run().result

    assert (wrote(first.counts), str(first.certificate)) == (
        (25, 0, 0),
        "complete: 25 records on 3 pages, ended by the last row",
    )
    assert wrote(again.counts) == (0, 0, 0)
    assert wrote(third.counts) == (0, 1, 1)
    assert {one["external_id"]: one["name"] for one in users.records()} == {
        f"E{n}": "Changed" if n == 4 else f"Name {n}" for n in range(25) if n != 9
    }


@pytest.mark.edge(37)
def test_what_a_table_refuses_is_a_reject_and_the_others_go_in(
    api: MisbehavingServer, place: Place, tmp_path: Path
) -> None:
    place.run(TABLE)
    people = api.collection("people", paging="cursor")
    people.put(person(number) for number in range(8))
    people.put([person(2, name="a name that is much too long"), person(4, email="p5@example.test"), person(6, name=7)])
    desk = Desk(tmp_path, to_table(api, place))

    result = desk.run().result

    assert (result.ending, result.counts.created, result.counts.rejected) == (Ending.REJECTED, 5, 3)
    reasons = desk.reasons()
    assert set(reasons) - {"E4", "E5"} == {"E2", "E6"}  # which of the two comes first is not said
    assert "people.name: it takes text of at most 20 characters, and what came is 28 characters" in reasons["E2"]
    assert "people.name: it takes text of at most 20 characters, and what came is the number 7" in reasons["E6"]
    people.put([person(2), person(4), person(6)])
    assert desk.run().result.ending is Ending.DONE
    assert len(held(place)) == 8


@ONE
def test_what_somebody_did_to_a_table_is_set_right(api: MisbehavingServer, place: Place, tmp_path: Path) -> None:
    place.run(TABLE)
    api.collection("people", paging="cursor").put(person(number) for number in range(4))
    desk = Desk(tmp_path, to_table(api, place, compare="target"))
    desk.run()
    place.run("UPDATE people SET name = 'By hand' WHERE external_id = 'E1'", "DELETE FROM people WHERE name = 'Name 2'")

    result = desk.run().result

    assert wrote(result.counts) == (1, 1, 0)
    assert {key: row[0] for key, row in held(place).items()} == {f"E{number}": f"Name {number}" for number in range(4)}


@ONE
def test_a_row_that_somebody_removed_is_made_again_when_it_changes(
    api: MisbehavingServer, place: Place, tmp_path: Path
) -> None:
    place.run(TABLE)
    people = api.collection("people", paging="cursor")
    people.put(person(number) for number in range(4))
    desk = Desk(tmp_path, to_table(api, place))
    desk.run()
    place.run("DELETE FROM people WHERE external_id = 'E1'")
    people.put([person(1, name="Changed")])

    assert desk.run().result.ending is Ending.DONE

    assert held(place)["E1"][0] == "Changed"


def test_a_plan_makes_no_table_and_no_row(api: MisbehavingServer, place: Place, tmp_path: Path) -> None:
    api.collection("people", paging="cursor").put(person(number) for number in range(3))
    made = {"create_table": True, "match": "external_id", "columns": {"external_id": "text(20)", "name": "text"}}
    job = to_table(api, place, target=made, map={"external_id": "record.external_id", "name": "record.name"})
    desk = Desk(tmp_path, job)

    planned = desk.plan()
    there = {
        "sqlite": "SELECT name FROM sqlite_master",
        "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
    }[place.dialect]
    assert (planned.counts.pending, place.run(there)) == (3, [])

    assert wrote(desk.run().result.counts) == (3, 0, 0)
    assert sorted(place.run("SELECT external_id, name FROM people")) == [(f"E{n}", f"Name {n}") for n in range(3)]
    assert wrote(desk.run().result.counts) == (0, 0, 0)


@pytest.mark.parametrize("incremental", [False, True])
def test_a_table_that_is_gone_is_not_made_anew_as_if_its_rows_were_in_it(
    incremental: bool, api: MisbehavingServer, place: Place, tmp_path: Path
) -> None:
    api.collection("people", paging="cursor").put(person(number) for number in range(3))
    made = {"create_table": True, "match": "external_id", "columns": {"external_id": "text(20)", "name": "text"}}
    job = to_table(api, place, target=made, map={"external_id": "record.external_id", "name": "record.name"})
    if incremental:
        job["jobs"]["people"]["source"]["incremental"] = {"field": "no", "type": "number"}
        job["jobs"]["people"]["source"]["params"] = {"no_since": "{{ cursor.start }}"}
    desk = Desk(tmp_path, job)
    desk.run()
    place.run("DROP TABLE people")

    for look in (desk.plan, desk.run):
        with pytest.raises(ConfigError, match="there is no table people, and at the last run there was one") as told:
            look()
    job["jobs"]["people"]["compare"] = "target"
    desk.write(job)

    assert ("--full" in str(told.value)) is incremental
    assert wrote(desk.run(full=incremental).result.counts) == (3, 0, 0)
    assert len(place.run("SELECT external_id FROM people")) == 3


@pytest.mark.edge(43)
def test_another_table_in_the_job_file_is_filled_though_every_record_is_remembered(
    api: MisbehavingServer, place: Place, tmp_path: Path
) -> None:
    api.collection("people", paging="cursor").put(person(number) for number in range(3))
    made = {"create_table": True, "match": "external_id", "columns": {"external_id": "text(20)", "name": "text"}}
    job = to_table(api, place, target=made, map={"external_id": "record.external_id", "name": "record.name"})
    job["jobs"]["people"]["guards"] = {"updates": "100%"}
    desk = Desk(tmp_path, job)
    desk.run()
    job["jobs"]["people"]["target"]["table"] = "others"
    desk.write(job)

    result = desk.run().result

    assert wrote(result.counts) == (3, 0, 0), result
    assert len(place.run("SELECT external_id FROM others")) == 3
    assert wrote(desk.run().result.counts) == (0, 0, 0)


@ONE
@pytest.mark.edge(37)
def test_a_table_that_was_altered_between_runs_stops_the_next_one_before_it_writes(
    api: MisbehavingServer, place: Place, tmp_path: Path
) -> None:
    place.run(TABLE)
    people = api.collection("people", paging="cursor")
    people.put([person(1)])
    desk = Desk(tmp_path, to_table(api, place))
    desk.run()
    place.run("ALTER TABLE people RENAME COLUMN name TO full_name")

    with pytest.raises(ConfigError, match=r"column name \(VARCHAR\(20\)\), which the map names, was there at the last"):
        desk.run()
    with pytest.raises(ConfigError, match="people does not fit the job"):
        desk.plan()


@ONE
def test_guards_stand_before_a_table_as_before_any_target(api: MisbehavingServer, place: Place, tmp_path: Path) -> None:
    place.run(TABLE)
    people = api.collection("people", paging="cursor")
    people.put(person(number) for number in range(12))
    desk = Desk(tmp_path, to_table(api, place))
    desk.run()
    for number in range(8):
        people.remove(f"E{number}")

    held_back = desk.run().result
    rows = len(held(place))
    let_pass = desk.run(allowance=Allowance(deletes=8)).result

    assert (held_back.ending, held_back.counts.deletes_withheld, rows) == (Ending.HELD, 8, 12)
    assert (let_pass.ending, let_pass.counts.deleted, len(held(place))) == (Ending.DONE, 8, 4)


@ONE
def test_an_unfinished_source_query_deletes_nothing(api: MisbehavingServer, place: Place, tmp_path: Path) -> None:
    place.run(TABLE)
    place.run(*(f"INSERT INTO people VALUES ('E{n}', 'Name {n}', NULL, NULL)" for n in range(6)))
    users = api.collection("users", paging="page")
    desk = Desk(tmp_path, to_api(api, place))
    desk.run()
    place.run("DROP TABLE people")

    result = desk.run().result

    assert result.ending is Ending.FAILED
    assert "people" in result.error
    assert not result.certificate.issued
    assert len(users.records()) == 6


@ONE
def test_explain_shows_the_row_that_would_be_written(api: MisbehavingServer, place: Place, tmp_path: Path) -> None:
    place.run(TABLE)
    people = api.collection("people", paging="cursor")
    people.put([person(1)])
    desk = Desk(tmp_path, to_table(api, place))
    desk.run()
    people.put([person(1, name="Changed"), person(2)])

    with open_app(desk.settings) as app:
        update, create = (app.explain("people", key) for key in ("E1", "E2"))

    (sent,) = update.requests
    assert (sent.method, sent.url, json.loads(sent.body)) == ("UPDATE", "db: people E1", {"name": "Changed"})
    (sent,) = create.requests
    assert (sent.method, sent.url, json.loads(sent.body)) == ("INSERT", "db: people", person(2))
    assert update.target.records[0].document["name"] == "Name 1"


# ---- addresses and secrets ---------------------------------------------------------------------------------------


@pytest.mark.servers
@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_a_password_in_an_address_is_in_no_error(api: MisbehavingServer, place: Place, tmp_path: Path) -> None:
    assert isinstance(place, PostgresPlace)
    secret = "canary-pa55 of:a@database"
    url = place.server.url_by_tcp(place.database, user="nobody", password="canary-pa55%20of%3Aa%40database")
    spec = to_table(api, place)
    spec["connections"]["db"]["url"] = {"env": "DB_URL"}
    api.collection("people", paging="cursor").put([person(1)])
    desk = Desk(tmp_path, spec, secrets={"DB_URL": url})

    refused = desk.run().result
    desk.environment["DB_URL"] = url.replace(str(place.server.port), "1")
    away = desk.run().result

    assert (refused.ending, away.ending) == (Ending.FAILED, Ending.UNAVAILABLE)
    assert "check the user and the password in the connection's url" in refused.error
    assert secret not in refused.error + away.error
    assert "canary" not in refused.error + away.error


def problems(tmp_path: Path, connection: Mapping[str, Any], **job: Any) -> str:
    spec: dict[str, Any] = {
        "connections": {"db": {"type": "sql", **connection}, "api": {"host": "http://127.0.0.1"}},
        "jobs": {"people": {"key": "record.id", **job}} if job else {},
    }
    desk = Desk(tmp_path, spec)
    with pytest.raises(SpecError) as caught, open_app(desk.settings):
        pass
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("warehouse.db", "not an address of a database"),
        ("postgresql://me:canary-pw@host/db", "a password does not belong in an address"),
        ("sqlite://", "a database in memory keeps nothing"),
        ("sqlite:///:memory:", "a database in memory keeps nothing"),
    ],
)
def test_an_address_is_checked_before_any_run(tmp_path: Path, url: str, words: str) -> None:
    said = problems(tmp_path, {"url": url})

    assert words in said
    assert "canary" not in said


QUERY = {"connection": "db", "query": "SELECT id FROM people"}
TARGET = {"connection": "db", "table": "people"}


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"source": {**QUERY, "query": "DELETE FROM people"}, "target": TARGET}, "begin the query with SELECT or WITH"),
        ({"source": {**QUERY, "query": "SELECT 1; DROP TABLE x"}, "target": TARGET}, "more than one statement"),
        ({"source": {**QUERY, "query": "-- x\n/* y */ drop table x"}, "target": TARGET}, "a source only reads"),
        (
            {"source": {**QUERY, "query": "SELECT id FROM a WHERE b > :cursor_start"}, "target": TARGET},
            "nothing is known here as :cursor_start",
        ),
        ({"source": {**QUERY, "timezone": "Europe/Berlyn"}, "target": TARGET}, "did you mean 'Europe/Berlin'?"),
        ({"source": QUERY, "target": {**TARGET, "table": "a.b.c"}}, "write its name, or schema.name"),
        ({"source": QUERY, "target": {**TARGET, "create_table": True}}, "create_table needs target.columns"),
        ({"source": QUERY, "target": {**TARGET, "columns": {"id": "text"}}}, "goes with create_table: true"),
        (
            {
                "source": QUERY,
                "map": {"id": "record.id", "name": "record.name"},
                "target": {**TARGET, "create_table": True, "match": "id", "columns": {"id": "text"}},
            },
            "target.columns has no 'name'",
        ),
        (
            {"source": QUERY, "target": {**TARGET, "create_table": True, "match": "id", "columns": {"id": "varchar"}}},
            "not a type of a column",
        ),
    ],
)
def test_a_query_and_a_table_are_checked_before_any_run(tmp_path: Path, job: dict[str, Any], words: str) -> None:
    assert words in problems(tmp_path, {"url": "sqlite:///x.db"}, **job)


def test_a_query_with_texts_comments_and_casts_passes(tmp_path: Path) -> None:
    text = "(SELECT ';' AS a, b::text, '10:30 :x' FROM t /* ; :y */ -- ;\n);"
    spec = {
        "connections": {"db": {"type": "sql", "url": "sqlite:///x.db"}},
        "jobs": {"people": {"key": "record.a", "source": {**QUERY, "query": text}, "target": TARGET}},
    }
    with open_app(Desk(tmp_path, spec).settings) as app:
        assert app.job("people").source.connection == "db"


def test_a_file_or_a_driver_that_is_not_there_is_told(api: MisbehavingServer, tmp_path: Path) -> None:
    api.collection("people", paging="cursor").put([person(1)])
    place = SqlitePlace(tmp_path / "data.db")
    spec = to_table(api, place)
    spec["connections"]["db"]["url"] = "sqlite:///none.db"
    desk = Desk(tmp_path, spec)
    with pytest.raises(ConfigError, match=r"there is no file .*none\.db"):
        desk.run()

    for url, words in (("mysql+pymysql://h/d", "needs the package pymysql"), ("frob://h/d", "no kind of database")):
        spec["connections"]["db"]["url"] = url
        desk.write(spec)
        with pytest.raises(ConfigError, match=words) as caught:
            desk.run()
        assert caught.value.exit is Exit.CONFIG
