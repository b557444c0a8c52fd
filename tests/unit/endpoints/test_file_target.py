"""Files as a target: one walk for many changes, what a CSV file can hold, and a crash at each step of it."""

import gzip
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from daemon.endpoints.blot import Blotter
from daemon.endpoints.file_write import FileTarget
from daemon.endpoints.folder import RemoteFolder
from daemon.endpoints.folders import open_folder
from daemon.errors import (
    ConfigError,
    ConflictError,
    EndpointError,
    GoneError,
    MalformedError,
    RefusedError,
    UnavailableError,
)
from daemon.spec import CellType, FilesConnection, SecretRef
from daemon.spec import FileTarget as TargetBlock
from daemon.sync.certificate import End
from daemon.sync.change import Change, Kind
from daemon.sync.ports import TargetRecord, Written
from daemon.values import Secret
from tests.fakes.files import file_target
from tests.fakes.files import folder as local
from tests.unit.endpoints.rig import change

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

COLUMNS: Mapping[str, CellType] = {"external_id": "text", "name": "text", "age": "number", "old": "boolean"}
OLD = b'{"external_id":"E1","name":"Ada"}\n{"external_id":"E2",  "name":"Bob", "seen": 1.50}\n'


def create(key: str, **document: Any) -> Change:
    return change(key=key, document={"external_id": key, **document})


def update(key: str, **document: Any) -> Change:
    whole = {"external_id": key, **document}
    return change(Kind.UPDATE, key=key, target_id=key, document=whole, fields=tuple(document))


def delete(key: str) -> Change:
    return change(Kind.DELETE, key=key, target_id=key)


def fates(target: FileTarget, *changes: Change) -> list[Any]:
    return [type(one).__name__ if isinstance(one, Exception) else one for one in target.write(changes)]


def listed(target: FileTarget) -> list[TargetRecord]:
    return [record for page in target.list() if not isinstance(page, End) for record in page]


# ---- one walk ------------------------------------------------------------------------------------------------------


def test_many_changes_are_one_new_file_and_what_they_do_not_concern_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "users.jsonl").write_bytes(OLD + b'{"external_id":"E3"}\n')

    told = fates(
        file_target(tmp_path),
        create("E4", name="Eve"),
        create("E2"),
        update("E1", name="Lovelace"),
        update("E9", name="nobody"),
        delete("E3"),
        delete("E8"),
    )

    assert told == [Written("E4"), "ConflictError", Written("E1"), "GoneError", None, None]
    assert (tmp_path / "users.jsonl").read_bytes() == (
        b'{"external_id":"E1","name":"Lovelace"}\n'
        b'{"external_id":"E2",  "name":"Bob", "seen": 1.50}\n'
        b'{"external_id":"E4","name":"Eve"}\n'
    )
    assert [file.name for file in tmp_path.iterdir()] == ["users.jsonl"]


def test_a_batch_that_changes_nothing_leaves_the_file_alone(tmp_path: Path) -> None:
    file = tmp_path / "users.jsonl"
    file.write_bytes(OLD)
    before = file.stat()

    assert fates(file_target(tmp_path), update("E1", name="Ada"), delete("E9")) == [Written("E1"), None]

    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_the_new_file_may_be_read_by_whom_the_old_one_might(tmp_path: Path) -> None:
    file = tmp_path / "users.jsonl"
    file.write_bytes(OLD)
    file.chmod(0o640)

    file_target(tmp_path).create(create("E3"))

    assert file.stat().st_mode & 0o777 == 0o640


def test_two_creates_of_one_key_in_one_batch_are_one_record(tmp_path: Path) -> None:
    assert fates(file_target(tmp_path), create("E1", name="a"), create("E1", name="b")) == [
        Written("E1"),
        "ConflictError",
    ]
    assert [record.document["name"] for record in listed(file_target(tmp_path))] == ["a"]


def test_a_document_without_its_key_is_refused_and_the_others_go_through(tmp_path: Path) -> None:
    nameless = change(key="E1", document={"name": "Ada"})

    assert fates(file_target(tmp_path), nameless, create("E2")) == ["RefusedError", Written("E2")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (OLD + b"{broken\n", "users.jsonl:3:"),
        (OLD + b'{"name": "Eve"}\n', "users.jsonl:3: external_id, which target.match names, is no key"),
    ],
    ids=["no JSON", "no key"],
)
def test_a_file_that_cannot_be_kept_whole_is_not_written(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "users.jsonl").write_bytes(content)

    with pytest.raises(UnavailableError) as caught:
        file_target(tmp_path).write([update("E1", name="Lovelace"), create("E7")])

    assert said in str(caught.value)
    assert "nothing was written" in str(caught.value)
    assert (tmp_path / "users.jsonl").read_bytes() == content


