"""A job's source in files: page by page, with the place of each record, and a word for each page to go on from.

What is read counts as whole only if the files are the same when the last one ends as they were when the first began.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BufferedReader
from typing import Any, overload

import msgspec
import xxhash

from daemon.errors import MalformedError, RefusedError, UnavailableError
from daemon.spec import FileSource as Declared
from daemon.spec import compile_file_path, compression_of, delimiter_of, format_of, is_file_pattern
from daemon.sync.certificate import End
from daemon.sync.parts import NOTHING
from daemon.sync.ports import Page

from .folder import Folder
from .lines import Line, Start, Table, check_header, json_lines
from .packing import unpacked, whole

PAGE_RECORDS = 1_000
PAGE_BYTES = 16 * 1024 * 1024
"""Long lines make a page of fewer records, so that memory stays bounded."""


class Places(Sequence[str]):
    """`file:line` of each record of a page, written out when somebody asks."""

    def __init__(self, path: str, numbers: Sequence[int]) -> None:
        self._path, self._numbers = path, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return Places(self._path, self._numbers[index])
        return f"{self._path}:{self._numbers[index]}"


@dataclass(frozen=True, slots=True)
class _Place:
    """After which line a read goes on, and what came before; as JSON it is the text by which it is taken up."""

    files: str
    """A digest of all files, as they were."""
    file: int = 0
    offset: int = 0
    lines: int = 0
    pages: int = 0
    records: int = 0
    doubt: str = ""

    def after(self, batch: Sequence[Line], doubt: str) -> "_Place":
        """Return the place after a page."""
        end, doubt = batch[-1], doubt or self.doubt
        pages, records = self.pages + 1, self.records + len(batch)
        return replace(self, offset=end.end, lines=end.lines, pages=pages, records=records, doubt=doubt)


class FileSource:
    """The records of a job's files."""

    def __init__(self, folder: Folder, source: Declared, *, page_records: int = PAGE_RECORDS) -> None:
        self._folder, self._source, self._page_records = folder, source, page_records
        self._path = compile_file_path(source.path)
        self._is_pattern = is_file_pattern(source.path)

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any] = NOTHING) -> Iterator[Page | End]:
        """Yield the pages, from the one that `resume` leads to or the first, then one End.

        Raises UnavailableError when there is no file, and MalformedError for one that breaks off, has another header
        than it should, or is not what it was when the read to take up began.
        """
        files = self._files(scope)
        place = self._begin(resume, files)
        while place.file < len(files):
            for batch, doubt, is_last in self._batches(files, place):
                place = place.after(batch, doubt)
                is_over = is_last and place.file == len(files) - 1
                yield _page(files[place.file][0], batch, place, is_over=is_over)
            place = replace(place, file=place.file + 1, offset=0, lines=0)
        if self._files(scope) != files:
            place = replace(place, doubt=f"{self._said(files)} changed while it was read")
        reason = "the end of the file" if len(files) == 1 else f"the end of {len(files)} files"
        yield End(reason, max(place.pages, 1), place.records, None, doubts=(place.doubt,) if place.doubt else ())

    # ---- which files -----------------------------------------------------------------------------------------------

    def _files(self, scope: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        """Return the files with their identities, in order of their names."""
        try:
            path = self._path.render(scope)
        except ValueError as error:
            raise RefusedError(f"{self._folder.name}: source.path cannot be made: {error}") from error
        paths = self._folder.matching(path) if self._is_pattern else [unescaped(path)]
        found = [(one, self._folder.identity(one)) for one in paths]
        files = [(one, identity) for one, identity in found if identity is not None]
        if not files and not self._source.may_be_missing:
            said = f"{self._folder.name}: there is no file {unescaped(path) if not self._is_pattern else path}"
            raise UnavailableError(f"{said}; if that is no fault, say source.may_be_missing: true")
        return files

    def _begin(self, resume: str | None, files: Sequence[tuple[str, str]]) -> _Place:
        digest = xxhash.xxh3_128_hexdigest(msgspec.json.encode(files))
        if resume is None:
            return _Place(digest)
        said = f"{self._folder.name}: {self._said(files)}: the read cannot be taken up"
        try:
            place = msgspec.json.decode(resume, type=_Place)
        except msgspec.DecodeError as error:
            raise MalformedError(f"{said}: {error}") from error
        if place.files != digest:
            raise MalformedError(f"{said}: it is not the file that it was")
        return place

    def _said(self, files: Sequence[tuple[str, str]]) -> str:
        return files[0][0] if len(files) == 1 else self._source.path

    # ---- what is in them -------------------------------------------------------------------------------------------

    def _batches(self, files: Sequence[tuple[str, str]], place: _Place) -> Iterator[tuple[Sequence[Line], str, bool]]:
        """Yield what is left of one file, a page at a time."""
        path = files[place.file][0]
        where = f"{self._folder.name}: {path}"
        compression = self._source.compression or compression_of(path)
        with whole(where, compression), unpacked(self._folder.reading(path), compression) as file:
            lines = self._lines(file, path, where, files, Start(place.offset, place.lines))
            yield from _batches(lines, self._page_records)

    def _lines(
        self, file: BufferedReader, path: str, where: str, files: Sequence[tuple[str, str]], start: Start
    ) -> Iterator[Line | str]:
        """Yield the records; a text is why the last one of them is not certain."""
        said = self._source
        if (said.format or format_of(path)) != "csv":
            yield from json_lines(file, where, start)
            return
        table = Table(file, said.csv, said.csv.delimiter or delimiter_of(path), where)
        check_header(table, said.csv, where, self._first_header(files, path))
        yield from table.rows(start, empty_is_null=said.csv.empty_is_null)
        if table.is_open_ended:
            yield f"the last row of {path} has no line end, so the file may be cut off"

    def _first_header(self, files: Sequence[tuple[str, str]], path: str) -> tuple[str, Sequence[str]] | None:
        """Return the header that those of the other files have to be like; None for the first file itself."""
        first = files[0][0]
        if path == first or self._source.csv.columns:
            return None
        where = f"{self._folder.name}: {first}"
        compression = self._source.compression or compression_of(first)
        with whole(where, compression), unpacked(self._folder.reading(first), compression) as file:
            delimiter = self._source.csv.delimiter or delimiter_of(first)
            return f"those of {first}", Table(file, self._source.csv, delimiter, where).columns


def _page(path: str, batch: Sequence[Line], place: _Place, *, is_over: bool) -> Page:
    return Page(
        place.pages,
        tuple(line.raw for line in batch),
        None if is_over else msgspec.json.encode(place).decode(),
        places=Places(path, [line.number for line in batch]),
        faults={number: line.fault for number, line in enumerate(batch) if line.fault},
    )


def _batches(lines: Iterator[Line | str], page_records: int) -> Iterator[tuple[Sequence[Line], str, bool]]:
    """Yield the lines a page at a time, with what makes the last one doubtful, and whether it is the last."""
    batch: list[Line] = []
    size, doubt = 0, ""
    for line in lines:
        if isinstance(line, str):
            doubt = line
            continue
        if len(batch) == page_records or (batch and size + len(line.raw) > PAGE_BYTES):
            yield batch, "", False
            batch, size = [], 0
        batch.append(line)
        size += len(line.raw)
    if batch:
        yield batch, doubt, True


def unescaped(path: str) -> str:
    """Return a rendered path whose wildcards stand for themselves, as the name of one file."""
    return re.sub(r"\[([*?[])\]", r"\1", path)
