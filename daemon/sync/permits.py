"""What a job permits its writes: decided once a run, asked wherever a change is carried out."""

from collections.abc import Collection
from dataclasses import dataclass

from daemon.spec import Job, Mode
from daemon.values import Document

from .change import Link
from .ports import Links
from .trees import FieldPath, pruned


def is_ours(link: Link, job: Job) -> bool:
    """Say whether a record may be deleted by this job: one that it created, or any that it leads to if it says so."""
    return link.owned or job.target.delete_adopted


@dataclass(frozen=True, slots=True)
class Permits:
    """What may be done on the way of one change, beyond what was planned. Threads may share it."""

    may_create: bool = True
    """Whether a stale link may end in a new record; update_only jobs say no."""
    may_update: bool = True
    """Whether a record that turns out to be there already is brought in step; create_only and append jobs say no."""
    set_once: frozenset[FieldPath] = frozenset()
    """Fields that a create sets and no update sends."""
    shows_at_once: bool = True
    """Whether the target shows at once what it has taken on, so that a create it does not show never reached it."""
    young: Collection[str] = frozenset()
    """The keys of which the target may not show all yet, since their record was written just before this run: that
    it does not show one proves nothing."""

    @classmethod
    def of(cls, job: Job, set_once: frozenset[FieldPath], links: Links) -> "Permits":
        """Return what a job permits. To be called before the target is asked anything: no answer is older then."""
        settle = job.target.settle
        return cls(
            may_create=job.mode is not Mode.UPDATE_ONLY,
            may_update=job.mode not in {Mode.CREATE_ONLY, Mode.APPEND},
            set_once=set_once,
            shows_at_once=not settle,
            young=links.young(settle) if settle else frozenset(),
        )

    def updatable(self, document: Document | None) -> Document:
        """Return the part of a document that an update may send."""
        return pruned(document or {}, self.set_once)
