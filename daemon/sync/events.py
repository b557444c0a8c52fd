"""What a run tells while it goes on. Logs, progress bars and tests are observers; the core logs nothing itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from .certificate import Certificate
from .change import Outcome, Reject
from .contest import Contested
from .counts import Counts
from .outcome import Phase, Verdict


@dataclass(frozen=True, slots=True)
class PhaseBegan:
    """The run went on to its next phase."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class TargetListed:
    """The target's own list was read, to be compared with."""

    records: int


@dataclass(frozen=True, slots=True)
class PageDone:
    """A page was read and its changes stand in the journal."""

    number: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class RecordsRejected:
    """Records of a page could not become changes; what the target refuses comes with ChangesSettled."""

    rejects: tuple[Reject, ...]


@dataclass(frozen=True, slots=True)
class ReadResumed:
    """The read of a run that was cut off goes on."""

    page: int
    """The first page that was asked for."""
    counts: Counts
    """What the run before had come to."""


@dataclass(frozen=True, slots=True)
class ReadRestarted:
    """A read could not be taken up where it was cut off, and begins anew."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReadAgain:
    """The source is read once more for its keys alone, before anything of it is taken for gone."""

    reading: int
    """Counted from 1; the first one is the read."""
    reason: str


@dataclass(frozen=True, slots=True)
class TriedAgain:
    """Changes that the target refused are sent again, now that others have gone through."""

    changes: int


@dataclass(frozen=True, slots=True)
class ReadEnded:
    """The source's list ended, or broke off."""

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Judged:
    """A guard spoke."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class ChangesSettled:
    """Some changes that were sent have their outcome, committed."""

    outcomes: tuple[Outcome, ...]
    counts: Counts


@dataclass(frozen=True, slots=True)
class Resolved:
    """A change that an earlier run left unknown was looked for, and its fate is known or stays unknown."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class FieldContested:
    """A field does not converge: the target sets it back, and it is written no more. Once a run for each field."""

    contested: Contested


@dataclass(frozen=True, slots=True)
class Pinned:
    """The run carries out what a person let pass."""

    name: str
    """What pins it, in words."""


Event: TypeAlias = (
    Pinned
    | PhaseBegan
    | TargetListed
    | ReadResumed
    | ReadRestarted
    | ReadAgain
    | PageDone
    | RecordsRejected
    | ReadEnded
    | Judged
    | ChangesSettled
    | TriedAgain
    | Resolved
    | FieldContested
)
Observe: TypeAlias = Callable[[Event], None]


def both(first: Observe, second: Observe) -> Observe:
    """Return an observer that tells two others, in this order."""

    def tell(event: Event) -> None:
        first(event)
        second(event)

    return tell
