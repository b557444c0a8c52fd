"""Rows by parents: a query that is asked once for each parent, from SQLite, by real threads into a state file."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from daemon.store.cursors import Cursors
from daemon.store.database import open_database
from daemon.sync.outcome import Ending
from tests.fakes.projects import ProjectsServer
from tests.integration.harness import Desk, wrote

TICKETS = "SELECT project, no, title, at FROM tickets WHERE project = :project_id ORDER BY no"
PARENTS = {"as": "project", "connection": "db", "query": "SELECT id, title FROM projects ORDER BY id"}
MANY = 40
"""Parents, many more than threads."""


@pytest.fixture
def server() -> Iterator[ProjectsServer]:
    with ProjectsServer({}) as server:
        yield server


class Rows:
    """A SQLite file with projects and their tickets."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "tracker.db"
        self.run("CREATE TABLE projects (id TEXT PRIMARY KEY, title TEXT)")
        self.run("CREATE TABLE tickets (project TEXT, no INTEGER, title TEXT, at INTEGER)")

    def run(self, sql: str, *rows: tuple[Any, ...]) -> None:
        with closing(sqlite3.connect(self.file)) as connection, connection:
            connection.executemany(sql, rows) if rows else connection.execute(sql)

    def fill(self, projects: int, each: int) -> None:
        names = [f"p{number:02}" for number in range(projects)]
        self.run("INSERT INTO projects VALUES (?, ?)", *((name, name.upper()) for name in names))
        self.run(
            "INSERT INTO tickets VALUES (?, ?, ?, ?)",
            *((name, no, f"ticket {no}", no) for name in names for no in range(each)),
        )


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    return Rows(tmp_path)


def spec(server: ProjectsServer, rows: Rows, for_each: Any = None, query: str = TICKETS, **job: Any) -> dict[str, Any]:
    source = {"connection": "db", "query": query, "page_size": 2, **job.pop("source", {})}
    return {
        "connections": {
            "db": {"type": "sql", "url": f"sqlite:///{rows.file}", "quota": {"concurrency": 6}},
            "desk": {"host": server.url},
        },
        "jobs": {
            "tickets": {
                "mode": "mirror",
                "for_each": for_each or PARENTS,
                "source": source,
                "key": ["project.id", "record.no"],
                "map": {"project": "project.id", "no": "record.no", "title": "record.title"},
                "target": {
                    "connection": "desk",
                    "match": "[project, no]",
                    "list": {"uri": "desk", "records": "records"},
                    "create": "desk",
                    "update": {"uri": "desk/{{ target.id }}", "body": "changed"},
                    "delete": "desk/{{ target.id }}",
                },
                "guards": {"deletes": "100%", "updates": "100%", "collapse": "0%"},
                **job,
            }
        },
    }


def held(server: ProjectsServer) -> Counter[str]:
    return Counter(record["project"] for record in server.desk.values())


def test_rows_of_many_parents_are_read_ahead_on_threads_and_none_is_lost_or_mixed_up(
    server: ProjectsServer, rows: Rows, tmp_path: Path
) -> None:
    rows.fill(MANY, 5)  # three pages each, so that a read goes on on another thread than it began on
    desk = Desk(tmp_path, spec(server, rows))

    first, again = desk.run("tickets").result, desk.run("tickets").result
    rows.run("DELETE FROM projects WHERE id = 'p07'")
    rows.run("UPDATE tickets SET title = 'new' WHERE project = 'p08' AND no = 4")
    third = desk.run("tickets").result

    assert (first.ending, wrote(first.counts), first.certificate.parts) == (Ending.DONE, (5 * MANY, 0, 0), MANY)
    assert (again.ending, wrote(again.counts), again.counts.unchanged) == (Ending.DONE, (0, 0, 0), 5 * MANY)
    assert (third.ending, wrote(third.counts)) == (Ending.DONE, (0, 1, 5))
    assert set(held(server).values()) == {5}
    assert len(held(server)) == MANY - 1


def test_rows_are_asked_for_by_each_value_of_a_list(server: ProjectsServer, rows: Rows, tmp_path: Path) -> None:
    rows.fill(3, 2)
    query = TICKETS.replace(":project_id", ":project")
    job = spec(server, rows, {"as": "project", "in": ["p00", "p02", "p'; DROP TABLE tickets; --"]}, query)
    job["jobs"]["tickets"].update(
        key=["project", "record.no"], map={"project": "project", "no": "record.no", "title": "record.title"}
    )

    result = Desk(tmp_path, job).run("tickets").result

    assert (result.ending, wrote(result.counts), result.certificate.parts) == (Ending.DONE, (4, 0, 0), 3)
    assert held(server) == {"p00": 2, "p02": 2}


def test_each_parent_of_rows_has_a_cursor_of_its_own(server: ProjectsServer, rows: Rows, tmp_path: Path) -> None:
    rows.fill(3, 3)
    increments = {"field": "at", "type": "number", "start": 0}
    query = f"{TICKETS.removesuffix(' ORDER BY no')} AND at >= :cursor_start ORDER BY at"
    desk = Desk(tmp_path, spec(server, rows, query=query, source={"incremental": increments}))
    desk.run("tickets")

    rows.run("INSERT INTO tickets VALUES (?, ?, ?, ?)", ("p01", 9, "late", 9), ("p02", 8, "early", 1))
    result = desk.run("tickets").result

    assert wrote(result.counts) == (1, 0, 0)  # what is from before a cursor is not asked for
    assert result.counts.seen == 4
    with open_database(desk.state, read_only=True) as database:
        cursors = Cursors(database, lambda: pytest.fail("nothing is written")).list("tickets")
    assert {one.part: one.value for one in cursors} == {"p00": 2, "p01": 9, "p02": 2}


def test_parents_of_parents_may_be_rows_too(server: ProjectsServer, rows: Rows, tmp_path: Path) -> None:
    rows.fill(4, 2)
    inner = {**PARENTS, "query": "SELECT id, title FROM projects WHERE id > :after ORDER BY id"}
    job = spec(server, rows, {**inner, "for_each": {"as": "after", "in": ["p00", "p02"]}})
    job["jobs"]["tickets"].update(
        key=["after", "project.id", "record.no"],
        map={"after": "after", "project": "project.id", "no": "record.no", "title": "record.title"},
    )
    job["jobs"]["tickets"]["target"]["match"] = "[after, project, no]"
    job["jobs"]["tickets"]["source"]["query"] = TICKETS.replace("SELECT project", "SELECT :after AS after, project")

    result = Desk(tmp_path, job).run("tickets").result

    assert (result.ending, wrote(result.counts), result.certificate.parts) == (Ending.DONE, (8, 0, 0), 4)


def test_a_query_that_fails_ends_the_run_and_deletes_nothing(
    server: ProjectsServer, rows: Rows, tmp_path: Path
) -> None:
    rows.fill(8, 2)
    desk = Desk(tmp_path, spec(server, rows))
    desk.run("tickets")

    rows.run("ALTER TABLE tickets RENAME COLUMN title TO subject")
    result = desk.run("tickets").result

    assert (result.ending, wrote(result.counts)) == (Ending.FAILED, (0, 0, 0))
    assert "no such column" in result.error
    assert sum(held(server).values()) == 16
