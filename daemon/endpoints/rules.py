"""The rules by which a job says what an answer means, where its status does not: asked about every answer.

A rule whose expression cannot be computed for an answer does not fit it: the next one is asked, and its status decides
in the end. That is told once for each rule.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from daemon.spec import Expression, ExpressionError, Rule, Then, compile_expression
from daemon.sync.canonical import decode
from daemon.values import MISSING

from .surroundings import Warn

if TYPE_CHECKING:
    import cruds


class Rules:
    """The rules of one request, compiled once. Threads may share it."""

    def __init__(self, rules: Sequence[Rule], where: str) -> None:
        self._rules = tuple(
            (number, rule, None if rule.when is None else compile_expression(rule.when))
            for number, rule in enumerate(rules, start=1)
        )
        self._where = where
        self._told: set[int] = set()

    def of(self, response: "cruds.Response", warn: Warn) -> Then | None:
        """Return what the first rule that fits says of an answer; None when none does."""
        scope: dict[str, Any] | None = None
        for number, rule, when in self._rules:
            if not rule.takes(response.status):
                continue
            if when is not None:
                scope = scope or {"response": _shown(response)}
            if when is None or self._holds(number, when, scope or {}, warn):
                return rule.then
        return None

    def _holds(self, number: int, when: Expression, scope: dict[str, Any], warn: Warn) -> bool:
        try:
            answer = when(scope)
        except ExpressionError as error:
            if number not in self._told:
                self._told.add(number)
                warn(f"rule {number} of on_response of {self._where} could not be asked and was passed over: {error}")
            return False
        return answer is not MISSING and bool(answer)


def _shown(response: "cruds.Response") -> dict[str, Any]:
    """Return an answer as expressions see it; without a body, `response.body` is missing."""
    shown: dict[str, Any] = {"status": response.status, "headers": response.headers}
    if response.body.strip():
        try:
            shown["body"] = decode(response.body)
        except ValueError:
            shown["body"] = response.text()
    return shown
