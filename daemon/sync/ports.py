"""What the core needs from the world, as small promises. Adapters stand in endpoints/ and store/.

One run is one thread: the core calls every port from that thread, except `Target.lookup`, `get`, `write`, `create`,
`update` and `delete`, which it also calls from the threads of the pool it was given. A read of the source may go on in
another of these threads for each step; one at a time asks for it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeAlias, TypeVar

from daemon.errors import EndpointError
from daemon.values import Document, Json

from .certificate import End
from .change import Change, Kept, Kind, Link
from .cursor import Cursor, WholeRead
from .events import Observe
from .facts import Fact, fact
from .journal import Journal
from .parts import NOTHING, WHOLE, Part, Parts

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of raw records, in the source's order."""

    number: int
    """From 1."""
    records: tuple[bytes, ...]
    """Each the bytes of one JSON value, as the source sent them."""
    resume: str | None = None
    """What `Source.read` takes up the next page by, opaque to everybody else; None where the API has only page
    numbers or offsets, under which other records stand by then, and on the last page."""
    at: datetime | None = None
    """What time it was at the source when the page was asked for, or somewhat before, by its own clock; None where it
    does not say. Later than that, and a record that was stored meanwhile would be passed over."""
    places: Sequence[str] = ()
    """Where each record stands, for people (`people.csv:17`); empty where there is nothing to say."""
    faults: Mapping[int, str] = field(default_factory=dict)
    """Why some of them, by their number in `records` from 0, are no records; what the source itself found."""
    cursor: Json = None
    """The token for the next read that came with the page; None where there is none."""
    took_s: float = 0.0
    """How long the source was waited for."""


@fact
class TargetRecord(Fact, frozen=True):
    """A record as the target holds it."""

    id: str
    match: str | None
    """Canonical text of the `match` field, comparable with a key; None when the record has none."""
    document: Document
    version: str | None


@fact
class Written(Fact, frozen=True):
    """The target's answer to a write."""

    id: str | None
    """None where the answer carries none (the id is then the one we asked for)."""
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The target took a delete on, and carries it out later (202)."""


Answer: TypeAlias = Written | Accepted | EndpointError | None
"""What a target says of one change of several: what its own request would return, or the error it would raise."""


class WholeRefusedError(Exception):
    """Several changes were refused as a whole for what is in it, and its parts may be sent by themselves.

    `named` is what the answer says of single changes, by their place in the part from 0, where it names any.
    `may_be_done`: parts of it may have been carried out all the same, and repeating them does no harm.
    """

    def __init__(
        self, cause: EndpointError, *, named: Mapping[int, Any] | None = None, may_be_done: bool = False
    ) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.named = named or {}
        self.may_be_done = may_be_done


class Source(Protocol):
    """Where records come from."""

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any] = NOTHING) -> Iterator[Page | End]:
        """Yield the pages from the beginning, or from the page that `resume` leads to, then exactly one End.

        `scope` has what the job's own templates know while reading: the cursor, and the part's parent by its name.

        `resume` is what a page of an earlier read said; numbers and counts go on from there, so that the End tells
        of the whole read. Raises an EndpointError when a page does not arrive whole or is not what the job promises;
        what was yielded before stays true. Without an End nothing may be concluded from what is absent.
        """


class Target(Protocol):
    """Where documents go."""

    @property
    def can_list(self) -> bool:
        """Whether the job declares how to list the target's records."""

    @property
    def can_lookup(self) -> bool:
        """Whether the job declares how to find one record."""

    @property
    def can_get(self) -> bool:
        """Whether the job declares how to read one record by its id."""

    @property
    def replaces(self) -> bool:
        """Whether an update puts the whole record, so that it is to be merged into what the target holds."""

    @property
    def has_idempotency(self) -> bool:
        """Whether a create carries an idempotency key, so that it may be repeated."""

    def list(self) -> Iterator[tuple[TargetRecord, ...] | End]:
        """Yield the target's records page by page, then exactly one End. Errors as in Source.read."""

    def lookup(self, key: str, document: Document) -> tuple[TargetRecord, ...]:
        """Return the records whose match field equals `key`; several are an ambiguity for the caller to refuse."""

    def get(self, target_id: str, key: str, document: Document) -> TargetRecord | None:
        """Return the record with this id as the target holds it now; None when it surely has none.

        `key` and `document` are for requests that are made of them; a caller without a document gives an empty one.
        Raises RefusedError when it cannot be asked for, else as Source.read.
        """

    def batch_size(self, kind: Kind) -> int:
        """Return how many changes of this kind may go in one call of `write`; 1 where each goes alone.

        It may become smaller while a run goes on.
        """

    def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
        """Carry out several changes of one kind in one request; return what each of them would by itself, in order.

        An error stands in the place of a change that the target refused, or of which it said nothing (UnknownError:
        no word is no success), or which it put off (PutOffError). None is a delete that is done. Raises
        WholeRefusedError when the whole was refused, and its parts may be sent by themselves: nothing of it was carried
        out, or it may be repeated. Raises as `create` does when nothing is known of any of them. There are two changes
        at least; one alone goes by its own method.
        """

    def create(self, change: Change) -> Written:
        """Create a record.

        Raises ConflictError (it exists), RefusedError, UnknownError (answer lost), UnavailableError (surely not
        carried out), AuthError.
        """

    def update(self, change: Change) -> Written:
        """Set the changed fields, or put `change.sent` where it `replaces`. Safe to repeat.

        Raises GoneError when there is no such record, StaleError when it moved on, else as create.
        """

    def delete(self, change: Change) -> Accepted | None:
        """Remove a record; Accepted when the target says that it will do so later.

        Safe to repeat; a record that is not there is a success. Raises StaleError when it moved on, else as create.
        """


