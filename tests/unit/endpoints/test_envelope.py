"""What an answer holds, and what is no answer."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cruds.response import Response
from daemon.endpoints.envelope import Body, CutError, Path, encode
from daemon.endpoints.frame import Frame
from daemon.errors import MalformedError
from daemon.values import MISSING


def body(raw: bytes | str, content_type: str = "application/json") -> Body:
    content = raw.encode() if isinstance(raw, str) else raw
    return Body(Response(200, {"content-type": content_type}, content, "http://x/people?secret=1", "GET"), "api: read")


def records(raw: bytes | str, path: str | None) -> tuple[bytes, ...]:
    return body(raw).records(Path(path) if path else None).records


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ('[{"a":1},{"a":2}]', None),
        ('{"items": [{"a":1},{"a":2}]}', "items"),
        (' {"data" : {"items":[{"a":1} , {"a":2}]}}', "data.items"),
        ('{"data-set": {"the items": [{"a":1},{"a":2}]}}', '"data-set"."the items"'),
        ('{"a.b": [{"a":1},{"a":2}]}', '"a.b"'),
        ('{"x": [{"r":{"a":1}},{"r":{"a":2}}]}', "x[].r"),
        ('{"x": [{"a":1,"ok":true},{"a":2,"ok":true},{"a":3}]}', "x[?ok].{a: a}"),
        ('{"über": [{"a":1},{"a":2}]}', '"über"'),
    ],
)
def test_records_are_found(raw: str, path: str | None) -> None:
    assert records(raw, path) == (b'{"a":1}', b'{"a":2}')


def test_records_are_the_bytes_that_came() -> None:
    assert records('{"r": [ {"n": 19.90, "i":9007199254740993} ]}', "r") == (b'{"n": 19.90, "i":9007199254740993}',)


def test_a_path_that_is_more_than_names_keeps_every_digit() -> None:
    raw = '{"r": [[{"n": 19.90, "i": 9007199254740993, "e": 12345678901234567890123}]]}'
    assert records(raw, "r[]") == (b'{"n":19.90,"i":9007199254740993,"e":12345678901234567890123}',)


@pytest.mark.parametrize(
    ("raw", "path"), [("[]", None), ('{"r": []}', "r"), ('{"r": {"s": [ ]}}', "r.s"), ('{"r": [[]]}', "r[]")]
)
def test_an_empty_list_is_a_list(raw: str, path: str | None) -> None:
    assert records(raw, path) == ()


@pytest.mark.edge(12)
@pytest.mark.parametrize(
    ("raw", "path", "said"),
    [
        ('{"rows": []}', "items", "'items' is not in the answer, which has rows"),
        ('{"data": null}', "data.items", "'data.items' is not in the answer, which has data"),
        ('{"data": [1]}', "data.items", "'data.items' is not in the answer"),
        ('{"items": null}', "items", "is null, not a list"),
        ('{"items": {"a": 1}}', "items", "is an object, not a list"),
        ('{"items": "a"}', "items", "is a text, not a list"),
        ('{"items": false}', "items", "is a boolean, not a list"),
        ('{"items": 7}', "items", "is a number, not a list"),
        ('{"ok": false, "error": {"code": "internal"}}', "items", "which has ok, error"),
        ("{}", "items", "which has no fields"),
        ("{}", None, "is an object, not a list"),
        ("[{}]", "items", "which has a list of 1"),
        ('{"rows": []}', "items[]", "is not in the answer"),
        ('{"items": {"a": 1}}', "items | @", "is an object, not a list"),
        ("", None, "no JSON"),
        ("  \r\n", None, "no JSON"),
        ("OK", None, "no JSON"),
        ('"text"', None, "no JSON"),
        ("null", "items", "no JSON"),
        ("<!doctype html><p>Sign in", "items", "HTML"),
        ("\n <html>", None, "HTML"),
    ],
)
def test_what_is_no_list_of_records_is_an_error_and_never_empty(raw: str, path: str | None, said: str) -> None:
    with pytest.raises(MalformedError) as caught:
        records(raw, path)

    assert said in str(caught.value)
    assert str(caught.value).startswith("api: read: ")
    assert "secret" not in str(caught.value)
    assert not isinstance(caught.value, CutError)


@pytest.mark.edge(13)
@pytest.mark.parametrize("path", [None, "items", "items[]"])
def test_json_that_breaks_off_is_cut_wherever_it_does(path: str | None) -> None:
    whole = b'[{"a": 1}, {"a": 22}]' if path is None else b'{"items": [{"a": 1}, {"a": 22}], "n": [1, 2]}'
    for length in range(1, len(whole)):
        with pytest.raises(CutError):
            records(whole[:length], path)


def test_what_comes_after_the_json_is_cut_too() -> None:
    with pytest.raises(CutError):
        records('{"items": []}}', "items")


def test_facts_are_found_or_none() -> None:
    one = body('{"data": {"next": "abc", "total": 12, "more": false, "null": null}, "next-cursor": 9007199254740993}')

    assert one.find(Path("data.next")) == "abc"
    assert one.find(Path("data.total")) == 12
    assert one.find(Path("data.more")) is False
    assert one.find(Path("data.null")) is None
    assert one.find(Path("data.nothing.here")) is None
    assert one.find(Path('"next-cursor"')) == 9007199254740993
    assert one.find(Path("length(data)")) == 4
    assert one.find(None) is None


def test_equal_pages_have_equal_fingerprints_and_others_do_not() -> None:
    prints = [body(raw).records(None).fingerprint for raw in ('[{"a":1}]', '[{"a":1}]', '[{"a":2}]', "[]")]

    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_a_path_in_a_parsed_value_tells_missing_from_null() -> None:
    assert Path("a.b").search({"a": {"b": None}}) is None
    assert Path("a.b").search({"a": {}}) is MISSING
    assert Path("a.b").search({"a": [1]}) is MISSING
    assert Path('"a-b"').search({"a-b": 1}) == 1


def test_a_number_beyond_any_float_is_written_as_it_was() -> None:
    assert encode([Decimal("1E+400"), 2**200, Decimal("0.10")]) == b"[1E+400,%d,0.10]" % 2**200


def test_encoding_keeps_texts_readable() -> None:
    assert encode({"ü": "\u2028</script>"}) == '{"ü":"\u2028</script>"}'.encode()


NAMES = st.sampled_from("abc")
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(tuple)
ANSWERS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=3)),
    lambda inner: st.one_of(st.dictionaries(NAMES, inner, max_size=3), st.lists(inner, max_size=3)),
    max_leaves=12,
)


@given(answer=ANSWERS, records=PATHS, others=st.lists(PATHS, max_size=3), cut=st.integers(-3, 0))
@example(answer={"a": {"b": [1], "c": 2}}, records=("a", "b"), others=[("a", "c"), ("c", "a")], cut=0)
@example(answer={"a": [1], "b": {"c": None}}, records=("a",), others=[("b", "c"), ("c",)], cut=0)
def test_an_answer_that_is_split_in_one_pass_holds_what_is_found_in_it_step_by_step(
    answer: Any, records: tuple[str, ...], others: list[tuple[str, ...]], cut: int
) -> None:
    raw = json.dumps(answer).encode()
    response = Response(200, {"content-type": "application/json"}, raw[: len(raw) + cut], "http://x/", "GET")

    def found(frame: Frame | None) -> Any:
        try:
            body = Body(response, "api: read", frame)
            return body.records(Path(".".join(records))), [body.find(Path(".".join(other))) for other in others]
        except MalformedError as error:
            return type(error), str(error)

    assert found(Frame(records, others)) == found(None)
