"""One budget for one account, whoever asks."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from daemon.endpoints.throttle import Throttle
from daemon.errors import StoppedError
from daemon.spec import Quota


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
    return Throttle(Quota.model_validate(quota), stop=time, monotonic=time.monotonic)


def ask(one: Throttle, times: int) -> None:
    for _ in range(times):
        with one.place():
            pass


def test_without_a_quota_nobody_waits(time: HandTime) -> None:
    ask(throttle(time), 1000)

    assert time.waits == []


def test_a_tenth_goes_at_once_and_the_rest_evenly(time: HandTime) -> None:
    ask(throttle(time, requests=60, per="1m"), 6 + 10)

    assert time.waits == pytest.approx([1.0] * 10)


@pytest.mark.parametrize(
    ("quota", "least_s"),
    [
        ({"requests": 60, "per": "1m"}, 994),
        ({"requests": 60, "per": "1m", "share": "50%"}, 1994),
        ({"requests": 1, "per": "1s"}, 999),
        ({"requests": 1000, "per": "1s"}, 0.98),
    ],
)
def test_the_budget_is_never_passed(time: HandTime, quota: dict[str, object], least_s: float) -> None:
    ask(throttle(time, **quota), 1000)

    assert time.now - 100 >= least_s * 0.999


def test_a_quiet_time_saves_up_no_more_than_the_burst(time: HandTime) -> None:
    one = throttle(time, requests=60, per="1m")
    time.now += 3600

    ask(one, 8)

    assert time.waits == pytest.approx([1.0, 1.0])


def test_no_more_than_the_limit_are_under_way(time: HandTime) -> None:
    one = throttle(time, concurrency=3)
    lock, full, most = threading.Lock(), threading.Barrier(3, timeout=20), [0, 0]

    def work(number: int) -> None:
        with one.place():
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
        with pytest.raises(KeyError), one.place():
            raise KeyError

    ask(one, 1)


def test_a_stop_lets_nothing_new_begin(time: HandTime) -> None:
    time.set()

    with pytest.raises(StoppedError):
        ask(throttle(time), 1)


def test_a_stop_lets_a_change_in_hand_go_out_if_it_need_not_wait(time: HandTime) -> None:
    one = throttle(time, requests=10, per="1m", concurrency=1)
    time.set()

    with one.place(in_hand=True):
        pass
    with pytest.raises(StoppedError), one.place(in_hand=True):
        pass


def test_a_stop_ends_the_wait_for_a_place() -> None:
    stop = threading.Event()
    one = Throttle(Quota(concurrency=1), stop=stop)

    with one.place(), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, one, 1)
        stop.set()
        with pytest.raises(StoppedError):
            waiting.result(timeout=20)
