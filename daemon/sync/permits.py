"""What a job permits its writes: decided once a run, asked wherever a change is carried out."""

from dataclasses import dataclass

from daemon.spec import Mode
from daemon.values import Document

from .trees import FieldPath, pruned


@dataclass(frozen=True, slots=True)
class Permits:
    """What may be done on the way of one change, beyond what was planned. Threads may share it."""

    may_create: bool = True
    """Whether a stale link may end in a new record; update_only jobs say no."""
    may_update: bool = True
    """Whether a record that turns out to be there already is brought in step; create_only and append jobs say no."""
    set_once: frozenset[FieldPath] = frozenset()
    """Fields that a create sets and no update sends."""

    @classmethod
    def of(cls, mode: Mode, set_once: frozenset[FieldPath]) -> "Permits":
        """Return what a job of this mode permits."""
        return cls(
            may_create=mode is not Mode.UPDATE_ONLY,
            may_update=mode not in {Mode.CREATE_ONLY, Mode.APPEND},
            set_once=set_once,
        )

    def updatable(self, document: Document | None) -> Document:
        """Return the part of a document that an update may send."""
        return pruned(document or {}, self.set_once)
