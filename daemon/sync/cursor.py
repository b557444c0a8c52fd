"""How far a part of the source was read, and what it is to be read from: cursors and spans, as values."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from daemon.spec import CursorType, Incremental
from daemon.values import Json

from .moments import Reckoner, UnfitValueError, number, number_text


class Reach(StrEnum):
    """How much of the source a run reads. The stored word is the value."""

    WHOLE = "whole"
    """Everything, from the declared start: what it does not meet is gone."""
    SINCE = "since"
    """What changed since the cursor."""
    BACKFILL = "backfill"
    """What a person asked for; the cursor stays where it is."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far one part was read: everything up to here is carried out, or kept as a reject."""

    part: str
    value: Json
    """As the source writes it. None takes the cursor back: the next read begins at the beginning."""
    revision: str
    """The job's revision under which it was read."""
    base: Json = None
    """Where the last read that came to its end left it. A read that turns out not to be in its declared order goes back
    there: what it passed on its way is not known to be all there was."""
    is_disordered: bool = False
    """Whether the source was found not to give its records in the declared order."""
    moved_at: datetime | None = None
    run: str = ""
    """The run that moved it; empty where a person did."""


@dataclass(frozen=True, slots=True)
class WholeRead:
    """The last time that a job's source was read as a whole, and all of it settled."""

    began_at: datetime
    run: str


@dataclass(frozen=True, slots=True)
class Span:
    """What one part is read from and to."""

    part: str
    reach: Reach
    start: Json = None
    """The lower bound, which belongs to the span; None for the beginning."""
    end: Json = None
    """The upper bound, for requests that ask with one; None where there is none."""
    cursor: Cursor | None = None
    """Where the part stands; None before its first read, and where it was read under another revision of the job."""
    etag: Json = None
    """Of the list at the last read: the source may answer that it is still that one; None to read it in any case."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the read of a part is that was cut off, for a mark."""

    reach: Reach
    start: Any = None
    end: Any = None
    highest: Any = None
    bound: Decimal | None = None
    last: Decimal | None = None
    is_disordered: bool = False
    taken: Any = None
    """The token for the next read, where an answer has given one."""


@dataclass(frozen=True, slots=True)
class Values:
    """Reads and writes the cursor values of one job."""

    rules: Incremental

    def position(self, value: Json) -> Decimal:
        """Return what a value comes to, for comparing. Raises UnfitValueError; tokens have none."""
        if self.rules.type is CursorType.NUMBER:
            return number(value)
        return self._reckoner.position(value)

    def text(self, position: Decimal, like: Json) -> Json:
        """Return a position in the form of another value of the source, never past it."""
        if self.rules.type is CursorType.NUMBER:
            return number_text(position, like)
        return self._reckoner.text(position, like)

    def check(self, value: Json) -> None:
        """Raise UnfitValueError for a value that cannot be this job's cursor."""
        if self.rules.is_measured:
            self.position(value)
        elif not isinstance(value, (str, int)) or isinstance(value, bool) or value == "":
            raise UnfitValueError("is no token")

    def before(self, value: Json, lookback: Decimal) -> Json:
        """Return the value so far back; as the source wrote it where nothing is taken off and it names one moment."""
        position = self.position(value) - lookback
        text = self.text(position, value)
        return value if not lookback and self.position(text) == self.position(value) else text

    @property
    def _reckoner(self) -> Reckoner:
        return Reckoner(self.rules.timezone, self.rules.unit)
