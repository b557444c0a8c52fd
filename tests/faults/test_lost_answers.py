"""Answers that were lost, and people who did something before the next run. Each was a fault once."""

from dataclasses import replace
from typing import Any

import pytest

from daemon.endpoints.memory import MemoryTarget
from daemon.errors import RefusedError, UnknownError
from daemon.sync.change import Change, Fate
from daemon.sync.guards import Allowance
from daemon.sync.outcome import Ending
from daemon.sync.ports import Written
from tests.unit.sync.harness import Bench, job, people, person


class Desk(MemoryTarget):
    """Loses the answers to some writes once, and refuses some records."""

    def __init__(self, **ways: Any) -> None:
        super().__init__(match="no", **ways)
        self.loses: set[tuple[str, str]] = set()
        """Kind of request and key."""
        self.refuses: dict[str, int] = {}

    def create(self, change: Change) -> Written:
        self._refuse(change)
        return self._answer("create", change, super().create(change))

    def update(self, change: Change) -> Written:
        self._refuse(change)
        return self._answer("update", change, super().update(change))

    def delete(self, change: Change) -> None:
        super().delete(change)
        self._answer("delete", change, Written(None))

    def _refuse(self, change: Change) -> None:
        if change.key in self.refuses:
            raise RefusedError("refused", status=self.refuses[change.key])

    def _answer(self, kind: str, change: Change, written: Written) -> Written:
        if (kind, change.key) in self.loses:
            self.loses.remove((kind, change.key))
            raise UnknownError("the answer was lost")
        return written


def filled(desk: Desk, count: int = 30) -> Bench:
    bench = Bench(target=desk)
    bench.source.records = people(range(count))
    assert bench.run().ending is Ending.DONE
    desk.writes.clear()
    return bench


def put_by_hand(desk: Desk, number: int, **fields: Any) -> None:
    desk.records[f"by hand {number}"] = {"no": f"E{number}", **fields}


def test_an_update_that_nobody_answered_is_undone_when_the_source_goes_back() -> None:
    desk = Desk()
    bench = filled(desk)
    desk.loses = {("update", "E4")}
    bench.source.records[4] = person(4, name="Mistake")
    bench.run()
    bench.source.records[4] = person(4)

    bench.run()

    assert bench.is_in_step()


def test_a_delete_that_nobody_answered_is_made_good_when_the_record_comes_back() -> None:
    desk = Desk()
    bench = filled(desk)
    desk.loses = {("delete", "E4")}
    bench.source.records = [one for one in people(range(30)) if one["no"] != "E4"]
    bench.run()
    bench.source.records = people(range(30))

    bench.run()

    assert bench.is_in_step()


def test_a_target_that_can_only_be_listed_is_listed_to_see_whether_a_delete_was_made() -> None:
    desk = Desk(looks_up=False)
    bench = filled(desk)
    desk.loses = {("delete", "E4")}
    bench.source.records = [one for one in people(range(30)) if one["no"] != "E4"]
    bench.run()
    bench.source.records = people(range(30))

    result = bench.run()

    assert (result.ending, result.counts.created) == (Ending.DONE, 1)
    assert bench.is_in_step()


def test_a_record_made_again_for_a_stale_link_is_looked_up_and_not_doubled() -> None:
    desk = Desk()
    bench = filled(desk)
    del desk.records[bench.state.links["E4"].target_id]
    bench.source.records[4] = person(4, name="Other")
    desk.loses = {("create", "E4")}

    result = bench.run()

    assert result.ending is Ending.DONE
    assert desk.writes == [("create", "E4")]
    assert bench.is_in_step()


WAYS = [
    pytest.param({"lists": False}, id="look-up"),
    pytest.param({"lists": False, "idempotent": True}, id="look-up and key"),
    pytest.param({"lists": False, "replaces": True, "gets": True}, id="look-up, PUT"),
    pytest.param({"looks_up": False}, id="list"),
    pytest.param({"looks_up": False, "idempotent": True}, id="list and key"),
    pytest.param({"looks_up": False, "replaces": True, "gets": True}, id="list, PUT"),
]


class DiedError(BaseException):
    """The process is gone."""


