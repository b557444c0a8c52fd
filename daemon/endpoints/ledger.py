"""The budgets that a server states, kept between its answers: who must wait for a reset, and for how long.

A request that is answered is in the number that the server states; one that is under way may not be, so it is taken
off. Nobody goes out on a budget that is used up before its reset, and when less than a quarter is left, the rest is
spread until then.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from .rate_headers import Stated

LOW = 0.25
"""From this part of a budget on, the rest is spread."""
ROUNDING_S = 1.0
"""Resets come in whole seconds, often cut off: a request in the rest of one would still count for the old window."""
_BORDER_S = 1.5
"""Resets that differ by no more are those of one window."""
_POLL_S = 0.05
_MOST = 64
"""Budgets and routes that are remembered: a server that names a new one in each answer fills no memory."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why an attempt does not go out now."""

    wait_s: float
    why: str
    is_pace: bool = False
    """Nothing is used up; the rest is only spread, or answers that are under way must come in first."""


@dataclass(slots=True)
class _Window:
    """One budget until its reset."""

    least: float
    """Requests left, by the freshest answer."""
    limit: float
    """Requests in a window, or the most that were ever left."""
    ends_at: float | None
    """None: no answer has told of this window yet, or the server never says."""
    asked_by: int
    """The latest attempt that had gone out when `least` was said: an answer to a later one is surely fresher."""
    untold: int = 0
    """Requests since then whose answers said nothing of this budget, or never came."""
    used: int = 1
    """Requests of ours until `used_until`."""
    used_until: float = 0.0
    sent_at: float = float("-inf")


class Ledger:
    """Not safe to share: its owner holds a lock. Times are monotonic seconds.

    A route is a kind of request. A budget with a name is charged to the routes whose answers named it, and to all
    routes of which that is not known yet; one without a name is the whole account's.
    """

    def __init__(self, share: float, longest_pace_s: float) -> None:
        self._share, self._longest_pace_s = share, longest_pace_s
        self._windows: dict[str, _Window] = {}
        self._named: dict[str, frozenset[str]] = {}
        self._under_way: Counter[str] = Counter()

    def hold(self, route: str, now: float) -> Hold | None:
        """Return what keeps a request of this route back, the longest wait of several; None for nothing."""
        holds = [self._hold(name, window, now) for name, window in self._windows.items() if self._pays(route, name)]
        return max((one for one in holds if one is not None), key=lambda one: one.wait_s, default=None)

    def take(self, route: str, now: float) -> None:
        """Charge a request that goes out now."""
        self._under_way[route] += 1
        for name, window in self._windows.items():
            if self._pays(route, name):
                window.used, window.sent_at = window.used + 1, now

    def settle(self, route: str, stated: Iterable[Stated], *, number: int, latest: int, now: float) -> None:
        """Take in the end of a request and what its answer states.

        `number` is the request's own, counted up; `latest` that of the latest that has gone out.
        """
        self._under_way[route] -= 1
        if not self._under_way[route]:
            del self._under_way[route]
        told = set()
        for one in stated:
            told.add(one.name)
            self._note(one, number=number, latest=latest, now=now)
        for name, window in self._windows.items():
            if name not in told and self._pays(route, name):
                window.untold += 1
        if told:
            if len(self._named) >= _MOST:
                self._named.clear()
            self._named[route] = frozenset(told)

    def _pays(self, route: str, name: str) -> bool:
        return not name or name in self._named.get(route, (name,))

    def _hold(self, name: str, window: _Window, now: float) -> Hold | None:
        if window.ends_at is not None and now >= window.ends_at + ROUNDING_S:
            # Nobody has told of the new window yet: what one held before, and at least one request, to be told.
            window.least, window.untold, window.ends_at = max(window.limit, 1.0), 0, None
        said = f"the budget {name} that the system states" if name else "the budget that the system states"
        left = window.least - window.untold
        ours = self._ours(window, now)
        if window.ends_at is not None and min(left, ours) < 1:
            whose = "" if left < 1 else "our share of "
            return Hold(window.ends_at + ROUNDING_S - now, f"{whose}{said} is used up")
        under_way = sum(number for route, number in self._under_way.items() if self._pays(route, name))
        if under_way and left - under_way < 1:  # with nobody under way, one goes out and is told
            return Hold(_POLL_S, f"{said} may be used up", is_pace=True)
        return self._pace(said, window, min(left, ours), now)

    def _ours(self, window: _Window, now: float) -> float:
        """Return what is left of our share; where all is ours, the server's number alone counts."""
        if self._share >= 1:
            return float("inf")
        return window.limit * self._share - (window.used if now < window.used_until else 0)

    def _pace(self, said: str, window: _Window, rest: float, now: float) -> Hold | None:
        if window.ends_at is None or rest >= window.limit * self._share * LOW:
            return None
        step_s = min((window.ends_at - now) / rest, self._longest_pace_s)
        wait_s = window.sent_at + step_s - now
        return Hold(wait_s, f"{said} is nearly used up", is_pace=True) if wait_s > 0 else None

    def _note(self, said: Stated, *, number: int, latest: int, now: float) -> None:
        ends_at = None if said.reset_s is None else now + said.reset_s
        # Used up, and no word of when: whoever sees the 0 pauses, and the next answer tells.
        remaining = said.remaining if ends_at is not None else float("inf")
        window = self._windows.get(said.name)
        if window is None:
            while len(self._windows) >= _MOST:
                del self._windows[next(iter(self._windows))]
            limit = remaining if said.limit is None else said.limit
            self._windows[said.name] = _Window(
                remaining, limit, ends_at, latest, used_until=ends_at or now, sent_at=now
            )
            return
        if not _is_fresher(window, number, ends_at):
            if _is_same(window.ends_at, ends_at):
                window.least = min(window.least, remaining)
            return
        if now >= window.used_until:
            window.used, window.used_until = 1, ends_at or now
        window.limit = max(window.limit, remaining) if said.limit is None else said.limit
        window.least, window.untold, window.ends_at, window.asked_by = remaining, 0, ends_at, latest


def _is_fresher(window: _Window, number: int, ends_at: float | None) -> bool:
    """Whether an answer tells of a later state than the one that is remembered."""
    if number > window.asked_by or window.ends_at is None:
        return True
    return ends_at is not None and ends_at > window.ends_at + _BORDER_S


def _is_same(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and abs(one - other) <= _BORDER_S
