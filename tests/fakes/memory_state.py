"""Journal, links and target index in dictionaries: quick enough for thousands of runs in one test.

Passes the same contract suite as the SQL store.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from daemon.errors import StateError
from daemon.sync.change import MOVES, Change, Fate, Kind, Link, Outcome, Reject
from daemon.sync.counts import Counts
from daemon.sync.ports import LinkCount, TargetRecord
from daemon.values import Document


@dataclass
class MemoryState:
    """What one job remembers, over all its runs."""

    links: dict[str, Link] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    rejects: dict[str, Reject] = field(default_factory=dict)
    changes: dict[tuple[str, int], Change] = field(default_factory=dict)
    highest: int = 0
    seen: int | None = None
    selection: str | None = None

    def put(self, link: Link, document: Document | None) -> None:
        known = self.links.get(link.key)
        if known is None:
            self.highest += 1
        self.links[link.key] = replace(link, id=known.id if known else self.highest)
        if document is not None:
            self.documents[link.key] = document


class MemoryLinks:
    def __init__(self, state: MemoryState) -> None:
        self._state = state

    def count(self) -> LinkCount:
        links = self._state.links.values()
        return LinkCount(len(links), sum(link.owned for link in links), self._state.highest)

    def by_key(self, keys: Sequence[str]) -> Mapping[str, Link]:
        return {key: self._state.links[key] for key in keys if key in self._state.links}

    def documents(self, link_ids: Sequence[int]) -> Mapping[int, Document]:
        by_id = {link.id: key for key, link in self._state.links.items()}
        return {
            one: self._state.documents[by_id[one]]
            for one in link_ids
            if one in by_id and by_id[one] in self._state.documents
        }

    def by_target(self, target_ids: Sequence[str]) -> Mapping[str, Sequence[Link]]:
        found: dict[str, list[Link]] = defaultdict(list)
        for link in self._state.links.values():
            if link.target_id in target_ids:
                found[link.target_id].append(link)
        return found

    def range(self, after: int, upto: int, limit: int) -> Sequence[Link]:
        links = sorted((link for link in self._state.links.values() if after < link.id <= upto), key=lambda one: one.id)
        return links[:limit]

    def last_seen(self) -> int | None:
        return self._state.seen

    def last_selection(self) -> str | None:
        return self._state.selection


class MemoryJournal:
    """The journal of one run. `writes` False is a plan's: links are not kept."""

    def __init__(self, state: MemoryState, run: str, *, writes: bool = True) -> None:
        self._state = state
        self._run = run
        self._writes = writes
        self._mine: dict[int, Change] = {}
        self._rejected: set[str] = set()
        self.counts = Counts()
        self.commits = 0

    def plan(
        self,
        changes: Sequence[Change],
        *,
        links: Sequence[tuple[Link, Document | None]],
        rejects: Sequence[Reject],
        counts: Counts,
        forgotten: Sequence[str] = (),
    ) -> None:
        for change in changes:
            self._keep(change)
        for link, document in links:
            if self._writes:
                self._state.put(link, document)
        for key in forgotten if self._writes else ():
            self._state.links.pop(key, None)
            self._state.documents.pop(key, None)
        for reject in rejects:
            self._rejected.add(reject.key)
            self._state.rejects[reject.key] = reject
        self.counts = counts

    def known(self, keys: Sequence[str]) -> Mapping[str, Fate | None]:
        by_key: dict[str, Fate | None] = dict.fromkeys(self._rejected)
        by_key.update({change.key: change.fate for change in self._mine.values()})
        return {key: by_key[key] for key in keys if key in by_key}

    def spoil(self, key: str, reject: Reject, counts: Counts) -> None:
        for change in list(self._mine.values()):
            if change.key == key and change.fate is Fate.PLANNED:
                self._move(change, Fate.FAILED, reject.reason)
        self._rejected.add(key)
        self._state.rejects[key] = reject
        self.counts = counts

    def planned(self, kinds: Iterable[Kind]) -> Iterator[Change]:
        wanted = set(kinds)
        for seq in sorted(self._mine):
            change = self._mine[seq]
            if change.kind in wanted and change.fate is Fate.PLANNED:
                yield change

    def commit(self, *, sent: Sequence[Change], outcomes: Sequence[Outcome], counts: Counts) -> None:
        self.commits += 1
        self._settle(outcomes)
        for change in sent:
            self._move(change, Fate.SENT, "")
        self.counts = counts

    def withhold(self, kinds: Iterable[Kind], reason: str, counts: Counts) -> None:
        for change in list(self.planned(kinds)):
            self._move(change, Fate.WITHHELD, reason)
        self.counts = counts

    def tally(self) -> Mapping[tuple[Kind, Fate], int]:
        return Counter((change.kind, change.fate) for change in self._mine.values())

    def unresolved(self) -> Sequence[Change]:
        open_fates = {Fate.SENT, Fate.UNKNOWN}
        return [c for (run, _), c in self._state.changes.items() if run != self._run and c.fate in open_fates]

    def resolve(self, outcomes: Sequence[Outcome]) -> None:
        self._settle(outcomes)

    def _keep(self, change: Change) -> None:
        self._mine[change.seq] = change
        self._state.changes[self._run, change.seq] = change

    def _move(self, change: Change, fate: Fate, reason: str) -> None:
        place = next(place for place, one in self._state.changes.items() if _same(one, change))
        before = self._state.changes[place]
        if fate not in MOVES[before.fate] and fate is not before.fate:
            raise StateError(f"{change.key}: {before.fate} to {fate} is not lawful")
        after = replace(before, fate=fate, reason=reason)
        self._state.changes[place] = after
        if place[0] == self._run:
            self._mine[change.seq] = after

    def _settle(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            change = outcome.change
            self._move(change, outcome.fate, outcome.reason)
            if outcome.fate in {Fate.DONE, Fate.SKIPPED}:
                self._state.rejects.pop(change.key, None)
            if outcome.fate is Fate.DONE:
                self._remember(outcome)
            elif outcome.fate in {Fate.FAILED, Fate.UNKNOWN}:
                self._rejected.add(change.key)
                self._state.rejects[change.key] = Reject(
                    change.key, outcome.reason, outcome.status, outcome.excerpt, change.kind
                )

    def _remember(self, outcome: Outcome) -> None:
        change = outcome.change
        if change.kind is Kind.DELETE and outcome.is_doubtful:
            if (link := self._state.links.get(change.key)) is not None:
                self._state.links[change.key] = replace(link, fingerprint=b"", raw=b"")
            return
        if change.kind is Kind.DELETE:
            self._state.links.pop(change.key, None)
            self._state.documents.pop(change.key, None)
            return
        link = Link(
            id=0,
            key=change.key,
            target_id=outcome.target_id or change.target_id or "",
            fingerprint=change.fingerprint,
            raw=change.raw,
            version=outcome.version,
            owned=outcome.owned,
            contest=change.contest,
        )
        self._state.put(link, change.document)


def _same(one: Change, other: Change) -> bool:
    return one.idempotency_key == other.idempotency_key


class MemoryIndex:
    def __init__(self) -> None:
        self._records: dict[str, TargetRecord] = {}

    def put(self, records: Sequence[TargetRecord]) -> None:
        self._records.update({record.id: record for record in records})

    def by_match(self, keys: Sequence[str]) -> Mapping[str, tuple[TargetRecord, ...]]:
        found: dict[str, list[TargetRecord]] = defaultdict(list)
        for record in self._records.values():
            if record.match is not None:
                found[record.match].append(record)
        return {key: tuple(found[key]) for key in keys if key in found}

    def by_id(self, ids: Sequence[str]) -> Mapping[str, TargetRecord]:
        return {one: self._records[one] for one in ids if one in self._records}

    def count(self) -> int:
        return len(self._records)
