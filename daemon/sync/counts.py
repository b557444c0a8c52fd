"""The ledger of a run, which must balance."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from .change import Kind


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened to the records of one run.

    The law: seen = created + updated + unchanged + skipped + rejected + withheld + pending, where pending is zero
    when the run is over. Deletes have a line of their own, since their records were not seen.
    """

    seen: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    """Left out by `where`, or by a rule for the target's answer, or not this mode's business."""
    rejected: int = 0
    """Records that could not be carried out; each is kept with its reason."""
    withheld: int = 0
    """Creates and updates that a guard did not let pass."""
    pending: int = 0
    """Creates and updates that are planned and not yet decided."""
    adopted: int = 0
    """Of the others: records that were there before us and are linked now."""
    deleted: int = 0
    deletes_pending: int = 0
    deletes_withheld: int = 0
    deletes_rejected: int = 0
    kept: int = 0
    """Gone from the source but not to be deleted: adopted, and `delete_adopted` is not set, or left by a rule for the
    target's answer."""
    resting: int = 0
    """Of the rejected ones, deletes included: refused before, the same still, and so not tried in this run."""

    def plus(self, **more: int) -> "Counts":
        """Return the counts with each named figure raised by its value (which may be negative)."""
        return replace(self, **{name: getattr(self, name) + value for name, value in more.items()})

    def reopened(self, changes: Mapping[Kind, int]) -> "Counts":
        """Return the counts after so many rejected changes of each kind are to be tried again."""
        deletes = changes.get(Kind.DELETE, 0)
        others = sum(changes.values()) - deletes
        return self.plus(rejected=-others, pending=others, deletes_rejected=-deletes, deletes_pending=deletes)

    @property
    def balanced(self) -> bool:
        """Whether every record seen has exactly one fate."""
        parts = self.created + self.updated + self.unchanged + self.skipped + self.rejected + self.withheld
        return self.seen == parts + self.pending and min(asdict(self).values()) >= 0

    @property
    def wrote(self) -> int:
        """Writes that the target confirmed."""
        return self.created + self.updated + self.deleted

    @property
    def any_rejected(self) -> bool:
        """Whether anything was rejected, deletes included."""
        return bool(self.rejected or self.deletes_rejected)


class Tally:
    """Figures that rise record by record, added to the counts at once: copying these for each record is dear."""

    def __init__(self) -> None:
        self._more: dict[str, int] = {}

    def add(self, name: str, value: int = 1) -> None:
        """Raise one figure, by a value that may be negative."""
        self._more[name] = self._more.get(name, 0) + value

    def on(self, counts: Counts) -> Counts:
        """Return the counts with all this on top."""
        return counts.plus(**self._more) if self._more else counts


DONE_AS = {Kind.CREATE: "created", Kind.UPDATE: "updated", Kind.DELETE: "deleted"}
"""The figure that a change of each kind raises once it is done."""
