"""Files at either end of a job, through the whole program; the how-to page is run as it stands."""

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.spec import SpecError
from daemon.sync.outcome import EXITS, Ending
from tests.fakes.interfaces import FILE
from tests.fakes.misbehaving import MisbehavingServer
from tests.integration.harness import DOCS, Desk, wrote, yaml_of

PAGE = "how-to/csv-to-api.md"
TOKEN = "canary-t0k3n-of-the-desk"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MisbehavingServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with MisbehavingServer(seed=11) as one:
        yield one


def example() -> str:
    found = re.search(r"^```csv\n(.*?)^```$", (DOCS / PAGE).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


class Nightly:
    """The job of the page, with its file."""

    def __init__(self, folder: Path, server: MisbehavingServer) -> None:
        self.users = server.collection("users", paging="page")
        server.token(TOKEN)
        self.file = folder / "drop" / "people.csv"
        self.file.parent.mkdir()
        spec = yaml_of(PAGE, {"https://desk.example.com/v1": server.url})
        self.desk = Desk(folder, spec, secrets={"DESK_TOKEN": TOKEN})

    def drop(self, text: str) -> None:
        """Leave tonight's file, as whoever makes it should: aside, then renamed."""
        part = self.file.with_suffix(".part")
        part.write_bytes(text.encode("cp1252"))
        part.rename(self.file)

    def names(self) -> dict[str, str]:
        return {record["external_id"]: record["name"] for record in self.users.records()}


@pytest.fixture
def nightly(tmp_path: Path, server: MisbehavingServer) -> Nightly:
    return Nightly(tmp_path, server)


EVERYBODY = {
    "0001": "Ada Lovelace",
    "0002": "Grace Hopper",
    "0004": "Edsger Dijkstra",
    "0005": "Barbara Liskov",
    "0006": "Donald Knuth",
}


def test_the_page_s_job_runs_as_it_stands(nightly: Nightly) -> None:
    nightly.drop(example())

    assert wrote(nightly.desk.run().result.counts) == (5, 0, 0)
    assert nightly.names() == EVERYBODY
    (ada,) = [record for record in nightly.users.records() if record["external_id"] == "0001"]
    assert (ada["email"], ada["cost_centre"]) == ("ada@example.com", 4711)

    assert wrote(nightly.desk.run().result.counts) == (0, 0, 0)

    rows = example().replace("Ada Lovelace", "Ada King").replace("0006;Donald Knuth;don@example.com;0815;\n", "")
    nightly.drop(f"{rows}0007;Jörg Müller;joerg@example.com;0815;\n")
    assert wrote(nightly.desk.run().result.counts) == (1, 1, 1)
    assert nightly.names()["0007"] == "Jörg Müller"
    assert nightly.names()["0001"] == "Ada King"
    assert "0006" not in nightly.names()


@pytest.mark.edge(15)
def test_a_bad_row_is_a_reject_with_its_line_and_nobody_is_deleted(nightly: Nightly) -> None:
    nightly.drop(example())
    nightly.desk.run()

    nightly.drop(example().replace("0006;Donald Knuth;don@example.com;0815;", "0006;Donald Knuth"))
    result = nightly.desk.run().result

    assert result.ending is Ending.HELD
    assert nightly.names() == EVERYBODY
    (reason,) = nightly.desk.reasons().values()
    assert reason.startswith("people.csv:7: the record is unreadable: it has 2 fields, and the header 5")


def test_a_value_that_cannot_be_mapped_has_its_line_too(nightly: Nightly) -> None:
    nightly.drop(example().replace("grace@example.com", " "))
    nightly.desk.run()

    assert nightly.desk.reasons()["0002"].startswith("people.csv:3: email")


@pytest.mark.edge(17)
def test_a_key_that_stands_twice_has_its_line_too(nightly: Nightly) -> None:
    nightly.drop(example() + "0002;Grace Murray;g@example.com;4711;\n")
    nightly.desk.run()

    assert nightly.desk.reasons()["0002"].startswith(("people.csv:3: another record", "people.csv:8: another record"))
    assert "0002" not in nightly.names()


@pytest.mark.edge(12, 13, 14)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no file people.csv"),
        ("", "people.csv is empty"),
        (example().replace("email", "mail", 1), "people.csv:1, column 3: 'mail' is not one of the declared ones"),
        (example().replace("0005;", '"0005;'), "people.csv:6: a quote is opened and never closed"),
        (example()[:-20], "people.csv:7: the last row breaks off"),
    ],
    ids=["no file", "empty", "header", "quote", "cut"],
)
def test_a_file_that_is_not_what_it_should_be_deletes_nobody(nightly: Nightly, text: str | None, said: str) -> None:
    nightly.drop(example())
    nightly.desk.run()

    nightly.file.unlink()
    if text is not None:
        nightly.drop(text)
    result = nightly.desk.run().result

    assert said in result.error
    assert EXITS[result.ending] in (1, 6)
    assert nightly.names() == EVERYBODY