class Pool(Protocol):
    """Threads to wait in. `concurrent.futures.Executor` is one."""

    def submit(self, work: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Start `work` on another thread, or do it at once."""


class Links(Protocol):
    """What is remembered of earlier runs. Reading only; the journal writes."""

    def count(self) -> int:
        """Count the job's links."""

    def highest(self) -> int:
        """Return the highest id of the job's links, 0 when there are none."""

    def by_key(self, keys: Sequence[str]) -> Mapping[str, Link]:
        """Return the links of those keys that have one."""

    def documents(self, link_ids: Sequence[int]) -> Mapping[int, Document]:
        """Return the last document sent for each of these links, where it is remembered."""

    def by_target(self, target_ids: Sequence[str]) -> Mapping[str, Sequence[Link]]:
        """Return all links that lead to these target records. May look at every link of the job: for few calls."""

    def range(self, after: int, upto: int, limit: int) -> Sequence[Link]:
        """Return up to `limit` links with after < id <= upto, in order of id."""

    def by_id(self, ids: Sequence[int]) -> Sequence[Link]:
        """Return those of this job's links that have these ids, in order of id."""

    def raws(self, after: int, limit: int) -> Sequence[tuple[int, bytes, str]]:
        """Return id, raw fingerprint and part of up to `limit` links with id > after, in order of id."""

    def in_part(self, part: str, *, within: bool = False) -> Iterable[int]:
        """Return the ids of the links of a part; `within`: also of those whose names go on with a slash.

        The part without a name has the links of no part, all of which may be looked at: for few calls.
        """

    def kept(self, keys: Sequence[str]) -> Mapping[str, Kept]:
        """Return what earlier runs rejected of these keys; `rarely` rests from attempt `retry.TRIES` on."""

    def young(self, settle: timedelta) -> Collection[str]:
        """Return the keys whose record was written, or a change left open, less than `settle` ago.

        A change that was left as sent counts from the end of its run: until then it may have waited for its turn.
        """

    def last_seen(self) -> int | None:
        """Return how many records the last read saw that was complete, no delete of it withheld; None without one."""

    def last_selection(self) -> str | None:
        """Return what the job picked in its last accepted read, block by block; None when there was none."""

    def cursor(self, part: str) -> Cursor | None:
        """Return how far this part of the source was read; None when that is not known."""

    def last_whole(self) -> WholeRead | None:
        """Return the last time the source was read as a whole, and all of it settled; None when it never was."""


class TargetIndex(Protocol):
    """The target's own list, kept aside for one run so that memory stays bounded."""

    def put(self, records: Sequence[TargetRecord]) -> None:
        """Add one page."""

    def by_match(self, keys: Sequence[str]) -> Mapping[str, tuple[TargetRecord, ...]]:
        """Return the records whose match text is one of these keys, several where the target has several."""

    def by_id(self, ids: Sequence[str]) -> Mapping[str, TargetRecord]:
        """Return the records with these ids."""

    def count(self) -> int:
        """Count the records put, each id once."""

    def clear(self) -> None:
        """Remove them all."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The world, as one run sees it."""

    source: Source
    target: Target
    links: Links
    journal: Journal
    index: TargetIndex
    pool: Pool
    observe: Observe
    prepare: Callable[[bool], None] = lambda _writes: None
    """Makes sure, before a run asks anything else, that both sides still fit the job; told whether the run writes.
    Raises ConfigError for what the operator must change, else as Source.read."""
    parts: Parts = WHOLE
    """The stretches of the source, read one after the other."""
    ahead: int = 1
    """How many of them are read at the same time; what comes of them is taken in order."""


Read: TypeAlias = Callable[[Part], Iterator[Page | End]]
"""How a part's read begins."""
Opened: TypeAlias = tuple[Part, Iterator[Page | End]]
"""A part with its pages."""
Unfold: TypeAlias = Callable[[Iterator[Part | End]], Iterator[Opened | End]]
"""How parts become parts with their pages."""


def each_part(parts: Iterator[Part | End], read: Read) -> Iterator[Opened | End]:
    """Yield each part with its pages, the read of which begins when it is asked for one; then the End of the parts.

    Raises as the list of parts does.
    """
    for step in parts:
        yield step if isinstance(step, End) else (step, read(step))
