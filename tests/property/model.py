"""The reference: two systems that know by themselves what must never be asked of them.

Nothing here looks at what the program thinks, but for one thing: that a write which arrives stands in the journal.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from daemon.endpoints.memory import MemoryTarget
from daemon.sync.certificate import End
from daemon.sync.change import Change, Kind
from daemon.sync.parts import NOTHING
from daemon.sync.ports import Accepted, Answer, Page, TargetRecord, Written
from daemon.values import Document
from tests.property.mishaps import Script, Where


@dataclass(frozen=True)
class Shape:
    """What the job declares, and so by which way a lost answer can be cleared up."""

    lists: bool
    looks_up: bool
    idempotent: bool
    compare: Literal["links", "target"] = "links"
    gets: bool = False
    replaces: bool = False
    batch: int = 1
    """How many changes go into one request."""
    atomic: bool = False
    """Whether those over the wire are carried out all or none."""

    @property
    def sees(self) -> bool:
        """Whether it can see at all what was at the target before."""
        return self.lists or self.looks_up


SHAPES = (
    Shape(lists=True, looks_up=True, idempotent=True),
    Shape(lists=True, looks_up=True, idempotent=False, compare="target"),
    Shape(lists=True, looks_up=False, idempotent=False),
    Shape(lists=True, looks_up=False, idempotent=False, compare="target"),
    Shape(lists=False, looks_up=True, idempotent=False),
    Shape(lists=True, looks_up=True, idempotent=False, gets=True),
    Shape(lists=False, looks_up=True, idempotent=True, gets=True, replaces=True),
    Shape(lists=False, looks_up=False, idempotent=True),
    Shape(lists=True, looks_up=True, idempotent=False, batch=3),
    Shape(lists=True, looks_up=False, idempotent=False, batch=2, atomic=True),
    Shape(lists=False, looks_up=False, idempotent=True, batch=3),
    Shape(lists=False, looks_up=True, idempotent=False, gets=True, batch=4, atomic=True),
)


# ---- the source ----


@dataclass
class Read:
    """One read of the source, over all the runs that it took."""

    began: int
    """The moment of its first page."""
    given: Counter[str] = field(default_factory=Counter)
    """Keys of the records that were on its pages."""
    unreadable: bool = False
    ended: bool = False

    def copy(self) -> "Read":
        return Read(self.began, Counter(self.given), self.unreadable)

    @property
    def is_certain(self) -> bool:
        """Whether it may be concluded from this read that a record is not there."""
        return self.ended and not self.unreadable and max(self.given.values(), default=0) <= 1


@dataclass(frozen=True)
class Row:
    place: int
    record: dict[str, Any]


class Feed:
    """A list in order of arrival, which people may change while it is read; a page begins after the row before it."""

    def __init__(self, *, page_size: int, resumes: bool, counts: bool) -> None:
        self.rows: list[Row] = []
        self.page_size, self.resumes, self.counts = page_size, resumes, counts
        self.script = Script()
        self.current: Read | None = None
        """The read of the process that runs now."""
        self.moment = 0
        self._places = 0
        self._since: dict[str, int] = {}
        """The moment from which on each key was there without a break."""
        self._taken_up: dict[str, Read] = {}
        """What was read before each token."""

    # ---- people ----

    def put(self, record: dict[str, Any], *, place: int | None = None) -> None:
        """Add a record at the end, or put it in the place of another."""
        self.moment += 1
        if place is None:
            self._places += 1
            self.rows.append(Row(self._places, record))
        else:
            self.rows = [Row(place, record) if row.place == place else row for row in self.rows]
        if "no" in record:
            self._since.setdefault(record["no"], self.moment)

    def take(self, places: set[int]) -> None:
        """Remove rows."""
        self.moment += 1
        self.rows = [row for row in self.rows if row.place not in places]
        left = self.keys()
        self._since = {key: since for key, since in self._since.items() if key in left}

    def move(self, key: str, record: dict[str, Any]) -> None:
        """Put a record at the end in place of the one of this key, in one moment."""
        since = self._since[key]
        self.take({row.place for row in self.of(key)})
        self.put(record)
        if record.get("no") == key:
            self._since[key] = since

    def of(self, key: str) -> list[Row]:
        return [row for row in self.rows if row.record.get("no") == key]

    def keys(self) -> frozenset[str]:
        return frozenset(row.record["no"] for row in self.rows if "no" in row.record)

    @property
    def protected(self) -> frozenset[str]:
        """The keys that the read of now surely has to do with: on its pages, or there all the while."""
        if self.current is None:
            return self.keys()
        began = self.current.began
        return frozenset(self.current.given) | {key for key, since in self._since.items() if since <= began}

    # ---- the program ----

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any] = NOTHING) -> Iterator[Page | End]:
        """Yield the pages, from the one that `resume` leads to or the first, then one End."""
        number, count, after = map(int, resume.split(":")[1:]) if resume else (0, 0, 0)
        read = self._taken_up[resume].copy() if resume else Read(self.moment)
        self.current = read
        while True:
            self.script.reach(Where.PAGE)
            rows = [row for row in self.rows if row.place > after]
            batch = rows[: self.page_size]
            if not batch and number:
                break
            number, count = number + 1, count + len(batch)
            read.given.update(row.record["no"] for row in batch if "no" in row.record)
            read.unreadable = read.unreadable or any("no" not in row.record for row in batch)
            is_last = len(rows) == len(batch)
            after = batch[-1].place if batch else after
            # Whatever follows is asked for only if there was something to follow.
            yield Page(
                number,
                tuple(map(msgspec.json.encode, (row.record for row in batch))),
                self._token(read, number, count, after) if self.resumes and not is_last else None,
            )
            if is_last:
                break
        read.ended = True
        yield End("no next page", max(number, 1), count, len(self.rows) if self.counts else None)

    def _token(self, read: Read, number: int, count: int, after: int) -> str:
        token = f"{len(self._taken_up)}:{number}:{count}:{after}"
        self._taken_up[token] = read.copy()
        return token


# ---- the target ----


class Desk(MemoryTarget):
    """A target which notes what must never be asked of it."""

    def __init__(self, shape: Shape, feed: Feed, *, is_journalled: Callable[[str, Kind], bool]) -> None:
        super().__init__(
            match="no",
            lists=shape.lists,
            looks_up=shape.looks_up,
            gets=shape.gets,
            replaces=shape.replaces,
            idempotent=shape.idempotent,
            batch=shape.batch,
        )
        self._feed, self._is_journalled = feed, is_journalled
        self.script = Script()
        self.made: dict[str, str] = {}
        """Ids and keys of the records that were created over the API."""
        self.wrongs: list[str] = []
        self.asked = 0
        """Writes that arrived since the process began."""

    def list(self) -> Iterator[tuple[TargetRecord, ...] | End]:
        self.script.reach(Where.ASKED)
        return super().list()

    def lookup(self, key: str, document: Document) -> tuple[TargetRecord, ...]:
        self.script.reach(Where.ASKED)
        return super().lookup(key, document)

    def get(self, target_id: str, key: str, document: Document) -> TargetRecord | None:
        self.script.reach(Where.ASKED)
        return super().get(target_id, key, document)

    def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
        """Some of it may be refused or cut off; or all of it goes well, and nobody is told."""
        self.script.reach(Where.ARRIVED)
        answers = super().write(changes)
        self.script.reach(Where.ANSWERED)
        return answers

    def create(self, change: Change) -> Written:
        self._arrives(change, Kind.CREATE)
        is_repeat = self.has_idempotency and change.idempotency_key in self._answers
        if not is_repeat and change.key in {self.made.get(one) for one in self.records}:
            self.wrongs.append(f"a second create of {change.key}")
        before = len(self.records)
        written = super().create(change)
        if len(self.records) > before:
            self.made[written.id or ""] = change.key
        self.script.reach(Where.ANSWERED)
        return written

    def update(self, change: Change) -> Written:
        self._arrives(change, Kind.UPDATE)
        written = super().update(change)
        self.script.reach(Where.ANSWERED)
        return written

    def delete(self, change: Change) -> Accepted | None:
        self._arrives(change, Kind.DELETE)
        self._judge_delete(change)
        super().delete(change)
        self.script.reach(Where.ANSWERED)
        return None

    def _arrives(self, change: Change, kind: Kind) -> None:
        self.script.reach(Where.ARRIVED)
        self.asked += 1
        if self.script.overtaken:
            self.wrongs.append(f"a {kind} of {change.key} by a process whose job another one has done")
        if not self._is_journalled(change.key, kind):
            self.wrongs.append(f"a {kind} of {change.key} that the journal does not know of")

    def _judge_delete(self, change: Change) -> None:
        read, protected = self._feed.current, self._feed.protected
        if read is None or not read.is_certain:
            self.wrongs.append(f"a delete of {change.key} after a read that proves nothing")
        if change.key in protected:
            self.wrongs.append(f"a delete of {change.key}, who was in the source while it was read")
        there = self.records.get(change.target_id or "")
        if there is not None and there["no"] in protected:
            self.wrongs.append(f"a delete of {there['no']} by the name of {change.key}")
        if there is not None and change.target_id not in self.made:
            self.wrongs.append(f"a delete of {change.key}, which somebody else had made")

    def id_of(self, key: str) -> str | None:
        return next((one for one, record in self.records.items() if record["no"] == key), None)
