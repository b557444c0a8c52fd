"""The rules by which a job says what an answer means, where its status does not: asked about every answer.

A rule whose expression cannot be computed for an answer does not fit it: the next one is asked, and its status decides
in the end. That is told once for each rule.
"""

from collections.abc import Callable, Sequence
from typing import Any

import cruds
from cruds.ruling import Ruling
from daemon.spec import Expression, ExpressionError, Rule, Then, compile_expression
from daemon.sync.canonical import decode
from daemon.values import MISSING

Warn = Callable[[str], None]
"""Told what an operator should know, in words."""


def unheard(*_: str) -> None:
    """Tell nobody."""


_ORDERS = {Then.RETRY: Ruling.RETRY, Then.REFRESH_AUTH: Ruling.RENEW}


class Rules:
    """The rules of one request, compiled once. Threads may share it."""

    def __init__(self, rules: Sequence[Rule], where: str) -> None:
        self._rules = tuple(
            (number, rule, None if rule.when is None else compile_expression(rule.when))
            for number, rule in enumerate(rules, start=1)
        )
        self._where = where
        self._told: set[int] = set()

    def of(self, response: cruds.Response, warn: Warn) -> Then | None:
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


class Judge:
    """Asks the rules about the answers of one call, and knows what they said of the last. Belongs to its thread.

    Rules of the call come first, those of its connection after them.
    """

    def __init__(self, rules: Sequence[Rules], warn: Warn, on_retry: Callable[[], None]) -> None:
        self._rules, self._warn, self._on_retry = rules, warn, on_retry
        self.then: Then | None = None

    def __call__(self, response: cruds.Response) -> Ruling | None:
        """Return what the client is to do with an answer."""
        said = (rules.of(response, self._warn) for rules in self._rules)
        self.then = next((then for then in said if then is not None), None)
        if self.then is Then.RETRY:
            self._on_retry()
        return None if self.then is None else _ORDERS.get(self.then, Ruling.FINAL)


def _shown(response: cruds.Response) -> dict[str, Any]:
    """Return an answer as expressions see it; without a body, `response.body` is missing."""
    shown: dict[str, Any] = {"status": response.status, "headers": response.headers}
    if response.body.strip():
        try:
            shown["body"] = decode(response.body)
        except ValueError:
            shown["body"] = response.text()
    return shown
