"""Files as records: a line of JSON each (JSON Lines), or a row below a header (CSV), each with its place.

Nothing is concluded from a part: a last line that breaks off, a quote that is never closed, and a header that is not
the declared one are errors of the whole file. A row with too many fields, or with one that is no text, is a fault of
that row.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader

import msgspec

from daemon.errors import MalformedError
from daemon.spec import CsvRead, Dialect

MAX_LINE_BYTES = 64 * 1024 * 1024
"""Above any sane record, below what kills a small machine; a file without line ends is one line."""
_BOM = b"\xef\xbb\xbf"
_ENCODER = msgspec.json.Encoder()

csv.field_size_limit(MAX_LINE_BYTES)


@dataclass(frozen=True, slots=True)
class Line:
    """One record of a file."""

    number: int
    """Of its first line in the file, from 1."""
    raw: bytes
    """One JSON value; what stands in the file where there is a fault."""
    end: int
    """Where the next line begins: bytes from the start of the unpacked file."""
    lines: int
    """The number of its last line."""
    fault: str = ""
    """Why it is no record; empty for one that is."""


@dataclass(slots=True)
class Start:
    """Where reading begins: the beginning, or after a line."""

    offset: int = 0
    lines: int = 0


def json_lines(file: BufferedReader, where: str, start: Start) -> Iterator[Line]:
    """Yield the lines that are not blank. What is in them is not looked at, but that the last one is whole.

    Raises MalformedError.
    """
    file.seek(start.offset)
    end, number = start.offset, start.lines
    while raw := _line(file, where, number):
        end, number = end + len(raw), number + 1
        text = (raw.removeprefix(_BOM) if number == 1 else raw).strip(b" \t\r\n")
        if not text:
            continue
        if not raw.endswith(b"\n") and not _is_whole(text):
            raise MalformedError(f"{where}:{number}: the last line breaks off; is the file still being written?")
        yield Line(number, text, end, number)


def _is_whole(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return text.startswith((b"{", b"["))  # of a number, nobody can say


def _line(file: BufferedReader, where: str, number: int) -> bytes:
    raw = file.readline(MAX_LINE_BYTES + 1)
    if len(raw) > MAX_LINE_BYTES:
        raise MalformedError(f"{where}:{number + 1}: a line of more than {MAX_LINE_BYTES:,} bytes; is it a text file?")
    return raw


class Table:
    """One CSV file, opened. Its header is read when it is made; `rows` may be asked for once."""

    def __init__(self, file: BufferedReader, dialect: Dialect, delimiter: str, where: str) -> None:
        self._file, self._where = file, where
        self._encoding = "utf-8" if dialect.encoding == "utf-8-sig" else dialect.encoding
        self._offset, self._number = 0, 0
        self._fed: list[bytes] = []
        self._reader = csv.reader(self._feed(), delimiter=delimiter, quotechar=dialect.quote, strict=True)
        self.is_open_ended = False
        """Whether the last row has no line end: nobody can say whether its last field is whole."""
        self.columns = self._header()
        """The names of the header, in its order."""

    def rows(self, start: Start, *, empty_is_null: bool) -> Iterator[Line]:
        """Yield the rows as JSON objects whose values are texts."""
        for number, row, fault in self.cells(start):
            raw = b"".join(self._fed)
            if not fault:
                empty = None if empty_is_null else ""
                record = {name: cell or empty for name, cell in zip(self.columns, row, strict=True)}
                raw = _ENCODER.encode(record)
            yield Line(number, raw, self._offset, self._number, fault)

    def cells(self, start: Start) -> Iterator[tuple[int, Sequence[str], str]]:
        """Yield each row with the number of its first line, and why it is none; blank lines are none."""
        if start.offset:
            self._file.seek(start.offset)
            self._offset, self._number = start.offset, start.lines
        while True:
            number = self._number + 1
            row, fault = self._next()
            if not self._fed:
                return
            if row or fault:
                yield number, row, fault or self._fault(row)

    def _next(self) -> tuple[Sequence[str], str]:
        self._fed.clear()
        first = self._number + 1
        try:
            row: Sequence[str] = next(self._reader, ())
        except csv.Error as error:
            if str(error) == "unexpected end of data":
                said = f"{self._where}:{first}: a quote is opened and never closed"
                raise MalformedError(f"{said}; is the file still being written?") from error
            return (), f"it is no row: {error}"
        return row, ""

    def _fault(self, row: Sequence[str]) -> str:
        wanted, found = len(self.columns), len(row)
        if found != wanted:
            if self.is_open_ended and found < wanted:
                raise MalformedError(f"{self._where}:{self._number}: the last row breaks off: {_count(found, wanted)}")
            return _count(found, wanted)
        raw = b"".join(self._fed)
        if raw.isascii() and b"\0" not in raw:
            return ""
        for name, cell in zip(self.columns, row, strict=True):
            if "\0" in cell:
                return f"column {name} holds a NUL"
            if any("\ud800" <= sign <= "\udfff" for sign in cell):
                return f"column {name} is not {self._encoding.upper()}"
        return ""

    def _header(self) -> tuple[str, ...]:
        row: Sequence[str] = ()
        fault, number = "", 1
        while not row and not fault:
            number = self._number + 1
            row, fault = self._next()
            if not self._fed:
                raise MalformedError(f"{self._where} is empty: it has not even a header")
        if fault:
            raise MalformedError(f"{self._where}:{number}: the header cannot be read: {fault}")
        for place, name in enumerate(row, 1):
            here = f"{self._where}:{number}, column {place}"
            if not name.strip() or any("\ud800" <= sign <= "\udfff" for sign in name):
                raise MalformedError(f"{here}: the header has no name here that can be read")
            if name in row[: place - 1]:
                raise MalformedError(f"{here}: the header has {name!r} twice")
        if self.is_open_ended:
            raise MalformedError(f"{self._where}:{number}: the header has no line end; is it being written?")
        self.header_line = number
        return tuple(row)

    def _feed(self) -> Iterator[str]:
        while raw := _line(self._file, self._where, self._number):
            self._fed.append(raw)
            self._offset += len(raw)
            self._number += 1
            self.is_open_ended = not raw.endswith(b"\n")
            if self._offset == len(raw) and self._encoding == "utf-8":
                raw = raw.removeprefix(_BOM)
            if sum(map(len, self._fed)) > MAX_LINE_BYTES:
                first = self._number - len(self._fed) + 1
                said = f"{self._where}:{first}: a row of more than {MAX_LINE_BYTES:,} bytes"
                raise MalformedError(f"{said}; is a quote never closed?")
            yield raw.decode(self._encoding, "surrogateescape")


def check_header(table: Table, dialect: CsvRead, where: str, before: tuple[str, Sequence[str]] | None) -> None:
    """Raise MalformedError for a header that is not the declared one, or that of the file before; order is free."""
    source, wanted = ("the declared ones", dialect.columns) if dialect.columns else before or ("", None)
    if wanted is None:
        return
    for place, name in enumerate(table.columns, 1):
        if name not in wanted:
            said = f"{where}:{table.header_line}, column {place}: {name!r} is not one of {source}"
            raise MalformedError(f"{said} ({', '.join(wanted)})")
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        said = f"{where}:{table.header_line}: the header lacks {', '.join(map(repr, missing))}"
        raise MalformedError(f"{said}, of {source}; it has {', '.join(table.columns)}")


def _count(found: int, wanted: int) -> str:
    return f"it has {found} fields, and the header {wanted}"


def nested(row: Mapping[str, object]) -> Mapping[str, object]:
    """Return a row as a document: a dot in a column's name nests."""
    made: dict[str, object] = {}
    for name, value in row.items():
        inner = made
        *outer, last = name.split(".")
        for step in outer:
            deeper = inner.setdefault(step, {})
            inner = deeper if isinstance(deeper, dict) else inner
        inner[last] = value
    return made
