"""A job's target in a file: one record a line, known by its match field; changed by writing the whole file anew.

A batch of changes is one walk over the old file: what is not concerned is copied, what is changed is written in its
place, what is new comes last. So memory is bounded by the batch, and a crash leaves the old file or the new one.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn

from daemon.errors import ConflictError, EndpointError, GoneError, MalformedError, RefusedError
from daemon.spec import CellType, compile_file_path, compression_of, delimiter_of
from daemon.spec import FileTarget as Declared
from daemon.sync.canonical import key_text
from daemon.sync.certificate import End
from daemon.sync.change import Change, Kind
from daemon.sync.explanation import Sending
from daemon.sync.ports import Accepted, TargetRecord, Written
from daemon.values import MISSING, Document

from .envelope import Path, encode
from .file_forms import CsvTable, Form, Held, JsonLines
from .file_index import FileIndex
from .file_read import unescaped
from .folder import Folder
from .packing import packed, unpacked, whole

BATCH = 10_000
"""Changes that go into one walk: enough that a large file is not written often, few enough to be held."""
_PAGE = 1_000

_Fate = Written | Accepted | EndpointError | None


class FileTarget:
    """The file target of one job. Its methods may be called by several threads."""

    def __init__(self, folder: Folder, target: Declared, columns: Mapping[str, CellType] | None) -> None:
        self._folder, self._target = folder, target
        self._path = compile_file_path(target.path)
        self._match = Path(target.match or "")
        self._compression = target.compression or compression_of(target.path)
        self._form: Form = JsonLines()
        if columns is not None:
            self._form = CsvTable(columns, target.csv, delimiter_of(target.path))
        self._index = FileIndex()

    @property
    def can_list(self) -> bool:
        """Whether there is one file of all records."""
        return not self._target.is_parted

    can_lookup = can_get = can_list

    @property
    def replaces(self) -> bool:
        """Whether an update puts the whole record: no, it sets the fields that differ."""
        return False

    @property
    def has_idempotency(self) -> bool:
        """Whether a create may be repeated: into the file of its own run, which has each key once."""
        return self._target.is_parted

    def list(self) -> Iterator[tuple[TargetRecord, ...] | End]:
        """Yield the records page by page, then one End. A file that is not there yet holds nothing."""
        path = self._file("")
        identity, count, page = self._folder.identity(path), 0, list[TargetRecord]()
        for record in self._records(path):
            page.append(record)
            if len(page) == _PAGE:
                count += len(page)
                yield tuple(page)
                page = []
        count += len(page)
        yield tuple(page)
        changed = self._folder.identity(path) != identity
        doubt = f"{path} changed while it was read" if changed else ""
        yield End("the end of the file", 1 + (count - 1) // _PAGE if count else 1, count, None, doubt=doubt)

    def lookup(self, key: str, document: Document) -> tuple[TargetRecord, ...]:
        """Return the records whose match field equals `key`."""
        del document
        path = self._file("")
        return self._index.find(key, self._folder.identity(path), lambda: self._records(path))

    def get(self, target_id: str, key: str, document: Document) -> TargetRecord | None:
        """Return the record with this id, which is the text of its match field."""
        found = self.lookup(target_id, document)
        if len(found) > 1:
            raise MalformedError(f"{self._folder.name}: {self._file('')} holds {len(found)} records of {key}")
        return found[0] if found else None

    def batch_size(self, kind: Kind) -> int:
        """Return how many changes one walk over the file takes."""
        del kind
        return BATCH

    def create(self, change: Change) -> Written:
        """Add the document; a key that is there is a conflict, but for a create that is repeated."""
        return _written(self.write([change])[0])

    def update(self, change: Change) -> Written:
        """Set the changed fields of a record."""
        return _written(self.write([change])[0])

    def delete(self, change: Change) -> Accepted | None:
        """Remove the record, if it is there."""
        (fate,) = self.write([change])
        if isinstance(fate, EndpointError):
            raise fate
        return None

    def write(self, changes: Sequence[Change]) -> Sequence[_Fate]:
        """Carry out several changes in one walk; return what became of each, in order.

        Raises UnavailableError or RefusedError when nothing was changed, UnknownError when that cannot be told.
        """
        fates: dict[int, _Fate] = {}
        for path in dict.fromkeys(self._file(change.run) for change in changes):
            here = [(place, change) for place, change in enumerate(changes) if self._file(change.run) == path]
            walk = _Walk(self._form, self._match, here, repeats=self.has_idempotency)
            try:
                with self._folder.locked():
                    self._rewrite(path, walk)
            except MalformedError as error:
                raise RefusedError(f"{error}; nothing was written") from error
            fates |= walk.fates
        return [fates[place] for place in range(len(changes))]

    def shown(self, change: Change) -> tuple[Sending, ...]:
        """Return the line that would be written for a change, for people; nothing is written."""
        body = change.changed if change.kind is Kind.UPDATE else change.document
        text = "" if body is None else self._folder.blot(encode(body).decode())
        where = f"{self._folder.name}: {self._file(change.run)}"
        return (Sending(method=f"{change.kind} line", url=self._folder.blot(where), headers={}, body=text),)

    # ---- below -----------------------------------------------------------------------------------------------------

    def _file(self, run: str) -> str:
        return unescaped(self._path.render({"run": run}))

    def _rewrite(self, path: str, walk: "_Walk") -> None:
        with suppress(_Unchanged), self._folder.writing(path) as file:
            with packed(file, self._compression) as out:
                out.write(self._form.head())
                for held in self._held(path):
                    out.write(walk.line(held))
                for line in walk.rest():
                    out.write(line)
            if not walk.changes_anything:
                raise _Unchanged

    def _held(self, path: str) -> Iterator[Held]:
        where = f"{self._folder.name}: {path}"
        if self._folder.identity(path) is None:
            return
        with (
            whole(where, self._compression),
            unpacked(self._folder.reading(path), self._compression) as file,
        ):
            yield from self._form.read(file, where)

    def _records(self, path: str) -> Iterator[TargetRecord]:
        for held in self._held(path):
            target_id = id_of(held.document, self._match, held.place)
            yield TargetRecord(target_id, target_id, held.document, None)


class _Unchanged(Exception):  # noqa: N818 - no error: it leaves the block without putting the file in its place
    """The new file would be the old one."""


class _Walk:
    """One walk over a file: which changes meet their record, and what becomes of them."""

    def __init__(self, form: Form, match: Path, changes: Sequence[tuple[int, Change]], *, repeats: bool) -> None:
        self._form, self._match, self._repeats = form, match, repeats
        self.fates: dict[int, _Fate] = {}
        self.changes_anything = False
        self._met: dict[str, str] = {}
        """By id: where the record of a change was met."""
        self._wanted: dict[str, tuple[int, Change]] = {}
        self._new: dict[int, tuple[str, bytes]] = {}
        for place, change in changes:
            with suppress(_Refused):
                self._take(place, change)

    def line(self, held: Held) -> bytes:
        """Return what stands in the new file for a record of the old one."""
        target_id = id_of(held.document, self._match, held.place)
        if target_id not in self._wanted:
            return held.copy
        if target_id in self._met:
            raise MalformedError(
                f"{held.place}: a second record of {target_id}; the first is at {self._met[target_id]}"
            )
        self._met[target_id] = held.place
        place, change = self._wanted[target_id]
        if change.kind is Kind.CREATE:
            exists = ConflictError(f"{held.place}: {target_id} is there already", status=409)
            self.fates[place] = Written(target_id) if self._repeats else exists
            del self._new[place]
            return held.copy
        if change.kind is Kind.DELETE:
            self.changes_anything = True
            return b""
        return self._updated(place, change, held)

    def rest(self) -> Iterator[bytes]:
        """Yield the lines that are new, after the last old one, and settle what was not met."""
        for place, change in self._wanted.values():
            if change.kind is Kind.UPDATE and place not in self.fates:
                self.fates[place] = GoneError(f"{change.target_id} is not in the file", status=404)
            elif change.kind is Kind.DELETE:
                self.fates[place] = None
        for place, (target_id, line) in self._new.items():
            self.fates[place] = Written(target_id)
            self.changes_anything = True
            yield line

    def _take(self, place: int, change: Change) -> None:
        target_id = change.target_id or ""
        if change.kind is Kind.CREATE:
            line = self._made(place, change.sent)
            try:
                target_id = id_of(change.sent, self._match, "the document")
            except MalformedError as error:
                self._refuse(place, RefusedError(str(error)))
            if target_id not in self._wanted:
                self._new[place] = (target_id, line)
        if target_id in self._wanted:
            self._refuse(place, ConflictError(f"another change of this run is for {target_id}", status=409))
        self._wanted[target_id] = (place, change)

    def _updated(self, place: int, change: Change, held: Held) -> bytes:
        try:
            line = self._made(place, {**held.document, **change.changed})
        except _Refused:
            return held.copy
        renamed = id_of({**held.document, **change.changed}, self._match, held.place)
        self.fates[place] = Written(renamed)
        self.changes_anything = self.changes_anything or line != held.copy
        return line

    def _made(self, place: int, document: Document) -> bytes:
        try:
            return self._form.written(document)
        except ValueError as error:
            self._refuse(place, RefusedError(str(error)))

    def _refuse(self, place: int, error: EndpointError) -> NoReturn:
        self.fates[place] = error
        raise _Refused


class _Refused(Exception):  # noqa: N818 - its error is among the fates already
    """A change that cannot be carried out; the others can."""


def id_of(document: Document, match: Path, place: str) -> str:
    """Return the id of a record: the canonical text of its match field. Raises MalformedError without one."""
    value = match.search(document)
    try:
        return key_text(None if value is MISSING else value)
    except ValueError as error:
        raise MalformedError(f"{place}: {match.text}, which target.match names, is no key: {error}") from error


def _written(fate: _Fate) -> Written:
    if isinstance(fate, EndpointError):
        raise fate
    assert isinstance(fate, Written)  # noqa: S101 - creates and updates have no other
    return fate
