"""One form for equal values: keys as text, documents as fingerprints, fields as comparable values.

Numbers are equal by value (19.9 and 19.90), texts by their composed form (Unicode NFC), moments by the instant they
name (whatever their offset or trailing zeros). Nothing here changes what is sent.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, InvalidOperation
from itertools import combinations, islice
from typing import Any

import msgspec
import xxhash

from daemon.values import Document, Json, Record

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(order="sorted", decimal_format="number")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)")
_SHORTEST = len("2026-01-31T00:00Z")
_USUAL = len("2026-01-31T00:00:00Z")
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""The usual context rounds to 28 digits, and what differs in the 29th would be the same number."""
DEEPEST = 150
"""Levels of objects and lists in a record. Comparing walks down with two Python frames a level, and there are 1,000."""
_SEPARATOR = "\x1f"
"""Between the parts of a key: the ASCII unit separator, which no sane identifier holds."""
_SLASHED_KEYS = 200
"""Readings of one shown key that are tried: an address of twenty steps in a key of three parts has 190."""


def decode(raw: bytes) -> Json:
    """Return the JSON value in `raw`, every digit kept. Raises ValueError when it is not one JSON value of ours.

    Ours is not: more than `DEEPEST` levels, text that is not Unicode, a number that cannot be held exactly.
    """
    try:
        value = _DECODER.decode(raw)
    except UnicodeDecodeError as error:
        raise ValueError("a text in it is not UTF-8") from error
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    except InvalidOperation as error:
        raise ValueError("a number in it has too large an exponent") from error
    # Few brackets cannot be deep, and counting them costs next to nothing.
    if raw.count(b"[") + raw.count(b"{") > DEEPEST and not _is_shallow(value):
        raise ValueError(_TOO_DEEP)
    return value


_TOO_DEEP = f"it is nested more than {DEEPEST} levels deep"


def _is_shallow(value: Json) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            part
            for one in level
            if isinstance(one, (dict, list))
            for part in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return True
    return False


def decode_object(raw: bytes) -> Record:
    """Return the JSON object in `raw`. Raises ValueError when it is anything else."""
    value = decode(raw)
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - a fault of the data
    return value


def encode(value: Json) -> bytes:
    """Return a value as JSON, every digit kept."""
    return _ENCODER.encode(value)


def raw_fingerprint(raw: bytes, seed: int) -> bytes:
    """Return 16 bytes that tell whether these very bytes were seen under the same job revision (XXH3-128)."""
    return xxhash.xxh3_128_digest(raw, seed=seed)


def raw_fingerprints(raws: Iterable[bytes], seed: int) -> list[bytes]:
    """Return the raw fingerprint of each, in order."""
    digest = xxhash.xxh3_128_digest
    return [digest(raw, seed=seed) for raw in raws]


def heard_fingerprint(record: Record, seed: int) -> bytes:
    """Return 16 bytes as `raw_fingerprint` does, for a record of which something was taken out."""
    return raw_fingerprint(_ENCODER.encode(record), seed)


def fingerprint(document: Document) -> bytes:
    """Return 16 bytes that are equal for documents whose fields are all equal."""
    return xxhash.xxh3_128_digest(_ENCODER.encode(comparable(document)))


def key_text(value: Json) -> str:
    """Return the canonical text of a key or match value.

    A whole number, however written, is its digits (1 and 1.0 are "1"; the text "01" stays "01"); a list is its
    parts joined. Raises ValueError with the reason when a value cannot identify anything.
    """
    if type(value) is int:
        return str(value)
    if isinstance(value, str):
        return _text_key(value)
    if isinstance(value, bool) or value is None:
        raise ValueError(f"the key is {'null' if value is None else 'a boolean'}")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        if not value.is_finite() or abs(value.adjusted()) > 64:
            raise ValueError("the key is not a usable number")
        return format(value.normalize(_EXACT), "f") if value else "0"
    if isinstance(value, (list, tuple)) and value:
        return _SEPARATOR.join(key_text(part) for part in value)
    raise ValueError("the key is not a text or a number")


def _text_key(value: str) -> str:
    text = value if value.isascii() else unicodedata.normalize("NFC", value)
    if not text.strip():
        raise ValueError("the key is empty")
    if "\x00" in text or _SEPARATOR in text:
        raise ValueError("the key holds a control character")
    return text


