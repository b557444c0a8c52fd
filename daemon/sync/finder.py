"""What the target itself holds for a record: from its own list, read at most once a run, or by look-up.

Matching goes link, then `match` in the target's list, then look-up, then none: so nothing is created unseen where the
target can be asked.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

from daemon.errors import MalformedError, RefusedError, SkippedError
from daemon.spec import Job

from .certificate import TWICE, Certificate, End, certify
from .change import Change, Link
from .diff import Wanted
from .events import TargetListed
from .ports import Ports, TargetIndex, TargetRecord
from .recovery import needs_list

LISTINGS = 3
"""How often one run reads a target's list that changes meanwhile, the first time included."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found for one page."""

    records: Mapping[str, tuple[TargetRecord, ...] | None]
    """By key; None where the target was not asked, several where it has several."""
    refused: Mapping[str, RefusedError]
    """Keys whose look-up the target refused; they are not in `records`."""
    skipped: frozenset[str] = frozenset()
    """Keys that a rule for the look-up's answer leaves out; they are not in `records`."""
    missed: frozenset[str] = frozenset()
    """Keys with a link whose record the target's list does not show, where nothing else can be asked."""


class Finder:
    """Finds target records for one run, on its thread."""

    def __init__(
        self, job: Job, ports: Ports, *, young: Collection[str] = frozenset(), check_stop: Callable[[], None]
    ) -> None:
        self._ports = ports
        self._young = young
        self._compares_target = job.compare == "target"
        self._check_stop = check_stop
        self._listed = False
        """Whether the target's own list was read whole, so that what is not in it is not there."""

    @property
    def index(self) -> TargetIndex | None:
        """The target's own list; None while it was not read whole."""
        return self._ports.index if self._listed else None

    def list_at_start(self, unresolved: Sequence[Change], *, as_before: bool = False) -> None:
        """Read the target's own list if this run needs it from the start.

        `as_before`: the run whose read this one goes on with has read it, and what is left is matched the same way.
        """
        target = self._ports.target
        is_first = as_before or self._ports.links.highest() == 0
        if target.can_list and (is_first or self._compares_target or needs_list(unresolved, target)):
            self._read_list()

    def list_late(self) -> TargetIndex | None:
        """Return the target's own list, read now if it was not yet; None when it is not to be had whole.

        Raises the endpoint's error when the target does not do business now.
        """
        if not self._listed and self._ports.target.can_list:
            with suppress(RefusedError, MalformedError):
                self._read_list()
        return self.index

    def find(self, wanted: Sequence[Wanted], links: Mapping[str, Link]) -> Found:
        """Return what the target holds for the records of one page, as far as it has to be asked."""
        target = self._ports.target
        unlinked = [one for one in wanted if one.key not in links]
        records: dict[str, tuple[TargetRecord, ...] | None] = {one.key: None for one in wanted}
        if unlinked and not self._listed and target.can_list and not target.can_lookup:
            # Only the list can tell whether the target has them: nothing is created unseen.
            self._read_list()
        if self._listed:
            by_match = self._ports.index.by_match([one.key for one in unlinked])
            records.update({one.key: by_match.get(one.key, ()) for one in unlinked})
            return self._compare(wanted, links, records) if self._compares_target else Found(records, {})
        return self._look_up(unlinked, records) if target.can_lookup else Found(records, {})

    def _read_list(self) -> None:
        """Read the target's own list.

        Raises the endpoint's error when it breaks off, and MalformedError when it is not whole and nothing else can
        show what the target holds.
        """
        certificate = self._list_once()
        for _ in range(LISTINGS - 1):
            if not certificate.drifted:
                break
            before, certificate = certificate, self._list_once()
            if (certificate.end, certificate.doubts) == (before.end, before.doubts):
                break  # the target counts in a way of its own, or holds a record twice; it would say so for ever
        self._ports.observe(TargetListed(self._ports.index.count()))
        if not certificate.issued and not self._ports.target.can_lookup:
            raise MalformedError(f"the target's list is {certificate}; without it records could be doubled")
        self._listed = certificate.issued

    def _list_once(self) -> Certificate:
        """Read the list into the index. A record that came twice has moved, and may have moved before another one."""
        index, end, arrived = self._ports.index, None, 0
        index.clear()
        for step in self._ports.target.list():
            self._check_stop()
            if isinstance(step, End):
                end = step
            else:
                index.put(step)
                arrived += len(step)
        return certify(end, (), (TWICE,) if index.count() < arrived else ())

    def _compare(
        self, wanted: Sequence[Wanted], links: Mapping[str, Link], records: dict[str, tuple[TargetRecord, ...] | None]
    ) -> Found:
        """Find the linked records as well. A list may lag behind: one that it lacks is asked for.

        One that was written just before this run is not: what is remembered of it is newer than what is shown.
        """
        linked = self._by_id(wanted, links)
        records.update({key: found or None if key in self._young else found for key, found in linked.items()})
        absent = [one for one in wanted if one.key in linked and records[one.key] == ()]
        target = self._ports.target
        if target.can_get:
            return self._ask(lambda one: self._get(one, links[one.key]), absent, records)
        if target.can_lookup:
            return self._look_up(absent, records)
        return Found(records, {}, missed=frozenset(one.key for one in absent))

    def _by_id(self, wanted: Sequence[Wanted], links: Mapping[str, Link]) -> Mapping[str, tuple[TargetRecord, ...]]:
        """Find linked records by their id; one that is gone is matched again by its key."""
        linked = {one.key: links[one.key].target_id for one in wanted if one.key in links}
        by_id = self._ports.index.by_id(list(linked.values()))
        by_match = self._ports.index.by_match([key for key, target_id in linked.items() if target_id not in by_id])
        return {
            key: (by_id[target_id],) if target_id in by_id else by_match.get(key, ())
            for key, target_id in linked.items()
        }

    def _get(self, one: Wanted, link: Link) -> tuple[TargetRecord, ...]:
        record = self._ports.target.get(link.target_id, one.key, one.document)
        return () if record is None else (record,)

    def _look_up(self, unlinked: Sequence[Wanted], records: dict[str, tuple[TargetRecord, ...] | None]) -> Found:
        return self._ask(lambda one: self._ports.target.lookup(one.key, one.document), unlinked, records)

    def _ask(
        self,
        question: Callable[[Wanted], tuple[TargetRecord, ...]],
        about: Sequence[Wanted],
        records: dict[str, tuple[TargetRecord, ...] | None],
    ) -> Found:
        """Ask the target about some of the page's records, several at once."""
        pool = self._ports.pool
        asked: list[tuple[str, Future[tuple[TargetRecord, ...]]]] = [
            (one.key, pool.submit(question, one)) for one in about
        ]
        refused: dict[str, RefusedError] = {}
        skipped: set[str] = set()
        for key, future in asked:
            try:
                records[key] = future.result()
            except RefusedError as error:
                refused[key] = error
                del records[key]
            except SkippedError:
                skipped.add(key)
                del records[key]
        return Found(records, refused, frozenset(skipped))
