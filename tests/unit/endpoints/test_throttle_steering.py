"""What answers do to the requests after them: holds, budgets, pace, fewer at once, and a system that is left alone."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cruds import Response
from cruds.exception import ClientStoppedError, ConnectError, CrudsError, GateClosedError, OAuthAccessTokenError
from cruds.gate import Leave
from daemon.endpoints.rate_headers import LONGEST_S
from daemon.endpoints.throttle import Throttle
from daemon.spec import RestConnection
from tests.unit.endpoints.test_throttle import HandTime

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
URL = "https://h.example/x"
DOWN = ConnectError("no connection", method="GET", url=URL)


class BoundedTime(HandTime):
    """Nobody waits without end: that would be the failure, and it is told as one."""

    def wait(self, timeout: float | None = None) -> bool:
        assert len(self.waits) < 5_000, "this wait has no end"
        return super().wait(timeout)


@dataclass
class Rig:
    """A throttle and its time."""

    time: HandTime = field(default_factory=BoundedTime)
    connection: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        connection = RestConnection.model_validate({"host": "h.example", **self.connection})
        self.throttle = Throttle(
            connection,
            stop=self.time,
            monotonic=self.time.monotonic,
            utc=lambda: NOON + timedelta(seconds=self.time.now - 100),
        )

    def enter(self, route: str = "read x", method: str = "GET", *, in_hand: bool = False) -> Leave:
        return self.throttle.enter(method, URL, route=route, in_hand=in_hand)

    def ask(
        self,
        status: int = 200,
        headers: dict[str, str] | None = None,
        *,
        error: CrudsError | None = None,
        route: str = "read x",
        method: str = "GET",
    ) -> float:
        """Make one request that ends like this, and return how long it waited."""
        before = self.time.now
        leave = self.enter(route, method)
        waited = self.time.now - before
        answer = None if error is not None else Response(status, headers or {}, b"", URL, method)
        leave(answer, error)
        return waited

    def refused(self, route: str = "read x") -> GateClosedError:
        before = self.time.now
        with pytest.raises(GateClosedError) as caught:
            self.enter(route)
        assert self.time.now == before, "what is refused is refused at once"
        return caught.value


@pytest.fixture
def rig() -> Rig:
    return Rig(connection={"retry": {"max_wait": "2m"}})


def said(remaining: int, reset_s: float, *, limit: int = 100, name: str = "") -> dict[str, str]:
    named = {"x-ratelimit-resource": name} if name else {}
    headers = {"limit": limit, "remaining": remaining, "reset": reset_s}
    return {**{f"x-ratelimit-{word}": str(value) for word, value in headers.items()}, **named}


def at(seconds: float) -> float:
    """Return a moment of the rig's time as servers say it that speak of epoch seconds."""
    return (NOON + timedelta(seconds=seconds - 100)).timestamp()


# ---- waits that the system asks for ----


@pytest.mark.suffering(13)
@pytest.mark.parametrize("status", [429, 503])
def test_after_a_retry_after_nobody_goes_out_before(rig: Rig, status: int) -> None:
    rig.ask(status, {"retry-after": "60"})

    assert rig.ask(route="write y") == 60
    assert rig.ask() == 0


@pytest.mark.edge(49)
@pytest.mark.parametrize("status", [200, 202, 301, 404])
def test_a_retry_after_of_another_status_is_no_order(rig: Rig, status: int) -> None:
    rig.ask(status, {"retry-after": "60"})

    assert rig.ask() == 0


def test_a_longer_wait_than_a_run_may_take_refuses_and_says_until_when(rig: Rig) -> None:
    rig.ask(429, {"retry-after": "36000"})

    error = rig.refused()

    assert error.wait_s == 36_000
    assert "until 2026-11-23 22:00:00 UTC" in str(error)
    rig.time.now += 35_900
    assert rig.ask() == pytest.approx(100)


def test_waits_that_follow_each_other_are_counted_together() -> None:
    """Each is short enough; but a server that goes on like that may not keep a request back for ever."""
    rig = Rig(connection={"retry": {"max_wait": "2m"}})

    def again(timeout: float | None = None) -> bool:
        rig.time.now += timeout or 0.0
        rig.throttle._quiet_until = rig.time.now + 50
        return False

    rig.ask(429, {"retry-after": "50"})
    rig.time.wait = again  # type: ignore[method-assign]

    with pytest.raises(GateClosedError):
        rig.enter()

    assert rig.time.now == 200


