"""From raw records to records that take part: parsed, let in by the filter, with a key that came only once.

What is turned away here is rejected and, where its key is known, seen: it is never deleted by absence.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from daemon.values import Record

from . import canonical
from .certificate import TWICE, Certificate, End, certify
from .change import Fate, Link, Reject
from .counts import Counts
from .events import RecordsRejected
from .harvest import Harvest, Keyed
from .mapping import JobMapping, UnmappableError
from .parts import Part
from .ports import Page, Ports
from .seen import Seen
from .tombs import Tombs
from .track import Track
from .trail import Trail

DUPLICATE = "another record of this read has the same key; neither is written"


def raw_marks(raws: Sequence[bytes], mapping: JobMapping) -> list[bytes]:
    """Return the marks by which these records are recognised, as `opened` does."""
    if mapping.ignores:
        return [opened(raw, mapping)[0] for raw in raws]
    return canonical.raw_fingerprints(raws, mapping.seed)


def opened(raw: bytes, mapping: JobMapping) -> tuple[bytes, Record | None, str]:
    """Return the mark by which a record is recognised, the record as the job hears it, and why it is unreadable.

    The record is None exactly where there is such a reason.
    """
    mark = canonical.raw_fingerprint(raw, mapping.seed)
    try:
        record = canonical.decode_object(raw)
    except ValueError as error:
        return mark, None, str(error)
    if mapping.ignores:
        record = mapping.heard(record)
        mark = canonical.heard_fingerprint(record, mapping.seed)
    return mark, record, ""


class Intake:
    """Takes in the pages of one read. Not shared between threads."""

    def __init__(
        self,
        mapping: JobMapping,
        ports: Ports,
        *,
        seen: Seen,
        blocked: frozenset[str],
        trail: Trail | None = None,
    ) -> None:
        """`trail` recognises records that are as they were; None where each has to be looked at."""
        self._trail = trail
        self.mapping = self._of_job = mapping
        """With the parents of the part that is read."""
        self.part = Part()
        """The part that is read."""
        self._ports = ports
        self._seen = seen
        self._blocked = blocked
        self._doubled: set[str] = set()
        self._tombs = Tombs(ports.journal)
        self._before: Mapping[str, bytes] = {}
        """The raw fingerprints of the page before, by key."""
        self.track: Track | None = None
        """Follows the cursor of the part that is read; None where there is none."""
        self.doubts: list[str] = []
        """Why the part that is read cannot be called complete, as far as its records show."""
        self.drift: tuple[str, ...] = ()
        """The same, for what shows no more than that the source changed while it was read."""

    def within(self, part: Part) -> None:
        """Note which part the next pages are of."""
        self.part, self._before = part, {}
        self.mapping = self._of_job.within(part.scope)

    def certify(self, end: End | None) -> Certificate:
        """Return the certificate of the part that is over, and forget its doubts; None where it broke off."""
        certificate = certify(end, tuple(self.doubts), self.drift)
        self.doubts, self.drift = [], ()
        return certificate

    # ---- recognise ---------------------------------------------------------------------------------------------

    def take_in(self, page: Page, counts: Counts) -> tuple[Harvest, list[Keyed], Mapping[str, Link]]:
        """Return the records that have to be looked at, with what is remembered of their keys.

        The others are counted as unchanged. Where two records lead to one link, or one leads to a link that was met
        before, all of the page are looked at: what they contradict is found only there.
        """
        ids = self._recognise(page)
        met = [one for one in ids if one]
        others = [number for number, one in enumerate(ids) if not one]
        harvest = Harvest(counts.plus(seen=len(ids), unchanged=len(met)))
        keyed = self.parse(page, harvest, others)
        links = self._ports.links.by_key([one.key for one in keyed]) if keyed else {}
        if met and not (self._are_others(links, met) and self._seen.add_new(met)):
            harvest = Harvest(counts.plus(seen=len(ids)))
            keyed = self.parse(page, harvest)
            links = self._ports.links.by_key([one.key for one in keyed])
        if self._trail is not None:
            self._trail.learn([links[one.key].id for one in keyed if one.key in links], of=len(ids))
        return harvest, keyed, links

    def _recognise(self, page: Page) -> list[int]:
        """Return for each record the link whose record it surely is, as it was in this part; 0 where none is known."""
        if self._trail is None or (self.track is not None and self.track.reads_records):
            return [0] * len(page.records)
        ids = self._trail.find(raw_marks(page.records, self.mapping), self.part.name)
        for number in page.faults:
            ids[number] = 0
        return ids

    def _are_others(self, links: Mapping[str, Link], met: list[int]) -> bool:
        return not links or {link.id for link in links.values()}.isdisjoint(met)

    # ---- parse -------------------------------------------------------------------------------------------------

    def parse(self, page: Page, harvest: Harvest, numbers: Iterable[int] | None = None) -> list[Keyed]:
        """Return the page's records that take part, each with its key; reject what has none.

        `numbers`: of these records only, from 0.
        """
        keyed = []
        for number in range(len(page.records)) if numbers is None else numbers:
            raw = page.records[number]
            mark, record, trouble = opened(raw, self.mapping)
            trouble = page.faults.get(number, trouble)
            place = f"{page.places[number]}: " if page.places else ""
            if record is None or trouble:
                self._doubt(f"a record on page {page.number} is unreadable")
                harvest.reject(f"#{mark.hex()}", f"{place}the record is unreadable: {trouble}")
                continue
            at = self.track.note(record) if self.track is not None else None
            one = self._key(record, mark, page.number, harvest, place=place)
            if one is not None:
                keyed.append(one if at is None else replace(one, at=at))
        return keyed

    def _key(self, record: Record, mark: bytes, page: int, harvest: Harvest, *, place: str) -> Keyed | None:
        filtered: UnmappableError | None = None
        is_gone = False
        try:
            is_gone = self.mapping.is_gone(record)
            # A tombstone may lack the fields that the filter asks about.
            if not is_gone and not self.mapping.takes_part(record):
                harvest.count(skipped=1)
                return None
        except UnmappableError as error:
            filtered = error
        try:
            key = self.mapping.key(record)
        except UnmappableError as error:
            self._doubt(f"a record on page {page} has no usable key")
            harvest.reject(f"#{mark.hex()}", f"{place}{error}")
            return None
        if filtered is not None:
            self._see(key, harvest)
            harvest.reject(key, f"{place}{filtered}")
            return None
        return Keyed(key, record, mark, place=place, is_gone=is_gone)

    def _see(self, key: str, harvest: Harvest) -> None:
        """Note that the record of this key was met, so that a rejected one is never deleted by absence."""
        link = self._ports.links.by_key([key]).get(key)
        if link is not None:
            self._seen.add(link.id)
            self._follow([link], harvest)

    def _follow(self, links: Iterable[Link], harvest: Harvest) -> None:
        """Note in the links of records that were met in another part than before which one it is now."""
        moved = (replace(link, part=self.part.name) for link in links if link.part != self.part.name)
        harvest.links.extend((link, None) for link in moved)

    # ---- recall ------------------------------------------------------------------------------------------------

    def once(self, keyed: list[Keyed], links: Mapping[str, Link], harvest: Harvest) -> list[Keyed]:
        """Return the records whose key came only once so far; reject both sides of the others.

        The same record once more on a later page contradicts nothing and is counted once, where it is known what the
        first was like: unchanged, or on the page before. Rows move on while somebody puts others before them. All of
        them are seen from now on.
        """
        keyed = self._tombs.sift(keyed, links, harvest, part=self.part.name if self.mapping.may_move else None)
        times = Counter(one.key for one in keyed)
        known = dict(self._ports.journal.known(list(times)))
        fresh = []
        before, self._before = self._before, {one.key: one.raw for one in keyed}
        for one in keyed:
            link = links.get(one.key)
            # A blocked key is known to this run from its recovery, not from a record.
            has_row = one.key in known and one.key not in self._blocked
            met = has_row or (link is not None and self._met(link))
            met = met and not self._rises(one, known, harvest, alone=times[one.key] == 1)
            was_so = link is not None and met and not has_row and link.raw == one.raw and link.part == self.part.name
            if times[one.key] == 1 and (was_so or before.get(one.key) == one.raw):
                self.drift = (TWICE,)
                harvest.count(seen=-1)
                continue
            if met and times[one.key] == 1 and self.track is not None and self.track.is_late(one.at):
                self.drift = (TWICE,)  # it was changed meanwhile, and the next run reads it again
                harvest.count(seen=-1)
                continue
            if met:
                self._spoil(one.key, known.get(one.key), harvest, had_row=one.key in known)
            if met or times[one.key] > 1:
                self._doubt("two records have the same key")
                harvest.reject(one.key, f"{one.place}{self._doubled_in(one.key, link)}")
            else:
                fresh.append(one)
        for key in times:
            if (link := links.get(key)) is not None:
                self._seen.add(link.id)
        self._follow((links[key] for key in times if key in links), harvest)
        return fresh

    def _rises(self, one: Keyed, known: dict[str, Fate | None], harvest: Harvest, *, alone: bool) -> bool:
        """Say whether a record stands although a tombstone told of its end; what was planned of that is taken back."""
        if not self._tombs.rises(one, known.get(one.key), harvest):
            return False
        known.pop(one.key, None)
        if not alone:
            self._doubled.add(one.key)
        return True

    def _doubled_in(self, key: str, link: Link | None) -> str:
        """Return what is said of the second of two records with one key."""
        if not self.part.name:
            return DUPLICATE
        first = self._ports.journal.part_of(key) or (link.part if link is not None else "")
        here = self.part.name
        return f"{DUPLICATE} (in part {here}{f', and in {first}' if first not in ('', here) else ''})"

    def meet(self, keyed: list[Keyed]) -> bool:
        """Note that these were met, and say whether one of them was before, as far as it can be told."""
        links = self._ports.links.by_key([one.key for one in keyed])
        keys = {one.key: one.raw for one in keyed}
        again = len(keys) < len(keyed) or not self._before.keys().isdisjoint(keys)
        again = again or any(self._met(link) for link in links.values())
        for link in links.values():
            self._seen.add(link.id)
        self._before = keys
        return again

    def has_met(self, page: Page) -> bool:
        """Say whether a record of this page was met before, as far as it has a link. The page is not taken in."""
        track, self.track = self.track, None
        keyed = self.parse(page, Harvest(Counts()))
        self.track = track
        return any(self._met(link) for link in self._ports.links.by_key([one.key for one in keyed]).values())

    def _met(self, link: Link) -> bool:
        return link.id in self._seen or link.id > self._seen.highest

    def _spoil(self, key: str, fate: Fate | None, harvest: Harvest, *, had_row: bool) -> None:
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

    def _doubt(self, doubt: str) -> None:
        if doubt not in self.doubts:
            self.doubts.append(doubt)
