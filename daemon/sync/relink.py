"""A stale link where the target can only be listed: its record is matched again in the list, or made again."""

from dataclasses import replace

from .change import GONE, Change, Kind
from .counts import Counts
from .diff import differing
from .finder import Finder
from .permits import Permits
from .ports import Ports, TargetRecord
from .write import made_again

BATCH = 1_000
"""Changes looked at in one step."""


class Relinker:
    """Mends the stale links of one run, on its thread, with one list at most."""

    def __init__(self, permits: Permits, ports: Ports, finder: Finder) -> None:
        self._ports = ports
        self._finder = finder
        self._permits = permits
        self.is_needed = ports.target.can_list and not ports.target.can_lookup
        """Whether the list alone can tell; with a look-up, each link is mended on the spot."""

    def mend(self, *, after: int, attempt: int, counts: Counts) -> Counts:
        """Put the updates since `after` that met no record back to planned, matched again; return the counts.

        What cannot be matched stays a reject: several records for the key, or the list shows the very record that the
        target says is gone.
        """
        index = self._finder.list_late()
        if index is None:
            return counts
        journal = self._ports.journal
        while stale := journal.failed(Kind.UPDATE, GONE, after=after, limit=BATCH):
            after = stale[-1].seq
            found = index.by_match([change.key for change in stale])
            mended = [one for change in stale if (one := self._matched(change, found.get(change.key, ()), attempt))]
            if mended:
                counts = counts.reopened({Kind.UPDATE: len(mended)})
                journal.mend(mended, counts)
        return counts

    def _matched(self, change: Change, found: tuple[TargetRecord, ...], attempt: int) -> Change | None:
        change = replace(change, idempotency_key=f"{change.idempotency_key}.{attempt}")
        if not found and self._permits.may_create and change.key not in self._permits.young:
            return made_again(change)
        if len(found) != 1 or found[0].id == change.target_id:
            return None
        record = found[0]
        fields = differing(change.document or {}, record.document, without=self._permits.set_once) or change.fields
        # What stands in the place of the one that is gone was not made by us.
        return replace(
            change,
            target_id=record.id,
            version=record.version,
            before=record.document,
            fields=fields,
            owned=False,
        )
