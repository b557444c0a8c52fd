"""Texts with NUL characters, which JSON knows and PostgreSQL refuses: kept all the same, and given back as they were.

A record's key, an id or an excerpt may hold one. SQLite keeps it as it is. For PostgreSQL it is written as two
characters, the first of which is one that Unicode leaves to programs for such use; that one is written as two itself.
"""

from typing import Any

from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.types.string import StrDumper, StrDumperUnknown, TextLoader

_MARK = "\ufdd0"
_NUL, _ITSELF = _MARK + "0", _MARK + "1"


def keep_nul_characters(connection: Connection[Any]) -> None:
    """Let every text that goes over this connection be escaped on its way in and restored on its way out."""
    connection.adapters.register_dumper(str, _TypedDumper)
    connection.adapters.register_dumper(str, _Dumper)
    connection.adapters.register_loader("text", _Loader)


def escaped(text: str) -> str:
    """Return a text without NUL, from which `restored` makes this one; itself where there is nothing to do."""
    if "\0" not in text and _MARK not in text:
        return text
    return text.replace(_MARK, _ITSELF).replace("\0", _NUL)


def restored(text: str) -> str:
    """Return the text that was escaped."""
    return text.replace(_NUL, "\0").replace(_ITSELF, _MARK) if _MARK in text else text


class _Dumper(StrDumperUnknown):
    def dump(self, obj: str) -> Buffer | None:
        return super().dump(escaped(obj))


class _TypedDumper(StrDumper):
    def dump(self, obj: str) -> Buffer | None:
        return super().dump(escaped(obj))


class _Loader(TextLoader):
    def load(self, data: Buffer) -> bytes | str:
        text = super().load(data)
        return restored(text) if isinstance(text, str) else text