def test_a_last_row_without_a_line_end_holds_the_deletes(nightly: Nightly) -> None:
    nightly.drop(example())
    nightly.desk.run()

    nightly.drop(example().replace("0006;Donald Knuth;don@example.com;0815;\n", "").rstrip("\n"))
    result = nightly.desk.run().result

    assert (result.ending, result.counts.deletes_withheld) == (Ending.HELD, 1)
    assert "has no line end" in str(result.certificate)
    assert nightly.names() == EVERYBODY


# ---- files as targets ----------------------------------------------------------------------------------------------

MIRROR: dict[str, Any] = {
    "mode": "mirror",
    "source": {"connection": "in", "path": "people.jsonl"},
    "key": "record.no",
    "map": {"no": "record.no", "name": "record.name", "age": "record.age"},
    "target": {
        "connection": "out",
        "path": "people.csv",
        "match": "no",
        "csv": {"columns": {"no": "number", "name": "text", "age": "number"}},
    },
    "guards": {"deletes": "60%", "updates": "100%"},
}


class Copy:
    """A job from a file into a file."""

    def __init__(self, folder: Path, **job: Any) -> None:
        for name in ("in", "out"):
            (folder / name).mkdir()
        self.source, self.target = folder / "in" / "people.jsonl", folder / "out" / "people.csv"
        files = {name: {"type": "files", "url": name} for name in ("in", "out")}
        self.desk = Desk(folder, {"connections": files, "jobs": {"people": {**MIRROR, **job}}})

    def people(self, **names: str) -> None:
        lines = [{"no": number, "name": name, "age": 30} for number, name in enumerate(names.values(), 1)]
        self.source.write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.target.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("compare", ["links", "target"])
def test_a_file_is_kept_in_step_and_a_second_run_does_not_touch_it(tmp_path: Path, compare: str) -> None:
    copy = Copy(tmp_path, compare=compare)
    copy.people(a="Ada", b="Bob", c="Cid")
    assert wrote(copy.desk.run().result.counts) == (3, 0, 0)
    head, *rows = copy.target.read_bytes().splitlines(keepends=True)
    assert head == b"no,name,age\r\n"
    assert sorted(rows) == [b"1,Ada,30\r\n", b"2,Bob,30\r\n", b"3,Cid,30\r\n"]

    before = copy.target.stat().st_ino
    assert wrote(copy.desk.run().result.counts) == (0, 0, 0)
    assert copy.target.stat().st_ino == before

    copy.people(a="Eve", b="Bob")
    assert wrote(copy.desk.run().result.counts) == (0, 1, 1)
    assert sorted(row["name"] for row in copy.rows()) == ["Bob", "Eve"]


