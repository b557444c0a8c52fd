"""Columns of numbers: nothing is cut, rounded or turned into something near it without a word."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from daemon.sync.canonical import key_text
from daemon.values import Json

from .takes import came


@dataclass(frozen=True, slots=True)
class Whole:
    """Whole numbers of so many bits."""

    bits: int = 64
    identifies: bool = True

    @property
    def words(self) -> str:
        """For people."""
        return f"whole numbers from -2^{self.bits - 1} to 2^{self.bits - 1}-1"

    def bind(self, value: Json) -> Any:
        """Take whole numbers, however they are written."""
        whole = value if type(value) is int else self._whole(value)
        half = 1 << (self.bits - 1)
        if not -half <= whole < half:
            raise ValueError(f"{whole}, which is out of its range")
        return whole

    def _whole(self, value: Json) -> int:
        whole = int(value) if isinstance(value, Decimal) and value.is_finite() and value == value // 1 else value
        if isinstance(whole, bool) or not isinstance(whole, int):
            raise ValueError(f"{came(value)}; write `| int` in the map if it holds one")  # noqa: TRY004
        return whole

    def key(self, text: str) -> Any:
        """Return the number whose digits these are: 01 is no key of 1."""
        return _number(text, self)


@dataclass(frozen=True, slots=True)
class Exact:
    """Decimal numbers."""

    digits: int | None = None
    scale: int | None = None
    floats: bool = False
    """Whether the database keeps them as binary floats, true to fifteen digits: SQLite does."""
    identifies: bool = True

    @property
    def words(self) -> str:
        """For people."""
        if self.digits is None:
            return "numbers of at most 15 digits" if self.floats else "numbers"
        return f"numbers with at most {self.digits - (self.scale or 0)} digits and {self.scale or 0} decimals"

    def bind(self, value: Json) -> Any:
        """Take numbers that are kept without rounding."""
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            raise ValueError(f"{came(value)}; write `| float` in the map if it holds one")  # noqa: TRY004
        number = value if isinstance(value, Decimal) else Decimal(str(value))
        if not number.is_finite():
            raise ValueError(f"{number}, which is no number")
        kept = number.normalize() if abs(number.adjusted()) < 10_000 else number
        decimals = max(0, -int(kept.as_tuple().exponent))
        if self.scale is not None and decimals > self.scale:
            raise ValueError(f"{number}, which it would round; write `| round({self.scale})` in the map")
        if self.digits is not None and number and number.adjusted() >= self.digits - (self.scale or 0):
            raise ValueError(f"{number}, which is out of its range")
        if not self.floats:
            return number
        if isinstance(value, int) and -(2**63) <= value < 2**63:
            return value
        if len(kept.as_tuple().digits) > 15 or abs(number.adjusted()) > 300:
            raise ValueError(f"{number}, of which SQLite would keep 15 digits; take a column of type text")
        return str(number)

    def key(self, text: str) -> Any:
        """Return the number that is written so."""
        return _number(text, self)


@dataclass(frozen=True, slots=True)
class Float:
    """Binary floating point."""

    words: str = "numbers"
    identifies: bool = False

    def bind(self, value: Json) -> Any:
        """Take numbers, to the nearest that it has."""
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            raise ValueError(f"{came(value)}; write `| float` in the map if it holds one")  # noqa: TRY004
        try:
            return float(value)
        except OverflowError:
            raise ValueError(f"{came(value)} out of its range") from None

    def key(self, text: str) -> Any:
        """Return nothing: what is only nearly equal identifies nothing."""
        del text


def _number(text: str, takes: Whole | Exact) -> Any:
    try:
        number = Decimal(text)
        value: Json = int(number) if isinstance(takes, Whole) and number == number // 1 else number
        return takes.bind(value) if key_text(value) == text else None
    except (InvalidOperation, ValueError):
        return None