@pytest.mark.edge(27, 42)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("leaves", [True, False], ids=["and leaves at once", "and leaves later"])
def test_a_record_made_again_by_a_process_that_died_is_ours_to_delete(way: dict[str, Any], leaves: bool) -> None:
    class Mortal(Desk):
        """Makes the record; then the process that asked for it dies."""

        dies = False

        def create(self, change: Change) -> Written:
            written = super().create(change)
            if self.dies:
                raise DiedError
            return written

    desk = Mortal(**way)
    bench = filled(desk)
    del desk.records[bench.state.links["E4"].target_id]
    bench.source.records[4] = person(4, name="Other")
    desk.dies = True
    with pytest.raises(DiedError):
        bench.run()
    desk.dies = False
    if not leaves:
        assert bench.run().ending is Ending.DONE
        assert bench.is_in_step()
        assert bench.state.links["E4"].owned
    bench.source.records = [one for one in people(range(30)) if one["no"] != "E4"]

    result = bench.run()

    assert (result.ending, result.counts.deleted, result.counts.kept) == (Ending.DONE, 1, 0)
    assert desk.writes.count(("create", "E4")) == 1
    assert bench.is_in_step()


@pytest.mark.parametrize("way", WAYS)
def test_a_record_is_made_again_as_a_create_of_the_journal(way: dict[str, Any]) -> None:
    class Watched(Desk):
        """Looks into the journal when a create arrives."""

        rows: tuple[tuple[str, Fate, str], ...] = ()

        def create(self, change: Change) -> Written:
            if self.state is not None:
                self.rows += tuple(
                    (one.kind.value, one.fate, one.idempotency_key)
                    for one in self.state.changes.values()
                    if one.idempotency_key == change.idempotency_key
                )
            return super().create(change)

        state: Any = None

    desk = Watched(**way)
    bench = filled(desk)
    desk.state = bench.state
    del desk.records[bench.state.links["E4"].target_id]
    bench.source.records[4] = person(4, name="Other")

    result = bench.run()

    assert [(kind, fate) for kind, fate, _ in desk.rows] == [("create", Fate.SENT)]
    assert (result.counts.created, result.counts.updated, result.counts.rejected) == (1, 0, 0)
    assert bench.is_in_step()


def test_a_stale_link_of_a_target_that_cannot_be_asked_is_a_reject_with_its_cure() -> None:
    desk = Desk(lists=False, looks_up=False)
    bench = filled(desk)
    del desk.records[bench.state.links["E4"].target_id]
    bench.source.records[4] = person(4, name="Other")

    result = bench.run()

    assert result.ending is Ending.REJECTED
    assert desk.writes == []
    assert "declare target.lookup" in bench.state.rejects["E4"].reason


def test_a_target_that_can_only_be_listed_is_listed_before_a_new_record_is_created() -> None:
    desk = Desk(looks_up=False)
    bench = filled(desk)
    put_by_hand(desk, 90, name="Mine", email="p90@example.test")
    bench.source.records.append(person(90))

    result = bench.run()

    assert desk.writes == [("update", "E90")]
    assert result.counts.adopted == 1


def test_records_that_a_guard_kept_from_being_adopted_are_not_doubled_by_the_next_run() -> None:
    desk = Desk(looks_up=False)
    bench = Bench(target=desk)
    for number in range(20):
        put_by_hand(desk, number, name="Old", email="")
    bench.source.records = people(range(25))

    held = bench.run()
    result = bench.run(allowance=Allowance(updates=20))

    assert (held.ending, held.counts.created, held.counts.withheld) == (Ending.HELD, 5, 20)
    assert (result.ending, result.counts.updated, result.counts.adopted) == (Ending.DONE, 20, 20)
    assert bench.is_in_step()


@pytest.mark.edge(25)
def test_an_adoption_that_nobody_answered_is_tried_again_and_the_record_stays_somebody_elses() -> None:
    class Late(Desk):
        """Gets a record by hand between the look-up and the create."""

        def create(self, change: Change) -> Written:
            if change.key == "E3" and "by hand 3" not in self.records:
                put_by_hand(self, 3, name="Mine")
            return super().create(change)

    desk = Late()
    bench = Bench(target=desk)
    bench.source.records = people(range(10))
    desk.loses = {("update", "E3")}

    first = bench.run()
    second = bench.run()

    assert (first.ending, second.ending) == (Ending.REJECTED, Ending.DONE)
    assert bench.is_in_step()
    assert not bench.state.links["E3"].owned


