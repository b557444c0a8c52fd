"""What an answer holds: its records as raw bytes, and the facts that pagination needs.

Records are split off without being parsed (msgspec Raw) where the path to them is plain; the core parses only what
changed. A missing records path, null, an object in place of the list, HTML with status 200: errors, never "empty".
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import jmespath
import msgspec
import xxhash

from daemon.errors import MalformedError
from daemon.values import MISSING, Json

from .frame import Frame, Steps

if TYPE_CHECKING:  # files are read with it too, and need no client
    import cruds

_PLAIN = re.compile(r'(?:[A-Za-z_]\w*|"[^"\\]+")(?:\.(?:[A-Za-z_]\w*|"[^"\\]+"))*')
_STEP = re.compile(r'[A-Za-z_]\w*|"([^"\\]+)"')
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_VALUE = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)
"""Escapes in a JSON text: whole surrogate pairs, (half ones), others."""


class CutError(MalformedError):
    """The answer is JSON that breaks off, though HTTP calls it whole. Asking again may help."""


class Path:
    """A JMESPath, compiled once; plain dotted ones are walked without parsing what they pass by."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._steps = tuple(match[1] or match[0] for match in _STEP.finditer(text)) if _PLAIN.fullmatch(text) else None
        self._compiled = None if self._steps else jmespath.compile(text)

    @property
    def steps(self) -> tuple[str, ...] | None:
        """The names to walk through; None when the path is more than names."""
        return self._steps

    def search(self, value: Json) -> Json:
        """Return what the path finds in a parsed value; MISSING when a plain path leads nowhere."""
        if self._compiled is not None:
            return self._compiled.search(value)
        for step in self._steps or ():
            if not isinstance(value, Mapping) or step not in value:
                return MISSING
            value = value[step]
        return value


@dataclass(frozen=True, slots=True)
class Content:
    """One answer, opened."""

    records: tuple[bytes, ...]
    fingerprint: bytes
    """Of all records together; equal for a page that came again."""

    @staticmethod
    def of(parts: Iterable[msgspec.Raw]) -> "Content":
        """Return what these raw values come to."""
        records = tuple(map(bytes, parts))
        return Content(records, xxhash.xxh3_128_digest(b"\n".join(records)))


