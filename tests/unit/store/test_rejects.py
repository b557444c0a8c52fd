from datetime import timedelta

import pytest

from daemon.store.rejects import RejectRow, Rejects
from daemon.sync.change import Kind, Reject
from daemon.sync.counts import Counts
from tests.unit.store.places import NOON, SqlWorld


@pytest.fixture
def rejects(world: SqlWorld) -> Rejects:
    for run, key in (("run1", "a"), ("run1", "b"), ("run2", "a")):
        reject = Reject(key, f"{key} in {run}", 422, "no", Kind.CREATE if key == "a" else None)
        world.journal(run).plan((), links=(), rejects=[reject], counts=Counts())
        world.clock.move(60)
    return Rejects(world.database)


def test_the_latest_come_first(rejects: Rejects) -> None:
    assert [row.reject.key for row in rejects.list("people", 10)] == ["a", "b"]
    assert [row.reject.key for row in rejects.list("people", 1)] == ["a"]
    assert rejects.list("teams", 10) == ()


def test_one_is_shown_whole(rejects: Rejects) -> None:
    reject = Reject("a", "a in run2", 422, "no", Kind.CREATE)
    assert rejects.show("people", "a") == RejectRow("people", reject, 2, NOON, NOON + timedelta(minutes=2), "run2")
    assert rejects.show("people", "none") is None


def test_they_are_counted_and_dropped(rejects: Rejects) -> None:
    assert rejects.count("people") == 2
    assert rejects.drop("people", "a")
    assert not rejects.drop("people", "a")
    assert not rejects.drop("teams", "b")
    assert rejects.count("people") == 1
