"""What a run tells while it goes on. Logs, progress bars and tests are observers; the core logs nothing itself."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from .certificate import Certificate
from .change import Outcome, Reject
from .contest import Contested
from .counts import Counts
from .cursor import Cursor, Span
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


@dataclass(frozen=True, slots=True)
class PartFailed:
    """A part of the source could not be read; the others are read all the same."""

    part: str
    reason: str
    is_gone: bool = False
    """Whether the source says that there is no such part any more, as a rule of the job file reads its answer."""


@dataclass(frozen=True, slots=True)
class SpanBegan:
    """The read of a part begins: of a job with a cursor."""

    span: Span


@dataclass(frozen=True, slots=True)
class CursorMoved:
    """Cursors were set, and committed."""

    cursors: tuple[Cursor, ...]


class Doubt(StrEnum):
    """Why a cursor is not to be relied on, or stays."""

    IGNORED = "ignored"
    """The source gives records from before the lower bound, as if it had not been asked for one."""
    DISORDERED = "disordered"
    """The source does not keep the order that the job declares."""
    WITHOUT = "without"
    """No record has a usable value in the cursor's field."""
    UNGIVEN = "ungiven"
    """No answer has the token, or the ETag, for the next read."""
    STAYS = "stays"
    """The read may have passed a record over, so the next one begins where this one did."""
    REFUSED = "refused"
    """The source takes the token no more, and is read as a whole."""


_DOUBTED = {
    Doubt.IGNORED: "the source gives records from before the cursor: does it know the parameter that asks for what "
    "changed? Nothing is lost, but each run reads too much",
    Doubt.DISORDERED: "the source does not keep the order that the job declares (incremental.order); the cursor is set "
    "at the end of each read only",
    Doubt.WITHOUT: "no record has a usable value in the cursor's field, so the cursor stays where it is; look at "
    "incremental.field, timezone and unit",
    Doubt.UNGIVEN: "no answer has what the next read begins with, so the cursor stays where it is",
    Doubt.STAYS: "the read may have passed a record over, so the cursor stays and the next run begins where this did",
    Doubt.REFUSED: "the source takes the token no more, so everything is read",
}


@dataclass(frozen=True, slots=True)
class CursorDoubted:
    """Something is wrong with a cursor. Once a run for each reason."""

    part: str
    doubt: Doubt
    detail: str

    def __str__(self) -> str:
        return "; ".join(filter(None, (_DOUBTED[self.doubt], self.detail)))


Event: TypeAlias = (
    Pinned
    | PartFailed
    | SpanBegan
    | CursorMoved
    | CursorDoubted
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