def test_rows_that_are_there_are_adopted_and_never_deleted(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.target.write_text("no,name\n1,old name\n9,by hand\n")
    copy.people(a="Ada", b="Bob")

    counts = copy.desk.run().result.counts

    assert wrote(counts) == (1, 1, 0)
    assert [(row["no"], row["name"]) for row in copy.rows()] == [("1", "Ada"), ("9", "by hand"), ("2", "Bob")]


def test_a_row_that_somebody_took_out_comes_back(tmp_path: Path) -> None:
    copy = Copy(tmp_path, compare="target")
    copy.people(a="Ada", b="Bob")
    copy.desk.run()
    copy.target.write_text("no,name,age\n1,Ada,30\n")

    assert copy.desk.run().result.counts.created == 1
    assert [row["name"] for row in copy.rows()] == ["Ada", "Bob"]


@pytest.mark.edge(42)
def test_a_crash_between_the_rename_and_the_journal_makes_no_second_row(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.people(a="Ada", b="Bob", c="Cid")
    child = os.fork()
    if not child:
        real = os.replace

        def last(*places: Any, **options: Any) -> None:
            real(*places, **options)
            os._exit(9)

        os.replace = last
        try:
            copy.desk.run()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert copy.target.exists()

    copy.desk.run()

    assert sorted(row["name"] for row in copy.rows()) == ["Ada", "Bob", "Cid"]
    assert wrote(copy.desk.run().result.counts) == (0, 0, 0)


def test_each_run_leaves_a_file_of_what_was_new(tmp_path: Path) -> None:
    target = {"connection": "out", "path": "new-{{ run }}.jsonl", "match": "no"}
    copy = Copy(tmp_path, mode="append", target=target)
    copy.people(a="Ada")
    first = copy.desk.run().run
    copy.people(a="Ada", b="Bob")
    second = copy.desk.run().run
    copy.desk.run()

    found = {file.name: file.read_text() for file in copy.target.parent.iterdir()}
    assert found == {
        f"new-{first}.jsonl": '{"no":1,"name":"Ada","age":30}\n',
        f"new-{second}.jsonl": '{"no":2,"name":"Bob","age":30}\n',
    }


# ---- interfaces ----------------------------------------------------------------------------------------------------


def test_an_interface_is_a_source_and_a_target(tmp_path: Path, server: MisbehavingServer) -> None:
    users = server.collection("users", paging="page")
    users.put([{"external_id": "E1", "name": "Ada"}, {"external_id": "E2", "name": "Bob"}])
    (tmp_path / "directory.yaml").write_text(FILE)
    directory = {"type": "interface", "host": server.url, "file": "directory.yaml"}
    job = {
        **MIRROR,
        "source": {"connection": "directory", "call": "user.each", "complete": True},
        "key": "record.external_id",
        "map": {"no": "record.external_id", "name": "record.name"},
        "target": {"connection": "out", "path": "people.jsonl", "match": "no"},
    }
    (tmp_path / "out").mkdir()
    out = {"type": "files", "url": "out"}
    desk = Desk(tmp_path, {"connections": {"directory": directory, "out": out}, "jobs": {"people": job}})

    assert wrote(desk.run().result.counts) == (2, 0, 0)
    users.remove("E2")
    assert wrote(desk.run().result.counts) == (0, 0, 1)
    assert (tmp_path / "out" / "people.jsonl").read_text() == '{"no":"E1","name":"Ada"}\n'


# ---- what validate says --------------------------------------------------------------------------------------------


METHODS = [name.strip() for name in FILE.partition("[")[2].partition("]")[0].split(",")]


def problems(desk: Desk) -> list[str]:
    from daemon.validation import validate

    with pytest.raises(SpecError) as caught:
        validate(desk.settings)
    return [f"{problem.line}: {problem.message}" for problem in caught.value.problems]


def test_validate_looks_for_folders_interface_files_models_and_methods(tmp_path: Path) -> None:
    (tmp_path / "directory.yaml").write_text(FILE)
    (tmp_path / "broken.yaml").write_text("version: 2\n")
    desk = Desk(
        tmp_path,
        """\
version: 1
connections:
  lost: {type: files, url: nowhere}
  odd: {type: files, url: "odd://bucket/folder"}
  directory: {type: interface, host: a.example.com, file: directory.yaml}
  broken: {type: interface, host: a.example.com, file: broken.yaml}
jobs:
  people:
    source: {connection: directory, call: person.each}
    key: record.id
    target:
      connection: directory
      model: user
      create: add
      update: {call: update, arguments: {identification: "{{ target.id }}"}}
""",
    )

    assert problems(desk) == [
        f"3: there is no folder {tmp_path / 'nowhere'}",
        "4: fsspec knows no odd://",
        f"6: {tmp_path / 'broken.yaml'}:1: version: only 1 is known; write `version: 1`",
        "9: directory.yaml has no model person; it has user",
        "14: model user has no method add; it has " + ", ".join(METHODS),
    ]
