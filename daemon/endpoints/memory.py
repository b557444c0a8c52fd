"""Endpoints in memory: the reference of the ports, for tests and for trying a job without any system."""

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from daemon.errors import ConflictError, EndpointError, GoneError
from daemon.sync.canonical import decode, key_text
from daemon.sync.certificate import End
from daemon.sync.change import Change, Kind
from daemon.sync.parts import NOTHING
from daemon.sync.ports import Accepted, Answer, Page, TargetRecord, Written
from daemon.values import MISSING, Document, Record

_ENCODER = msgspec.json.Encoder(decimal_format="number")


class MemorySource:
    """Records in a list. `breaks_at` names the page that raises `error` in place of arriving.

    `resumes`: its pages can be taken up, by the last record before them and not by their number. `refuses_resume` is
    what a read that wants that gets to hear.
    """

    def __init__(
        self,
        records: Iterable[Record] = (),
        *,
        page_size: int = 100,
        total: int | None = None,
        resumes: bool = False,
    ) -> None:
        self.records: list[Any] = list(records)
        self.page_size = page_size
        self.total = total
        self.resumes = resumes
        self.breaks_at: int | None = None
        self.error: EndpointError | None = None
        self.refuses_resume: EndpointError | None = None
        self.since: Callable[[Any, Any], bool] | None = None
        """Which of its records it gives, by record and `cursor.start`; None for all, whatever it is asked."""
        self.at: Callable[[], datetime] | None = None
        """Its clock; None where it does not tell the time."""
        self.token: Callable[[], Any] | None = None
        """Gives the token for the next read with each page."""
        self.took_s = 0.0
        """How long its pages say that they were waited for."""
        self.asked: list[int] = []
        """The numbers of the pages that were asked for, in order: the oracle of tests."""
        self._places: dict[int, tuple[Any, int]] = {}
        """By identity: each record, kept so that its identity is not given again, and its place in order of arrival."""

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any] = NOTHING) -> Iterator[Page | End]:
        """Yield the pages, from the one that `resume` leads to or the first, then one End."""
        start = scope.get("cursor", {}).get("start")
        if resume is not None and self.refuses_resume is not None:
            raise self.refuses_resume
        number, count, after = map(int, resume.split(":")) if resume is not None else (0, 0, 0)
        since = self.since if start is not None else None
        records = [
            record
            for record in self.records
            if (not self.resumes or self._place(record) > after) and (since is None or since(record, start))
        ]
        at = self.at() if self.at is not None else None
        token = self.token() if self.token is not None else None
        for start in range(0, len(records), self.page_size):
            batch = records[start : start + self.page_size]
            number += 1
            self.asked.append(number)
            if number == self.breaks_at and self.error is not None:
                raise self.error
            count += len(batch)
            is_last = start + len(batch) == len(records)
            leads_on = f"{number}:{count}:{self._place(batch[-1])}" if self.resumes and not is_last else None
            yield Page(
                number,
                tuple(_ENCODER.encode(record) for record in batch),
                leads_on,
                at,
                cursor=token,
                took_s=self.took_s,
            )
        if not records and self.since is not None:
            yield Page(1, (), None, at, cursor=token)
        by_number = number > 1 and not self.resumes
        yield End("no next page", max(number, 1), count, self.total, by_number=by_number)

    def _place(self, record: Any) -> int:
        return self._places.setdefault(id(record), (record, len(self._places) + 1))[1]


class MemoryTarget:
    """Records by id, each an object with a `match` field. Safe for several threads."""

    def __init__(
        self,
        *,
        match: str = "id",
        lists: bool = True,
        looks_up: bool = True,
        gets: bool = False,
        replaces: bool = False,
        idempotent: bool = False,
        batch: int = 1,
    ) -> None:
        self.records: dict[str, Document] = {}
        self.writes: list[tuple[str, str]] = []
        """Kind and key of every write that was carried out, in order: the oracle of tests."""
        self.batches: list[tuple[str, tuple[str, ...]]] = []
        """Kind and keys of every request for several changes."""
        self._match = match
        self._ids = itertools.count(1)
        self._answers: dict[str, Written] = {}
        self._lock = threading.Lock()
        self._lists, self._looks_up, self._gets = lists, looks_up, gets
        self._replaces, self._idempotent, self._batch = replaces, idempotent, batch

    @property
    def can_list(self) -> bool:
        """Whether this target can be listed."""
        return self._lists

    @property
    def can_lookup(self) -> bool:
        """Whether this target can be asked for a key."""
        return self._looks_up

    @property
    def can_get(self) -> bool:
        """Whether this target can be asked for an id."""
        return self._gets

    @property
    def replaces(self) -> bool:
        """Whether an update puts the whole record."""
        return self._replaces

    @property
    def has_idempotency(self) -> bool:
        """Whether a create may be repeated under its key."""
        return self._idempotent

    def list(self) -> Iterator[tuple[TargetRecord, ...] | End]:
        """Yield the records, then one End."""
        yield tuple(self._records())
        yield End("the only page", 1, len(self.records), None)

    def lookup(self, key: str, document: Document) -> tuple[TargetRecord, ...]:
        """Return the records whose match field is `key`."""
        del document
        return tuple(record for record in self._records() if record.match == key)

    def get(self, target_id: str, key: str, document: Document) -> TargetRecord | None:
        """Return the record with this id, or None."""
        del key, document
        return next((record for record in self._records() if record.id == target_id), None)

    def batch_size(self, kind: Kind) -> int:
        """Return the same for every kind."""
        del kind
        return self._batch

    def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
        """Carry out one change after the other; a refusal is the answer to its own."""
        self.batches.append((changes[0].kind, tuple(change.key for change in changes)))
        return [self._answered(change) for change in changes]

    def _answered(self, change: Change) -> Answer:
        try:
            return {Kind.CREATE: self.create, Kind.UPDATE: self.update, Kind.DELETE: self.delete}[change.kind](change)
        except EndpointError as error:
            return error

    def create(self, change: Change) -> Written:
        """Add the document under a new id; a key that is there is a conflict."""
        with self._lock:
            if self._idempotent and change.idempotency_key in self._answers:
                return self._answers[change.idempotency_key]
            if any(record.match == change.key for record in self._records()):
                raise ConflictError(f"{change.key} exists", status=409)
            target_id = str(next(self._ids))
            self.records[target_id] = _stored(change.document or {})
            self.writes.append(("create", change.key))
            written = self._answers[change.idempotency_key] = Written(target_id)
            return written

    def update(self, change: Change) -> Written:
        """Set the changed fields, or put the whole record."""
        with self._lock:
            target_id = change.target_id or ""
            if target_id not in self.records:
                raise GoneError(f"{target_id} is not there", status=404)
            kept = {} if self._replaces else self.records[target_id]
            self.records[target_id] = {**kept, **_stored(change.sent if self._replaces else change.changed)}
            self.writes.append(("update", change.key))
            return Written(target_id)

    def delete(self, change: Change) -> Accepted | None:
        """Remove the record, if it is there."""
        with self._lock:
            if self.records.pop(change.target_id or "", None) is not None:
                self.writes.append(("delete", change.key))
        return None

    def _records(self) -> Iterator[TargetRecord]:
        for target_id, document in list(self.records.items()):
            value = document.get(self._match, MISSING)
            match = None if value is MISSING or value is None else key_text(value)
            yield TargetRecord(target_id, match, document, None)


def _stored(document: Document) -> Mapping[str, object]:
    """Return a copy as a server would hold it: what went over the wire, read again."""
    copy = decode(_ENCODER.encode(document))
    return dict(copy)