def test_two_records_of_one_key_are_left_alone_and_the_others_are_written(tmp_path: Path) -> None:
    (tmp_path / "users.jsonl").write_bytes(OLD + b'{"external_id": "E1"}\n')

    refused, made, conflict = file_target(tmp_path).write(
        [update("E1", name="x"), update("E2", name="y"), create("E1")]
    )

    assert str(refused) == (
        "two records have the key E1: drop: users.jsonl:1 and drop: users.jsonl:3; take one of them out"
    )
    assert made == Written("E2")
    assert isinstance(conflict, ConflictError)
    assert (tmp_path / "users.jsonl").read_bytes() == (
        b'{"external_id":"E1","name":"Ada"}\n{"external_id":"E2","name":"y","seen":1.50}\n{"external_id": "E1"}\n'
    )


def test_two_records_of_one_key_are_both_shown(tmp_path: Path) -> None:
    (tmp_path / "users.jsonl").write_bytes(OLD + b'{"external_id": "E1"}\n')
    target = file_target(tmp_path)

    assert len(target.lookup("E1", {})) == 2
    with pytest.raises(MalformedError, match="holds 2 records of E1"):
        target.get("E1", "E1", {})


def test_a_look_up_sees_what_somebody_else_has_written(tmp_path: Path) -> None:
    target = file_target(tmp_path)
    assert target.lookup("E1", {}) == ()

    (tmp_path / "users.jsonl").write_bytes(OLD)
    assert [record.document["name"] for record in target.lookup("E1", {})] == ["Ada"]

    (tmp_path / "users.jsonl").write_bytes(OLD.replace(b"Ada", b"Eve"))
    assert [record.document["name"] for record in target.lookup("E1", {})] == ["Eve"]


def test_a_file_is_not_made_where_its_folder_is_missing(tmp_path: Path) -> None:
    target = file_target(tmp_path / "not mounted")

    with pytest.raises(UnavailableError):
        target.create(create("E1"))
    with pytest.raises(UnavailableError):
        listed(target)
    assert list(tmp_path.iterdir()) == []


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_bytes(OLD)
    (tmp_path / "in" / "users.jsonl").symlink_to(tmp_path / "secret")

    with pytest.raises(RefusedError, match="outside the folder"):
        file_target(tmp_path / "in").create(create("E3"))
    assert (tmp_path / "secret").read_bytes() == OLD


# ---- a file for each run -------------------------------------------------------------------------------------------


def test_each_run_appends_a_file_of_its_own(tmp_path: Path) -> None:
    target = file_target(tmp_path, path="out/events-{{ run }}.jsonl.gz")
    first = [change(key=key, idempotency_key=f"run1-{number}") for number, key in enumerate(("E1", "E2"))]

    target.write(first)
    target.write([change(key="E3", idempotency_key="run2-1")])

    found = {file.name: gzip.decompress(file.read_bytes()) for file in (tmp_path / "out").iterdir()}
    assert sorted(found) == ["events-run1.jsonl.gz", "events-run2.jsonl.gz"]
    assert found["events-run1.jsonl.gz"].count(b"\n") == 2
    assert (target.can_list, target.can_lookup, target.can_get, target.has_idempotency) == (False, False, False, True)


def test_a_create_that_is_repeated_into_the_file_of_its_run_is_one_line(tmp_path: Path) -> None:
    target = file_target(tmp_path, path="events-{{ run }}.jsonl")

    assert target.create(change()) == target.create(change()) == Written("E1")

    assert len((tmp_path / "events-run1.jsonl").read_bytes().splitlines()) == 1


# ---- what a CSV file can hold -------------------------------------------------------------------------------------


def table(folder: Path, **target: Any) -> FileTarget:
    return file_target(folder, COLUMNS, **{"path": "users.csv", **target})


