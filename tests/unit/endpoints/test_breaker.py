"""When a system is left alone, and how it is asked again; and how many requests may be under way."""

from itertools import pairwise

import pytest

from daemon.endpoints.breaker import CircuitBreaker, State
from daemon.endpoints.concurrency import Concurrency


def opened(at: float = 100.0) -> CircuitBreaker:
    breaker = CircuitBreaker(3, 30.0)
    for _ in range(3):
        breaker.failed(at, probe=False)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row_and_not_before() -> None:
    breaker = CircuitBreaker(3, 30.0)

    for _ in range(5):
        breaker.failed(100.0, probe=False)
        breaker.failed(100.0, probe=False)
        assert breaker.state(100.0) is State.CLOSED
        breaker.succeeded()
    for _ in range(3):
        breaker.failed(100.0, probe=False)

    assert breaker.state(129.9) is State.OPEN
    assert breaker.wait_s(110.0) == 20.0
    assert breaker.state(130.0) is State.DUE


def test_one_probe_goes_out_and_its_success_closes() -> None:
    breaker = opened()

    assert breaker.begin(130.0)
    assert breaker.state(130.0) is State.PROBING
    breaker.succeeded()

    assert breaker.state(130.0) is State.CLOSED
    assert not breaker.begin(130.0)


def test_a_probe_that_fails_opens_for_as_long_again() -> None:
    breaker = opened()
    breaker.begin(130.0)

    breaker.failed(131.0, probe=True)

    assert breaker.state(160.9) is State.OPEN
    assert breaker.state(161.0) is State.DUE


def test_a_probe_that_says_nothing_is_followed_by_another() -> None:
    breaker = opened()
    breaker.begin(130.0)

    breaker.unjudged(probe=True)

    assert breaker.state(131.0) is State.DUE


def test_what_was_under_way_when_it_opened_neither_prolongs_nor_ends_the_probe() -> None:
    breaker = opened()
    breaker.failed(110.0, probe=False)
    assert breaker.state(130.0) is State.DUE

    breaker.begin(130.0)
    breaker.unjudged(probe=False)
    breaker.failed(131.0, probe=False)

    assert breaker.state(131.0) is State.PROBING


def test_complaints_halve_the_number_once_for_all_that_were_under_way() -> None:
    one = Concurrency(8)

    cut = [one.overloaded(began_at=0.0, now=1.0), one.overloaded(began_at=0.5, now=1.1)]
    assert (cut, one.limit) == ([True, False], 4)

    assert one.overloaded(began_at=1.2, now=2.0)
    assert one.limit == 2
    for at in range(3, 9):
        one.overloaded(began_at=float(at), now=at + 0.5)
    assert one.limit == 1


@pytest.mark.parametrize("most", [1, 2, 8])
def test_successes_raise_it_by_one_a_round_and_never_beyond_the_job_files(most: int) -> None:
    one = Concurrency(most)
    for at in range(6):
        one.overloaded(began_at=float(at), now=at + 0.5)
    limits = [one.limit]

    for _ in range(200):
        one.succeeded()
        limits.append(one.limit)

    assert limits[0] == 1
    assert limits[-1] == most
    assert all(later - earlier in {0, 1} for earlier, later in pairwise(limits))
    assert limits.index(most) >= most * (most - 1) / 2, "slowly"
