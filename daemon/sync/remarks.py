"""What a run keeps in mind beside its plan, from its pages until its deletes."""

from .contest import Contests
from .key_change import KeyChanges
from .mapping import JobMapping

ADOPTED_KEPT = 100_000
"""Adopted records that are kept in mind, some ten megabytes. A run that adopts more deletes nothing."""


class Remarks:
    """What is kept in mind of one run, on its thread."""

    def __init__(self, mapping: JobMapping) -> None:
        self.contests = Contests()
        self.key_changes = KeyChanges(mapping)
        self.adopted: set[str] = set()
        """Ids of the target records that were found by a key of this read: they are not gone, whatever a link of
        another key says."""
        self._deletes = False

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why absence may not be concluded from this run, as far as it shows here."""
        return self.doubts_after(ADOPTED_KEPT)

    def doubts_after(self, limit: int) -> tuple[str, ...]:
        """Return the doubt that so many adopted records are no longer all kept in mind; none below the limit."""
        if len(self.adopted) < limit:
            return ()
        return (f"{limit:,} records or more were adopted in this run; the next one may delete",)

    def expect_deletes(self) -> None:
        """Begin to keep in mind what matters to deletes only. Without it a first load costs nothing here."""
        self._deletes = self.key_changes.expected = True

    def adopt(self, target_id: str) -> None:
        """Keep an adopted record in mind, up to `ADOPTED_KEPT`."""
        if self._deletes and len(self.adopted) < ADOPTED_KEPT:
            self.adopted.add(target_id)
