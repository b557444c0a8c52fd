"""What the operators of the expression language do, exactly: numbers keep their digits, null is not text.

Compiled closures and the Jinja fallback both call these functions, so an expression means the same on either way.
Reasons for a refusal name kinds of values, never the values: they end in logs.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import ROUND_FLOOR, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import Any, Final

from daemon.values import MISSING

TEXT_LIMIT: Final = 1_000_000
"""Characters that an expression may make. A record's own texts may be longer; one made by `*` or `replace` may not."""

_DIGITS = 2_000
_BITS = 6_600
"""About 2,000 decimal digits: far beyond any record, far below what stops a processor."""

_EXACT = Context(prec=_DIGITS, traps=[InvalidOperation, DivisionByZero, Overflow, Inexact])
_DIVISION = Context(prec=28, traps=[InvalidOperation, DivisionByZero, Overflow])
"""A quotient has no end of its own: 28 digits, Python's default."""


class UnfitError(ValueError):
    """An operator or filter cannot work on this kind of value. The message never holds the value."""


def kind(value: Any) -> str:
    """Return what a value is, in an operator's words."""
    if value is None:
        return "null"
    if value is MISSING:
        return "missing"
    if isinstance(value, bool):
        return "true/false"
    if isinstance(value, (int, Decimal, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a mapping" if isinstance(value, Mapping) else "a list"


def field(value: Any, name: Any) -> Any:
    """Return the field of a mapping or the item of a list or text; MISSING where there is none."""
    try:
        return value[name]
    except (LookupError, TypeError):
        return MISSING


def part(value: Any, start: Any, stop: Any, step: Any) -> Any:
    """Return a slice of a list or text; null and missing stay what they are."""
    if value is None or value is MISSING:
        return value
    if not isinstance(value, (str, list, tuple)):
        raise UnfitError(f"only a list or text can be sliced, this is {kind(value)}")
    return value[slice(start, stop, step)]


def whole_list(items: list[Any]) -> list[Any]:
    """Return a list as it is if none of its items is missing: a list cannot leave one out."""
    for place, item in enumerate(items, 1):
        if item is MISSING:
            raise UnfitError(f"item {place} of the list is missing")
    return items


def whole_mapping(entries: dict[Any, Any]) -> dict[str, Any]:
    """Return a mapping without the entries that are missing."""
    if not all(isinstance(key, str) for key in entries):
        raise UnfitError("the keys of a mapping are texts")
    return {key: value for key, value in entries.items() if value is not MISSING}


def text_of(value: Any, name: str = "a value") -> str:
    """Return how a value looks inside text: digits as they were read, true and false as in JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        raise UnfitError(f"{name} is null; write {name} | default('', true)")
    if value is MISSING:
        raise UnfitError(f"{name} is missing; write {name} | default('')")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (Decimal, float)):
        return _digits(number(value, "text"))
    raise UnfitError(f"{name} is {kind(value)}; write {name} | tojson, or join its items: {name} | join(',')")


def _digits(value: int | Decimal) -> str:
    if isinstance(value, int) or abs(value.adjusted()) > _DIGITS:
        return str(value)
    return format(value, "f")


def concat(values: Iterable[Any], names: Iterable[str]) -> str:
    """Join values as text (`~`); `names` say in a refusal which of them was null or missing."""
    return "".join(
        [value if type(value) is str else text_of(value, name) for value, name in zip(values, names, strict=True)]
    )


def number(value: Any, what: str) -> int | Decimal:
    """Return a number that is exact; floats by their shortest digits."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, float)):
        raise UnfitError(f"{what} needs a number, not {kind(value)}")
    exact = Decimal(repr(value)) if isinstance(value, float) else value
    if isinstance(exact, Decimal) and not exact.is_finite():
        raise UnfitError(f"{what} needs a finite number")
    return exact


def add(left: Any, right: Any) -> Any:
    """Add numbers exactly, or put texts or lists one behind the other."""
    for together in (str, list):
        if isinstance(left, together) and isinstance(right, together):
            return left + right  # type: ignore[operator]  # both are the same kind here
    return _exactly("+", operator.add, _EXACT.add, left, right)


def subtract(left: Any, right: Any) -> int | Decimal:
    """Subtract numbers exactly."""
    return _exactly("-", operator.sub, _EXACT.subtract, left, right)


def multiply(left: Any, right: Any) -> Any:
    """Multiply numbers exactly, or repeat a text within the limit."""
    if isinstance(left, str) and type(right) is int:
        if len(left) * right > TEXT_LIMIT:
            raise UnfitError(f"'*' would make more than {TEXT_LIMIT:,} characters")
        return left * right
    a, b = number(left, "'*'"), number(right, "'*'")
    if isinstance(a, int) and isinstance(b, int) and a.bit_length() + b.bit_length() > _BITS:
        raise UnfitError(f"'*' would make a number of more than {_DIGITS:,} digits")
    return _exactly("*", operator.mul, _EXACT.multiply, a, b)


def divide(left: Any, right: Any) -> Decimal:
    """Divide to a Decimal of at most 28 digits."""
    a, b = number(left, "'/'"), number(right, "'/'")
    _not_zero("/", b)
    return _DIVISION.divide(Decimal(a), Decimal(b))


def floor_divide(left: Any, right: Any) -> int | Decimal:
    """Divide and round down, also below zero and also for Decimals, as Python does for integers."""
    a, b = number(left, "'//'"), number(right, "'//'")
    _not_zero("//", b)
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    return _wide(a, b).divide(Decimal(a), Decimal(b)).to_integral_value(ROUND_FLOOR)


def modulo(left: Any, right: Any) -> int | Decimal:
    """Return what `//` leaves; it has the divisor's sign."""
    a, b = number(left, "'%'"), number(right, "'%'")
    _not_zero("%", b)
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    rest = _EXACT.remainder(Decimal(a), Decimal(b))
    return rest + b if rest and (rest < 0) != (b < 0) else rest


def _wide(a: int | Decimal, b: int | Decimal) -> Context:
    """Return a context in which the whole part of a / b has all its digits and at least one more."""
    digits = max(Decimal(a).adjusted() - Decimal(b).adjusted(), 0) + 30
    if digits > _DIGITS:
        raise UnfitError(f"'//' would make a number of more than {_DIGITS:,} digits")
    return Context(prec=digits + len(Decimal(b).as_tuple().digits), rounding=ROUND_FLOOR, traps=[InvalidOperation])


def power(left: Any, right: Any) -> int | Decimal:
    """Raise to a whole power within the limit of digits."""
    a, b = number(left, "'**'"), number(right, "'**'")
    if not isinstance(b, int) or not 0 <= b <= _BITS:
        raise UnfitError(f"'**' needs a whole exponent between 0 and {_BITS:,}")
    if isinstance(a, int):
        if a.bit_length() * b > _BITS:
            raise UnfitError(f"'**' would make a number of more than {_DIGITS:,} digits")
        return int(a**b)
    return _EXACT.power(a, b)


def negative(value: Any) -> int | Decimal:
    """Return the number with its sign turned."""
    return -number(value, "'-'")


def positive(value: Any) -> int | Decimal:
    """Return the number as it is."""
    return number(value, "'+'")


def _exactly(
    sign: str,
    whole: Callable[[int, int], int],
    exact: Callable[[Decimal, Decimal], Decimal],
    left: Any,
    right: Any,
) -> int | Decimal:
    a, b = number(left, f"'{sign}'"), number(right, f"'{sign}'")
    if isinstance(a, int) and isinstance(b, int):
        return whole(a, b)
    try:
        return exact(Decimal(a), Decimal(b))
    except (Inexact, Overflow):
        raise UnfitError(f"'{sign}' would make a number of more than {_DIGITS:,} digits") from None


def _not_zero(sign: str, value: int | Decimal) -> None:
    if not value:
        raise UnfitError(f"'{sign}' divides by zero")


def compare(value: Any, steps: Sequence[tuple[str, Any]]) -> Any:
    """Answer a chain of comparisons (`1 < x <= 9`). MISSING where one side is missing: there is no answer then."""
    left = value
    answer: Any = True
    for name, right in steps:
        answer = COMPARISONS[name](left, right)
        if not answer:
            return answer
        left = right
    return answer


def _unless_missing(ask: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Any]:
    def answer(left: Any, right: Any) -> Any:
        return MISSING if left is MISSING or right is MISSING else ask(left, right)

    return answer


def _ordered(sign: str, ask: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Any]:
    def answer(left: Any, right: Any) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            return ask(left, right)
        if kind(left) != "a number" or kind(right) != "a number":
            raise UnfitError(f"'{sign}' compares two numbers or two texts, not {kind(left)} with {kind(right)}")
        return ask(left, right)

    return _unless_missing(answer)


def contains(value: Any, container: Any) -> bool:
    """Answer `value in container` for lists, mappings (their keys) and texts."""
    if isinstance(container, str) and not isinstance(value, str):
        raise UnfitError(f"'in' looks for text in text, not for {kind(value)}")
    if not isinstance(container, (str, list, tuple, range, Mapping)):
        raise UnfitError(f"'in' looks into a list, a text or a mapping, not into {kind(container)}")
    if isinstance(container, Mapping) and not isinstance(value, str):
        return False
    return value in container


COMPARISONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "eq": _unless_missing(operator.eq),
    "ne": _unless_missing(operator.ne),
    "lt": _ordered("<", operator.lt),
    "lteq": _ordered("<=", operator.le),
    "gt": _ordered(">", operator.gt),
    "gteq": _ordered(">=", operator.ge),
    "in": _unless_missing(contains),
    "notin": _unless_missing(lambda value, container: not contains(value, container)),
}
"""Jinja's names of the comparisons, with the function of each."""


def negate(answer: Any) -> Any:
    """Turn the answer to a question (a test or comparison) round; no answer stays no answer."""
    return MISSING if answer is MISSING else not answer
