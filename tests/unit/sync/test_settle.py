"""A target that is behind: what it does not show yet is neither made again nor taken for gone, for `target.settle`."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from daemon.endpoints.memory import MemoryTarget
from daemon.errors import ConflictError, GoneError, RefusedError, StaleError, UnavailableError, UnknownError
from daemon.sync.certificate import End
from daemon.sync.change import Change, Fate
from daemon.sync.guards import Allowance
from daemon.sync.outcome import Ending
from daemon.sync.ports import Accepted, TargetRecord, Written
from daemon.values import Document
from tests.unit.sync.harness import JOB, Bench, job, person

SETTLE = timedelta(seconds=30)


class Behind(MemoryTarget):
    """Shows new records in lists and look-ups only after a while, takes doubles without a word, and loses answers."""

    def __init__(self, **ways: Any) -> None:
        super().__init__(match="no", **ways)
        self.hidden: set[str] = set()
        """Ids that no list and no look-up shows."""
        self.lag = True
        self.loses: list[str] = []
        """Keys of the next creates whose answers are lost."""
        self.never_came: list[str] = []
        """Keys of the next creates that are lost on their way."""
        self.refuses: dict[str, Exception] = {}
        self.deletes_sent: list[str] = []

    def catch_up(self) -> None:
        """Show everything."""
        self.hidden.clear()

    def create(self, change: Change) -> Written:
        if change.key in self.refuses:
            raise self.refuses[change.key]
        if change.key in self.never_came:
            self.never_came.remove(change.key)
            raise UnknownError("cut on the way")
        shown, self.records = self.records, {}
        try:
            written = super().create(change)
        finally:
            self.records = {**shown, **self.records}
        if self.lag and written.id is not None:
            self.hidden.add(written.id)
        if change.key in self.loses:
            self.loses.remove(change.key)
            raise UnknownError("the answer was cut")
        return written

    def delete(self, change: Change) -> Accepted | None:
        self.deletes_sent.append(change.key)
        return super().delete(change)

    def list(self) -> Iterator[tuple[TargetRecord, ...] | End]:
        for step in super().list():
            yield step if isinstance(step, End) else tuple(one for one in step if one.id not in self.hidden)

    def lookup(self, key: str, document: Document) -> tuple[TargetRecord, ...]:
        return tuple(one for one in super().lookup(key, document) if one.id not in self.hidden)


def spec(*, settle: str = "30s", **changes: Any) -> Any:
    target = {**JOB["target"], **changes.pop("target", {}), "settle": settle}
    return job(target=target, guards={"deletes": "100%", "updates": "100%"}, **changes)


def bench_of(target: Behind, *, settle: str = "30s", **changes: Any) -> Bench:
    """Return a bench in step, whose target has shown everything."""
    bench = Bench(spec(settle=settle, **changes), target=target)
    bench.source.records = [person(number) for number in range(5)]
    assert bench.run().ending is Ending.DONE
    target.catch_up()
    target.writes.clear()
    bench.state.now += timedelta(hours=1)
    return bench


def killed_after_a_create(bench: Bench) -> None:
    """Leave the journal as a run does that is killed when its create was taken, before the answer was committed."""

    def kill(_: object) -> None:
        raise KeyboardInterrupt

    assert isinstance(bench.target, Behind)
    bench.target.loses = ["E9"]
    taken = bench.target.create

    def create(change: Change) -> Written:
        try:
            return taken(change)
        except UnknownError:
            raise KeyboardInterrupt from None

    bench.target.create = create  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    del bench.target.create


WAYS = pytest.mark.parametrize("ways", [{"lists": False}, {"looks_up": False}, {}], ids=["look-up", "list", "both"])


# ---- a create whose answer was lost -------------------------------------------------------------------------------


@WAYS
def test_a_lost_create_that_the_target_does_not_show_yet_is_not_made_again(ways: dict[str, bool]) -> None:
    target = Behind(**ways)
    bench = bench_of(target)
    bench.source.records.append(person(9))
    target.loses = ["E9"]

    first = bench.run()
    bench.state.now += timedelta(seconds=29)
    second = bench.run()
    target.catch_up()
    bench.state.now += timedelta(seconds=1)
    third = bench.run()

    assert [one.ending for one in (first, second, third)] == [Ending.REJECTED, Ending.REJECTED, Ending.DONE]
    assert target.writes == [("create", "E9")]
    assert bench.is_in_step()
    assert bench.state.rejects == {}
    assert bench.state.links["E9"].owned


@WAYS
def test_a_run_that_was_killed_in_its_create_leaves_it_unknown_until_the_target_has_settled(
    ways: dict[str, bool],
) -> None:
    target = Behind(**ways)
    bench = bench_of(target)
    bench.source.records.append(person(9))
    killed_after_a_create(bench)

    bench.run()
    bench.state.now += timedelta(seconds=30)
    target.catch_up()
    bench.run()

    assert target.writes == [("create", "E9")]
    assert bench.is_in_step()


def test_what_the_target_shows_is_believed_at_once() -> None:
    target = Behind()
    bench = bench_of(target)
    bench.source.records.append(person(9))
    target.loses = ["E9"]
    target.lag = False

    result = bench.run()

    assert result.ending is Ending.DONE
    assert target.writes == [("create", "E9")]
    assert bench.is_in_step()


@WAYS
def test_a_create_that_never_came_is_made_once_the_target_has_settled(ways: dict[str, bool]) -> None:
    target = Behind(**ways)
    bench = bench_of(target)
    bench.source.records.append(person(9))
    target.never_came = ["E9"]

    endings = []
    for _ in range(4):
        endings.append(bench.run().ending)
        bench.state.now += timedelta(seconds=10)

    assert endings == [Ending.REJECTED] * 3 + [Ending.DONE]
    assert target.writes == [("create", "E9")]


def test_without_settle_what_the_target_does_not_show_counts_as_not_there() -> None:
    target = Behind(lists=False)
    bench = bench_of(target, settle="0s")
    bench.source.records.append(person(9))
    target.loses = ["E9"]

    bench.run()

    assert target.writes == [("create", "E9"), ("create", "E9")]


def test_a_create_that_is_not_cleared_up_yet_is_told_as_such() -> None:
    target = Behind()
    bench = bench_of(target)
    bench.source.records.append(person(9))
    target.loses = ["E9"]

    bench.run()
    in_the_run = bench.state.rejects["E9"].reason
    bench.run()
    in_the_next = bench.state.rejects["E9"].reason

    assert in_the_run.startswith("the answer was cut; the answer to this create was lost; looked up: ")
    assert in_the_next.startswith("the answer to this create was lost; looked up: ")
    for reason in (in_the_run, in_the_next):
        assert "may not yet (target.settle)" in reason


def test_a_create_that_is_sent_again_and_lost_again_grows_young_again() -> None:
    target = Behind(lists=False, idempotent=True)
    bench = bench_of(target)
    bench.source.records.append(person(9))
    target.refuses = {"E9": UnknownError("cut")}
    bench.run()
    bench.state.now += timedelta(seconds=40)
    bench.run()
    bench.state.now += timedelta(seconds=10)
    target.refuses = {"E9": ConflictError("the key was used", status=409)}

    bench.run()

    (change,) = [one for one in bench.state.changes.values() if one.key == "E9"]
    assert change.fate is Fate.UNKNOWN


def test_a_conflict_under_its_idempotency_key_is_believed_once_the_target_has_settled() -> None:
    target = Behind(lists=False, idempotent=True)
    bench = bench_of(target)
    bench.source.records.append(person(9))
    target.refuses = {"E9": UnknownError("cut")}
    bench.run()
    target.refuses = {"E9": ConflictError("the key was used", status=409)}

    for _ in range(3):
        bench.state.now += timedelta(seconds=10)
        bench.run()

    fates = [one.fate for one in bench.state.changes.values() if one.key == "E9"]
    assert fates == [Fate.DROPPED, Fate.FAILED]


def test_a_server_error_under_its_idempotency_key_may_have_made_the_record_just_now() -> None:
    target = Behind(lists=False, idempotent=True)
    bench = bench_of(target)
    bench.source.records.append(person(9))
    target.refuses = {"E9": UnknownError("cut")}
    bench.run()
    target.refuses = {"E9": RefusedError("oops", status=500)}

    for _ in range(5):
        bench.state.now += timedelta(seconds=40)
        bench.run()

    (change,) = [one for one in bench.state.changes.values() if one.key == "E9"]
    assert change.fate is Fate.UNKNOWN


# ---- a linked record -----------------------------------------------------------------------------------------------


@WAYS
@pytest.mark.parametrize("name", ["Name 9", "Renamed"])
def test_a_linked_record_that_the_list_does_not_show_yet_is_compared_with_what_was_sent(
    ways: dict[str, bool], name: str
) -> None:
    target = Behind(**{**ways, "lists": True})
    bench = bench_of(target, compare="target")
    bench.source.records.append(person(9))
    bench.run()
    bench.source.records[-1] = person(9, name=name)
    bench.state.now += timedelta(seconds=29)

    result = bench.run()

    assert result.ending is Ending.DONE
    assert target.writes == [("create", "E9"), ("update", "E9")][: 1 + (name != "Name 9")]
    assert bench.is_in_step()


def test_a_linked_record_that_is_still_not_shown_once_the_target_has_settled_is_gone() -> None:
    target = Behind()
    bench = bench_of(target, compare="target")
    target.records.pop("1")

    result = bench.run()

    assert result.counts.created == 1
    assert bench.is_in_step()


def test_a_plan_does_not_take_for_gone_what_the_target_does_not_show_yet() -> None:
    target = Behind()
    bench = bench_of(target, compare="target")
    bench.source.records.append(person(9))
    bench.run()

    planned = bench.run(writes=False)

    assert planned.counts.unchanged == 6
    assert planned.counts.pending == 0


def missing(change: Change) -> Written:
    raise GoneError(f"{change.key}: there is no such record", status=404)


@WAYS
def test_an_update_that_a_lagging_target_answers_with_404_makes_no_second_record(ways: dict[str, bool]) -> None:
    target = Behind(**ways)
    bench = bench_of(target)
    bench.source.records.append(person(9))
    bench.run()
    bench.source.records[-1] = person(9, name="Renamed")
    target.update = missing  # type: ignore[method-assign]

    refused = bench.run()
    del target.update
    target.catch_up()
    bench.state.now += SETTLE
    mended = bench.run()

    assert (refused.ending, mended.ending) == (Ending.REJECTED, Ending.DONE)
    assert target.writes == [("create", "E9"), ("update", "E9")]
    assert bench.is_in_step()


def test_the_create_that_stood_in_for_an_update_is_not_made_again_either() -> None:
    target = Behind(lists=False)
    bench = bench_of(target)
    target.records.pop("1")
    bench.source.records[0] = person(0, name="Renamed")
    target.loses = ["E0"]

    for number in range(6):
        bench.run()
        bench.state.now += timedelta(seconds=7)
        if number == 4:
            target.catch_up()

    assert target.writes == [("create", "E0")]
    assert bench.is_in_step()


# ---- deletes -------------------------------------------------------------------------------------------------------


def lost(change: Change) -> Accepted | None:
    raise UnknownError(f"{change.key}: cut on the way")


@WAYS
def test_a_delete_is_not_taken_for_made_because_its_record_is_not_shown_yet(ways: dict[str, bool]) -> None:
    target = Behind(**ways)
    bench = bench_of(target)
    bench.source.records.append(person(9))
    bench.run()
    del bench.source.records[-1]
    target.delete = lost  # type: ignore[method-assign]
    bench.run(allowance=Allowance(deletes=1))
    del target.delete

    bench.run(allowance=Allowance(deletes=1))

    assert target.deletes_sent == ["E9"]
    assert bench.is_in_step()


def test_a_delete_that_was_refused_is_not_taken_for_made_because_its_record_cannot_be_read_yet() -> None:
    target = Behind(gets=True)
    bench = bench_of(target)
    bench.source.records.append(person(9))
    bench.run()
    del bench.source.records[-1]

    def moved_on(change: Change) -> Accepted | None:
        raise StaleError(f"{change.key}: it moved on", status=412)

    target.delete = moved_on  # type: ignore[method-assign]
    target.get = lambda *_: None  # type: ignore[method-assign]
    refused = bench.run(allowance=Allowance(deletes=1))
    del target.delete, target.get
    mended = bench.run(allowance=Allowance(deletes=1))

    assert (refused.ending, mended.ending) == (Ending.REJECTED, Ending.DONE)
    assert bench.is_in_step()


def test_an_outage_leaves_the_change_as_old_as_it_was() -> None:
    target = Behind(lists=False)
    bench = bench_of(target)
    bench.source.records.append(person(9))
    target.never_came = ["E9"]
    bench.run()
    looked = target.lookup

    def away(key: str, document: Document) -> Any:
        raise UnavailableError("down")

    target.lookup = away  # type: ignore[method-assign]
    bench.state.now += timedelta(seconds=20)
    bench.run()
    target.lookup = looked  # type: ignore[method-assign]
    bench.state.now += timedelta(seconds=10)

    assert bench.run().ending is Ending.DONE
    assert target.writes == [("create", "E9")]
