"""One budget for one account, whoever asks."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from cruds import Response
from cruds.exception import ClientStoppedError
from daemon.endpoints.throttle import Throttle
from daemon.spec import RestConnection


class HandTime(threading.Event):
    """A stop event and a clock in one: waiting moves the clock and takes no time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        self.now += timeout or 0.0
        return self.is_set()


@pytest.fixture
def time() -> HandTime:
    return HandTime()


def throttle(time: HandTime, **quota: object) -> Throttle:
    connection = RestConnection.model_validate({"host": "h.example", "quota": quota})
    return Throttle(connection, stop=time, monotonic=time.monotonic)


@contextmanager
def place(one: Throttle, *, in_hand: bool = False) -> Iterator[None]:
    """One attempt, from its way out to its answer."""
    leave = one.enter("GET", "https://h.example/x", in_hand=in_hand)
    try:
        yield
    finally:
        leave(Response(200, {}, b"", "https://h.example/x", "GET"), None)


def ask(one: Throttle, times: int) -> None:
    for _ in range(times):
        with place(one):
            pass


def test_without_a_quota_nobody_waits(time: HandTime) -> None:
    ask(throttle(time), 1000)

    assert time.waits == []


def test_a_tenth_goes_at_once_and_the_rest_evenly(time: HandTime) -> None:
    ask(throttle(time, requests=60, per="1m"), 6 + 10)

    assert time.waits == pytest.approx([60 / 55] * 10)


@pytest.mark.parametrize(
    ("quota", "ours", "per_s"),
    [
        ({"requests": 60, "per": "1m"}, 60, 60),
        ({"requests": 60, "per": "1m", "share": "50%"}, 30, 60),
        ({"requests": 7, "per": "1m", "share": "50%"}, 4, 60),
        ({"requests": 1, "per": "1m", "share": "50%"}, 1, 120),
        ({"requests": 1, "per": "1s"}, 1, 1),
        ({"requests": 1000, "per": "1s"}, 1000, 1),
        ({"requests": 20, "per": "10s"}, 20, 10),
    ],
)
def test_the_budget_is_used_and_in_no_stretch_of_time_passed(
    time: HandTime, quota: dict[str, object], ours: int, per_s: float
) -> None:
    one = throttle(time, **quota)
    gone: list[float] = []
    for _ in range(3 * ours + 20):
        with place(one):
            gone.append(time.now)

    for first, after in zip(gone, gone[ours:], strict=False):
        assert after - first >= per_s * 0.9999, "this many may not go within one period"
    assert gone[-1] - gone[0] <= len(gone) / ours * per_s * 1.2, "the budget is there to be used"


def test_a_quiet_time_saves_up_no_more_than_the_burst(time: HandTime) -> None:
    one = throttle(time, requests=60, per="1m")
    time.now += 3600

    ask(one, 8)

    assert time.waits == pytest.approx([60 / 55] * 2)


def test_no_more_than_the_limit_are_under_way(time: HandTime) -> None:
    one = throttle(time, concurrency=3)
    lock, full, most = threading.Lock(), threading.Barrier(3, timeout=20), [0, 0]

    def work(number: int) -> None:
        with place(one):
            with lock:
                most[0] += 1
                most[1] = max(most)
            if number < 3:
                full.wait()
            with lock:
                most[0] -= 1

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(work, range(30)))

    assert most == [0, 3]


def test_a_failure_gives_the_place_back(time: HandTime) -> None:
    one = throttle(time, concurrency=1)

    for _ in range(3):
        with pytest.raises(KeyError), place(one):
            raise KeyError

    ask(one, 1)


def test_a_stop_lets_nothing_new_begin(time: HandTime) -> None:
    time.set()

    with pytest.raises(ClientStoppedError):
        ask(throttle(time), 1)


def test_a_stop_lets_a_change_in_hand_go_out_if_it_need_not_wait(time: HandTime) -> None:
    one = throttle(time, requests=10, per="1m", concurrency=1)
    time.set()

    with place(one, in_hand=True):
        pass
    with pytest.raises(ClientStoppedError), place(one, in_hand=True):
        pass


def test_a_stop_ends_the_wait_for_a_place() -> None:
    stop = threading.Event()
    connection = RestConnection.model_validate({"host": "h.example", "quota": {"concurrency": 1}})
    one = Throttle(connection, stop=stop)

    with place(one), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, one, 1)
        stop.set()
        with pytest.raises(ClientStoppedError):
            waiting.result(timeout=20)
