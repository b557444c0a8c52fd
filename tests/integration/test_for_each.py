"""The tickets of each project, from a file as an operator writes it, over HTTP, into a state file."""

import subprocess
import threading
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from daemon.store.database import open_database
from daemon.store.links import SqlLinks
from daemon.sync.outcome import Ending
from tests.e2e.harness import Folder
from tests.fakes.projects import ProjectsServer
from tests.integration.harness import Desk, wrote

JOB: dict[str, Any] = {
    "mode": "mirror",
    "for_each": {"as": "project", "connection": "tracker", "read": "projects", "records": "projects"},
    "source": {
        "connection": "tracker",
        "read": "projects/{{ project.id }}/tickets",
        "records": "tickets",
        "paginate": {"type": "next_url", "next": "next"},
    },
    "key": ["project.id", "record.no"],
    "map": {
        "project": "project.id",
        "no": "record.no",
        "ref": "project.id ~ '/' ~ record.no",
        "title": "record.title",
        "of": "project.title",
    },
    "target": {
        "connection": "desk",
        "id": "id",
        "match": "[project, no]",
        "list": {"uri": "desk", "records": "records"},
        "create": "desk",
        "update": {"uri": "desk/{{ target.id }}", "body": "changed"},
        "delete": "desk/{{ target.id }}",
    },
    "guards": {"deletes": "100%", "collapse": "0%"},
}


def tickets(number: int) -> list[dict[str, Any]]:
    return [{"no": no, "title": f"ticket {no}"} for no in range(number)]


@pytest.fixture
def server() -> Iterator[ProjectsServer]:
    with ProjectsServer({"alpha": tickets(5), "beta": tickets(3), "a/b": tickets(1)}) as server:
        yield server


def spec(server: ProjectsServer, *, concurrency: int = 4, **changes: Any) -> dict[str, Any]:
    return {
        "connections": {
            "tracker": {"host": server.url, "quota": {"concurrency": concurrency}, "retry": {"attempts": 1}},
            "desk": {"host": server.url},
        },
        "jobs": {"tickets": deepcopy({**JOB, **changes})},
    }


def held(server: ProjectsServer) -> set[str]:
    return {record["ref"] for record in server.desk.values()}


def test_the_tickets_of_each_project_are_mirrored_and_those_of_one_that_fails_stay(
    server: ProjectsServer, tmp_path: Path
) -> None:
    desk = Desk(tmp_path, spec(server))
    assert wrote(desk.run("tickets").result.counts) == (9, 0, 0)
    assert wrote(desk.run("tickets").result.counts) == (0, 0, 0)

    # One project answers 404 for its tickets, one has lost some, and one is gone.
    server.statuses["beta"] = 404
    del server.projects["alpha"][3:], server.projects["a/b"]
    result = desk.run("tickets").result

    assert (result.ending, wrote(result.counts)) == (Ending.REJECTED, (0, 0, 3))
    assert held(server) == {"alpha/0", "alpha/1", "alpha/2", "beta/0", "beta/1", "beta/2"}
    assert "but for 1 of 2 parts" in str(result.certificate)
    with open_database(desk.state, read_only=True) as database:
        assert len(list(SqlLinks(database, "tickets").in_part("beta"))) == 3


def test_parents_are_read_at_the_same_time_as_far_as_the_connection_lets_them(
    server: ProjectsServer, tmp_path: Path
) -> None:
    server.projects = {f"p{number}": tickets(1) for number in range(8)}
    server.gate = threading.Barrier(4)  # nobody passes before four ask at once
    desk = Desk(tmp_path, spec(server))

    assert wrote(desk.run("tickets").result.counts) == (8, 0, 0)


def test_a_rule_lets_404_mean_that_the_project_is_gone(server: ProjectsServer, tmp_path: Path) -> None:
    source = {**JOB["source"], "on_response": [{"status": 404, "then": "gone"}]}
    desk = Desk(tmp_path, spec(server, source=source))
    desk.run("tickets")

    server.statuses["beta"] = 404
    result = desk.run("tickets").result

    assert (result.ending, wrote(result.counts)) == (Ending.DONE, (0, 0, 3))


def test_another_jobs_records_may_be_the_parents(server: ProjectsServer, tmp_path: Path) -> None:
    said = spec(server, for_each={"as": "project", "links_of": "projects", "key": "project.document.id"})
    job = said["jobs"]["tickets"]
    job["key"] = ["project.document.id", "record.no"]
    job["map"] = {
        "project": "project.document.id",
        "no": "record.no",
        "ref": "project.document.id ~ '/' ~ record.no",
        "title": "record.title",
    }
    said["jobs"]["projects"] = {
        "mode": "mirror",
        "source": {"connection": "tracker", "read": "projects", "records": "projects"},
        "key": "record.id",
        "map": {"ref": "record.id", "id": "record.id"},
        "target": {**JOB["target"], "match": "ref"},
    }
    job["source"] = {**JOB["source"], "read": "projects/{{ project.document.id }}/tickets"}
    desk = Desk(tmp_path, said)

    assert wrote(desk.run("projects").result.counts) == (3, 0, 0)
    assert wrote(desk.run("tickets").result.counts) == (9, 0, 0)


def test_an_operator_sees_which_part_failed_and_what_that_means_for_a_record(
    server: ProjectsServer, tmp_path: Path
) -> None:
    Desk(tmp_path, spec(server)).run("tickets")
    folder = Folder(tmp_path)
    assert "of part alpha" in told(folder.crudsd("explain", "tickets", "alpha/1"), 0)
    server.statuses["beta"] = 403

    run = told(folder.crudsd("run", "tickets"), 3)
    assert "but for 1 of 3 parts" in run
    assert "beta: it could not be read" in run
    assert "read: 3 parts, 1 of them not whole" in run
    assert "Next: look at the parts" in run
    assert "nothing is known of its part" in told(folder.crudsd("explain", "tickets", "beta/1"), 0)


def told(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout
