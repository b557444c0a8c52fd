"""Changes that are marked as sent before there is a sender for them: how many, and what becomes of them at a stop."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from daemon.endpoints.memory import MemoryTarget
from daemon.errors import AuthError, StateError
from daemon.sync.change import Change, Fate, Kind, Outcome
from daemon.sync.counts import Counts
from daemon.sync.outcome import Ending
from daemon.sync.ports import Written
from daemon.sync.senders import Senders, Work
from daemon.sync.together import Told
from tests.fakes.memory_state import MemoryJournal
from tests.unit.sync.harness import Bench, InlinePool, job, people

LIMIT_S = 20
WINDOW = 4
MOST = WINDOW * 5
"""A window, and four that may be marked ahead."""


class Desk(MemoryTarget):
    """Counts what reaches it, and may be told to do something when it does."""

    def __init__(self, **ways: Any) -> None:
        super().__init__(match="no", **ways)
        self.arrived: list[str] = []
        self.answered = 0
        self.changed = threading.Condition()
        self.fails: dict[int, Exception] = {}
        """By the number of the request, from 1."""

    def create(self, change: Change) -> Written:
        with self.changed:
            self.arrived.append(change.key)
            number = len(self.arrived)
        try:
            if number in self.fails:
                raise self.fails[number]
            return super().create(change)
        finally:
            with self.changed:
                self.answered += 1
                self.changed.notify_all()


class SlowJournal(MemoryJournal):
    """Takes so long for a commit that all that was marked before it is answered meanwhile."""

    desk: Desk
    marked = 0
    most = 0
    """The most that was ever marked and had no outcome yet."""
    settled = 0

    def commit(self, *, sent: Sequence[Change], outcomes: Sequence[Outcome], counts: Counts) -> None:
        super().commit(sent=sent, outcomes=outcomes, counts=counts)
        with self.desk.changed:
            assert not sent or self.desk.changed.wait_for(lambda: self.desk.answered == self.marked, LIMIT_S)
        self.marked += len(sent)
        self.settled += len(outcomes)
        self.most = max(self.most, self.marked - self.settled)


def bench_of(desk: Desk, **spec: Any) -> tuple[Bench, type[SlowJournal]]:
    journal = type("Journal", (SlowJournal,), {"desk": desk})
    bench = Bench(job(**spec) if spec else None, target=desk)
    bench.source.records = people(range(200))
    bench.journal_of = journal
    return bench, journal


def fates(bench: Bench) -> dict[Fate, set[str]]:
    assert bench.journal is not None
    known = bench.journal.known([record["no"] for record in bench.source.records])
    return {fate: {key for key, one in known.items() if one is fate} for fate in Fate}


def test_answers_that_come_faster_than_commits_let_more_be_marked_and_more_be_committed_at_once() -> None:
    desk = Desk()
    bench, _ = bench_of(desk)
    with ThreadPoolExecutor(WINDOW) as bench.pool:
        assert bench.run(window=WINDOW).ending is Ending.DONE
    assert isinstance(bench.journal, SlowJournal)
    assert WINDOW < bench.journal.most <= MOST
    assert bench.journal.commits < 200 / WINDOW
    assert sorted(desk.arrived) == sorted({record["no"] for record in bench.source.records})
    assert bench.is_in_step()


@pytest.mark.parametrize(
    ("ways", "window"),
    [({"lists": False, "looks_up": False}, WINDOW), ({"batch": 3}, WINDOW), ({}, 1)],
    ids=["creates that only a person could look into", "several in a request", "one at a time"],
)
def test_nothing_is_marked_before_there_is_a_sender_for(ways: dict[str, Any], window: int) -> None:
    bench, _ = bench_of(Desk(**ways))
    with ThreadPoolExecutor(window) as bench.pool:
        bench.run(window=window)
    assert isinstance(bench.journal, SlowJournal)
    assert bench.journal.most <= window * ways.get("batch", 1)


class Stopping:
    """Turns true when so many requests have arrived."""

    def __init__(self, desk: Desk, after: int) -> None:
        self.desk, self.after = desk, after

    def __call__(self) -> bool:
        return len(self.desk.arrived) >= self.after


def test_what_was_marked_and_has_not_left_at_a_stop_never_leaves_and_is_done_by_the_next_run() -> None:
    desk = Desk()
    bench, _ = bench_of(desk)
    with ThreadPoolExecutor(WINDOW) as bench.pool:
        stopped = bench.run(window=WINDOW, stopping=Stopping(desk, 100))
        first, became = list(desk.arrived), fates(bench)
        bench.journal_of = MemoryJournal
        finished = bench.run(window=WINDOW)

    assert stopped.ending is Ending.INTERRUPTED
    assert len(first) <= 100 + WINDOW, "only those in hand were finished"
    assert became[Fate.DONE] == set(first)
    assert became[Fate.DROPPED], "some were marked and had no sender"
    assert not became[Fate.SENT]
    assert (finished.ending, len(desk.arrived)) == (Ending.DONE, 200)
    assert bench.is_in_step()


def test_when_the_target_takes_nothing_more_what_waits_does_not_go_and_ask_it() -> None:
    desk = Desk()
    desk.fails = dict.fromkeys(range(100, 300), AuthError("who are you"))
    bench, _ = bench_of(desk)
    with ThreadPoolExecutor(WINDOW) as bench.pool:
        result = bench.run(window=WINDOW)
    assert result.ending is Ending.FAILED
    assert len(desk.arrived) < 100 + WINDOW
    assert fates(bench)[Fate.DONE] == set(desk.arrived[:99])
    assert not fates(bench)[Fate.SENT]


def test_a_fault_of_a_sender_ends_the_run_and_nothing_that_waits_is_begun() -> None:
    desk = Desk()
    desk.fails = {100: ZeroDivisionError("a bug")}
    bench, _ = bench_of(desk)
    with ThreadPoolExecutor(WINDOW) as bench.pool, pytest.raises(ZeroDivisionError):
        bench.run(window=WINDOW)
    assert len(desk.arrived) <= 100 + WINDOW
    assert len(desk.arrived) == len(set(desk.arrived))


def test_when_a_commit_fails_nothing_that_waits_is_begun() -> None:
    begun: list[int] = []
    is_begun, goes_on = threading.Event(), threading.Event()

    def work(number: int) -> Told:
        begun.append(number)
        is_begun.set()
        assert goes_on.wait(LIMIT_S)
        return Told()

    with ThreadPoolExecutor(1) as pool:
        with suppress(StateError), Senders(pool, 1, lambda: False) as senders:
            senders.hand_out([Work(work, (number,)) for number in range(3)])
            assert is_begun.wait(LIMIT_S)
            raise StateError("the disk is full")
        goes_on.set()
    assert begun == [0]


def test_a_lost_run_whose_changes_were_marked_ahead_creates_nothing_twice() -> None:
    """What was marked and never left is unknown to the next run, which looks it up."""
    desk = Desk()
    desk.fails = {100: ZeroDivisionError("killed")}
    bench, _ = bench_of(desk)
    with ThreadPoolExecutor(WINDOW) as bench.pool, pytest.raises(ZeroDivisionError):
        bench.run(window=WINDOW)
    assert fates(bench)[Fate.SENT]
    desk.fails = {}
    bench.journal_of, bench.pool = MemoryJournal, InlinePool()
    assert bench.run().ending is Ending.DONE
    assert bench.is_in_step()
    assert sum(kind == Kind.CREATE for kind, _ in desk.writes) == 200
