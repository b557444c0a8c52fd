"""What `crudsd rejects` says, against a real server on this machine."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.cli import main
from tests.fakes.misbehaving import Fault, MisbehavingServer

CONFIG = """\
version: 1
connections:
  api: {{host: "{url}", retry: {{attempts: 1}}, quota: {{concurrency: 1}}}}
jobs:
  people:
    source: {{connection: api, read: hr, records: hr}}
    key: [record.site, record.no]
    map: {{ref: "record.site ~ '-' ~ record.no", name: record.name, mail: {{from: record.mail, required: true}}}}
    target:
      connection: api
      create: desk
      update: "desk/{{{{ target.id }}}}"
"""


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    """Give a source of six people: three are refused, one has no mail, and the answer for one is lost."""
    with MisbehavingServer(seed=1) as server:
        hr = server.collection("hr", key="no", paging="none")
        hr.put({"site": "north", "no": number, "name": f"P{number}", "mail": "x"} for number in range(1, 6))
        hr.put([{"site": "south", "no": 6, "name": "P6"}])
        desk = server.collection("desk", key="ref", paging="none")
        for number in (1, 2, 3):
            desk.reject(f"north-{number}")
        server.fault(Fault.close_after(), method="POST", nth=4)
        yield server


@pytest.fixture
def config(server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "crudsd.yaml"
    path.write_text(CONFIG.format(url=server.url))
    monkeypatch.setenv("CRUDSD_CONFIG", str(path))
    return path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(list(words)) in {0, 3}
    return capsys.readouterr().out


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    told = json.loads(said(capsys, "rejects", "list", "people", *words, "--json"))
    assert told["total"] == len(told["rejects"])
    return sorted(one["key"] for one in told["rejects"])


def test_a_run_tells_causes_and_not_each_record(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "run", "people")

    assert re.search(r"^! 3 × create HTTP 422: .*  \(one is north/1\)$", out, re.MULTILINE)
    assert "! reject  south/6  mail is required and is missing" in out


def test_a_run_tells_how_many_rest_and_the_way_to_have_them_tried(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        said(capsys, "run", "people")

    out = said(capsys, "run", "people")

    assert "! 3 rest until they change; crudsd rejects retry people --all has them tried in the next run" in out
    assert "HTTP 422" not in out


def test_a_list_tells_when_each_is_tried_next(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        said(capsys, "run", "people")

    lines = said(capsys, "rejects", "list", "people").splitlines()

    by_key = {key: line for line in lines for key in ("north/1", "north/4", "south/6") if key in line}
    assert re.search(r"\[3 attempts, last .* UTC; tried when it changes, or after .* UTC\]$", by_key["north/1"])
    assert by_key["north/4"].endswith("not tried until a person says so]")
    assert by_key["south/6"].endswith("tried in the next run]")


def test_a_list_may_be_narrowed(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "run", "people")

    assert listed(capsys) == ["north/1", "north/2", "north/3", "north/4", "south/6"]
    assert listed(capsys, "--retry", "person") == ["north/4"]
    assert listed(capsys, "--status", "422") == ["north/1", "north/2", "north/3"]
    assert listed(capsys, "--kind", "create") == ["north/1", "north/2", "north/3", "north/4"]
    assert listed(capsys, "--reason", "MAIL is required") == ["south/6"]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("north/1", ["create of its record at the target", "HTTP 422", "rarely: tried in the next run"]),
        ("north/4", ["person: not tried until a person says so", "target.lookup", "retry people north/4 --yes"]),
        ("south/6", ["the record never became a change", "mail is required and is missing", "each_run: tried in"]),
    ],
)
def test_one_is_shown_with_what_happens_next_and_what_can_be_done(
    config: Path, capsys: pytest.CaptureFixture[str], key: str, expected: list[str]
) -> None:
    said(capsys, "run", "people")

    out = said(capsys, "rejects", "show", "people", key)

    assert out.startswith(f"{key} of people\n")
    assert [text for text in expected if text not in out] == []


def test_one_that_rests_is_shown_with_both_cures(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        said(capsys, "run", "people")

    out = said(capsys, "rejects", "show", "people", "north/1")

    assert "rarely: tried when it changes, or after" in out
    assert "Mend the record in the source" in out
    assert "crudsd rejects retry people north/1" in out


def test_one_is_shown_as_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "run", "people")

    told = json.loads(said(capsys, "rejects", "show", "people", "north/4", "--json"))

    assert (told["key"], told["retry"], told["kind"], told["attempts"]) == ("north/4", "person", "create", 1)
    assert set(told) == {
        "key", "reason", "status", "excerpt", "kind", "retry", "attempts", "first_at", "last_at", "run", "rests_until",
    }  # fmt: skip


@pytest.mark.parametrize("verb", ["show", "retry", "drop"])
def test_a_mistyped_key_is_answered_with_the_nearest(
    config: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    said(capsys, "run", "people")

    assert main(["rejects", verb, "people", "nort/1"]) == 2

    assert "no reject of nort/1; near it: north/1" in capsys.readouterr().err


def test_retry_tells_how_many_are_due(
    config: Path, server: MisbehavingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(4):
        said(capsys, "run", "people")
    server.forget()

    out = said(capsys, "rejects", "retry", "people", "north/1", "north/2")
    told = json.loads(said(capsys, "rejects", "retry", "people", "north/2", "--json"))
    said(capsys, "run", "people")

    assert out.startswith("2 rejects are due: the next run of people")
    assert told == {"job": "people", "due": 1, "waiting": 0}
    assert len(server.writes()) == 2


def test_retry_of_all_leaves_what_waits_for_a_person(
    config: Path, server: MisbehavingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "run", "people")

    out = said(capsys, "rejects", "retry", "people", "--all")

    assert "4 rejects are due" in out
    assert "1 waits for a person" in out
    assert server.creates_by_key("desk")["north-4"] == 1


@pytest.mark.parametrize("words", [[], ["--all", "north/1"]])
def test_retry_wants_keys_or_all(config: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(["rejects", "retry", "people", *words]) == 2

    assert "Name the keys, or say --all." in capsys.readouterr().err


def test_nothing_is_made_due_when_one_key_is_wrong_or_needs_a_yes(
    config: Path, server: MisbehavingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        said(capsys, "run", "people")
    server.forget()

    assert [main(["rejects", "retry", "people", "north/1", key]) for key in ("north/9", "north/4")] == [2, 2]
    said(capsys, "run", "people")

    assert server.writes() == []


def test_a_reject_is_dropped_by_the_key_that_is_shown(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "run", "people")

    told = json.loads(said(capsys, "rejects", "drop", "people", "north/1", "--json"))

    assert told == {"job": "people", "dropped": "north/1"}
    assert "north/1" not in listed(capsys)
