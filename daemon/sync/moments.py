"""Cursor values as exact numbers, and back into the very form in which the API writes them.

A moment is a Decimal of seconds since 1970, whatever its digits: no float, no rounding to microseconds. What is sent
back is never later than what was meant: it is cut, not rounded, to the precision that the API shows.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import ROUND_FLOOR, Context, Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from daemon.values import Json

_ISO = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"(?:(?P<sep>[Tt ])(?P<time>\d\d:\d\d)(?::(?P<seconds>\d\d)(?:(?P<point>[.,])(?P<fraction>\d{1,30}))?)?"
    r"(?P<space> ?)(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT = Context(prec=60)
"""Thirty digits of a fraction beside all the seconds there are."""
_UNITS = {"s": Decimal(1), "ms": Decimal(1000), "us": Decimal(1_000_000), "ns": Decimal(1_000_000_000)}


class UnfitValueError(ValueError):
    """This value is no cursor value; the message says why."""


@dataclass(frozen=True, slots=True)
class Reckoner:
    """Reads and writes the moments of one source."""

    zone: str | None = None
    """Of moments that name no offset."""
    unit: str = "s"
    """What moments count that are numbers."""

    def position(self, value: Json) -> Decimal:
        """Return the moment as exact seconds since 1970. Raises UnfitValueError.

        Of a time that comes twice in a year the earlier is taken; one that a clock change leaves out is as much later
        as the change.
        """
        if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
            return _EXACT.divide(_number(value), _UNITS[self.unit])
        match = _ISO.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise UnfitValueError("is no moment (example of one: 2026-01-31T08:30:00Z)")
        whole = self._whole(match)
        return _EXACT.add(_seconds(whole), Decimal(f"0.{match['fraction']}") if match["fraction"] else Decimal(0))

    def _whole(self, match: re.Match[str]) -> datetime:
        second = int(match["seconds"] or 0)
        try:
            # A leap second counts as the first one of the next minute.
            naive = datetime.fromisoformat(f"{match['date']}T{match['time'] or '00:00'}:{min(second, 59):02}")
        except ValueError as error:
            raise UnfitValueError(f"is no moment: {error}") from error
        if not match["zone"] and self.zone is None and match["time"]:
            raise UnfitValueError("names no offset; say in source.incremental.timezone which zone it is in")
        zone = _offset(match["zone"]) if match["zone"] else ZoneInfo(self.zone) if self.zone is not None else UTC
        try:
            return (naive + timedelta(seconds=max(second - 59, 0))).replace(tzinfo=zone).astimezone(UTC)
        except OverflowError as error:  # 0001-01-01 and 9999-12-31 stand for "never", and need no usable offset
            raise UnfitValueError("is no usable moment") from error

    def text(self, position: Decimal, like: Json) -> Json:
        """Return a moment in the form of another value of the source, cut to its precision.

        Where that form names no offset, and the time comes twice in a year, it is a second before the first of the two:
        whichever the server takes it for, nothing is left out.
        """
        if not isinstance(like, str):
            return _like(_EXACT.multiply(position, _UNITS[self.unit]), like)
        match = _ISO.fullmatch(like)
        if match is None:
            raise UnfitValueError("is no moment")
        zone = _offset(match["zone"]) if match["zone"] else ZoneInfo(self.zone) if self.zone is not None else UTC
        whole = position.to_integral_value(ROUND_FLOOR)
        fraction = position - whole
        try:
            here = (_EPOCH + timedelta(seconds=int(whole))).astimezone(zone)
        except OverflowError:  # before the first year that there is: as early as this one
            return like
        if not match["zone"] and match["time"] and (before := _before_twice(here)) is not None:
            here, fraction = before, Decimal(0)
        return _written(here, fraction, match)


def _written(here: datetime, fraction: Decimal, match: re.Match[str]) -> str:
    text = here.date().isoformat()
    if not match["time"]:
        return text
    text += f"{match['sep']}{here:%H:%M}"
    if match["seconds"]:
        text += f":{here:%S}"
    if match["fraction"]:
        digits = len(match["fraction"])
        cut = fraction.quantize(Decimal(1).scaleb(-digits), ROUND_FLOOR, _EXACT)
        text += match["point"] + f"{cut:f}".partition(".")[2]
    return text + match["space"] + (match["zone"] or "")


def _before_twice(here: datetime) -> datetime | None:
    """Return the second before a time that comes twice, where this is one; None where it is not."""
    naive = here.replace(tzinfo=None)
    first, second = (naive.replace(tzinfo=here.tzinfo, fold=fold).utcoffset() for fold in (0, 1))
    if first is None or second is None or first <= second:
        return None
    # Walk back to the hour's beginning: an hour of seconds is as long as a change ever was, but for a few half ones.
    step = naive.replace(second=0, microsecond=0)
    while step.replace(tzinfo=here.tzinfo, fold=1).utcoffset() != step.replace(tzinfo=here.tzinfo, fold=0).utcoffset():
        step -= timedelta(minutes=1)
    return step.replace(second=59)


def number(value: Json) -> Decimal:
    """Return a number's exact value; digits in a text are one. Raises UnfitValueError."""
    if isinstance(value, str):
        try:
            return _number(Decimal(value.strip()))
        except InvalidOperation as error:
            raise UnfitValueError("is no number") from error
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise UnfitValueError("is no number")
    return _number(value)


def _like(position: Decimal, like: Json) -> Json:
    """Return a number in the form of another: whole, cut, where that is whole, and as text where that is text."""
    is_whole = isinstance(like, int) or (isinstance(like, str) and "." not in like)
    cut = position.to_integral_value(ROUND_FLOOR) if is_whole else position
    if isinstance(like, str):
        return f"{cut:f}"
    return int(cut) if is_whole else cut


def number_text(position: Decimal, like: Json) -> Json:
    """Return a number in the form of another value of the source."""
    return _like(position, like)


def moment_position(moment: datetime) -> Decimal:
    """Return an aware datetime as exact seconds since 1970."""
    return _seconds(moment)


def _number(value: int | Decimal) -> Decimal:
    found = Decimal(value)
    if not found.is_finite() or abs(found.adjusted()) > 30:
        raise UnfitValueError("is no usable number")
    return found


def seconds(length: timedelta) -> Decimal:
    """Return a length of time as exact seconds."""
    return Decimal(length // timedelta(microseconds=1)).scaleb(-6)


def _seconds(moment: datetime) -> Decimal:
    return seconds(moment.astimezone(UTC) - _EPOCH)


def _offset(zone: str) -> tzinfo:
    if zone in "Zz":
        return UTC
    digits = zone[1:].replace(":", "").ljust(4, "0")
    gap = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    if gap >= timedelta(days=1):
        raise UnfitValueError("names an offset that there is not")
    return timezone(-gap if zone[0] == "-" else gap)
