"""What a job file may say of files and of an interface's methods, and what `validate` says of the rest."""

from pathlib import Path
from typing import Any

import pytest

from daemon.spec import FilesConnection, InterfaceConnection, SpecError, load
from tests.unit.spec.files import write

CONNECTIONS = """\
version: 1
connections:
  drop: {type: files, url: drop}
  hr: {host: https://hr.example.com}
  desk: {type: interface, host: desk.example.com, file: desk.yaml}
jobs:
"""
FROM_FILE = "source: {connection: drop, path: people.csv}"
FROM_CALL = "source: {connection: desk, call: person.get_list}"
TO_FILE = "target: {connection: drop, path: out.jsonl, match: id}"
MAP = "map: {id: record.a, b: record.c}"
TO_REST = "target: {connection: hr, create: users, update: users}"


def loaded(folder: Path, *lines: str, connections: str = CONNECTIONS) -> Any:
    body = "".join(f"    {line}\n" for line in ("key: record.id", *lines))
    return load(write(folder, f"{connections}  people:\n{body}")).spec


def problems(folder: Path, *lines: str, connections: str = CONNECTIONS) -> str:
    with pytest.raises(SpecError) as caught:
        loaded(folder, *lines, connections=connections)
    return "\n".join(f"{problem.message}; {problem.cure}" for problem in caught.value.problems)


def test_folders_and_interface_files_are_meant_from_the_file_that_names_them(tmp_path: Path) -> None:
    spec = loaded(tmp_path, FROM_FILE, TO_FILE)

    drop, desk = spec.connections["drop"], spec.connections["desk"]
    assert isinstance(drop, FilesConnection)
    assert isinstance(desk, InterfaceConnection)
    assert (drop.url, desk.file) == (str(tmp_path / "drop"), tmp_path / "desk.yaml")


def test_an_address_of_a_folder_stays_as_it_is(tmp_path: Path) -> None:
    connections = CONNECTIONS.replace("url: drop", "url: 'sftp://me@host/drop', options: {password: {file: secret}}")

    drop = loaded(tmp_path, FROM_FILE, TO_FILE, connections=connections).connections["drop"]

    assert drop.url == "sftp://me@host/drop"
    assert drop.options["password"].file == tmp_path / "secret"


def test_an_interface_has_a_session_as_a_rest_connection_has(tmp_path: Path) -> None:
    assert list(loaded(tmp_path, FROM_FILE, TO_FILE).http_connections) == ["hr", "desk"]


def test_a_password_in_an_address_is_refused(tmp_path: Path) -> None:
    connections = CONNECTIONS.replace("url: drop", "url: 'sftp://me:canary-pw@host/drop'")

    said = problems(tmp_path, FROM_FILE, TO_FILE, connections=connections)

    assert "a password does not belong in an address; refer to the whole address" in said
    assert "canary" not in said


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["source: {connection: drop, path: /etc/passwd.csv}", TO_REST], "a path lies below the connection's folder"),
        (["source: {connection: drop, path: ../people.csv}", TO_REST], "a path lies below the connection's folder"),
        (["source: {connection: drop, path: people.txt}", TO_REST], "write format: jsonl or format: csv"),
        (["source: {connection: drop, path: 'a-{{ record.id }}.csv'}", TO_REST], "unknown name 'record'"),
        (["source: {connection: drop, path: a.csv, csv: {delimiter: ';;'}}", TO_REST], "at most 1"),
        (["source: {connection: drop, path: a.csv, csv: {delimiter: '\"'}}", TO_REST], "are two characters"),
        (["source: {connection: hr, path: a.csv}", TO_REST], "is of type rest, and this source is for files"),
        ([FROM_FILE, "target: {connection: drop, path: out.jsonl}"], "a file needs target.match"),
        ([FROM_FILE, "target: {connection: drop, path: '{{ run }}.jsonl', match: id}"], "is for mode append"),
        ([FROM_FILE, "target: {connection: drop, path: '{{ key }}.jsonl', match: id}"], "unknown name 'key'"),
        ([FROM_FILE, "target: {connection: drop, path: out.csv, match: id}"], "a CSV file needs its columns"),
        (
            [FROM_FILE, "map: {id: record.id}", "target: {connection: drop, path: out.csv, match: no}"],
            "the file has no such column; it has id",
        ),
        (
            [
                FROM_FILE,
                "map: {id: a, b: c}",
                "target: {connection: drop, path: o.csv, match: id, csv: {columns: [id]}}",
            ],
            "target.csv.columns has no b, which `map` makes",
        ),
        (["source: {connection: desk, call: get_list}", TO_REST], "person.get_list"),
        (
            ["source: {connection: desk, call: a.b, paginate: {type: link}}", TO_REST],
            "paginate cannot be link; take page, offset or cursor",
        ),
        (
            ["source: {connection: desk, call: a.b, paginate: {type: page, param: p, total: 'header:X'}}", TO_REST],
            "what a method returns has no headers",
        ),
        (
            ["source: {connection: desk, call: a.b, complete: true, paginate: {type: page, param: p}}", TO_REST],
            "complete is for a method that returns the whole list at once",
        ),
        (
            ["source: {connection: desk, call: a.b, arguments: {p: 1}, paginate: {type: page, param: p}}", TO_REST],
            "paginate gives 'p' too",
        ),
        (
            [FROM_CALL, "target: {connection: desk, model: a, match: id, list: b, create: c, update: d}"],
            "target.list proves nothing: say complete: true",
        ),
        ([FROM_CALL, "target: {connection: desk, model: user}"], "mode upsert needs target.create, target.update"),
        (
            [
                FROM_CALL,
                "target: {connection: desk, model: a, create: {call: b, arguments: {x: '{{ target.id }}'}}, update: u}",
            ],
            "unknown name 'target'",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_is_told_with_its_cure(tmp_path: Path, lines: list[str], said: str) -> None:
    assert said in problems(tmp_path, *lines)


def test_the_fields_of_the_map_are_the_columns_unless_others_are_said(tmp_path: Path) -> None:
    target = "target: {connection: drop, path: out.csv, match: id"

    assert loaded(tmp_path, FROM_FILE, "map: {id: record.a, name: record.b}", target + "}").jobs["people"].columns == {
        "id": "text",
        "name": "text",
    }
    typed = target + ", csv: {columns: {id: number, name: text}}}"
    assert loaded(tmp_path, FROM_FILE, typed).jobs["people"].columns == {"id": "number", "name": "text"}
