"""The forms of a target's file: how its records are read, copied and written."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from io import BufferedReader
from typing import Any, Protocol

from daemon.errors import MalformedError
from daemon.spec import CellType, CsvWrite, Dialect
from daemon.sync.canonical import decode, decode_object
from daemon.values import MISSING, Document, Json

from .envelope import encode
from .lines import MAX_LINE_BYTES, Start, Table, json_lines, nested
from .request import check_numbers


@dataclass(frozen=True, slots=True)
class Held:
    """A record that the file holds."""

    place: str
    """`file:line`"""
    document: Document
    copy: bytes
    """What puts it into the new file as it is, its line end included."""


class Form(Protocol):
    """One form of files. Threads may share it."""

    def head(self) -> bytes:
        """Return what a file begins with."""

    def read(self, file: BufferedReader, where: str) -> Iterator[Held]:
        """Yield the records of a file. Raises MalformedError, with the place, for one that cannot be kept."""

    def written(self, document: Document) -> bytes:
        """Return the line of a document. Raises ValueError when the form cannot hold it."""


class JsonLines:
    """JSON Lines: one object a line, UTF-8, every digit as it was."""

    def head(self) -> bytes:
        """Return nothing: the first line is a record."""
        return b""

    def read(self, file: BufferedReader, where: str) -> Iterator[Held]:
        """Yield the records of a file."""
        for line in json_lines(file, where, Start()):
            try:
                document = decode_object(line.raw)
            except ValueError as error:
                raise MalformedError(f"{where}:{line.number}: {error}; mend the line, or move the file away") from error
            yield Held(f"{where}:{line.number}", document, line.raw + b"\n")

    def written(self, document: Document) -> bytes:
        """Return the line of a document."""
        check_numbers(document)
        return encode(document) + b"\n"


class CsvTable:
    """CSV (RFC 4180, lines end with CRLF): declared columns, each of one type.

    A text is written as it is, a number in its digits, `true` or `false`, other values as JSON. An empty field is an
    empty text in a column of text, and null in every other.
    """

    def __init__(self, columns: Mapping[str, CellType], dialect: CsvWrite, delimiter: str) -> None:
        self._columns, self._dialect, self._delimiter = columns, dialect, dialect.delimiter or delimiter
        self._encoding = "utf-8" if dialect.encoding == "utf-8-sig" else dialect.encoding

    def head(self) -> bytes:
        """Return the header, after a byte order mark if the job wants one."""
        mark = b"\xef\xbb\xbf" if self._dialect.encoding == "utf-8-sig" else b""
        return mark + self._line(list(self._columns))

    def read(self, file: BufferedReader, where: str) -> Iterator[Held]:
        """Yield the records of a file; columns that it lacks are empty in the copy."""
        table = Table(file, Dialect(quote=self._dialect.quote, encoding=self._dialect.encoding), self._delimiter, where)
        stray = [name for name in table.columns if name not in self._columns]
        if stray:
            said = f"{where}:{table.header_line}: the file has a column {stray[0]}, and the job has none"
            raise MalformedError(f"{said}; add it to target.csv.columns, or move the file away")
        for number, row, fault in table.cells(Start()):
            if fault:
                raise MalformedError(f"{where}:{number}: {fault}; mend the row, or move the file away")
            cells = dict(zip(table.columns, row, strict=True))
            values = {name: self._value(name, cell, f"{where}:{number}") for name, cell in cells.items()}
            copy = self._line([cells.get(name, "") for name in self._columns])
            yield Held(f"{where}:{number}", nested(values), copy)

    def written(self, document: Document) -> bytes:
        """Return the row of a document."""
        cells = {name: _at(document, name) for name in self._columns}
        known = {name.partition(".")[0] for name in self._columns} | self._columns.keys()
        stray = next((name for name in document if name not in known), None)
        if stray is not None:
            raise ValueError(f"the file has no column {stray}: add it to target.csv.columns, or map what is wanted")
        return self._line([self._cell(name, value) for name, value in cells.items()])

    def _line(self, cells: Sequence[str]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=self._delimiter, quotechar=self._dialect.quote, lineterminator="\r\n").writerow(
            cells
        )
        raw = text.getvalue().encode(self._encoding)
        if len(raw) > MAX_LINE_BYTES:
            raise ValueError(f"it makes a row of more than {MAX_LINE_BYTES:,} bytes")
        return raw

    def _cell(self, name: str, value: Json) -> str:
        text = _text_of(name, value, self._columns[name])
        if "\0" in text:
            raise ValueError(f"column {name}: a text with a NUL cannot be kept in a CSV file")
        try:
            text.encode(self._encoding)
        except UnicodeEncodeError as error:
            sign = text[error.start]
            raise ValueError(f"column {name}: {self._dialect.encoding} has no {sign!r}; say csv.encoding") from None
        return text

    def _value(self, name: str, cell: str, place: str) -> Json:
        kind = self._columns[name]
        if kind == "text":
            return cell
        try:
            return _VALUES[kind](cell) if cell else None
        except (ValueError, InvalidOperation, KeyError):
            raise MalformedError(f"{place}: column {name}: {cell[:40]!r} is no {kind}") from None


def _number(cell: str) -> Json:
    value = decode(cell.encode())
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise ValueError(cell)  # noqa: TRY004 - as for every cell that is none
    return value


def _boolean(cell: str) -> Json:
    return {"true": True, "false": False}[cell]


def _json(cell: str) -> Json:
    return decode(cell.encode())


_VALUES: Mapping[CellType, Callable[[str], Json]] = {"number": _number, "boolean": _boolean, "json": _json}
_TYPES: Mapping[str, tuple[type, ...]] = {"number": (int, float, Decimal), "boolean": (bool,)}


def _text_of(name: str, value: Json, kind: CellType) -> str:
    """Return what stands in a cell for a value. Raises ValueError when a column of this type cannot hold it."""
    if value is MISSING:
        return ""
    if kind == "text":
        if value is None:
            raise ValueError(f"column {name} is text, and an empty field is no null: map {{… | default('')}}")
        if not isinstance(value, str):
            raise ValueError(f"column {name} is text, and this is {encode(value)[:40].decode()}: {_cure(name, value)}")
        return value
    if value is None:
        return ""
    check_numbers(value)
    types = _TYPES.get(kind)
    if types is not None and (not isinstance(value, types) or (isinstance(value, bool) and kind != "boolean")):
        raise ValueError(f"column {name} is {kind}, and this is {encode(value)[:40].decode()}")
    return encode(value).decode()


def _cure(name: str, value: Json) -> str:
    kind = "boolean" if isinstance(value, bool) else "number" if isinstance(value, (int, float, Decimal)) else "json"
    return f"say `{name}: {kind}` in target.csv.columns, or map a text"


def _at(document: Document, name: str) -> Any:
    """Return the value of a column; a dot in its name leads inside."""
    value: Any = document
    if name in document:
        return document[name]
    for step in name.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return MISSING
        value = value[step]
    return value