def test_a_csv_file_has_its_header_its_types_and_lines_that_end_in_crlf(tmp_path: Path) -> None:
    table(tmp_path).write([create("01", name='O"Hara, Scarlett', age=9007199254740993, old=True), create("E2")])

    assert (tmp_path / "users.csv").read_bytes() == (
        b'external_id,name,age,old\r\n01,"O""Hara, Scarlett",9007199254740993,true\r\nE2,,,\r\n'
    )
    assert [record.document for record in listed(table(tmp_path))] == [
        {"external_id": "01", "name": 'O"Hara, Scarlett', "age": 9007199254740993, "old": True},
        {"external_id": "E2", "name": "", "age": None, "old": None},
    ]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"name": 5}, "column name is text, and this is 5: say `name: number` in target.csv.columns, or map a text"),
        ({"name": True}, "say `name: boolean` in target.csv.columns"),
        ({"name": {"first": "Ada"}}, "say `name: json` in target.csv.columns"),
        ({"name": None}, "column name is text, and an empty field is no null"),
        ({"name": "a\0"}, "column name: a text with a NUL"),
        ({"name": "Zoë €"}, "column name: latin-1 has no '€'"),
        ({"age": "5"}, "column age is number, and this is"),
        ({"age": True}, "column age is number, and this is true"),
        ({"email": "x"}, "the file has no column email: add it to target.csv.columns"),
    ],
    ids=["number", "boolean", "object", "null", "NUL", "encoding", "text", "no number", "column"],
)
def test_what_a_csv_file_cannot_hold_is_refused_with_its_column(
    tmp_path: Path, document: Mapping[str, Any], said: str
) -> None:
    (refused, made) = table(tmp_path, csv={"encoding": "latin-1"}).write([create("E1", **document), create("E2")])

    assert said in str(refused)
    assert isinstance(refused, RefusedError)
    assert made == Written("E2")


def test_a_dot_in_a_column_nests(tmp_path: Path) -> None:
    target = file_target(tmp_path, {"external_id": "text", "address.city": "text"}, path="users.csv")

    target.create(create("E1", address={"city": "London"}))

    assert (tmp_path / "users.csv").read_bytes() == b"external_id,address.city\r\nE1,London\r\n"
    assert listed(target)[0].document == {"external_id": "E1", "address": {"city": "London"}}


def test_a_new_column_is_empty_in_the_old_rows(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_bytes(b"name;external_id\nAda;E1\n")

    table(tmp_path, csv={"delimiter": ";"}).create(create("E2", name="Bob", age=5))

    assert (tmp_path / "users.csv").read_bytes() == b"external_id;name;age;old\r\nE1;Ada;;\r\nE2;Bob;5;\r\n"


def test_a_column_that_the_job_does_not_know_is_not_lost(tmp_path: Path) -> None:
    content = b"external_id,name,notes\nE1,Ada,by hand\n"
    (tmp_path / "users.csv").write_bytes(content)

    with pytest.raises(UnavailableError, match=r"users\.csv:1: the file has a column notes, and the job has none"):
        table(tmp_path).create(create("E2"))
    assert (tmp_path / "users.csv").read_bytes() == content


def test_a_cell_of_another_type_is_an_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_bytes(b"external_id,age\nE1,old\n")

    with pytest.raises(MalformedError, match=r"users\.csv:2: column age: 'old' is no number"):
        listed(table(tmp_path))


def test_excel_gets_its_byte_order_mark(tmp_path: Path) -> None:
    target = table(tmp_path, csv={"encoding": "utf-8-sig"})
    target.create(create("E1", name="Zoë"))
    target.create(create("E2"))

    assert (tmp_path / "users.csv").read_bytes().startswith(b"\xef\xbb\xbfexternal_id,name")
    assert [record.id for record in listed(target)] == ["E1", "E2"]


# ---- a crash at each step ------------------------------------------------------------------------------------------

STEPS = ("fsync", "replace", "fchmod")


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a process that dies before its n-th call of the file system; say whether it came so far."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    left = step

    def deadly(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return call

    try:
        for name in STEPS:
            setattr(os, name, deadly(name))
        work()
    finally:
        os._exit(0)


def test_a_crash_at_any_step_leaves_the_old_file_or_the_new_one_and_a_repetition_mends_it(tmp_path: Path) -> None:
    new = b'{"external_id":"E1","name":"Lovelace"}\n{"external_id":"E3"}\n'
    batch = [update("E1", name="Lovelace"), create("E3"), delete("E2")]
    left = []

    for step in range(1, 10):
        (tmp_path / "users.jsonl").write_bytes(OLD)
        died = killed_at(step, lambda: file_target(tmp_path).write(batch))
        left.append((tmp_path / "users.jsonl").read_bytes())
        target = file_target(tmp_path)
        found = target.lookup("E3", {})
        assert [record.id for record in found] == (["E3"] if left[-1] == new else [])
        target.write(batch)
        assert (tmp_path / "users.jsonl").read_bytes() == new
        assert [file.name for file in tmp_path.iterdir()] == ["users.jsonl"]
        if not died:
            break

    assert not died
    assert left == [OLD, OLD, OLD, new, new]  # killed before fchmod, fsync, replace, the folder's fsync; and not at all


@pytest.mark.parametrize("name", STEPS)
def test_a_disk_that_refuses_is_told_and_nothing_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "users.jsonl").write_bytes(OLD)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, name, full)
    with pytest.raises(UnavailableError, match="No space left on device"):
        file_target(tmp_path).create(create("E3"))

    assert (tmp_path / "users.jsonl").read_bytes() == OLD
    assert [file.name for file in tmp_path.iterdir()] == ["users.jsonl"]


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    """Each has a folder and a target of its own, as two processes have."""
    children = []
    for writer in range(3):
        child = os.fork()
        if not child:
            try:
                for number in range(10):
                    file_target(tmp_path).create(create(f"{writer}-{number}"))
            finally:
                os._exit(0)
        children.append(child)

    for child in children:
        os.waitpid(child, 0)

    assert len({record.id for record in listed(file_target(tmp_path))}) == 30