def test_what_was_created_and_then_changed_by_hand_is_brought_in_step_after_a_crash() -> None:
    desk = Desk()
    bench = filled(desk)
    as_sent(bench, "E3", desk)
    target_id = next(one for one, record in desk.records.items() if record["no"] == "E3")
    desk.records[target_id] = {**desk.records[target_id], "name": "By hand"}

    bench.run()

    assert bench.is_in_step()
    assert bench.state.links["E3"].owned


def test_a_create_of_before_a_crash_that_the_target_refuses_does_not_block_its_record_for_ever() -> None:
    desk = Desk(idempotent=True)
    bench = filled(desk)
    as_sent(bench, "E3", desk)
    desk.records = {one: record for one, record in desk.records.items() if record["no"] != "E3"}
    desk._answers.clear()
    desk.refuses = {"E3": 422}

    result = bench.run()

    assert result.counts.rejected == 1
    assert [one.fate for one in bench.state.changes.values() if one.key == "E3"] == [Fate.DROPPED, Fate.FAILED]


def test_one_adoption_that_is_refused_after_a_crash_does_not_stop_the_job() -> None:
    desk = Desk(idempotent=True)
    bench = filled(desk)
    as_sent(bench, "E3", desk)
    desk.records = {one: record for one, record in desk.records.items() if record["no"] != "E3"}
    desk._answers.clear()
    put_by_hand(desk, 3, name="Mine")
    bench.source.records.append(person(40))

    class Stubborn(Desk):
        def update(self, change: Change) -> Written:
            raise RefusedError("this one is read only", status=403)

    desk.__class__ = Stubborn

    result = bench.run()

    assert result.ending is Ending.REJECTED
    assert (result.counts.created, result.counts.rejected) == (1, 1)


def test_a_server_error_leaves_it_open_whether_an_update_was_made() -> None:
    desk = Desk()
    bench = filled(desk)
    bench.source.records[4] = person(4, name="Mistake")
    desk.refuses = {"E4": 500}
    bench.run()
    desk.refuses = {}
    target_id = bench.state.links["E4"].target_id
    desk.records[target_id] = {**desk.records[target_id], "name": "Mistake"}
    bench.source.records[4] = person(4)

    bench.run()

    assert bench.is_in_step()


def test_a_list_that_is_not_whole_creates_nothing_where_there_is_no_other_way_to_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(looks_up=False)
    whole = desk.list
    monkeypatch.setattr(
        desk, "list", lambda: (step if isinstance(step, tuple) else replace(step, total=9) for step in whole())
    )
    bench = Bench(job(), target=desk)
    bench.source.records = people(range(5))

    result = bench.run()

    assert result.ending is Ending.FAILED
    assert desk.writes == []


def as_sent(bench: Bench, key: str, desk: Desk) -> None:
    """Make it as if the process had died after the create of this key left, before its answer was committed."""
    place = next(place for place, one in bench.state.changes.items() if one.key == key)
    bench.state.changes[place] = replace(bench.state.changes[place], fate=Fate.SENT)
    del bench.state.links[key], bench.state.documents[key]
    desk.writes.clear()


@pytest.mark.parametrize("is_made", [True, False], ids=["made", "not made"])
@pytest.mark.parametrize("is_back", [True, False], ids=["came back", "stayed away"])
def test_a_delete_that_nobody_answered_is_cleared_up_by_get_and_nothing_is_listed(is_made: bool, is_back: bool) -> None:
    class Getting(Desk):
        lists = 0

        def list(self) -> Any:
            self.lists += 1
            return super().list()

    desk = Getting(looks_up=False, gets=True)
    bench = filled(desk)
    held = desk.records[bench.state.links["E4"].target_id]
    desk.loses = {("delete", "E4")}
    bench.source.records = [one for one in people(range(30)) if one["no"] != "E4"]
    bench.run()
    if not is_made:
        desk.records[bench.state.links["E4"].target_id] = held
    bench.source.records = people(range(30)) if is_back else bench.source.records
    desk.lists = 0

    result = bench.run()

    assert result.ending is Ending.DONE
    # Where it is gone and came back, it is a new record to a target that can only be listed.
    assert desk.lists == int(is_made and is_back)
    assert bench.is_in_step()