@pytest.mark.parametrize("text", ["soon", "-1", "Mon, 23 Nov 2020 22:00:00 GMT"])
def test_an_unreadable_or_past_retry_after_stops_nobody_for_long(rig: Rig, text: str) -> None:
    rig.ask(429, {"retry-after": text, "date": "Mon, 23 Nov 2026 12:00:00 GMT"})

    assert rig.ask() <= 1


def test_too_many_without_a_word_of_when_pauses_longer_each_time_until_it_is_well(rig: Rig) -> None:
    waits = [rig.ask(429) for _ in range(9)]

    assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert rig.ask() == 60
    rig.ask(429)
    assert rig.ask() == 1


def test_one_wave_of_too_many_is_one_pause(rig: Rig) -> None:
    leaves = [rig.enter() for _ in range(4)]
    for leave in leaves:
        leave(Response(429, {}, b"", URL, "GET"), None)

    assert rig.ask() == 1


# ---- budgets that the system states ----


def test_on_a_used_up_budget_nobody_goes_out_before_its_reset(rig: Rig) -> None:
    rig.ask(headers=said(0, 30))

    assert rig.ask(route="write y") == pytest.approx(31)


def test_a_reset_that_is_far_off_refuses(rig: Rig) -> None:
    rig.ask(headers=said(0, 3000))

    assert rig.refused().wait_s == pytest.approx(3001)


@pytest.mark.edge(50)
def test_used_up_without_a_reset_pauses(rig: Rig) -> None:
    rig.ask(headers={"x-ratelimit-remaining": "0"})
    assert rig.ask(headers={"x-ratelimit-remaining": "0"}) == 1
    assert rig.ask(headers={"x-ratelimit-remaining": "5"}) == 2
    assert rig.ask() == 0


def test_a_low_budget_is_spread_until_its_reset(rig: Rig) -> None:
    rig.ask(headers=said(10, at(200)))

    waits = [rig.ask(headers=said(left, at(200))) for left in range(9, -1, -1)]

    assert waits == pytest.approx([10.0] * 10), "the rest lasts until the reset"


def test_a_budget_that_is_not_low_costs_no_time(rig: Rig) -> None:
    waits = [rig.ask(headers=said(100 - number, 60)) for number in range(1, 75)]

    assert set(waits) == {0}


@pytest.mark.edge(50)
def test_a_budget_with_a_name_is_charged_to_those_who_were_told_of_it(rig: Rig) -> None:
    rig.ask(headers=said(90, 60, name="core"), route="read users")
    rig.ask(headers=said(0, 60, name="search"), route="read search")

    assert rig.ask(headers=said(89, 60, name="core"), route="read users") == 0
    assert rig.ask(route="read search") == pytest.approx(61)


def test_a_route_that_is_not_known_yet_obeys_all(rig: Rig) -> None:
    rig.ask(headers=said(0, 60, name="search"), route="read search")

    assert rig.ask(route="read users") == pytest.approx(61)


def test_requests_under_way_are_taken_off_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(connection={"quota": {"concurrency": 8}})
    rig.ask(headers=said(3, 60, limit=4))
    leaves = [rig.enter() for _ in range(3)]

    def answer_one(timeout: float | None = None) -> bool:
        rig.time.now += timeout or 0.0
        if leaves:
            leaves.pop()(Response(200, said(0, at(130), limit=4), b"", URL, "GET"), None)
        return False

    monkeypatch.setattr(rig.time, "wait", answer_one)
    rig.enter()

    assert rig.time.now >= 130, "the fourth waited for the reset, and not only for an answer"


def test_a_late_answer_of_an_old_state_does_not_undo_a_fresher_one(rig: Rig) -> None:
    rig.ask(headers=said(50, 60))
    slow, quick = rig.enter(), rig.enter()
    quick(Response(200, said(0, 60), b"", URL, "GET"), None)
    slow(Response(200, said(1, 60), b"", URL, "GET"), None)

    assert rig.ask() == pytest.approx(61)


