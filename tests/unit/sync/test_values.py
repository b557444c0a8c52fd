"""Keys, numbers and texts through the whole core: each record ends as equal at the target, or as a reject."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from daemon.endpoints.memory import MemoryTarget
from daemon.sync.canonical import DEEPEST, decode
from daemon.sync.certificate import End
from daemon.sync.guards import Allowance
from daemon.sync.outcome import Ending, Result
from daemon.sync.parts import NOTHING
from daemon.sync.ports import Page
from tests.unit.sync.harness import Bench, job

MAP = {"no": "record.no", "v": "record.v"}
PLAIN = (b'{"no": "P1", "v": 1}', b'{"no": "P2", "v": 2}')
"""Records that must not be troubled by the one beside them."""


class RawSource:
    """A source whose records are these very bytes."""

    def __init__(self, *records: bytes) -> None:
        self.records = records

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any] = NOTHING) -> Iterator[Page | End]:
        del resume, scope
        yield Page(1, self.records)
        yield End("the only page", 1, len(self.records), len(self.records))


def carried(*records: bytes, **changes: Any) -> tuple[Bench, Result]:
    bench = Bench(job(**{"map": MAP, **changes}), target=MemoryTarget(match="no"))
    bench.source = RawSource(*records)  # type: ignore[assignment]  # another source of the same port
    return bench, bench.run(allowance=Allowance(deletes=99))


def value(raw: bytes, **changes: Any) -> Any:
    """Carry one value over and return what the target holds; a second run must find nothing to do."""
    bench, result = carried(PLAIN[0], b'{"no": "E1", "v": %b}' % raw, PLAIN[1], **changes)
    assert (result.ending, result.counts.created) == (Ending.DONE, 3)
    for compare in ("links", "target"):
        bench.job = job(**{"map": MAP, **changes, "compare": compare})
        assert bench.run().counts.unchanged == 3
    assert len(bench.target.writes) == 3
    return bench.documents()["E1"]["v"]


def reason(record: bytes) -> str:
    """Have one record rejected between two good ones, and return why."""
    bench, result = carried(PLAIN[0], record, PLAIN[1])
    assert (result.ending, result.counts.created, result.counts.rejected) == (Ending.REJECTED, 2, 1)
    (reject,) = bench.state.rejects.values()
    return reject.reason


@pytest.mark.edge(18)
@pytest.mark.suffering(18)
@pytest.mark.parametrize(
    "raw",
    [
        b"0", b"-1", b"9007199254740993", b"-9007199254740993", b"18446744073709551616", b"1" + b"0" * 60,
        b"0.1", b"19.90", b"1.0", b"0.30000000000000004", b"1e400", b"1E-400", b"1e999999", b"-0.0",
        b"0.1234567890123456789012345678901", b"12345678901234567890.12345678901234567890",
    ],
)  # fmt: skip
def test_a_number_arrives_with_every_digit(raw: bytes) -> None:
    assert str(value(raw)) == str(decode(raw))


@pytest.mark.edge(18)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"9007199254740992", b"9007199254740993"),
        (b"0.1234567890123456789012345678901", b"0.1234567890123456789012345678902"),
        (b"1e400", b"1.0000000001e400"),
        (b"1", b'"1"'),
        (b'"1"', b'"01"'),
        (b'"a"', b'"a "'),
        (b'"a"', b'"A"'),
        (b"null", b'""'),
        (b"[]", b"null"),
        (b"0", b"false"),
        (b'"x\\u0000"', b'"x"'),
    ],
)
def test_a_change_in_the_last_digit_or_sign_is_a_change(one: bytes, other: bytes) -> None:
    record = b'{"no": "E1", "v": %b}'
    bench, _ = carried(record % one, map=None)
    bench.source = RawSource(record % other)  # type: ignore[assignment]  # another source of the same port

    assert bench.run().counts.updated == 1
    assert repr(bench.documents()["E1"]["v"]) == repr(decode(other))


@pytest.mark.edge(18, 19)
@pytest.mark.parametrize(
    ("one", "other"),
    [(b"19.90", b"19.9"), (b"1", b"1.0"), (b"100", b"1e2"), (b'"\\u00e9"', b'"e\\u0301"'), (b"0.0", b"-0.0")],
)
def test_another_way_of_writing_the_same_is_no_change(one: bytes, other: bytes) -> None:
    record = b'{"no": "E1", "v": %b}'
    bench, _ = carried(record % one)
    bench.source = RawSource(record % other)  # type: ignore[assignment]  # another source of the same port

    assert bench.run().counts.unchanged == 1


@pytest.mark.edge(19)
@pytest.mark.parametrize(
    "raw",
    [
        b'"\\u00e9"', b'"e\\u0301"', b'" a "', b'"\\u0000"', b'"\\ud83d\\ude00"', "\"\\u2028😀'\"".encode(),
        b'""', b"null", b"[]", b"{}", b"[[], {}, null]", b'{"a": null}',
    ],
)  # fmt: skip
def test_a_text_or_an_empty_value_arrives_as_it_was_sent(raw: bytes) -> None:
    assert value(raw, map=None) == decode(raw)


@pytest.mark.edge(20)
def test_a_huge_record_is_a_record() -> None:
    assert len(value(b'"%b"' % (b"x" * 10_000_000))) == 10_000_000


def test_a_record_may_have_so_many_levels_and_not_one_more() -> None:
    def nested(levels: int) -> bytes:
        return b'{"no": "E1", "v": %b%b}' % (b"[" * (levels - 1), b"]" * (levels - 1))

    bench, result = carried(nested(DEEPEST))
    assert result.counts.created == 1
    assert bench.run().counts.unchanged == 1
    for levels in (DEEPEST + 1, 600, 990, 5_000, 100_000):
        assert reason(nested(levels)) == f"the record is unreadable: it is nested more than {DEEPEST} levels deep"


def test_many_flat_parts_are_not_deep() -> None:
    assert len(value(b"[" + b",".join([b"{}"] * 2_000) + b"]")) == 2_000


@pytest.mark.edge(17, 18, 19)
@pytest.mark.parametrize(
    ("record", "why"),
    [
        pytest.param(b'{"no": "E1", "v": NaN}', "malformed", id="NaN"),
        pytest.param(b'{"no": "E1", "v": -Infinity}', "malformed", id="Infinity"),
        pytest.param(b'{"no": "E1", "v": 01}', "malformed", id="a leading zero"),
        pytest.param(b'{"no": "E1", "v": 1e99999999999999999999}', "too large an exponent", id="an exponent"),
        pytest.param(b'{"no": "E1", "v": %b}' % (b"9" * 5_000), "out of range", id="5,000 digits"),
        pytest.param(b'{"no": "E1", "v": "\xff"}', "not UTF-8", id="no UTF-8"),
        pytest.param(b'{"no": "E1", "v": "\xed\xa0\x80"}', "not UTF-8", id="a surrogate in UTF-8"),
        pytest.param(b'{"no": "E1", "v": "\\ud800"}', "truncated", id="half a surrogate pair"),
        pytest.param(b'{"no": "E1", "v": "\\ud800 x and more"}', "surrogate", id="half a pair before text"),
        pytest.param(b'{"no": "E1", "v": "a\nb"}', "malformed", id="a raw line end"),
        pytest.param(b"[1]", "not a JSON object", id="a list"),
        pytest.param(b"null", "not a JSON object", id="null"),
        pytest.param(b"{}", "record.no is missing", id="no key"),
        pytest.param(b'{"no": null}', "null", id="a null key"),
        pytest.param(b'{"no": ""}', "empty", id="an empty key"),
        pytest.param(b'{"no": " \\t\\u00a0"}', "empty", id="a blank key"),
        pytest.param(b'{"no": true}', "boolean", id="a boolean key"),
        pytest.param(b'{"no": {}}', "not a text or a number", id="an object as key"),
        pytest.param(b'{"no": []}', "not a text or a number", id="an empty list as key"),
        pytest.param(b'{"no": [1, null]}', "null", id="a key with a null part"),
        pytest.param(b'{"no": 1e400}', "not a usable number", id="a key past measure"),
        pytest.param(b'{"no": "a\\u0000b"}', "control character", id="NUL in a key"),
        pytest.param(b'{"no": "a\\u001fb"}', "control character", id="the separator in a key"),
    ],
)
def test_what_cannot_be_carried_over_is_rejected_with_its_reason(record: bytes, why: str) -> None:
    assert why in reason(record)


@pytest.mark.edge(17)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"1", b'"1"'),
        (b"1", b"1.0"),
        (b"100", b"1e2"),
        (b"0", b"-0.0"),
        (b'"\\u00e9"', b'"e\\u0301"'),
        (b"9007199254740993", b'"9007199254740993"'),
        (b'"a"', b'"a"'),
    ],
)
def test_two_ways_of_writing_one_key_are_one_key_and_both_are_rejected(one: bytes, other: bytes) -> None:
    bench, result = carried(b'{"no": %b, "v": 1}' % one, *PLAIN, b'{"no": %b, "v": 2}' % other)

    assert (result.counts.created, result.counts.rejected, result.certificate.issued) == (2, 2, False)
    (reject,) = bench.state.rejects.values()
    assert "same key" in reject.reason


@pytest.mark.edge(17)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"1", b'"01"'),
        (b"1", b'"1.0"'),
        (b'"E1"', b'"e1"'),
        (b'"E1"', b'"E1 "'),
        (b"9007199254740992", b"9007199254740993"),
        (b"0.1234567890123456789012345678901", b"0.1234567890123456789012345678902"),
    ],
)
def test_keys_that_differ_are_two_records(one: bytes, other: bytes) -> None:
    bench, result = carried(b'{"no": %b, "v": 1}' % one, b'{"no": %b, "v": 2}' % other)

    assert (result.ending, result.counts.created) == (Ending.DONE, 2)
    assert bench.run().counts.unchanged == 2


def test_a_field_that_stands_twice_in_a_record_is_its_last_one() -> None:
    bench, _ = carried(b'{"no": "E1", "v": 1, "v": 2}')

    assert bench.documents()["E1"]["v"] == 2
