"""Keys, fingerprints and equality."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.sync.canonical import agrees, decode, decode_object, fingerprint, key_text, readable


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (Decimal("1.0"), "1"),
        ("1", "1"),
        ("01", "01"),
        (9007199254740993, "9007199254740993"),
        (Decimal("1.50"), "1.5"),
        ("é", "é"),
    ],
)
def test_a_key_has_one_text_however_it_is_written(value: Any, text: str) -> None:
    assert key_text(value) == text


@pytest.mark.parametrize("value", [None, "", "  ", True, {}, [], [None], float("nan"), "a\x00b", Decimal("NaN")])
def test_what_cannot_identify_is_no_key(value: Any) -> None:
    with pytest.raises(ValueError, match=r"key"):
        key_text(value)


def test_compound_keys_do_not_run_into_each_other() -> None:
    assert key_text(["a", "bc"]) != key_text(["ab", "c"])
    assert readable(key_text(["a", 7])) == "a/7"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": Decimal("19.90")}, {"a": Decimal("19.9")}),
        ({"a": Decimal("2.0")}, {"a": 2}),
        ({"a": "é"}, {"a": "é"}),
        ({"a": "2026-01-01T00:00:00Z"}, {"a": "2026-01-01T01:00:00.000+01:00"}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ],
)
def test_equal_documents_have_one_fingerprint(one: Any, other: Any) -> None:
    assert fingerprint(one) == fingerprint(other)
    assert agrees(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": "1"}, {"a": 1}),
        ({"a": None}, {}),
        ({"a": True}, {"a": 1}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": 9007199254740993}, {"a": 9007199254740992}),
    ],
)
def test_different_documents_differ(one: Any, other: Any) -> None:
    assert fingerprint(one) != fingerprint(other)
    assert not agrees(one, other)


def test_fields_that_the_target_adds_never_matter() -> None:
    assert agrees({"a": {"b": 1}, "c": [{"d": 1}]}, {"a": {"b": 1, "x": 2}, "c": [{"d": 1, "id": 9}], "y": 3})


def test_numbers_keep_every_digit() -> None:
    record = decode_object(b'{"id": 9007199254740993, "price": 19.90, "huge": 1e400}')
    assert record["id"] == 9007199254740993
    assert str(record["price"]) == "19.90"
    assert record["huge"] == Decimal("1e400")


@pytest.mark.parametrize("raw", [b"[1]", b'"x"', b"{", b'{"a": NaN}', b"", b'{"a": "\xff"}'])
def test_what_is_not_an_object_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_object(raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_a_document_agrees_with_itself(document: dict[str, Any]) -> None:
    assert agrees(document, document)
    assert fingerprint(document) == fingerprint(dict(reversed(document.items())))


@given(st.integers())
def test_integers_survive_parsing(number: int) -> None:
    assert decode(str(number).encode()) == number