def readable(key: str) -> str:
    """Return a key as people should see it: parts of a compound key joined by a slash."""
    return key.replace(_SEPARATOR, "/")


def keys_shown_as(text: str, parts: int) -> tuple[str, ...]:
    """Return the keys that `readable` shows as this text, for a key of so many parts; the likeliest first.

    There are several when a part of a compound key holds a slash itself.
    """
    whole = unicodedata.normalize("NFC", text)
    pieces = whole.split("/")
    found = {whole: None} if parts == 1 else {}
    for cuts in islice(combinations(range(1, len(pieces)), parts - 1), _SLASHED_KEYS):
        ends = zip((0, *cuts), (*cuts, len(pieces)), strict=True)
        found[_SEPARATOR.join("/".join(pieces[start:end]) for start, end in ends)] = None
    # An expression may give a list by itself.
    found[whole.replace("/", _SEPARATOR)] = None
    return tuple(found)


def comparable(value: Json) -> Json:
    """Return a value that is equal, and encodes equally, for all ways of writing the same thing."""
    alike = _ALIKE.get(type(value), _any)
    return value if alike is None else alike(value)


def _text(text: str) -> str:
    # Most texts are no moment, and show it in two places; and of moments most are written as they are compared.
    if len(text) < _SHORTEST or text[4] != "-":
        return text if text.isascii() else unicodedata.normalize("NFC", text)
    if len(text) == _USUAL and text[10] == "T" and text[19] == "Z" and text[0] != "0" and text.isascii():
        return text
    return _moment(text) if _MOMENT.fullmatch(text) else unicodedata.normalize("NFC", text)


def _tree(value: Mapping[str, Json]) -> dict[str, Json]:
    made: dict[str, Json] = {}
    for name, part in value.items():
        kind = type(part)
        # Short texts are the most of most records, and not worth a call.
        if not (kind is str and len(part) < _SHORTEST and part.isascii()):
            alike = _ALIKE.get(kind, _any)
            part = part if alike is None else alike(part)  # noqa: PLW2901 - the same part, made comparable
        made[name if name.isascii() else unicodedata.normalize("NFC", name)] = part
    return made


def _list(value: Sequence[Json]) -> list[Json]:
    return [comparable(part) for part in value]


def _float(value: float) -> Json:
    return _number(Decimal(str(value)))


def _any(value: Json) -> Json:
    """Return what `comparable` does for a value of a type that is not itself one of JSON's."""
    alike = next((alike for kind, alike in _FAMILIES if isinstance(value, kind)), None)
    return value if alike is None else alike(value)


def agrees(wanted: Json, found: Json) -> bool:
    """Say whether `found` holds what is wanted. Fields that the target adds to an object never matter."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return all(name in found and agrees(part, found[name]) for name, part in wanted.items())
    if is_list(wanted) and is_list(found):
        return len(wanted) == len(found) and all(map(agrees, wanted, found))
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    return bool(comparable(wanted) == comparable(found))


def is_list(value: Json) -> bool:
    """Say whether a value is a JSON array."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _number(value: Decimal) -> Json:
    if not value.is_finite() or abs(value.adjusted()) > 400:
        return str(value)
    whole = value.to_integral_value()
    return int(whole) if whole == value and abs(value.adjusted()) < 40 else value.normalize(_EXACT)


def _moment(text: str) -> str:
    """Return the instant in UTC, to the nanosecond digits that were written; the text itself if it is no instant."""
    main, _, rest = text.partition(".")
    digits = re.match(r"\d*", rest)
    fraction = digits[0] if digits else ""
    try:
        moment = datetime.fromisoformat((main + rest[len(fraction) :]).upper().replace(" ", "T")).astimezone(UTC)
    except (ValueError, OverflowError):
        return text
    fraction = fraction.rstrip("0")
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"


_FAMILIES: Sequence[tuple[type[Any], Callable[[Any], Json]]] = (
    (str, _text),
    (Decimal, _number),
    (float, _float),
    (Mapping, _tree),
    (list, _list),
    (tuple, _list),
)
_ALIKE: Mapping[type[Any], Callable[[Any], Json] | None] = {
    **{kind: alike for kind, alike in _FAMILIES if kind is not Mapping},
    dict: _tree,
    int: None,
    bool: None,
    type(None): None,
}
"""By the very type of a value, what makes it comparable; None for what is so already."""
