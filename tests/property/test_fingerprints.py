"""Fingerprints stay what they are: links hold them for years, and another one would make every record an update."""

import re
import unicodedata
from collections import UserString
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from types import MappingProxyType
from typing import Any

import msgspec
import xxhash
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.sync.canonical import comparable, fingerprint

EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
ENCODER = msgspec.json.Encoder(order="sorted", decimal_format="number")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)")


# ---- how it is defined ----


def plainly(value: Any) -> Any:
    """Return what a value is compared by, in the fewest words."""
    if isinstance(value, str):
        return moment(value) if MOMENT.fullmatch(value) else unicodedata.normalize("NFC", value)
    if isinstance(value, (Decimal, float)):
        return number(Decimal(str(value)) if isinstance(value, float) else value)
    if isinstance(value, Mapping):
        return {unicodedata.normalize("NFC", name): plainly(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plainly(part) for part in value]
    return value


def number(value: Decimal) -> Any:
    if not value.is_finite() or abs(value.adjusted()) > 400:
        return str(value)
    whole = value.to_integral_value()
    return int(whole) if whole == value and abs(value.adjusted()) < 40 else value.normalize(EXACT)


def moment(text: str) -> str:
    main, _, rest = text.partition(".")
    digits = re.match(r"\d*", rest)
    fraction = digits[0] if digits else ""
    try:
        found = datetime.fromisoformat((main + rest[len(fraction) :]).upper().replace(" ", "T")).astimezone(UTC)
    except (ValueError, OverflowError):
        return text
    fraction = fraction.rstrip("0")
    return found.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"


# ---- values ----

AT = st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31, 23, 59, 59))  # noqa: DTZ001
MOMENTS = st.builds(
    lambda at, between, seconds, fraction, zone: (
        at.strftime("%Y").zfill(4)
        + at.strftime(f"-%m-%d{between}%H:%M")
        + (seconds + fraction if seconds else "")
        + zone
    ),
    AT,
    st.sampled_from("TTTt _"),
    st.sampled_from(["", ":00", ":07", ":59", ":60"]),
    st.sampled_from(["", "", ".", ".0", ".5", ".120", ".123456789", ".0000000000"]),
    st.sampled_from(["Z", "Z", "z", "", "+00:00", "-00:00", "+0130", "+14:00", "-23:59", "+24:00"]),
)
NEARLY = st.from_regex(r"\A[\d0-9]{4}[-/][\d]{2}-\d\d[Tt x]\d\d:\d\d(:\d\d)?[Zz]?\Z")
"""As moments are, with digits of other scripts and dates that no calendar has."""
TEXTS = st.text() | st.text(st.characters(max_codepoint=127)) | MOMENTS | NEARLY
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.floats(allow_nan=False)
    | TEXTS
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)
DOCUMENTS = st.dictionaries(TEXTS, VALUES, max_size=8)


@given(DOCUMENTS)
@example({"a": "2026-01-31T00:00:00Z", "b": "0999-01-31T00:00:00Z", "c": "2026-13-31T00:00:00Z"})
@example({"a": "2026-01-31T24:00:00Z", "b": "２０２６-01-31T00:00:00Z", "c": "2026-01-31 00:00:00Z"})
@example({"e\u0301": 1, "é": 2})
@example({"a": Decimal("-0"), "b": -0.0, "c": Decimal("1E+39"), "d": Decimal("1E+41"), "e": Decimal("1E+500")})
def test_a_fingerprint_is_what_it_was_defined_to_be(document: dict[str, Any]) -> None:
    try:
        expected = xxhash.xxh3_128_digest(ENCODER.encode(plainly(document)))
    except UnicodeEncodeError:
        return  # half a surrogate pair, which no record has
    assert fingerprint(document) == expected


@given(TEXTS)
def test_a_text_is_compared_as_it_was_defined_to_be(text: str) -> None:
    assert comparable(text) == plainly(text)


class Word(str):
    __slots__ = ()


class Amount(Decimal):
    pass


class Count(int):
    pass


@given(MOMENTS, st.integers(), st.decimals(allow_nan=False, allow_infinity=False))
def test_a_value_that_only_behaves_like_jsons_is_compared_as_one(text: str, whole: int, number: Decimal) -> None:
    odd = [Word(text), Count(whole), Amount(number), (text, number), MappingProxyType({text: number}), UserString(text)]
    assert comparable(odd) == plainly(odd)
