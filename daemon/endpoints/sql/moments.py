"""Columns of dates and times: an offset is neither guessed nor lost."""

from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any

from daemon.values import Json

from .takes import came


@dataclass(frozen=True, slots=True)
class Moment:
    """A date with a time of day, with an offset or in the column's own zone."""

    has_offset: bool
    zone: tzinfo | None = None
    """What zone a column without offsets is meant in; None where nobody said."""
    digits: int = 6
    as_text: bool = False
    """Whether the database keeps the text, as SQLite does."""
    identifies: bool = False

    @property
    def words(self) -> str:
        """For people."""
        return "ISO 8601 times with an offset" if self.has_offset else "ISO 8601 times"

    def bind(self, value: Json) -> Any:
        """Take ISO 8601 text; what lacks an offset, or has one too many, only where `timezone` says the zone."""
        moment = _moment(value)
        if moment is None:
            raise ValueError(f"{came(value)}; write `| datetime` in the map if it holds one")
        if self.as_text:
            return value
        fraction = value.partition(".")[2]
        digits = fraction[: len(fraction) - len(fraction.lstrip("0123456789"))].rstrip("0")
        if len(digits) > self.digits:
            raise ValueError(f"{value}, which is finer than it keeps; write `| datetime` in the map")
        if self.has_offset and moment.tzinfo is None:
            if self.zone is None:
                raise ValueError(f"{value}, which has no offset; say target.timezone")
            return moment.replace(tzinfo=self.zone)
        if not self.has_offset and moment.tzinfo is not None:
            if self.zone is None:
                raise ValueError(f"{value}, and the column keeps no offset; say target.timezone")
            return moment.astimezone(self.zone).replace(tzinfo=None)
        return moment

    def key(self, text: str) -> Any:
        """Return the moment that is written so: for versions."""
        try:
            return self.bind(text)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Day:
    """A date."""

    as_text: bool = False
    words: str = "dates such as 2026-01-31"
    identifies: bool = True

    def bind(self, value: Json) -> Any:
        """Take a date as ISO 8601 writes it."""
        day = _day(value)
        if day is None:
            raise ValueError(came(value))
        return value if self.as_text else day

    def key(self, text: str) -> Any:
        """Return the date that is written so."""
        return (text if self.as_text else _day(text)) if _day(text) is not None else None


def _moment(value: Json) -> datetime | None:
    if not isinstance(value, str) or len(value) < 16:
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _day(value: Json) -> date | None:
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return day if day is not None and day.isoformat() == value else None
