"""From one page of raw records to planned changes, in the journal before anything is sent.

A page goes through five steps: parse (record, filter, key), recall (links, and whether a key came twice), map, find
(the target's own records for what is not linked), decide. Each record leaves with exactly one fate in the counts.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from daemon.errors import RefusedError
from daemon.spec import Job
from daemon.values import Document, Record

from . import canonical
from .change import Change, Fate, Kind, Link, Reject
from .counts import Counts
from .diff import Decision, Known, Verb, Wanted, decide, kind_of
from .events import RecordsRejected
from .finder import Finder
from .mapping import JobMapping, UnmappableError
from .ports import Page, Ports, TargetRecord
from .seen import Seen

DUPLICATE = "another record of this read has the same key; neither is written"


@dataclass(frozen=True, slots=True)
class Keyed:
    """A record that takes part, with its key."""

    key: str
    record: Record
    raw: bytes
    """The raw fingerprint."""


@dataclass(slots=True)
class _Harvest:
    """What one page comes to, until it is journalled."""

    counts: Counts
    changes: list[Change] = field(default_factory=list)
    links: list[tuple[Link, Document | None]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    def reject(self, key: str, reason: str, *, error: RefusedError | None = None) -> None:
        status, excerpt = (error.status, error.excerpt) if error else (None, "")
        self.rejects.append(Reject(key, reason, status=status, excerpt=excerpt))
        self.counts = self.counts.plus(rejected=1)

    def count(self, **more: int) -> None:
        self.counts = self.counts.plus(**more)


class Planner:
    """Plans one run, page by page. Not shared between threads."""

    def __init__(
        self,
        job: Job,
        mapping: JobMapping,
        ports: Ports,
        *,
        run: str,
        finder: Finder,
        seen: Seen,
        blocked: frozenset[str],
    ) -> None:
        self._job = job
        self._mapping = mapping
        self._ports = ports
        self._run = run
        self._seen = seen
        self._finder = finder
        self._blocked = blocked
        self._doubled: set[str] = set()
        self._seq = 0
        self.doubts: list[str] = []
        """Why the read cannot be called complete, as far as its records show."""
        self.creates = 0
        self.updates = 0
        self.pending = 0
        """Changes planned and not yet given to apply."""

    def page(self, page: Page, counts: Counts) -> Counts:
        """Plan one page in one journal transaction and return the counts after it."""
        harvest = _Harvest(counts.plus(seen=len(page.records)))
        keyed = self._parse(page, harvest)
        links = self._ports.links.by_key([one.key for one in keyed])
        fresh = self._once(keyed, links, harvest)
        wanted = self._map(fresh, links, harvest)
        found = self._finder.find(wanted, links)
        for key, error in found.refused.items():
            harvest.reject(key, f"the look-up was refused: {error}", error=error)
        self._decide([one for one in wanted if one.key in found.records], links, found.records, harvest)
        self._ports.journal.plan(harvest.changes, links=harvest.links, rejects=harvest.rejects, counts=harvest.counts)
        self.pending += len(harvest.changes)
        if harvest.rejects:
            self._ports.observe(RecordsRejected(tuple(harvest.rejects)))
        return harvest.counts

    def deletion(self, link: Link) -> Change:
        """Return the delete of a record that is gone from the source."""
        return self._change(Kind.DELETE, link.key, target_id=link.target_id, version=link.version, owned=link.owned)

    # ---- parse -------------------------------------------------------------------------------------------------

    def _parse(self, page: Page, harvest: _Harvest) -> list[Keyed]:
        keyed = []
        for raw in page.records:
            mark = canonical.raw_fingerprint(raw, self._mapping.seed)
            try:
                record = canonical.decode_object(raw)
            except ValueError as error:
                self._doubt(f"a record on page {page.number} is unreadable")
                harvest.reject(f"#{mark.hex()}", f"the record is unreadable: {error}")
                continue
            one = self._key(record, mark, page.number, harvest)
            if one is not None:
                keyed.append(one)
        return keyed

    def _key(self, record: Record, mark: bytes, page: int, harvest: _Harvest) -> Keyed | None:
        filtered: UnmappableError | None = None
        try:
            if not self._mapping.takes_part(record):
                harvest.count(skipped=1)
                return None
        except UnmappableError as error:
            filtered = error
        try:
            key = self._mapping.key(record)
        except UnmappableError as error:
            self._doubt(f"a record on page {page} has no usable key")
            harvest.reject(f"#{mark.hex()}", str(error))
            return None
        if filtered is not None:
            self._see(key)
            harvest.reject(key, str(filtered))
            return None
        return Keyed(key, record, mark)

    def _see(self, key: str) -> None:
        """Note that the record of this key was met, so that a rejected one is never deleted by absence."""
        link = self._ports.links.by_key([key]).get(key)
        if link is not None:
            self._seen.add(link.id)

    # ---- recall ------------------------------------------------------------------------------------------------

    def _once(self, keyed: list[Keyed], links: Mapping[str, Link], harvest: _Harvest) -> list[Keyed]:
        """Return the records whose key came only once so far; reject both sides of the others."""
        times = Counter(one.key for one in keyed)
        known = self._ports.journal.known(list(times))
        fresh = []
        for one in keyed:
            link = links.get(one.key)
            # A blocked key is known to this run from its recovery, not from a record.
            met = (one.key in known and one.key not in self._blocked) or (link is not None and self._met(link))
            if met:
                self._spoil(one.key, known.get(one.key), harvest, had_row=one.key in known)
            if met or times[one.key] > 1:
                self._doubt("two records have the same key")
                harvest.reject(one.key, DUPLICATE)
            else:
                fresh.append(one)
        for key in times:
            if (link := links.get(key)) is not None:
                self._seen.add(link.id)
        return fresh

    def _met(self, link: Link) -> bool:
        return link.id in self._seen or link.id > self._seen.highest

    def _spoil(self, key: str, fate: Fate | None, harvest: _Harvest, *, had_row: bool) -> None:
        """Take back the first of two records with one key, as far as that is still possible; once a key."""
        if key in self._doubled:
            return
        self._doubled.add(key)
        if fate is Fate.PLANNED:
            reject = Reject(key, DUPLICATE)
            harvest.count(pending=-1, rejected=1)
            self._ports.journal.spoil(key, reject, harvest.counts)
            self._ports.observe(RecordsRejected((reject,)))
        elif not had_row and harvest.counts.unchanged:
            harvest.count(unchanged=-1, rejected=1)

    # ---- map ---------------------------------------------------------------------------------------------------

    def _map(self, keyed: list[Keyed], links: Mapping[str, Link], harvest: _Harvest) -> list[Wanted]:
        wanted = []
        for one in keyed:
            link = links.get(one.key)
            if link is not None and link.raw == one.raw and self._job.compare == "links":
                harvest.count(unchanged=1)
                continue
            if one.key in self._blocked:
                harvest.reject(one.key, "the answer to an earlier create was lost; look whether the target has it")
                continue
            try:
                document = self._mapping.document(one.record)
            except UnmappableError as error:
                harvest.reject(one.key, str(error))
                continue
            wanted.append(Wanted(one.key, document, canonical.fingerprint(document), one.raw))
        return wanted

    # ---- decide ------------------------------------------------------------------------------------------------

    def _decide(
        self,
        wanted: list[Wanted],
        links: Mapping[str, Link],
        found: Mapping[str, tuple[TargetRecord, ...] | None],
        harvest: _Harvest,
    ) -> None:
        differing = [links[one.key].id for one in wanted if one.key in links and not found[one.key]]
        remembered = self._ports.links.documents(differing) if differing else {}
        for one in wanted:
            link, records = links.get(one.key), found[one.key]
            known = Known(
                link=link,
                remembered=remembered.get(link.id) if link is not None else None,
                found=records or (),
                looked=records is not None,
            )
            decision = decide(self._job.mode, one, known, set_once=self._mapping.set_once)
            self._take(one, decision, harvest)

    def _take(self, wanted: Wanted, decision: Decision, harvest: _Harvest) -> None:
        """Turn a decision into a change, a link or a reject, and count it."""
        harvest.count(adopted=int(decision.adopted))
        if decision.verb is Verb.REJECT:
            harvest.reject(wanted.key, decision.reason)
        elif decision.verb is Verb.SKIP:
            harvest.count(skipped=1)
        elif decision.verb is Verb.LINK:
            harvest.count(unchanged=1)
            harvest.links.append((_link(wanted, decision), wanted.document))
        else:
            kind = kind_of(decision.verb)
            harvest.count(pending=1)
            self.creates += kind is Kind.CREATE
            self.updates += kind is Kind.UPDATE
            harvest.changes.append(
                self._change(
                    kind,
                    wanted.key,
                    target_id=decision.target_id,
                    version=decision.version,
                    owned=decision.owned,
                    wanted=wanted,
                    decision=decision,
                )
            )

    def _change(
        self,
        kind: Kind,
        key: str,
        *,
        target_id: str | None,
        version: str | None,
        owned: bool,
        wanted: Wanted | None = None,
        decision: Decision | None = None,
    ) -> Change:
        self._seq += 1
        return Change(
            seq=self._seq,
            kind=kind,
            key=key,
            target_id=target_id,
            version=version,
            document=wanted.document if wanted else None,
            before=decision.before if decision else None,
            fields=decision.fields if decision else (),
            fingerprint=wanted.fingerprint if wanted else b"",
            raw=wanted.raw if wanted else b"",
            owned=owned,
            idempotency_key=f"{self._run}-{self._seq}",
        )

    def _doubt(self, doubt: str) -> None:
        if doubt not in self.doubts:
            self.doubts.append(doubt)


def _link(wanted: Wanted, decision: Decision) -> Link:
    return Link(
        id=0,
        key=wanted.key,
        target_id=decision.target_id or "",
        fingerprint=wanted.fingerprint,
        raw=wanted.raw,
        version=decision.version,
        owned=decision.owned,
    )
