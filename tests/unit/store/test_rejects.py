from datetime import timedelta
from typing import Any

import pytest

from daemon.store.rejects import RejectRow, Rejects, Wish
from daemon.sync.certificate import Certificate, End
from daemon.sync.change import Fate, Kept, Kind, Outcome, Reject, Retry
from daemon.sync.counts import Counts
from daemon.sync.outcome import Ending, Result
from tests.contract.journal import a_change
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


# ---- what people ask for ----


def keep(world: SqlWorld, run: str, *rejects: Reject) -> None:
    world.journal(run).plan((), links=(), rejects=rejects, counts=Counts())


def refused(key: str, **facts: Any) -> Reject:
    usual: dict[str, Any] = {"status": 422, "kind": Kind.CREATE, "retry": Retry.RARELY, "fingerprint": b"c" * 16}
    return Reject(key, "answered with status code 422", **{**usual, **facts})


def lost(world: SqlWorld, key: str) -> None:
    """Leave a create whose answer was lost, and which nothing can clear up."""
    change = a_change(1, key=key)
    journal = world.journal("run1")
    journal.plan([change], links=(), rejects=(), counts=Counts())
    journal.commit(sent=[change], outcomes=(), counts=Counts())
    outcome = Outcome(change, Fate.UNKNOWN, reason="lost", retry=Retry.PERSON)
    journal.commit(sent=(), outcomes=[outcome], counts=Counts())


@pytest.mark.parametrize(
    ("wish", "keys"),
    [
        (Wish(), ["a", "b", "c"]),
        (Wish(retry=Retry.RARELY), ["a", "b"]),
        (Wish(status=422), ["a"]),
        (Wish(kind=Kind.DELETE), ["b"]),
        (Wish(reason="no NAME"), ["c"]),
        (Wish(reason="50%_off"), ["b"]),
        (Wish(reason="50__off"), []),
        (Wish(retry=Retry.RARELY, status=404), []),
    ],
)
def test_some_are_asked_for(world: SqlWorld, wish: Wish, keys: list[str]) -> None:
    keep(world, "run1", refused("a"), refused("b", status=403, kind=Kind.DELETE, excerpt="50%_off"))
    keep(world, "run1", Reject("c", "no name"))
    rejects = Rejects(world.database)

    assert [row.reject.key for row in rejects.list("people", 10, wish)] == keys
    assert rejects.count("people", wish) == len(keys)


def test_one_is_named_as_it_is_shown(world: SqlWorld) -> None:
    keep(world, "run1", *map(refused, ("a\x1fb", "a_b", "A/B", "x/y", "x\x1fy", "#1f")))
    rejects = Rejects(world.database)

    def named(shown: str) -> list[str]:
        return [row.reject.key for row in rejects.named("people", shown)]

    assert named("a/b") == ["a\x1fb"]
    assert named("A/B") == ["A/B"]
    assert named("x/y") == ["x/y"]
    assert named("#1f") == ["#1f"]
    assert named("a%b") == named("a") == named("aXb") == []
    assert rejects.named("teams", "a/b") == ()


def test_near_keys_are_told_as_they_are_shown(world: SqlWorld) -> None:
    keep(world, "run1", *map(refused, ("north\x1f4711", "south\x1f0815")))

    assert list(Rejects(world.database).near("people", "north/4712")) == ["north/4711"]


def test_a_reject_tells_until_when_it_rests(world: SqlWorld) -> None:
    untils = []
    for run in ("run1", "run2", "run3"):
        keep(world, run, refused("a"))
        row = Rejects(world.database).show("people", "a")
        assert row is not None
        untils.append(row.rests_until)
        world.clock.move(60)

    assert untils == [None, None, NOON + timedelta(minutes=2, days=1)]