def test_a_writer_that_does_not_come_to_an_end_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.endpoints.folder.LOCK_WAIT_S", 0.01)

    with (
        local(tmp_path).locked(),
        pytest.raises(UnavailableError, match=r"another process has been writing into .* for 0\.01 s"),
    ):
        file_target(tmp_path).create(create("E1"))


def test_a_line_is_shown_before_it_is_written(tmp_path: Path) -> None:
    (sending,) = file_target(tmp_path).shown(update("E1", name="Lovelace"))

    assert (sending.method, sending.url, sending.body) == (
        "update line",
        "drop: users.jsonl",
        '{"name":"Lovelace"}',
    )
    assert list(tmp_path.iterdir()) == []


# ---- a folder elsewhere --------------------------------------------------------------------------------------------


@pytest.fixture
def remote() -> Iterator[RemoteFolder]:
    folder = RemoteFolder("bucket", "memory://drop", {}, Blotter())
    yield folder
    folder._system.rm("/drop", recursive=True)


def test_a_folder_elsewhere_is_read_and_written_alike(remote: RemoteFolder) -> None:
    target = FileTarget(
        remote, TargetBlock.model_validate({"connection": "b", "match": "external_id", "path": "out/a.jsonl"}), None
    )

    assert target.write([create("E1", name="Ada"), create("E2")]) == [Written("E1"), Written("E2")]
    target.update(update("E1", name="Lovelace"))
    target.delete(delete("E2"))

    assert [record.document["name"] for record in target.lookup("E1", {})] == ["Lovelace"]
    assert remote.matching("**/*.jsonl") == ["out/a.jsonl"]
    with remote.reading("out/a.jsonl") as file:
        assert json.loads(file.read()) == {"external_id": "E1", "name": "Lovelace"}


def test_what_goes_wrong_elsewhere_is_said_in_our_words(remote: RemoteFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    remote.blot.learn("canary-key-of-the-bucket")
    target = FileTarget(
        remote, TargetBlock.model_validate({"connection": "b", "match": "external_id", "path": "a.jsonl"}), None
    )

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("403 for canary-key-of-the-bucket")

    monkeypatch.setattr(remote._system, "open", refuse)
    with pytest.raises(EndpointError) as caught:
        target.create(create("E1"))

    assert isinstance(caught.value, UnavailableError)
    assert str(caught.value) == "bucket: a.jsonl: RuntimeError: 403 for …"


def test_what_stands_in_an_address_is_not_shown() -> None:
    secrets = {"URL": "odd://me:canary-pw%20of%20the%20folder@host/drop", "KEY": "canary-key-of-the-bucket"}
    declared = {"type": "files", "url": {"env": "URL"}, "options": {"key": {"env": "KEY"}}}

    def resolve(ref: SecretRef) -> Secret:
        return Secret(secrets[ref.env or ""])

    with pytest.raises(ConfigError) as caught:
        open_folder("drop", FilesConnection.model_validate(declared), resolve)
    assert "connections.drop" in str(caught.value)
    assert "canary" not in str(caught.value)

    secrets["URL"] = "memory://drop"
    folder = open_folder("drop", FilesConnection.model_validate(declared), resolve)
    assert folder.blot("refused: canary-key-of-the-bucket") == "refused: …"


def test_a_conflict_and_a_missing_record_have_the_statuses_that_the_engine_knows(tmp_path: Path) -> None:
    (tmp_path / "users.jsonl").write_bytes(OLD)

    with pytest.raises(ConflictError, match="E1 is there already"):
        file_target(tmp_path).create(create("E1"))
    with pytest.raises(GoneError, match="E9 is not in the file"):
        file_target(tmp_path).update(update("E9"))
