"""What the client is to do with an answer, where a job has rules for it."""

from collections.abc import Callable, Sequence

import cruds
from cruds.ruling import Ruling
from daemon.spec import Then

from .rules import Rules
from .surroundings import Warn

_ORDERS = {Then.RETRY: Ruling.RETRY, Then.REFRESH_AUTH: Ruling.RENEW}


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
