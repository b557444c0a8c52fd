"""Journal, links and target index in dictionaries: quick enough for thousands of runs in one test.

Passes the same contract suite as the SQL store.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from daemon.errors import StateError
from daemon.sync.change import MOVES, Change, Fate, Kept, Kind, Link, Outcome, Reject, Retry
from daemon.sync.counts import Counts
from daemon.sync.cursor import Cursor, WholeRead
from daemon.sync.mark import Mark
from daemon.sync.outcome import TAKEN_UP, Ending
from daemon.sync.ports import TargetRecord
from daemon.sync.retry import REST, TRIES
from daemon.values import Document


@dataclass
class MemoryState:
    """What one job remembers, over all its runs. Its clock stands still until a test moves `now`."""

    links: dict[str, Link] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    rejects: dict[str, Reject] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    """How many runs tried each reject in vain."""
    tried_at: dict[str, datetime] = field(default_factory=dict)
    now: datetime = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    met_by: dict[str, str] = field(default_factory=dict)
    """The latest run that met each reject."""
    changes: dict[tuple[str, int], Change] = field(default_factory=dict)
    highest: int = 0
    seen: int | None = None
    selection: str | None = None
    cursors: dict[str, Cursor] = field(default_factory=dict)
    whole: WholeRead | None = None
    mark: Mark | None = None
    marked_by: str = ""
    """The run whose mark it is."""
    marked: set[str] = field(default_factory=set)
    """Keys of the rejects before the mark."""
    endings: dict[str, Ending] = field(default_factory=dict)
    """Of runs that came to an end by themselves; the others were cut off."""

    written_at: dict[str, datetime] = field(default_factory=dict)
    """When the record of each link was last written."""
    moved_at: dict[tuple[str, int], datetime] = field(default_factory=dict)
    ended_at: dict[str, datetime] = field(default_factory=dict)
    """When each run ended; of those that were cut off, when that was found out."""

    def put(self, link: Link, document: Document | None) -> None:
        known = self.links.get(link.key)
        if known is None:
            self.highest += 1
        self.links[link.key] = replace(link, id=known.id if known else self.highest)
        if document is not None:
            self.documents[link.key] = document

    def reject(self, reject: Reject, run: str) -> None:
        key, before = reject.key, self.rejects.get(reject.key)
        met_by, self.met_by[key] = self.met_by.get(key), run
        if before is not None and before.retry is reject.retry is Retry.PERSON:
            return
        same = before is not None and (before.retry, before.fingerprint) == (reject.retry, reject.fingerprint)
        attempts = self.attempts.get(key, 0)
        if before is None or met_by != run:
            attempts = attempts + 1 if same else 1
        self.rejects[key], self.attempts[key], self.tried_at[key] = reject, attempts, self.now

    def retry_all(self) -> None:
        """Make every reject due, as an operator does; what waits for a person goes on waiting."""
        for key, one in self.rejects.items():
            if one.retry is not Retry.PERSON:
                self.rejects[key] = replace(one, retry=Retry.EACH_RUN, fingerprint=None)


class MemoryLinks:
    def __init__(self, state: MemoryState) -> None:
        self._state = state

    def count(self) -> int:
        return len(self._state.links)

    def highest(self) -> int:
        return self._state.highest

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

    def by_id(self, ids: Sequence[int]) -> Sequence[Link]:
        return sorted((link for link in self._state.links.values() if link.id in ids), key=lambda one: one.id)

    def raws(self, after: int, limit: int) -> Sequence[tuple[int, bytes, str]]:
        return [(link.id, link.raw, link.part) for link in self.range(after, self._state.highest, limit)]

    def in_part(self, part: str, *, within: bool = False) -> Iterable[int]:
        links = list(self._state.links.values())
        return [one.id for one in links if one.part == part or (within and one.part.startswith(f"{part}/"))]

    def kept(self, keys: Sequence[str]) -> Mapping[str, Kept]:
        return {key: self._kept(key) for key in keys if key in self._state.rejects}

    def _kept(self, key: str) -> Kept:
        reject = self._state.rejects[key]
        rests = reject.retry is Retry.RARELY and self._state.attempts[key] >= TRIES
        return Kept(
            reject.fingerprint if rests else None,
            is_rested=self._state.tried_at[key] + REST <= self._state.now,
            attempts=self._state.attempts[key],
        )

    def young(self, settle: timedelta) -> frozenset[str]:
        state, since = self._state, self._state.now - settle
        young = {key for key, at in state.written_at.items() if at > since and key in state.links}
        for place, change in state.changes.items():
            at = state.moved_at[place]
            if change.fate is Fate.SENT:
                at = max(at, state.ended_at.get(place[0], at))
            if change.fate in {Fate.SENT, Fate.UNKNOWN} and at > since:
                young.add(change.key)
        return frozenset(young)

    def last_seen(self) -> int | None:
        return self._state.seen

    def last_selection(self) -> str | None:
        return self._state.selection

    def cursor(self, part: str) -> Cursor | None:
        return self._state.cursors.get(part)

    def last_whole(self) -> WholeRead | None:
        return self._state.whole


class MemoryJournal:
    """The journal of one run. `writes` False is a plan's: links are not kept."""

    def __init__(self, state: MemoryState, run: str, *, writes: bool = True) -> None:
        self._state = state
        self._run = self.run = run
        self._writes = writes
        self._mine: dict[int, Change] = {}
        self._rejected: set[str] = set()
        self._statuses: dict[int, int | None] = {}
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
        rests: Sequence[str] = (),
    ) -> None:
        seqs = [change.seq for change in changes]
        if len(set(seqs)) < len(seqs) or not self._mine.keys().isdisjoint(seqs):
            raise StateError("a seq is given once")
        for change in changes:
            self._keep(change)
        for link, document in links:
            if self._writes:
                self._state.put(link, document)
        for key in forgotten if self._writes else ():
            self._state.links.pop(key, None)
            self._state.documents.pop(key, None)
        for reject in rejects:
            self._reject(reject)
        resting = [key for key in rests if key in self._state.rejects]
        self._rejected.update(resting)
        self._state.met_by.update(dict.fromkeys(resting, self._run))
        self.counts = counts

    def known(self, keys: Sequence[str]) -> Mapping[str, Fate | None]:
        by_key: dict[str, Fate | None] = dict.fromkeys(self._rejected)
        by_key.update({change.key: change.fate for change in self._mine.values()})
        return {key: by_key[key] for key in keys if key in by_key}

    def part_of(self, key: str) -> str:
        return next((one.part for one in reversed(self._mine.values()) if one.key == key), "")

    def spoil(self, key: str, reject: Reject | None, counts: Counts) -> None:
        planned = [one for one in self._mine.values() if one.key == key and one.fate is Fate.PLANNED]
        if len(planned) != 1:
            raise StateError(f"{key} has no planned change")
        self._move(planned[0], Fate.FAILED if reject else Fate.DROPPED, reject.reason if reject else "")
        self._statuses[planned[0].seq] = None
        if reject:
            self._reject(reject)
        self.counts = counts

    def planned(self, kinds: Iterable[Kind]) -> Iterator[Change]:
        wanted = set(kinds)
        for seq in sorted(self._mine):
            change = self._mine[seq]
            if change.kind in wanted and change.fate is Fate.PLANNED:
                yield change

    def commit(self, *, sent: Sequence[Change], outcomes: Sequence[Outcome], counts: Counts) -> None:
        self.commits += 1
        before = self._copy()
        try:
            for change in sent:
                self._move(change, Fate.SENT, "")
            self._settle(outcomes)
        except StateError:
            vars(self._state).update(before[0])
            self._mine = before[1]
            raise
        self.counts = counts

    def _copy(self) -> tuple[dict[str, Any], dict[int, Change]]:
        state = vars(self._state)
        return {name: dict(one) if isinstance(one, dict) else one for name, one in state.items()}, dict(self._mine)

    def failed(self, kind: Kind, statuses: Collection[int], *, after: int, limit: int) -> Sequence[Change]:
        return [self._mine[seq] for seq in self._failed(kind, statuses, after)][:limit]

    def mend(self, changes: Sequence[Change], counts: Counts) -> None:
        if any(self._mine[change.seq].fate not in {Fate.FAILED, Fate.SENT} for change in changes):
            raise StateError("neither failed nor sent")
        for change in changes:
            is_sent = self._mine[change.seq].fate is Fate.SENT
            self._keep(replace(change, fate=Fate.SENT if is_sent else Fate.PLANNED, reason=""))
        self.counts = counts

    def again(self, statuses: Mapping[Kind, Collection[int]], *, after: int, attempt: int, counts: Counts) -> Counts:
        moved: Counter[Kind] = Counter()
        for kind, some in statuses.items():
            for seq in self._failed(kind, some, after):
                change = self._mine[seq]
                reject = self._state.rejects.get(change.key)
                if reject is not None and (reject.kind, reject.status) == (kind, self._statuses[seq]):
                    key = f"{self._run}-{seq}.{attempt}"
                    self._keep(replace(change, fate=Fate.PLANNED, reason="", idempotency_key=key))
                    moved[kind] += 1
        self.counts = counts.reopened(moved)
        return self.counts

    def _reject(self, reject: Reject) -> None:
        self._rejected.add(reject.key)
        self._state.reject(reject, self._run)

    def _failed(self, kind: Kind, statuses: Collection[int], after: int) -> list[int]:
        return [
            seq
            for seq, change in sorted(self._mine.items())
            if change.kind is kind and change.fate is Fate.FAILED and seq > after and self._statuses[seq] in statuses
        ]

    def last_mark(self, revision: str) -> Mark | None:
        mark = self._state.mark
        ending = self._state.endings.get(self._state.marked_by, Ending.INTERRUPTED)
        return mark if mark is not None and mark.revision == revision and ending in TAKEN_UP else None

    def behind_mark(self, keys: Sequence[str]) -> Sequence[str]:
        return [key for key in keys if key in self._state.marked and key in self._state.rejects]

    def mark(self, mark: Mark) -> None:
        self._state.mark, self._state.marked_by = mark, self._run
        self._state.marked = {key for key in self._rejected if key in self._state.rejects}

    def take_up(self) -> None:
        self._state.marked_by = self._run
        taken = {key for key in self._state.marked if key in self._state.rejects}
        self._rejected |= taken
        self._state.met_by.update(dict.fromkeys(taken, self._run))

    def unmark(self) -> None:
        self._state.mark = None

    def move(self, cursors: Sequence[Cursor], *, whole: bool) -> None:
        for cursor in cursors:
            self._state.cursors.pop(cursor.part, None)
            if cursor.value is not None:
                self._state.cursors[cursor.part] = replace(cursor, moved_at=self._state.now, run=self._run)
        if whole:
            self._state.whole = WholeRead(self._state.now, self._run)

    def withhold(self, kinds: Iterable[Kind], reason: str, counts: Counts) -> None:
        for change in list(self.planned(kinds)):
            self._move(change, Fate.WITHHELD, reason)
        self.counts = counts

    def tally(self) -> Mapping[tuple[Kind, Fate], int]:
        changes = self._state.changes.items()
        return Counter((change.kind, change.fate) for (run, _), change in changes if run == self._run)

    def unresolved(self) -> Sequence[Change]:
        open_fates = {Fate.SENT, Fate.UNKNOWN}
        return tuple(c for (run, _), c in self._state.changes.items() if run != self._run and c.fate in open_fates)

    def resolve(self, outcomes: Sequence[Outcome]) -> None:
        self._settle(outcomes, may_stay=True)
        for outcome in outcomes:
            if outcome.fate is Fate.DROPPED:
                self._state.written_at[outcome.change.key] = self._state.now

    def _keep(self, change: Change) -> None:
        self._mine[change.seq] = change
        self._state.changes[self._run, change.seq] = change
        self._state.moved_at[self._run, change.seq] = self._state.now

    def _move(self, change: Change, fate: Fate, reason: str, *, may_stay: bool = False, is_news: bool = True) -> None:
        place = next(place for place, one in self._state.changes.items() if _same(one, change))
        before = self._state.changes[place]
        stays = may_stay and fate is before.fate is Fate.UNKNOWN
        if fate not in MOVES[before.fate] and not stays:
            raise StateError(f"{change.key}: {before.fate} to {fate} is not lawful")
        after = replace(before, fate=fate, reason=reason)
        self._state.changes[place] = after
        if is_news:
            self._state.moved_at[place] = self._state.now
        if place[0] == self._run:
            self._mine[change.seq] = after

    def _settle(self, outcomes: Sequence[Outcome], *, may_stay: bool = False) -> None:
        for outcome in outcomes:
            change = outcome.change
            self._move(change, outcome.fate, outcome.reason, may_stay=may_stay, is_news=not outcome.stays)
            if outcome.fate in {Fate.DONE, Fate.SKIPPED}:
                self._state.rejects.pop(change.key, None)
            if outcome.fate is Fate.DONE:
                self._remember(outcome)
            elif outcome.fate in {Fate.FAILED, Fate.UNKNOWN}:
                self._statuses[change.seq] = outcome.status
                self._reject(
                    Reject(
                        change.key,
                        outcome.reason,
                        outcome.status,
                        outcome.excerpt,
                        change.kind,
                        outcome.retry,
                        outcome.refused,
                    )
                )
            elif (reject := self._state.rejects.get(change.key)) and reject.retry is Retry.PERSON:
                self._state.rejects[change.key] = replace(reject, retry=Retry.EACH_RUN)

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
        target_id = outcome.target_id or change.target_id
        if target_id is None:
            raise StateError(f"{change.key}: done without an id")
        link = Link(
            id=0,
            key=change.key,
            target_id=target_id,
            fingerprint=change.fingerprint,
            raw=change.raw,
            version=outcome.version,
            owned=outcome.owned,
            contest=change.contest,
            part=change.part,
        )
        self._state.put(link, change.document)
        self._state.written_at[change.key] = self._state.now


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

    def clear(self) -> None:
        self._records.clear()
