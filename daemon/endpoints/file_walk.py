"""One walk over a target's file: which changes meet their record, and what becomes of each."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn, TypeAlias

from daemon.errors import ConflictError, EndpointError, GoneError, MalformedError, RefusedError
from daemon.sync.canonical import key_text
from daemon.sync.change import Change, Kind
from daemon.sync.ports import Accepted, Written
from daemon.values import MISSING, Document

from .envelope import Path
from .file_forms import Form, Held

Answer: TypeAlias = Written | Accepted | EndpointError | None
"""What is said of one change of several."""


class Walk:
    """One walk over a file: which changes meet their record, and what becomes of them."""

    def __init__(
        self,
        form: Form,
        match: Path,
        changes: Sequence[tuple[int, Change]],
        doubled: Mapping[str, str],
        *,
        repeats: bool,
    ) -> None:
        self._form, self._match, self._repeats, self._known_doubled = form, match, repeats, doubled
        self.doubled: dict[str, str] = {}
        """Ids that two records have, and where they are; nothing may be written then."""
        self.fates: dict[int, Answer] = {}
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
        place, change = self._wanted[target_id]
        if target_id in self._met:
            if change.kind is not Kind.CREATE:
                self.doubled[target_id] = f"{self._met[target_id]} and {held.place}"
            return held.copy
        self._met[target_id] = held.place
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
        if change.kind is not Kind.CREATE and target_id in self._known_doubled:
            where = self._known_doubled[target_id]
            self._refuse(place, RefusedError(f"two records have the key {target_id}: {where}; take one of them out"))
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