def test_the_lower_of_two_answers_that_were_under_way_together_counts(rig: Rig) -> None:
    rig.ask(headers=said(50, 60))
    one, other = rig.enter(), rig.enter()
    one(Response(200, said(40, 60), b"", URL, "GET"), None)
    other(Response(200, said(0, 60), b"", URL, "GET"), None)

    assert rig.ask() == pytest.approx(61)


def test_a_request_that_was_never_answered_is_taken_off(rig: Rig) -> None:
    rig.ask(headers=said(1, at(101), limit=1))
    rig.ask(error=DOWN)

    assert rig.time.now < 102
    rig.ask()
    assert rig.time.now == pytest.approx(102)


def test_a_reset_of_a_budget_without_a_limit_lets_somebody_out(rig: Rig) -> None:
    rig.ask(headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "10"})

    assert rig.ask() == pytest.approx(11)
    assert rig.ask() < 1


def test_a_budget_that_refills_may_be_used_beyond_its_limit(rig: Rig) -> None:
    waits = [rig.ask(headers=said(30, 60, limit=40)) for _ in range(100)]

    assert set(waits) == {0}


def test_a_token_that_could_not_be_used_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(connection={"quota": {"requests": 60, "per": "1m"}})
    for _ in range(6):
        rig.ask()
    usual = rig.time.wait

    def meanwhile(timeout: float | None = None) -> bool:
        if not rig.time.waits:
            rig.throttle._quiet_until = rig.time.now + 60 / 55 + 1
        return usual(timeout)

    monkeypatch.setattr(rig.time, "wait", meanwhile)

    assert rig.ask() == pytest.approx(60 / 55 + 1)


def test_a_late_answer_of_the_window_before_does_not_close_the_new_one(rig: Rig) -> None:
    rig.ask(headers=said(50, 60))
    slow = rig.enter()
    rig.time.now += 61
    rig.ask(headers=said(99, 60))
    slow(Response(200, said(0, 0), b"", URL, "GET"), None)

    assert rig.ask() == 0


@pytest.mark.edge(50)
@pytest.mark.suffering(12)
def test_of_a_shared_budget_our_share_is_used_and_no_more() -> None:
    rig = Rig(connection={"quota": {"share": "50%"}})
    used = 0
    while rig.time.now < 160:
        used += rig.time.now < 160
        rig.ask(headers=said(100 - used, at(160)))

    assert 45 <= used <= 51


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 50), st.integers(1, 30)), min_size=1, max_size=30))
def test_no_budget_keeps_anybody_back_beyond_its_reset(story: list[tuple[int, float, int]]) -> None:
    rig = Rig(connection={"retry": {"max_wait": "10m"}})
    for remaining, reset_s, limit in story:
        assert rig.ask(headers=said(remaining, reset_s, limit=limit)) <= 52


@given(
    st.dictionaries(
        st.sampled_from(
            ["ratelimit", "x-ratelimit-remaining", "x-ratelimit-reset", "x-ratelimit-limit", "retry-after"]
        ),
        st.text('0123456789.,;="rtq ', max_size=14),
    ),
    st.sampled_from([200, 429, 503]),
)
def test_whatever_an_answer_says_the_next_request_waits_or_is_told_when(headers: dict[str, str], status: int) -> None:
    rig = Rig()
    rig.ask(status, headers)
    try:
        waited = rig.ask()
    except GateClosedError as error:
        waited = error.wait_s or 0.0

    assert waited <= LONGEST_S + 1
    assert rig.time.now - 100 <= 120


# ---- how many at once ----


def under_way(rig: Rig, most: int) -> int:
    """Let so many ask at once, and return how many are out together."""
    gone = threading.Semaphore(0)
    leaves: list[Leave] = []

    def go() -> None:
        leaves.append(rig.enter())
        gone.release()

    with ThreadPoolExecutor(most) as pool:
        for _ in range(most):
            pool.submit(go)
        number = 0
        while gone.acquire(timeout=0.3):
            number += 1
        seen = number
        while number < most or leaves:
            leaves.pop()(None, None)
            if number < most and gone.acquire(timeout=10):
                number += 1
    return seen


@pytest.mark.parametrize(
    ("status", "error", "after"), [(429, None, 4), (503, None, 4), (200, DOWN, 4), (500, None, 8), (404, None, 8)]
)
def test_an_overloaded_system_is_asked_by_half_as_many(status: int, error: CrudsError | None, after: int) -> None:
    rig = Rig(connection={"quota": {"concurrency": 8}})

    rig.ask(status, error=error)

    assert under_way(rig, 8) == after


