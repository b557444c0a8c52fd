"""One does the work, all get the result."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from cruds.exception import PageError
from cruds.oauth2 import SingleFlight


def together(count: int, work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert not any(thread.is_alive() for thread in threads)


class Slow:
    """Work that lasts until everybody is waiting for it."""

    def __init__(self, flight: SingleFlight[int], others: int, outcome: Callable[[], int]) -> None:
        self.calls = 0
        self._arrived = threading.Semaphore(0)
        self._flight, self._others, self._outcome = flight, others, outcome

    def ask(self) -> int:
        self._arrived.release()
        return self._flight.run(self._work)

    def _work(self) -> int:
        self.calls += 1
        for _ in range(self._others if self.calls == 1 else 0):
            self._arrived.acquire(timeout=10)
        threading.Event().wait(0.05)  # the others stand at the door; let them in
        return self._outcome()


def test_many_who_ask_at_once_are_served_by_one_piece_of_work() -> None:
    """O26."""
    slow = Slow(SingleFlight(), 8, lambda: 42)
    results: list[int] = []
    together(8, lambda: results.append(slow.ask()))
    assert results == [42] * 8
    assert slow.calls == 1


def test_a_failure_is_everybodys_and_happens_once() -> None:
    """O26: an endpoint that fails is not asked once for each thread."""

    def fail() -> int:
        raise PageError("broken", page=1)

    slow = Slow(SingleFlight(), 5, fail)
    errors: list[PageError] = []

    def ask() -> None:
        with pytest.raises(PageError) as caught:
            slow.ask()
        errors.append(caught.value)

    together(5, ask)
    assert slow.calls == 1
    assert len({id(error) for error in errors}) == 5
    assert {str(error) for error in errors} == {"page 1: broken"}


def test_an_interrupt_is_only_for_the_thread_it_hit() -> None:
    hit: list[bool] = []

    def interrupted_once() -> int:
        if not hit:
            hit.append(True)
            raise KeyboardInterrupt
        return 7

    slow = Slow(SingleFlight(), 4, interrupted_once)
    results: list[int | str] = []

    def ask() -> None:
        try:
            results.append(slow.ask())
        except KeyboardInterrupt:
            results.append("interrupted")

    together(4, ask)
    assert sorted(map(str, results)) == ["7", "7", "7", "interrupted"]


def test_the_next_who_asks_later_does_the_work_again() -> None:
    flight = SingleFlight[int]()
    assert [flight.run(lambda: 1), flight.run(lambda: 2)] == [1, 2]
