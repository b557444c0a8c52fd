"""The tests of the expression language, what stands behind `is`: questions with yes, no, or no answer."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import wraps
from typing import Any, Final

from daemon.values import MISSING

from .operators import COMPARISONS, number


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, Decimal, float)) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_QUESTIONS: Mapping[str, Callable[..., bool]] = {
    "boolean": lambda value: isinstance(value, bool),
    "divisibleby": lambda value, num: number(value, "divisibleby") % number(num, "divisibleby") == 0,
    "even": lambda value: number(value, "even") % 2 == 0,
    "false": lambda value: value is False,
    "integer": _is_integer,
    "lower": lambda value: isinstance(value, str) and value.islower(),
    "mapping": lambda value: isinstance(value, Mapping),
    "none": lambda value: value is None,
    "number": _is_number,
    "odd": lambda value: number(value, "odd") % 2 == 1,
    "sequence": lambda value: isinstance(value, (list, tuple, str)),
    "string": lambda value: isinstance(value, str),
    "true": lambda value: value is True,
    "upper": lambda value: isinstance(value, str) and value.isupper(),
}


def _asked(question: Callable[..., bool]) -> Callable[..., Any]:
    @wraps(question)
    def answer(value: Any, *args: Any) -> Any:
        return MISSING if value is MISSING else question(value, *args)

    return answer


TESTS: Final[Mapping[str, Callable[..., Any]]] = {
    **{name: _asked(question) for name, question in _QUESTIONS.items()},
    **{name: COMPARISONS[name] for name in ("eq", "ne", "lt", "gt", "in")},
    "ge": COMPARISONS["gteq"],
    "le": COMPARISONS["lteq"],
    "defined": lambda value: value is not MISSING,
    "undefined": lambda value: value is MISSING,
}
"""By name. A question about a field that is not there has no answer (MISSING), and so counts as no, asked either
way: neither `is none` nor `is not none` holds. `defined` and `undefined` are the questions for that."""