def test_a_retry_makes_them_due_and_leaves_the_others(world: SqlWorld) -> None:
    for run in ("run1", "run2", "run3"):
        keep(world, run, refused("a"), refused("b"))

    Rejects(world.database).retry("people", ["a"])

    assert world.links().kept(["a", "b"]) == {"a": Kept(None), "b": Kept(b"c" * 16)}
    keep(world, "run4", refused("a"))
    assert world.links().kept(["a"]) == {"a": Kept(None)}


def test_a_retry_of_all_leaves_what_waits_for_a_person(world: SqlWorld) -> None:
    lost(world, "p")
    keep(world, "run2", refused("a"), refused("b"))
    rejects = Rejects(world.database)

    assert rejects.retry_all("people") == 2

    assert [row.reject.key for row in rejects.list("people", 9, Wish(retry=Retry.PERSON))] == ["p"]
    assert [change.key for change in world.journal("run3").unresolved()] == ["p"]


def test_a_person_may_give_up_a_create_whose_answer_was_lost(world: SqlWorld) -> None:
    lost(world, "p")

    Rejects(world.database).retry("people", ["p"])

    assert world.journal("run2").unresolved() == ()
    assert world.rejects()["p"][0].retry is Retry.EACH_RUN


def test_a_create_that_the_next_run_can_clear_up_is_not_given_up(world: SqlWorld) -> None:
    lost(world, "p")
    keep(world, "run2", Reject("p", "the look-up failed", kind=Kind.CREATE))

    Rejects(world.database).retry("people", ["p"])

    assert [change.key for change in world.journal("run3").unresolved()] == ["p"]


# ---- at the end of a run ----


def finish(world: SqlWorld, run: str, ending: Ending = Ending.DONE, *, complete: bool = True, days: int = 30) -> None:
    world.journal(run)
    certificate = Certificate(End("no next page", 1, 1, None) if complete else None)
    world.runs.finish(run, Result(ending, Counts(), certificate, ()), keep_rejects=timedelta(days=days))


def test_a_whole_read_settles_what_it_did_not_reject_again(world: SqlWorld) -> None:
    lost(world, "p")
    keep(world, "run1", *map(refused, ("gone", "rests", "held")))
    journal = world.journal("run2")
    journal.plan([a_change(1, key="held", run="run2")], links=(), rejects=(), rests=["rests"], counts=Counts())
    journal.withhold([Kind.CREATE], "too many", Counts())

    finish(world, "run2", Ending.HELD)

    assert set(world.rejects()) == {"p", "rests", "held"}


@pytest.mark.parametrize("ending", [Ending.FAILED, Ending.INTERRUPTED, Ending.UNAVAILABLE])
def test_a_run_that_did_not_come_to_its_end_settles_nothing(world: SqlWorld, ending: Ending) -> None:
    keep(world, "run1", refused("a"))

    finish(world, "run2", ending)

    assert set(world.rejects()) == {"a"}


def test_what_no_run_met_for_long_is_forgotten(world: SqlWorld) -> None:
    lost(world, "p")
    for run in ("run1", "run2", "run3"):
        keep(world, run, *map(refused, ("old", "rests", "new")))
    world.clock.move(86_400 * 20)
    keep(world, "run4", refused("new"))
    world.journal("run4").plan((), links=(), rejects=(), rests=["rests"], counts=Counts())
    world.clock.move(86_400 * 11)

    finish(world, "run5", complete=False)

    assert set(world.rejects()) == {"p", "rests", "new"}


def test_a_run_forgets_nothing_that_it_met_itself(world: SqlWorld) -> None:
    keep(world, "run1", refused("a"))
    world.clock.move(1)

    finish(world, "run1", complete=False, days=0)

    assert set(world.rejects()) == {"a"}


def test_a_job_without_rejects_is_asked_once_a_run(world: SqlWorld) -> None:
    links = world.links()
    assert links.kept(["a"]) == {}

    keep(world, "run1", refused("a"))

    assert links.kept(["a"]) == {}
    assert world.links().kept(["a"]) == {"a": Kept(None)}
