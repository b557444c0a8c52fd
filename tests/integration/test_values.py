"""Keys, numbers and texts over HTTP, from the source's bytes to the bytes that the target is sent."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.report import text
from daemon.sync.guards import Allowance
from daemon.sync.outcome import Ending
from tests.fakes.misbehaving import Fault, MisbehavingServer
from tests.integration.harness import Desk
from tests.integration.test_bad_input import spec

GOOD = b'{"external_id": "E1", "name": "Ada", "email": 1}'
READ_ALL = {"records": "data.items", "paginate": {"type": "none"}}
LIST = {"uri": "users", "records": "users", "paginate": {"type": "page", "param": "page"}}


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with MisbehavingServer(seed=1) as one:
        one.token("canary-good")
        yield one


def desk(server: MisbehavingServer, folder: Path, *records: bytes, source: dict[str, Any] | None = None) -> Desk:
    """A job whose source gives these very bytes."""
    answers(server, *records)
    return Desk(folder, spec(server.url, source=READ_ALL | (source or {})), secrets={"TOKEN": "canary-good"})


def answers(server: MisbehavingServer, *records: bytes) -> None:
    server.behave()
    server.fault(Fault.answer(200, b'{"data": {"items": [%b]}}' % b", ".join(records)), method="GET", path="^/people")


@pytest.mark.edge(18, 19)
@pytest.mark.suffering(18)
@pytest.mark.parametrize(
    "raw",
    [
        b"9007199254740993", b"18446744073709551616", b"19.90", b"0.1", b"-0.0",
        b"0.1234567890123456789012345678901", b'"e\xcc\x81 \xc3\xa9"', b'" a "', b'"x\\u0000y"', b"null", b"[]", b"{}",
    ],
)  # fmt: skip
def test_a_value_goes_from_source_to_target_byte_by_byte(server: MisbehavingServer, tmp_path: Path, raw: bytes) -> None:
    server.collection("users", paging="page")
    record = b'{"external_id": "E1", "name": "Ada", "email": %b}' % raw
    one = desk(server, tmp_path, record)
    one.write(with_job(one, map=None))

    assert one.run().result.counts.created == 1

    (sent,) = [seen.body for seen in server.writes()]
    assert sent == record.replace(b", ", b",").replace(b": ", b":")
    assert one.run().result.counts.unchanged == 1


def with_job(one: Desk, **changes: Any) -> dict[str, Any]:
    written = json.loads((one.folder / "crudsd.yaml").read_text(encoding="utf-8"))
    job = written["jobs"]["people"]
    for name, value in changes.items():
        if value is None:
            job.pop(name, None)
        else:
            job[name] = {**job[name], **value} if isinstance(value, dict) else value
    return {name: value for name, value in written.items() if name != "version"}


@pytest.mark.edge(17, 18, 19)
@pytest.mark.parametrize(
    "record",
    [
        pytest.param(b'{"external_id": "E2", "name": "\xff"}', id="no UTF-8"),
        pytest.param(b'{"external_id": "E2", "name": "\\ud800 x and more"}', id="half a surrogate pair"),
        pytest.param(b'{"external_id": "E2", "name": 1e99999999999999999999}', id="an exponent"),
        pytest.param(b'{"external_id": "E2", "name": %b%b}' % (b"[" * 500, b"]" * 500), id="depth"),
        pytest.param(b'{"external_id": "E2", "name": "\\ud800"}', id="half a surrogate pair alone"),
        pytest.param(b'{"external_id": "E2", "name": "\\ud83d\\ude00\\udc00"}', id="half a pair after a whole one"),
        pytest.param(b'{"external_id": "E2", "name": %b}' % (b"9" * 5_000), id="digits"),
        pytest.param(b'{"external_id": "a\\u0000b"}', id="NUL in a key"),
        pytest.param(b'{"external_id": " "}', id="a blank key"),
        pytest.param(b'{"external_id": null}', id="a null key"),
        pytest.param(b"7", id="a number"),
    ],
)
def test_what_cannot_be_carried_over_is_a_reject_and_the_others_go_through(
    server: MisbehavingServer, tmp_path: Path, record: bytes
) -> None:
    users = server.collection("users", paging="page")
    one = desk(server, tmp_path, GOOD, record)

    finished = one.run()

    assert (finished.result.ending, finished.result.counts.rejected) == (Ending.REJECTED, 1)
    assert not finished.result.certificate.issued
    assert set(users.by_key()) == {"E1"}
    assert "".join(text.finish(finished))


@pytest.mark.edge(19)
@pytest.mark.parametrize(
    "text",
    [b'"\\ud83d\\ude00"', b'"\\\\ud800"', b'"\\u00e9\\n"', b'"\\uD83D\\uDE00 \\\\\\ud83d\\ude00"'],
)
def test_whole_pairs_and_what_only_looks_like_half_of_one_arrive(
    server: MisbehavingServer, tmp_path: Path, text: bytes
) -> None:
    users = server.collection("users", paging="page")
    one = desk(server, tmp_path, b'{"external_id": "E1", "name": %b, "email": 1}' % text)

    assert one.run().result.counts.created == 1
    assert users.by_key()["E1"]["name"] == json.loads(text)


def test_a_page_that_is_too_deep_to_be_split_fails_the_run_and_says_why(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    server.collection("users", paging="page")
    one = desk(server, tmp_path, GOOD, b'{"external_id": "E2", "name": %b%b}' % (b"[" * 5_000, b"]" * 5_000))

    result = one.run().result

    assert (result.ending, server.writes()) == (Ending.FAILED, [])
    assert "it has too many levels" in result.error


@pytest.mark.parametrize("records", ["data.[items][0]", "data.items[?external_id]"])
@pytest.mark.parametrize("raw", [b'"\xff"', b"1e99999999999999999999", b"[" * 5_000 + b"]" * 5_000])
def test_an_answer_that_must_be_read_whole_and_cannot_be_fails_the_run_and_says_why(
    server: MisbehavingServer, tmp_path: Path, raw: bytes, records: str
) -> None:
    server.collection("users", paging="page")
    one = desk(server, tmp_path, GOOD, b'{"external_id": "E2", "name": %b}' % raw, source={"records": records})

    result = one.run().result

    assert result.ending is Ending.FAILED
    assert "the answer cannot be read: it has" in result.error
    assert server.writes() == []


@pytest.mark.edge(20)
def test_a_record_of_ten_megabytes_goes_through(server: MisbehavingServer, tmp_path: Path) -> None:
    users = server.collection("users", paging="page")
    one = desk(server, tmp_path, b'{"external_id": "E1", "name": "%b", "email": 1}' % (b"x" * 10_000_000))

    assert one.run().result.counts.created == 1
    assert len(users.by_key()["E1"]["name"]) == 10_000_000


@pytest.mark.edge(17)
def test_keys_that_differ_in_case_are_two_records(server: MisbehavingServer, tmp_path: Path) -> None:
    users = server.collection("users", paging="page")
    one = desk(server, tmp_path, GOOD, GOOD.replace(b"E1", b"e1"))

    assert one.run().result.counts.created == 2
    assert set(users.by_key()) == {"E1", "e1"}
    assert one.run().result.counts.unchanged == 2


@pytest.mark.edge(17)
def test_a_target_for_which_both_keys_are_one_refuses_the_second_and_the_first_stays(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    users = server.collection("users", paging="page", normalise={"external_id": str.lower})
    one = desk(server, tmp_path, GOOD.replace(b"E1", b"e1"), GOOD.replace(b"Ada", b"Other"))
    one.write(one_at_a_time(with_job(one)))

    results = [one.run().result, one.run().result]

    assert [result.ending for result in results] == [Ending.REJECTED, Ending.REJECTED]
    assert [result.counts.rejected for result in results] == [1, 1]
    assert one.rejects() == ["E1"]
    assert [record["name"] for record in users.records()] == ["Ada"]
    assert server.creates_by_key("users") == {"e1": 1}


def one_at_a_time(written: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with one write under way at once, so that the first record is the first to be there."""
    written["connections"]["api"]["quota"] = {"concurrency": 1}
    return written


@pytest.mark.edge(17, 30)
@pytest.mark.suffering(18)
def test_a_target_that_keeps_the_key_in_its_own_way_is_linked_by_id_and_comes_to_rest(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    server.collection("users", paging="page", normalise={"external_id": str.lower, "name": str.strip})
    one = desk(server, tmp_path, GOOD, GOOD.replace(b"E1", b"E2").replace(b"Ada", b" Bob "))
    one.write(with_job(one, compare="target", target={"list": LIST}))
    made = []
    for _ in range(5):
        server.forget()
        last = one.run(allowance=Allowance(updates=9))
        made.append(len(server.writes()))

    assert made == [2, 2, 2, 0, 0]
    assert last.result.ending is Ending.DONE
    told = [line for line in text.finish(last) if line.startswith("≠")]
    assert told == [
        f"≠ does not converge: {what}: map it as the target keeps it, or drop it from the map"
        for what in (
            "external_id (2 records, e.g. E1: wrote 'E1', the target shows 'e1')",
            "name (1 record, e.g. E2: wrote ' Bob ', the target shows 'Bob')",
        )
    ]
