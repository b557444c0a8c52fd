"""From one page of raw records to planned changes, in the journal before anything is sent.

Records that are as they were are recognised first and leave as unchanged. The others go through five steps: parse
(record, filter, key), recall (links, and whether a key came twice), map, find (the target's own records for what is not
linked), decide. Recognising and the first two are the intake's. What was refused before, and is the same still, rests
between map and find. Each record leaves with exactly one fate in the counts.
"""

from collections.abc import Mapping

from daemon.spec import Job

from . import canonical
from .change import Change, Kind, Link
from .counts import Counts
from .diff import Decision, Known, Verb, Wanted, decide
from .events import RecordsRejected
from .finder import Finder, Found
from .harvest import Harvest, Keyed
from .intake import Intake
from .mapping import JobMapping, UnmappableError
from .permits import is_ours
from .ports import Page, Ports
from .remarks import Remarks
from .retry import Rests

TOLD = 10
"""Pages without news of which the journal is told at once."""


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
        intake: Intake,
        rests: Rests,
        remarks: Remarks,
    ) -> None:
        self._job = job
        self._mapping = mapping
        self._ports = ports
        self._run = run
        self._finder = finder
        self._remarks = remarks
        self._seq = 0
        self._intake = intake
        self.rests = rests
        self.creates = 0
        self.updates = 0
        self.tombstones = 0
        """Deletes that the source told of."""
        self.pending = 0
        """Changes planned and not yet given to apply."""

    def page(self, page: Page, counts: Counts) -> Counts:
        """Plan one page in one journal transaction and return the counts after it.

        Where there is nothing but counts to keep, they wait for the next page that has something, for `TOLD` pages at
        most: a transaction costs as much as recognising a few hundred records.
        """
        harvest, keyed, links = self._intake.take_in(page, counts)
        fresh = self._intake.once(keyed, links, harvest)
        self._bury([one for one in fresh if one.is_gone], links, harvest)
        wanted = self._awake(self._map([one for one in fresh if not one.is_gone], links, harvest), harvest)
        found = self._finder.find(wanted, links)
        for key, error in found.refused.items():
            harvest.reject(key, f"the look-up was refused: {error}", error=error)
        harvest.count(skipped=len(found.skipped))
        self._decide([one for one in wanted if one.key in found.records], links, found, harvest)
        if not harvest.is_empty or page.number % TOLD == 0:
            self._ports.journal.plan(
                harvest.changes,
                links=harvest.links,
                rejects=harvest.rejects,
                rests=harvest.rests,
                counts=harvest.counts,
            )
        self.pending += len(harvest.changes)
        if harvest.rejects:
            self._ports.observe(RecordsRejected(tuple(harvest.rejects)))
        return harvest.counts

    @property
    def seq(self) -> int:
        """The seq of the last change, 0 before the first."""
        return self._seq

    def deletion(self, link: Link) -> Change:
        """Return the delete of a record that is gone from the source."""
        self._seq += 1
        return Change(
            seq=self._seq,
            kind=Kind.DELETE,
            key=link.key,
            target_id=link.target_id,
            version=link.version,
            document=None,
            before=None,
            fields=(),
            fingerprint=link.fingerprint,
            raw=b"",
            owned=link.owned,
            idempotency_key=f"{self._run}-{self._seq}",
            part=link.part,
        )

    # ---- bury ----------------------------------------------------------------------------------------------------

    def _bury(self, keyed: list[Keyed], links: Mapping[str, Link], harvest: Harvest) -> None:
        """Plan the deletes of records that say they were deleted, where they are this job's to delete.

        A record that another key leads to as well is that one's by now, and stays.
        """
        if not keyed:
            return
        harvest.count(skipped=len(keyed))
        linked = [links[one.key] for one in keyed if one.key in links]
        shared = self._ports.links.by_target([link.target_id for link in linked]) if linked else {}
        dying = [
            link
            for link in linked
            if is_ours(link, self._job)
            and link.target_id not in self._remarks.adopted
            and len(shared.get(link.target_id, ())) <= 1
        ]
        resting = self.rests.among({link.key: b"" for link in dying})
        harvest.rests += resting
        dying = [link for link in dying if link.key not in resting]
        harvest.count(
            kept=len(linked) - len(dying) - len(resting),
            deletes_pending=len(dying),
            deletes_rejected=len(resting),
            resting=len(resting),
        )
        self.tombstones += len(dying)
        harvest.changes += (self.deletion(link) for link in dying)

    # ---- map ---------------------------------------------------------------------------------------------------

    def _map(self, keyed: list[Keyed], links: Mapping[str, Link], harvest: Harvest) -> list[Wanted]:
        wanted = []
        make, blocked, compares_links = self._intake.mapping.document, self.rests.blocked, self._job.compare == "links"
        for one in keyed:
            link = links.get(one.key)
            if link is not None and link.raw == one.raw and compares_links:
                harvest.count(unchanged=1)
                continue
            if one.key in blocked:
                harvest.count(rejected=1)  # its reject was kept, and told of, when the run found that it is unknown
                continue
            try:
                document = make(one.record)
            except UnmappableError as error:
                harvest.reject(one.key, f"{one.place}{error}")
                continue
            wanted.append(Wanted(one.key, document, canonical.fingerprint(document), one.raw))
        return wanted

    def _awake(self, wanted: list[Wanted], harvest: Harvest) -> list[Wanted]:
        """Return the records that are tried; those that rest cost no request, not even a look-up."""
        resting = self.rests.among({one.key: one.fingerprint for one in wanted})
        for key in resting:
            harvest.rest(key)
        return [one for one in wanted if one.key not in resting]

    # ---- decide ------------------------------------------------------------------------------------------------

    def _decide(
        self,
        wanted: list[Wanted],
        links: Mapping[str, Link],
        found: Found,
        harvest: Harvest,
    ) -> None:
        differing = [links[one.key].id for one in wanted if one.key in links and not found.records[one.key]]
        remembered = self._ports.links.documents(differing) if differing else {}
        planned, mode, set_once = len(harvest.changes), self._job.mode, self._mapping.set_once
        for one in wanted:
            link, records = links.get(one.key), found.records[one.key]
            known = Known(
                link=link,
                remembered=remembered.get(link.id) if link is not None else None,
                found=records or (),
                looked=records is not None,
                missed=one.key in found.missed,
            )
            self._take(one, decide(mode, one, known, set_once=set_once), harvest)
        harvest.count(pending=len(harvest.changes) - planned)

    def _take(self, wanted: Wanted, decision: Decision, harvest: Harvest) -> None:
        """Turn a decision into a change, a link or a reject, and count it; changes are counted together."""
        if decision.adopted:
            harvest.count(adopted=1)
            if decision.target_id is not None:
                self._remarks.adopt(decision.target_id)
        if decision.contested:
            self._remarks.contests.note(wanted.key, decision.contested, wanted.document, decision.before or {})
        if decision.verb is Verb.CREATE:
            self.creates += 1
            self._remarks.key_changes.created(wanted.key, wanted.document)
            harvest.changes.append(self._write(Kind.CREATE, wanted, decision))
        elif decision.verb is Verb.UPDATE:
            self.updates += 1
            harvest.changes.append(self._write(Kind.UPDATE, wanted, decision))
        elif decision.verb is Verb.LINK:
            harvest.count(unchanged=1)
            harvest.links.append((_link(wanted, decision, self._intake.part.name), wanted.document))
        elif decision.verb is Verb.REJECT:
            harvest.reject(wanted.key, decision.reason)
        else:
            harvest.count(skipped=1)

    def _write(self, kind: Kind, wanted: Wanted, decision: Decision) -> Change:
        self._seq += 1
        return Change(
            seq=self._seq,
            kind=kind,
            key=wanted.key,
            target_id=decision.target_id,
            version=decision.version,
            document=wanted.document,
            before=decision.before,
            fields=decision.fields,
            fingerprint=wanted.fingerprint,
            raw=wanted.raw,
            owned=decision.owned,
            idempotency_key=f"{self._run}-{self._seq}",
            contest=decision.contest,
            part=self._intake.part.name,
        )


def _link(wanted: Wanted, decision: Decision, part: str) -> Link:
    return Link(
        id=0,
        key=wanted.key,
        target_id=decision.target_id or "",
        fingerprint=wanted.fingerprint,
        raw=wanted.raw,
        version=decision.version,
        owned=decision.owned,
        contest=decision.contest,
        part=part,
    )
