"""How a run ends, and what it leaves to be read."""

from dataclasses import dataclass, field
from enum import StrEnum

from daemon.errors import EndpointError, Exit, StoppedError, UnavailableError
from daemon.values import Json

from .certificate import Certificate
from .contest import Contested
from .counts import Counts
from .cursor import Reach
from .key_change import KeyChange
from .pin import Digests


class Phase(StrEnum):
    """Where a run is. The order of the words is the order of a run."""

    QUEUED = "queued"
    READ = "read"
    APPLY = "apply"
    DELETE = "delete"
    OVER = "over"


class Ending(StrEnum):
    """How a run ended. The stored word is the value."""

    DONE = "done"
    """Everything intended was carried out."""
    REJECTED = "rejected"
    """Some records could not be carried out; the others went through."""
    HELD = "held"
    """A guard withheld changes; the rest went through."""
    UNAVAILABLE = "unavailable"
    """A remote system could not be reached; nothing was concluded from that."""
    WAITING = "waiting"
    """A remote system asked for a wait that is longer than a run may take; the work goes on after it."""
    INTERRUPTED = "interrupted"
    """Stopped on request or by the end of its process; the next run finishes the work."""
    FAILED = "failed"
    """Something that a person must look at."""
    SKIPPED = "skipped"
    """Did not start, since the run before it was not over."""


SETTLED = (Ending.DONE, Ending.REJECTED, Ending.HELD)
"""The endings of runs that came to their own end: what they withheld is all that there was to withhold."""

EXITS = {
    Ending.DONE: Exit.DONE,
    Ending.REJECTED: Exit.REJECTED,
    Ending.HELD: Exit.HELD,
    Ending.UNAVAILABLE: Exit.UNAVAILABLE,
    Ending.WAITING: Exit.UNAVAILABLE,
    Ending.INTERRUPTED: Exit.INTERRUPTED,
    Ending.FAILED: Exit.ERROR,
    Ending.SKIPPED: Exit.DONE,
}
"""The exit code of each ending."""


TAKEN_UP = frozenset({Ending.INTERRUPTED, Ending.UNAVAILABLE, Ending.WAITING})
"""The endings after which the next run goes on with the read; after the others something was wrong with it, or it was
over."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one guard says of a plan."""

    guard: str
    tripped: bool
    message: str
    """The numbers and the limit. What to do about it depends on where it is told, and is not said here."""


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a run, or of a plan."""

    ending: Ending
    counts: Counts
    certificate: Certificate
    verdicts: tuple[Verdict, ...]
    error: str = ""
    """What went wrong, in words for the operator; empty when nothing did."""
    wait_s: float | None = None
    """Seconds that the remote system asked to be left alone, for a run that is waiting."""
    contests: tuple[Contested, ...] = ()
    """Fields that do not converge and were left out of updates."""
    key_changes: tuple[KeyChange, ...] = ()
    """Creates and deletes that look like a record whose key has changed."""
    withheld: Digests = field(default_factory=dict)
    """What a person may approve: the changes that guards withheld, by kind."""
    selection: str | None = None
    """What the job picks, for the next run to compare with. None unless the read was complete and none of its deletes
    was withheld: a look that nobody has accepted is no measure."""
    reach: Reach | None = None
    """How much of the source was read; None for a job that always reads everything."""
    since: Json = None
    """Where the read began, for a source in one part; None for its beginning."""
    doubted: tuple[str, ...] = ()
    """What is wrong with the job's cursors, in words for the operator."""
    pin_is_spent: bool = False
    """Whether the pin of this run has done its duty, or was void; otherwise it holds for the next run too."""

    @property
    def is_whole(self) -> bool:
        """Whether the source was read as a whole, not only since a cursor."""
        return self.reach in {None, Reach.WHOLE}


def ending_of(error: EndpointError) -> Ending:
    """Return how a run ends that this error broke off."""
    if isinstance(error, StoppedError):
        return Ending.INTERRUPTED
    if isinstance(error, UnavailableError):
        return Ending.WAITING if error.retry_after_s else Ending.UNAVAILABLE
    return Ending.FAILED
