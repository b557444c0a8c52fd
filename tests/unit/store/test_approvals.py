"""Approvals in the state database: one a job, the latest, until a run has used it up."""

import threading

import pytest

from daemon.store.approvals import Approval, Approvals
from daemon.store.database import Database
from daemon.store.marks import compare
from daemon.store.run_row import Trigger
from daemon.store.runs import RunStore
from daemon.sync.change import Kind
from daemon.sync.pin import Difference, Digest
from tests.unit.store.places import NOON, HandClock
from tests.unit.store.test_runs import a_result

DELETES = {Kind.DELETE: Digest(12, 2**255 + 7)}
UPDATES = {Kind.UPDATE: Digest(3, 5), Kind.DELETE: Digest(1, 0)}


@pytest.fixture
def approvals(database: Database, clock: HandClock) -> Approvals:
    return Approvals(database, clock)


def test_an_approval_waits_for_its_job_alone(approvals: Approvals) -> None:
    approvals.give("people", "run1", DELETES)

    assert approvals.pending("people") == Approval("people", "run1", DELETES, NOON)
    assert approvals.pending("orders") is None


def test_the_latest_approval_takes_the_place_of_an_older_one(approvals: Approvals, clock: HandClock) -> None:
    approvals.give("people", "run1", DELETES)
    clock.move(60)
    approvals.give("people", "run2", UPDATES)

    pending = approvals.pending("people")
    assert pending is not None
    assert (pending.run, pending.digests, pending.approved_at) == ("run2", UPDATES, clock.now)


def test_two_people_may_approve_at_once_and_one_of_them_stands(approvals: Approvals) -> None:
    start = threading.Barrier(8)

    def give(number: int) -> None:
        start.wait()
        approvals.give("people", f"run{number}", {Kind.DELETE: Digest(number, number)})

    threads = [threading.Thread(target=give, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    pending = approvals.pending("people")
    assert pending is not None
    assert f"run{pending.digests[Kind.DELETE].number}" == pending.run


def test_the_end_of_a_run_uses_up_the_approval_it_carried_and_no_other(
    approvals: Approvals, database: Database, clock: HandClock
) -> None:
    runs = RunStore(database, clock)
    approvals.give("people", "run1", DELETES)
    approvals.give("orders", "run9", DELETES)
    first, second, third = (runs.begin("people", trigger=Trigger.MANUAL, revision="r1") for _ in range(3))

    runs.finish(first, a_result())
    assert approvals.pending("people") is not None
    runs.finish(second, a_result(), spends="run1")
    assert approvals.pending("people") is None
    assert approvals.pending("orders") is not None

    approvals.give("people", "run2", UPDATES)  # while the third run, under the older approval, goes on
    runs.finish(third, a_result(), spends="run1")
    assert approvals.pending("people") is not None


def test_a_run_that_was_over_before_uses_up_nothing(approvals: Approvals, database: Database, clock: HandClock) -> None:
    runs = RunStore(database, clock)
    approvals.give("people", "run1", DELETES)
    run = runs.begin("people", trigger=Trigger.MANUAL, revision="r1")
    runs.finish(run, a_result())

    assert not runs.finish(run, a_result(), spends="run1")
    assert approvals.pending("people") is not None


def test_plans_are_compared_by_key_and_mark() -> None:
    saved = [("a", "delete a", b"1"), ("b", "delete b", b"2"), ("c", "update c", b"3"), ("d", "create d", b"4")]
    now = [("b", "delete b", b"2"), ("c", "update c", b"9"), *[(f"e{n}", f"create e{n}", b"5") for n in range(5)]]

    difference = compare(saved=saved, now=now)

    assert difference == Difference(
        5, ("create e0", "create e1", "create e2"), 2, ("delete a", "create d"), 1, ("update c",)
    )
    assert str(difference) == (
        "5 planned now and not saved (create e0, create e1, create e2, …); "
        "2 saved and not planned any more (delete a, create d); 1 planned otherwise than saved (update c)"
    )
    assert str(compare(saved=now, now=now)) == ""
