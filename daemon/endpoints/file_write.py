"""A job's target in a file: one record a line, known by its match field; changed by writing the whole file anew.

A batch of changes is one walk over the old file: what is not concerned is copied, what is changed is written in its
place, what is new comes last. So memory is bounded by the batch, and a crash leaves the old file or the new one.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from daemon.errors import EndpointError, MalformedError, UnavailableError
from daemon.spec import CellType, compile_file_path, compression_of, delimiter_of
from daemon.spec import FileTarget as Declared
from daemon.sync.certificate import End
from daemon.sync.change import Change, Kind
from daemon.sync.explanation import Sending
from daemon.sync.ports import Accepted, TargetRecord, Written
from daemon.values import Document

from .envelope import Path, encode
from .file_forms import CsvTable, Form, Held, JsonLines
from .file_index import FileIndex
from .file_read import unescaped
from .file_walk import Answer, Walk, id_of
from .folder import Folder
from .packing import packed, unpacked, whole

BATCH = 10_000
"""Changes that go into one walk: enough that a large file is not written often, few enough to be held."""
_PAGE = 1_000


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
        yield End(
            "the end of the file",
            1 + (count - 1) // _PAGE if count else 1,
            count,
            None,
            doubts=(doubt,) if doubt else (),
        )

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

    def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
        """Carry out several changes in one walk; return what became of each, in order.

        Raises UnavailableError when nothing was changed, UnknownError when that cannot be told.
        """
        fates: dict[int, Answer] = {}
        for path in dict.fromkeys(self._file(change.run) for change in changes):
            here = [(place, change) for place, change in enumerate(changes) if self._file(change.run) == path]
            try:
                with self._folder.locked():
                    fates |= self._walked(path, here)
            except MalformedError as error:
                # Nothing can be written before somebody has mended it, so the others need not be tried.
                raise UnavailableError(f"{error}; nothing was written") from error
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

    def _walked(self, path: str, changes: Sequence[tuple[int, Change]]) -> Mapping[int, Answer]:
        doubled: Mapping[str, str] = {}
        while True:
            walk = Walk(self._form, self._match, changes, doubled, repeats=self.has_idempotency)
            with suppress(_Unchanged), self._folder.writing(path) as file:
                with packed(file, self._compression) as out:
                    out.write(self._form.head())
                    for held in self._held(path):
                        out.write(walk.line(held))
                    for line in walk.rest():
                        out.write(line)
                if walk.doubled or not walk.changes_anything:
                    raise _Unchanged
            if not walk.doubled:
                return walk.fates
            doubled = {**doubled, **walk.doubled}  # once more, without the changes that meet two records

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


def _written(fate: Answer) -> Written:
    if isinstance(fate, EndpointError):
        raise fate
    assert isinstance(fate, Written)  # noqa: S101 - creates and updates have no other
    return fate
