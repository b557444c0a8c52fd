"""The collections of the misbehaving server: records, what may be written to them, and how they are paged."""

import hashlib
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode

from tests.fakes.misbehaving_faults import Listing

Record = dict[str, Any]
Paging = Literal["cursor", "page", "offset", "link", "next_url", "none"]
Normalise = Callable[[Any], Any]
PAGING_PARAMS = frozenset({"cursor", "page", "per_page", "offset", "limit"})


class RefusedError(Exception):
    """The request cannot be carried out; the status and the body to say so."""

    def __init__(self, status: int, code: str, **facts: object) -> None:
        super().__init__(code)
        self.status = status
        self.body = {"error": {"code": code, **facts}}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list: the answer's JSON, and the address of the next page where a header says it."""

    body: Any
    next_link: str | None = None
    total: int = 0


@dataclass(slots=True)
class Collection:
    """Records under one path, in the order they came. Made by `MisbehavingServer.collection()`."""

    name: str
    key: str
    paging: Paging
    page_size: int
    unique: tuple[str, ...]
    id_field: str
    normalise: Mapping[str, Normalise]
    chosen_ids: bool
    """Whether PUT to an id that is not there creates the record under it."""
    doubles: bool
    """Whether several records may have one key."""
    seed: int
    base_url: str
    lock: threading.RLock = field(repr=False)
    """The server's: a test may look or change things while requests come in."""
    refers: str | None = None
    """The field that must hold the key of another record, where there is one."""
    needs_if_match: bool = False
    """Whether a change of a record without If-Match gets 428."""
    deletes_later: bool = False
    """Whether a delete is only taken on, with 202, until `finish_deletes()`."""
    leaving: set[str] = field(default_factory=set)
    """The ids whose delete was taken on and is not carried out yet."""
    _records: dict[str, Record] = field(default_factory=dict)
    _versions: dict[str, int] = field(default_factory=dict)
    _index: dict[str, dict[Any, str]] = field(default_factory=dict)
    _rejected: dict[Any, int] = field(default_factory=dict)
    _lag: int = 0
    _hidden: dict[str, int] = field(default_factory=dict)
    """Records that lists do not show yet, with how many more of them they will be missing from."""
    _random: random.Random = field(default_factory=random.Random)
    _last_page: Page | None = None
    _cursors: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random.seed(f"{self.seed}/{self.name}")
        self._index = {name: {} for name in {self.key, *self.unique}}

    # ---- for tests: behind the back of whoever is syncing, in no journal ----

    def put(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Create each record, or replace the one that has its key (which keeps its id)."""
        for record in records:
            with self.lock:
                known = self._index[self.key].get(record.get(self.key))
                self.store(known or str(record.get(self.id_field) or self._new_id()), dict(record))

    def remove(self, key: object) -> None:
        """Delete the record with this key."""
        with self.lock:
            self.drop(self._index[self.key][key])

    def restore(self, records: Iterable[Record]) -> None:
        """Hold these records under the ids that they carry, and no others: what `records()` returned once."""
        with self.lock:
            for record_id in list(self._records):
                self.drop(record_id)
            for record in records:
                self.store(record[self.id_field], dict(record))

    def records(self) -> list[Record]:
        """Copies of all records, in their order."""
        with self.lock:
            return [dict(record) for record in self._records.values()]

    def by_key(self) -> dict[Any, Record]:
        """Copies of all records by key."""
        return {record.get(self.key): record for record in self.records()}

    def reject(self, key: object, status: int = 422) -> None:
        """Refuse every create and update of the record with this key, until `accept(key)`."""
        self._rejected[key] = status

    def accept(self, key: object) -> None:
        """Take it again."""
        self._rejected.pop(key, None)

    def lag(self, lists: int) -> None:
        """From now on a record that a request creates is missing from the next so many lists, filtered ones too.

        Asked for by its id it is there at once: as where lists are answered by a search index. With 0, the lists catch
        up with everything.
        """
        with self.lock:
            self._lag = lists
            if not lists:
                self._hidden.clear()

    # ---- for the server ----

    def get(self, record_id: str) -> Record:
        """The record itself, not a copy; 404 if there is none."""
        if record_id not in self._records:
            raise RefusedError(404, "not_found", id=record_id)
        return self._records[record_id]

    def etag(self, record_id: str) -> str:
        """Changes with every write to the record."""
        return f'"{self._versions[record_id]}"'

    def create(self, fields: Mapping[str, Any]) -> str:
        """Add a record, refusing one that may not be; its new id."""
        record = self._checked(fields, record_id=None)
        record_id = self._new_id()
        self._create(record_id, record)
        return record_id

    def change(self, record_id: str, fields: Mapping[str, Any], *, whole: bool) -> bool:
        """Set some fields, or replace the whole record; tells whether it was there before."""
        there = record_id in self._records
        if not there and not (whole and self.chosen_ids):
            raise RefusedError(404, "not_found", id=record_id)
        before = {} if whole else self._records[record_id]
        write = self.store if there else self._create
        write(record_id, self._checked({**before, **fields}, record_id=record_id))
        return there

    def _create(self, record_id: str, record: Record) -> None:
        self.store(record_id, record)
        if self._lag:
            self._hidden[record_id] = self._lag

    def store(self, record_id: str, record: Record) -> None:
        """Write a record as it is; its place in the list stays."""
        self._unindex(record_id)
        self._records[record_id] = {**record, self.id_field: record_id}
        self._versions[record_id] = self._versions.get(record_id, 0) + 1
        for name, index in self._index.items():
            if record.get(name) is not None:
                index[record[name]] = record_id

    def is_referred_to(self, record_id: str) -> bool:
        """Whether another record names this one; 404 if there is none."""
        key = self.get(record_id).get(self.key)
        return self.refers is not None and any(one.get(self.refers) == key for one in self._records.values())

    def drop(self, record_id: str) -> None:
        """Delete a record; 404 if there is none."""
        self.get(record_id)
        self._unindex(record_id)
        del self._records[record_id]

    def page(self, query: Mapping[str, str], listing: Listing | None) -> Page:
        """The page that a query asks for, spoiled as told."""
        found = list(self._matching(query))
        size, start = self._window(query, len(found), clamped=listing is Listing.CLAMPED_LAST_PAGE)
        # The first page repeats nothing: what it showed instead, an end or another query's answer, nobody could tell.
        if listing is Listing.REPEATED_PAGE and self._last_page is not None and start:
            return self._last_page
        self._hidden = {one: left - 1 for one, left in self._hidden.items() if left > 1}
        after = start + size if start + size < len(found) else None
        if listing is Listing.TOKEN_CYCLE and start >= 2 * size:
            after = size
        items: list[Record] | None = [dict(record) for record in found[start : start + size]]
        if listing is Listing.MISSING_RECORDS:
            items = None
        self._last_page = self._shaped(items, start, size, after, len(found), query)
        if listing is Listing.DRIFT and self._records:
            first = next(iter(self._records))
            self._records[first] = self._records.pop(first)
        return self._last_page

    def _matching(self, query: Mapping[str, str]) -> Iterator[Record]:
        wanted = {name: value for name, value in query.items() if name not in PAGING_PARAMS}
        return (
            record
            for record_id, record in self._records.items()
            if record_id not in self._hidden and _fits(record, wanted)
        )

    def _window(self, query: Mapping[str, str], total: int, *, clamped: bool) -> tuple[int, int]:
        if self.paging == "none":
            return max(total, 1), 0
        try:
            size = min(int(query.get("limit") or query.get("per_page") or self.page_size), self.page_size)
            if self.paging == "cursor":
                start = self._cursors[query["cursor"]] if "cursor" in query else 0
            elif self.paging == "offset":
                start = int(query.get("offset", 0))
            else:
                start = (int(query.get("page", 1)) - 1) * size
        except (ValueError, KeyError):
            raise RefusedError(400, "bad_page") from None
        if size < 1 or start < 0:
            raise RefusedError(400, "bad_page")
        if clamped and start >= total > 0:
            start = (total - 1) // size * size
        return size, start

    def _shaped(
        self,
        items: list[Record] | None,
        start: int,
        size: int,
        after: int | None,
        total: int,
        query: Mapping[str, str],
    ) -> Page:
        named = {} if items is None else {self.name.rpartition("/")[2]: items}
        next_url = None
        if after is not None:
            next_query = {**query, "page": after // size + 1}
            next_url = f"{self.base_url}/{self.name}?{urlencode(next_query)}"
        match self.paging:
            case "cursor":
                token = None if after is None else self._cursor(after)
                held = {} if items is None else {"items": items}
                return Page({"data": {**held, "next_cursor": token, "total": total}})
            case "page":
                return Page({**named, "page": start // size + 1, "per_page": size, "total": total})
            case "offset":
                return Page({**named, "offset": start, "limit": size, "total": total})
            case "next_url":
                return Page({**named, "next": next_url})
            case "link":
                return Page({} if items is None else items, next_url, total)
            case "none":
                return Page(named)

    def _cursor(self, offset: int) -> str:
        token = hashlib.sha256(f"{self.seed}/{self.name}/{offset}".encode()).hexdigest()[:16]
        self._cursors[token] = offset
        return token

    def _checked(self, fields: Mapping[str, Any], record_id: str | None) -> Record:
        record = {name: self.normalise.get(name, _as_it_is)(value) for name, value in fields.items()}
        key = record.get(self.key)
        if key in self._rejected:
            raise RefusedError(self._rejected[key], "invalid", field=self.key, value=key)
        named = record.get(self.refers) if self.refers else None
        if named is not None and named not in self._index[self.key]:
            raise RefusedError(422, "no_such_record", field=self.refers, value=named)
        for name, index in self._index.items():
            owner = None if name == self.key and self.doubles else index.get(record.get(name))
            if owner is not None and owner != record_id:
                raise RefusedError(409, "duplicate", field=name, id=owner)
        return record

    def _unindex(self, record_id: str) -> None:
        before = self._records.get(record_id, {})
        for name, index in self._index.items():
            if index.get(before.get(name)) == record_id:
                del index[before[name]]

    def _new_id(self) -> str:
        return f"{self._random.getrandbits(48):012x}"


def _fits(record: Record, wanted: Mapping[str, str]) -> bool:
    for name, value in wanted.items():
        if name.endswith("_since"):
            if str(record.get(name.removesuffix("_since"), "")) < value:
                return False
        elif name.endswith("_before"):
            if str(record.get(name.removesuffix("_before"), "")) >= value:
                return False
        elif str(record.get(name)) != value:
            return False
    return True


def _as_it_is(value: Any) -> Any:
    return value
