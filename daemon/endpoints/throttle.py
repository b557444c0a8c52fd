"""One gate for each real account, passed by every attempt of all jobs of a connection.

In the order in which they are asked: the breaker (is the system up at all), the waits that the system asked for and
the budgets that it states, a place among the requests under way, a token of the configured budget. Places are given
to runs in turns, so that one with many requests waiting does not hold up another with one. Waits that the
system asks for are waited out up to `retry.max_wait`; a longer one refuses the attempt and says when. Waits of our own
budget are never refused: a run that ended there would begin its read again and never come to its end.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from cruds import Response
from cruds.exception import (
    AnswerLostError,
    ClientStoppedError,
    ConnectError,
    CrudsError,
    DeadlineError,
    GateClosedError,
)
from cruds.gate import Leave
from cruds.retries import SAFE_METHODS
from daemon.clock import utc_clock
from daemon.spec import HttpConnection

from .breaker import CircuitBreaker, State
from .bucket import Bucket
from .caller import NOBODY, Caller, Turns
from .concurrency import Concurrency
from .ledger import Hold, Ledger
from .rate_headers import asked_wait, stated_budgets

_NO_ANSWER = (ConnectError, AnswerLostError, DeadlineError)
_OVERLOADED = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_DOWN = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
"""For whoever says "too many" and not until when: doubled each time, until it is well again."""
_POLL_S = 0.5


@dataclass(slots=True)
class _Ask:
    """One attempt that wants to go out."""

    method: str
    url: str
    route: str
    in_hand: bool
    caller: Caller
    number: int = 0
    began_at: float = 0.0
    is_probe: bool = False
    waited_s: float = 0.0
    """For the system, so far."""


class Throttle:
    """Lets attempts through as the system and the connection's quota allow. Shared by threads."""

    def __init__(
        self,
        connection: HttpConnection,
        *,
        stop: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
        utc: Callable[[], datetime] = utc_clock,
    ) -> None:
        quota, breaker = connection.quota, connection.breaker
        share = float(quota.share) / 100 if quota.share is not None else 1.0
        self._patience_s = connection.retry.max_wait.total_seconds()
        self._stop, self._monotonic, self._utc = stop, monotonic, utc
        self._changed = threading.Condition()
        """Guards everything below; told when a place is free."""
        self._bucket = Bucket(quota, monotonic())
        self._ledger = Ledger(share, self._patience_s)
        self._concurrency = Concurrency(quota.concurrency)
        self._breaker = CircuitBreaker(breaker.failures, breaker.cool_down.total_seconds())
        self._last_failure = ""
        self._queue: Turns[_Ask] = Turns()
        self._under_way = self._latest = 0
        self._quiet_until, self._pause_s = float("-inf"), _FIRST_PAUSE_S

    def enter(self, method: str, url: str, *, route: str = "", in_hand: bool = False, caller: Caller = NOBODY) -> Leave:
        """Wait until this attempt may go out; what is returned takes in how it ended (`cruds.gate.Gate`).

        Raises GateClosedError when the system is down, or asks for a longer wait than a run may take, and
        ClientStoppedError when all work or the caller was asked to stop, or is while it waits. `in_hand`: the attempt
        finishes a change that is begun, so it goes out all the same if it need not wait.
        """
        ask = _Ask(method, url, route, in_hand, caller)
        if not in_hand:
            self._check_stop(ask)
        goes = self._goes_at_once(ask)
        while not goes:
            self._wait_for_system(ask)
            self._take_place(ask)
            goes = self._goes(ask)
        return lambda answer, error: self._left(ask, answer, error)

    # ---- on the way out --------------------------------------------------------------------------------------------

    def _goes_at_once(self, ask: _Ask) -> bool:
        """Take a place and a token and go, when nobody waits and nothing stands against it."""
        with self._changed:
            if self._queue or self._under_way >= self._concurrency.limit or self._hold(ask) is not None:
                return False
            if self._bucket.take(self._monotonic()) > 0:
                self._bucket.give_back()
                return False
            self._under_way += 1
            self._go(ask)
        return True

    def _wait_for_system(self, ask: _Ask) -> None:
        while True:
            with self._changed:
                hold = self._hold(ask)
            if hold is None:
                return
            if not hold.is_pace:
                ask.waited_s += hold.wait_s
                if ask.waited_s > self._patience_s:
                    raise self._closed(ask, hold.why, hold.wait_s, wait_s=hold.wait_s)
            self._sleep(hold.wait_s, ask)

    def _hold(self, ask: _Ask) -> Hold | None:
        """Return what the system has against this attempt; None for nothing."""
        now = self._monotonic()
        state = self._breaker.state(now)
        if state is State.OPEN:
            rest_s = self._breaker.wait_s(now)
            why = f"{self._breaker.failures} requests in a row failed (the last: {self._last_failure})"
            raise self._closed(ask, why, rest_s, wait_s=rest_s if rest_s > self._patience_s else None)
        if state is State.PROBING:
            return Hold(_POLL_S, "another request finds out whether the system is well again", is_pace=True)
        if now < self._quiet_until:
            return Hold(self._quiet_until - now, "the system asked for it")
        return self._ledger.hold(ask.route, now)

    def _closed(self, ask: _Ask, why: str, until_s: float, *, wait_s: float | None) -> GateClosedError:
        until = self._utc() + timedelta(seconds=until_s)
        message = f"not sent, nothing is asked of this system until {until:%Y-%m-%d %H:%M:%S} UTC: {why}"
        return GateClosedError(message, wait_s=wait_s, method=ask.method, url=ask.url)

    def _take_place(self, ask: _Ask) -> None:
        """Wait for a place, callers in turns: jobs that share the connection all go on."""
        with self._changed:
            self._queue.join(ask.caller, ask)
            try:
                while self._queue.first is not ask or self._under_way >= self._concurrency.limit:
                    self._changed.wait(_POLL_S)
                    self._check_stop(ask)
            except BaseException:
                self._queue.leave(ask.caller, ask)
                raise
            else:
                self._queue.take(ask.caller)
                self._under_way += 1
            finally:
                self._changed.notify_all()

    def _goes(self, ask: _Ask) -> bool:
        """Take a token and go, with a place in hand; False, and the place is given back, when the system minds now."""
        goes = False
        try:
            with self._changed:
                wait_s = self._bucket.take(self._monotonic())
            self._sleep(wait_s, ask)
            with self._changed:
                goes = self._hold(ask) is None
                if goes:
                    self._go(ask)
        finally:
            if not goes:
                with self._changed:
                    self._bucket.give_back()
                    self._free_place()
        return goes

    def _go(self, ask: _Ask) -> None:
        ask.began_at = self._monotonic()
        self._latest += 1
        ask.number = self._latest
        ask.is_probe = self._breaker.begin(ask.began_at)
        self._ledger.take(ask.route, ask.began_at)

    def _sleep(self, wait_s: float, ask: _Ask) -> None:
        if wait_s > 0 and ask.caller.wait(self._stop, wait_s):
            self._check_stop(ask)

    def _check_stop(self, ask: _Ask) -> None:
        if self._stop.is_set() or ask.caller.is_stopping:
            raise ClientStoppedError("the run was asked to stop before it went out", method=ask.method, url=ask.url)

    # ---- on the way back -------------------------------------------------------------------------------------------

    def _left(self, ask: _Ask, answer: Response | None, error: CrudsError | None) -> None:
        stated = stated_budgets(answer.headers, self._utc) if answer is not None else ()
        with self._changed:
            now = self._monotonic()
            self._free_place()
            self._ledger.settle(ask.route, stated, number=ask.number, latest=self._latest, now=now)
            self._judge_health(ask, answer, error, now)
            if isinstance(error, _NO_ANSWER) or (answer is not None and answer.status in _OVERLOADED):
                is_new = self._concurrency.overloaded(began_at=ask.began_at, now=now)
                self._heed(
                    answer,
                    now,
                    is_new=is_new,
                    is_dated=any(one.remaining < 1 and one.reset_s is not None for one in stated),
                )
            elif answer is not None and answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                self._concurrency.succeeded()
                self._after_success(now, is_used_up=any(one.remaining < 1 and one.reset_s is None for one in stated))

    def _free_place(self) -> None:
        self._under_way -= 1
        self._changed.notify_all()

    def _judge_health(self, ask: _Ask, answer: Response | None, error: CrudsError | None, now: float) -> None:
        """Tell the breaker. A write's 500 may be the record's own fault, so it says nothing of the system."""
        if isinstance(error, _NO_ANSWER):
            self._last_failure = type(error).__name__
            self._breaker.failed(now, probe=ask.is_probe)
        elif answer is None:
            self._breaker.unjudged(probe=ask.is_probe)
        elif answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            self._breaker.succeeded()
        elif ask.method in SAFE_METHODS or answer.status in _DOWN:
            self._last_failure = f"status {answer.status}"
            self._breaker.failed(now, probe=ask.is_probe)
        else:
            self._breaker.unjudged(probe=ask.is_probe)

    def _heed(self, answer: Response | None, now: float, *, is_new: bool, is_dated: bool) -> None:
        """Keep everybody quiet as long as an overloaded system asks, or for a growing pause where it says nothing."""
        wait_s = None if answer is None else asked_wait(answer.headers, self._utc)
        if wait_s is not None:
            self._quiet_until = max(self._quiet_until, now + wait_s)
        elif answer is not None and answer.status == HTTPStatus.TOO_MANY_REQUESTS and is_new and not is_dated:
            self._pause(now)

    def _after_success(self, now: float, *, is_used_up: bool) -> None:
        if is_used_up:
            self._pause(now)
        else:
            self._pause_s = _FIRST_PAUSE_S

    def _pause(self, now: float) -> None:
        self._quiet_until = max(self._quiet_until, now + min(self._pause_s, self._patience_s))
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