# ---- a system that is down ----


def test_after_failures_in_a_row_calls_fail_at_once_and_say_until_when() -> None:
    rig = Rig(connection={"breaker": {"failures": 3, "cool_down": "20s"}})
    for _ in range(3):
        rig.ask(error=DOWN)

    error = rig.refused()

    assert error.wait_s is None, "shorter than a run may take: the next run finds out"
    assert "until 2026-11-23 12:00:20 UTC: 3 requests in a row failed (the last: ConnectError)" in str(error)
    rig.time.now += 20
    assert rig.ask() == 0
    assert rig.ask() == 0


def test_a_long_cool_down_is_a_wait_for_the_scheduler() -> None:
    rig = Rig(connection={"breaker": {"failures": 1, "cool_down": "1h"}})
    rig.ask(error=DOWN)

    assert rig.refused().wait_s == 3600


def test_while_a_probe_is_under_way_the_others_wait_for_what_it_finds() -> None:
    rig = Rig(connection={"breaker": {"failures": 1, "cool_down": "20s"}})
    rig.ask(error=DOWN)
    rig.time.now += 20
    probe = rig.enter()

    def ends(timeout: float | None = None) -> bool:
        rig.time.now += timeout or 0.0
        probe(Response(200, {}, b"", URL, "GET"), None)
        return False

    rig.time.wait = ends  # type: ignore[method-assign]

    assert rig.ask() > 0


TOKEN = OAuthAccessTokenError("no token")


@pytest.mark.parametrize(
    ("status", "error", "method", "opens"),
    [
        (500, None, "GET", True),
        (599, None, "GET", True),
        (502, None, "POST", True),
        (503, None, "PATCH", True),
        (500, None, "POST", False),  # may be this one record's fault
        (404, None, "GET", False),
        (401, None, "GET", False),
        (429, None, "GET", False),
        (200, DOWN, "POST", True),
        (200, TOKEN, "GET", False),  # another server's failure
    ],
)
def test_only_failures_of_the_system_itself_open_the_breaker(
    status: int, error: CrudsError | None, method: str, opens: bool
) -> None:
    rig = Rig(connection={"breaker": {"failures": 2, "cool_down": "20s"}})
    rig.ask(status, error=error, method=method)
    rig.ask(status, error=error, method=method)

    if opens:
        rig.refused()
    else:
        rig.ask()


# ---- fairness, and the end ----


def test_two_jobs_on_one_connection_both_go_on() -> None:
    """One job asks with many threads and without a pause; the other's single request comes through all the same."""
    rig = Rig(connection={"quota": {"concurrency": 2}})
    done: Counter[str] = Counter()
    enough = threading.Event()

    def work(job: str) -> None:
        while not enough.is_set():
            leave = rig.enter()
            done[job] += 1
            leave(Response(200, {}, b"", URL, "GET"), None)
            if done["small"] >= 50:
                enough.set()

    with ThreadPoolExecutor(9) as pool:
        jobs = [pool.submit(work, "big") for _ in range(8)] + [pool.submit(work, "small")]
        assert enough.wait(30)
        for job in jobs:
            job.result(timeout=30)

    assert done["small"] >= 50
    assert done["big"] >= 50


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rig: rig.ask(429, {"retry-after": "60"}),
        lambda rig: rig.ask(headers=said(0, 60)),
        lambda rig: rig.ask(headers=said(1, 60)),
    ],
)
def test_a_stop_ends_every_wait_and_a_change_in_hand_does_not_begin_one(
    rig: Rig, spoil: Callable[[Rig], float]
) -> None:
    spoil(rig)
    rig.time.set()

    for in_hand in (False, True):
        with pytest.raises(ClientStoppedError):
            rig.enter(in_hand=in_hand)


def test_whatever_refuses_an_attempt_its_place_and_token_are_given_back() -> None:
    rig = Rig(connection={"quota": {"concurrency": 1, "requests": 60, "per": "1m"}, "retry": {"max_wait": "10s"}})
    for _ in range(5):
        rig.ask(429, {"retry-after": "60"})
        rig.refused()
        rig.time.now += 60

    assert rig.ask() == 0
