"""What a column takes: each value is checked before it is sent, so that one row's fault is told by its column.

`bind` returns what the driver is given, or raises ValueError saying what came and what the column takes. `key` reads a
part of a key's text, and returns None for a text that no value of this column is written as.
"""

import unicodedata
from base64 import b64decode
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from daemon.values import Json

from .given import ENCODER


class Takes(Protocol):
    """What a column takes."""

    @property
    def words(self) -> str:
        """For people: text of at most 40 characters."""

    @property
    def identifies(self) -> bool:
        """Whether its values are written in one way only, so that they may be matched with keys."""

    def bind(self, value: Json) -> Any:
        """Return the value for the driver. Never called with None."""

    def key(self, text: str) -> Any:
        """Return the value for the driver that has this text in a key; None when none has."""


@dataclass(frozen=True, slots=True)
class Text:
    """Characters."""

    longest: int | None = None
    has_nul: bool = True
    """Whether it takes NUL characters: PostgreSQL does not."""
    identifies: bool = True

    @property
    def as_is(self) -> type | None:
        """The type whose values are all taken as they are; None where each is looked at."""
        return str if self.longest is None and self.has_nul else None

    @property
    def words(self) -> str:
        """For people."""
        return "text" if self.longest is None else f"text of at most {self.longest} characters"

    def bind(self, value: Json) -> Any:
        """Take text only: a number made to text is for the map to say."""
        if not isinstance(value, str):
            raise ValueError(f"{came(value)}; write `| string` in the map")  # noqa: TRY004 - a fault of the data
        if self.longest is not None and len(value) > self.longest:
            raise ValueError(f"{len(value)} characters")
        if not self.has_nul and "\0" in value:
            raise ValueError("a text with a NUL character, which PostgreSQL does not keep")
        return value

    def key(self, text: str) -> Any:
        """Return the text, unless it could not be kept."""
        try:
            return self.bind(text)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some texts."""

    words_: tuple[str, ...]
    identifies: bool = True

    @property
    def words(self) -> str:
        """For people."""
        return f"one of {', '.join(self.words_)}"

    def bind(self, value: Json) -> Any:
        """Take the texts that it knows."""
        if value not in self.words_:
            raise ValueError(came(value))
        return value

    def key(self, text: str) -> Any:
        """Return the text, if it is one of them."""
        return text if text in self.words_ else None


@dataclass(frozen=True, slots=True)
class Truth:
    """True and false."""

    words: str = "true or false"
    identifies: bool = False
    as_is: type = bool

    def bind(self, value: Json) -> Any:
        """Take booleans only."""
        if not isinstance(value, bool):
            raise ValueError(came(value))  # noqa: TRY004 - a fault of the data
        return value

    def key(self, text: str) -> Any:
        """Return nothing."""
        del text


@dataclass(frozen=True, slots=True)
class Tree:
    """Any JSON value."""

    bare: Takes | None = None
    """Where the driver is given JSON's text: what becomes of a number that is the whole value. SQLite would take its
    text for a number of its own, and round it without a word. None where the driver is given the value."""
    has_nul: bool = True
    words: str = "JSON"
    identifies: bool = False

    def bind(self, value: Json) -> Any:
        """Take any value."""
        text = ENCODER.encode(value)
        if not self.has_nul and b"\\u0000" in text:
            raise ValueError("a value with a NUL character, which PostgreSQL does not keep")
        if self.bare is not None and isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
            return self.bare.bind(value)
        return value if self.bare is None else text.decode()

    def key(self, text: str) -> Any:
        """Return nothing."""
        del text


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes, as base64 text."""

    words: str = "base64 text"
    identifies: bool = False

    def bind(self, value: Json) -> Any:
        """Take base64 text."""
        try:
            return b64decode(value if isinstance(value, str) else "?", validate=True)
        except ValueError:
            raise ValueError(f"{came(value)} that is not base64") from None

    def key(self, text: str) -> Any:
        """Return nothing."""
        del text


@dataclass(frozen=True, slots=True)
class Uuid:
    """UUIDs."""

    words: str = "UUIDs"
    identifies: bool = True

    def bind(self, value: Json) -> Any:
        """Take a UUID's text."""
        try:
            return UUID(value if isinstance(value, str) else "")
        except ValueError:
            raise ValueError(came(value)) from None

    def key(self, text: str) -> Any:
        """Return the UUID that is written so, in large letters or small."""
        try:
            return UUID(text)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Many:
    """A list of values."""

    item: Takes
    identifies: bool = False

    @property
    def words(self) -> str:
        """For people."""
        return f"a list of {self.item.words}"

    def bind(self, value: Json) -> Any:
        """Take a list, each of whose values fits."""
        if not isinstance(value, (list, tuple)):
            raise ValueError(came(value))  # noqa: TRY004 - a fault of the data
        return [None if part is None else self.item.bind(part) for part in value]

    def key(self, text: str) -> Any:
        """Return nothing."""
        del text


def came(value: Json) -> str:
    """Return what a value is, in a few words for people."""
    if isinstance(value, str):
        return f"the text {value[:40]!r}{'…' if len(value) > 40 else ''}"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, (int, float, Decimal)):
        return f"the number {value}"
    return "a list" if isinstance(value, (list, tuple)) else "an object"


def same_texts(text: str) -> tuple[str, ...]:
    """Return the forms in which a database may hold a text that Unicode calls the same."""
    return tuple(dict.fromkeys(unicodedata.normalize(form, text) for form in ("NFC", "NFD")))