class Body:
    """The JSON body of one answer. Finding several things in it parses each part once at most."""

    def __init__(self, response: "cruds.Response", what: str, frame: Frame | None = None) -> None:
        """`frame` splits an answer of the shape that is expected of it; others are looked through step by step."""
        self._frame = frame
        self._beside: Mapping[Steps, msgspec.Raw | None] = {}
        self._raw = _splittable(response.body)
        self._what = what
        self._top: Mapping[str, msgspec.Raw] | None = None
        self._content_type = response.content_type
        self._whole: Json = MISSING
        start = self._raw.lstrip()[:1]
        if start == b"<" or (start not in b"{[" or not start):
            shown = self._content_type or "without a content type"
            kind = "HTML" if start == b"<" else "no JSON"
            raise MalformedError(f"{what}: answered {response.status} with {kind} ({shown}); is the address right?")

    def records(self, path: Path | None) -> Content:
        """Return the list at `path` (the body itself if None) as raw records."""
        split = self._frame.split(self._raw) if self._frame is not None else None
        if split is not None:
            self._beside = split.beside
            return Content.of(split.records)
        raw, where = self._part(path)
        try:
            return Content.of(_LIST.decode(raw))
        except RecursionError as error:
            raise self._too_deep() from error
        except msgspec.DecodeError as error:
            if raw.lstrip()[:1] == b"[":
                raise CutError(f"{self._what}: the answer is not whole: {error}") from error
            raise MalformedError(
                f"{self._what}: {where} is {_kind(raw)}, not a list; the answer has {self._names()}"
            ) from error

    def record(self, path: Path | None) -> bytes | None:
        """Return the one record at `path` (the body itself if None): an object, or the only item of a list.

        None when the list is empty.
        """
        raw, where = self._part(path)
        if raw.lstrip()[:1] != b"[":
            return raw
        parts = self.records(path).records
        if len(parts) > 1:
            raise MalformedError(f"{self._what}: {where} is a list of {len(parts)}, and one record was asked for")
        return parts[0] if parts else None

    def find(self, path: Path | None) -> Json:
        """Return the value at `path`, None when it is not there."""
        if path is None:
            return None
        if path.steps is None or self._whole is not MISSING:
            found = path.search(self.whole())
            return None if found is MISSING else found
        raw = self._raw_at(path.steps)
        return None if raw is None else self._value(raw)

    def whole(self) -> Json:
        """Return the body parsed, every digit kept."""
        if self._whole is MISSING:
            self._whole = self._value(self._raw)
        return self._whole

    def _part(self, path: Path | None) -> tuple[bytes, str]:
        """Return the raw value at `path` and what a message calls that place; a path to nothing is an error."""
        where = f"the records path {path.text!r}" if path is not None else "the answer"
        if path is not None and path.steps is None:
            found = path.search(self.whole())
            raw = None if found is None else _ENCODER.encode(found)
        else:
            raw = self._raw_at(path.steps if path is not None and path.steps is not None else ())
        if raw is None:
            raise MalformedError(f"{self._what}: {where} is not in the answer, which has {self._names()}")
        return raw, where

    def _value(self, raw: bytes) -> Json:
        try:
            return _VALUE.decode(raw)
        except msgspec.DecodeError as error:
            raise CutError(f"{self._what}: the answer is not whole: {error}") from error
        except RecursionError as error:
            raise self._too_deep() from error
        except (UnicodeDecodeError, InvalidOperation) as error:
            is_text = isinstance(error, UnicodeDecodeError)
            reason = "a text that is not UTF-8" if is_text else "a number with too large an exponent"
            raise MalformedError(f"{self._what}: the answer cannot be read: it has {reason}") from error

    def _too_deep(self) -> MalformedError:
        return MalformedError(f"{self._what}: the answer cannot be read: it has too many levels")

    def _raw_at(self, steps: tuple[str, ...]) -> bytes | None:
        if not steps:
            return self._raw
        found, rest = self._beginning(steps)
        for step in rest:
            found = None if found is None else self._fields(found).get(step)
        return None if found is None else bytes(found)

    def _beginning(self, steps: Steps) -> tuple[msgspec.Raw | None, Steps]:
        """Return what stands at the beginning of a path, and the rest of the path."""
        for depth in range(1, len(steps) + 1):
            if steps[:depth] in self._beside:
                return self._beside[steps[:depth]], steps[depth:]
        if self._top is None:
            self._top = self._fields(self._raw)
        return self._top.get(steps[0]), steps[1:]

    def _fields(self, raw: bytes | msgspec.Raw) -> Mapping[str, msgspec.Raw]:
        """Return the fields of an object; none where it is something else."""
        try:
            return _OBJECT.decode(raw)
        except msgspec.ValidationError:
            return {}
        except RecursionError as error:
            raise self._too_deep() from error
        except msgspec.DecodeError as error:
            raise CutError(f"{self._what}: the answer is not whole: {error}") from error

    def _names(self) -> str:
        whole = self.whole()
        if isinstance(whole, Mapping):
            return ", ".join(map(str, list(whole)[:8])) or "no fields"
        return f"a list of {len(whole)}"


def _splittable(raw: bytes) -> bytes:
    """Return a body that can be split into records though one of them has half a surrogate pair.

    The parser refuses the whole page for it. Bytes that are no UTF-8 in its place have that record refused alone.
    """
    if b"\\" not in raw or (b"\\ud" not in raw and b"\\uD" not in raw):
        return raw  # one byte is found many times faster than three
    return _ESCAPES.sub(lambda match: b"\xff" * 6 if match[1] else match[0], raw)


def _kind(raw: bytes) -> str:
    kinds = {b"{": "an object", b'"': "a text", b"n": "null", b"t": "a boolean", b"f": "a boolean"}
    return kinds.get(raw.lstrip()[:1], "a number")


def encode(value: Json) -> bytes:
    """Return JSON bytes with every digit as it was."""
    return _ENCODER.encode(value)
