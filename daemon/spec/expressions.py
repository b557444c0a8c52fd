"""Expressions: compiled once when the file is read, called once for each record.

`record.given_name ~ ' ' ~ record.family_name` is Jinja2's language with four promises: a dotted name is always a
field, numbers keep their digits, missing is not null, and neither becomes text by accident.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from jinja2 import TemplateError, nodes

from daemon.values import Missing

from .closures import Run, compiled, is_plain_path
from .fallback import evaluator
from .grammar import names, parse_expression
from .operators import UnfitError

_EXCERPT: Final = 200
_REMEMBERED: Final = 32_768
"""Texts whose names are remembered while files are read: each is asked about twice, and jobs are alike."""


class ExpressionError(ValueError):
    """An expression could not be computed for this record. The message names expression and reason, never data."""

    def __init__(self, text: str, reason: str) -> None:
        shown = text if len(text) <= _EXCERPT else text[:_EXCERPT] + "…"
        super().__init__(f"{shown}: {reason}")
        self.text = text
        self.reason = reason


class Expression:
    """A compiled expression. May be shared by threads: it keeps nothing between calls."""

    __slots__ = ("_run", "compiled", "names", "quick", "text")

    def __init__(self, text: str, node: nodes.Expr) -> None:
        run = compiled(node)
        self.text: Final = text
        self.names: Final = names(node)
        """The top-level names it reads."""
        self.compiled: Final = run is not None
        """True if it runs as a closure, without Jinja."""
        self._run: Final[Run] = run if run is not None else evaluator(node)
        self.quick: Final[Run] = run if run is not None and is_plain_path(node) else self
        """What to call for each of many records: the same, without what a plain path cannot need."""

    def __call__(self, scope: Mapping[str, Any]) -> Any | Missing:
        """Return the JSON value for this scope; MISSING where a plain path is absent, None where it is null.

        Raises ExpressionError when a value does not fit what the expression does with it.
        """
        try:
            return self._run(scope)
        except UnfitError as error:
            raise ExpressionError(self.text, str(error)) from None
        except _FOREIGN as error:
            # Python's own messages quote values, and values are personal data: only the kind of error is told.
            raise ExpressionError(self.text, f"the values do not fit it ({type(error).__name__})") from None

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


_FOREIGN = (
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    AssertionError,
    RecursionError,
    TemplateError,
)


def compile_expression(text: str) -> Expression:
    """Return the bare expression, ready to be called. Raises ValueError as `check_expression` does."""
    return Expression(text, parse_expression(text))


@lru_cache(maxsize=_REMEMBERED)
def expression_names(text: str) -> frozenset[str]:
    """Return the top-level names that a bare expression reads. Raises ValueError as `check_expression` does."""
    return compile_expression(text).names


def check_expression(value: Any) -> Any:
    """Return the expression's text if it can be compiled; a YAML number or boolean is its own text.

    Raises ValueError with what is wrong and what to write. Other values are left to the caller's type check.
    """
    if isinstance(value, bool):
        value = "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        value = str(value)
    if isinstance(value, str):
        expression_names(value)
    return value
