"""What the target refuses for its order is tried again once the rest is through."""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from daemon.endpoints.memory import MemoryTarget
from daemon.errors import ConflictError, RefusedError, StaleError, UnavailableError, UnknownError
from daemon.spec import Job, Mode
from daemon.sync.change import AGAIN, Change, Kind
from daemon.sync.events import TriedAgain
from daemon.sync.outcome import Ending, Result
from daemon.sync.ports import Written
from daemon.sync.rounds import ROUNDS
from tests.unit.sync.harness import Bench, job, person


class Strict(MemoryTarget):
    """Wants e-mails to be unique and managers to be there; counts what it is asked."""

    def __init__(self, **ways: Any) -> None:
        super().__init__(match="no", **ways)
        self.asked: list[tuple[str, str, str]] = []
        """Kind, key and idempotency key of every write that arrived."""
        self.refuses: set[str] = set()
        self.status = 422
        self.loses: set[str] = set()

    def create(self, change: Change) -> Written:
        self._check(change)
        written = super().create(change)
        if change.key in self.loses:
            raise UnknownError("the answer was lost")
        return written

    def update(self, change: Change) -> Written:
        self._check(change)
        return super().update(change)

    def delete(self, change: Change) -> None:
        self.asked.append(("delete", change.key, change.idempotency_key))
        if any(record.get("manager") == change.key for record in self.records.values()):
            raise RefusedError("others report to them", status=409)
        super().delete(change)

    def _check(self, change: Change) -> None:
        self.asked.append((change.kind.value, change.key, change.idempotency_key))
        if change.key in self.refuses:
            raise RefusedError("refused", status=self.status)
        document = change.document or {}
        holders = {record["email"]: record["no"] for record in self.records.values()}
        if holders.get(document["email"], change.key) != change.key:
            raise ConflictError(f"e-mail {document['email']} is taken", status=409)
        manager = document.get("manager")
        if manager and manager not in {record["no"] for record in self.records.values()}:
            raise RefusedError(f"there is no {manager}", status=422)


def bench(*records: dict[str, Any], target: Strict | None = None) -> Bench:
    spec = job(
        map={"no": "record.no", "name": "record.name", "email": "record.email", "manager": "record.manager"},
        guards={"deletes": "100%", "updates": "100%"},
    )
    made = Bench(spec, target=target or Strict())
    made.source.records = list(records)
    return made


def one(number: int, email: str | None = None, manager: int | None = None) -> dict[str, Any]:
    record = {"no": f"E{number}", "name": f"Name {number}", "email": email or f"p{number}@example.test"}
    return record if manager is None else {**record, "manager": f"E{manager}"}


def with_guards(bench: Bench) -> Job:
    return bench.job.model_copy(update={"guards": job(guards={"updates": "50%"}).guards})


def strict(bench: Bench) -> Strict:
    assert isinstance(bench.target, Strict)
    return bench.target


def it_is_equal(bench: Bench) -> None:
    assert bench.documents() == {record["no"]: record for record in bench.source.records}
    strict(bench).asked.clear()
    bench.run()
    assert strict(bench).asked == []


@pytest.mark.edge(33)
@pytest.mark.parametrize("slice_changes", [2, 50_000])
def test_a_chain_of_managers_in_the_worst_order_is_made_in_one_run(slice_changes: int) -> None:
    desk = bench(*(one(number, manager=number + 1) for number in range(5)), one(5))

    result = desk.run(slice_changes=slice_changes)

    assert (result.ending, result.counts.created, result.counts.rejected) == (Ending.DONE, 6, 0)
    assert desk.state.rejects == {}
    it_is_equal(desk)


def test_what_waits_for_a_record_of_a_later_slice_is_tried_at_the_end() -> None:
    desk = bench(one(0, manager=20), *(one(number) for number in range(1, 21)))
    desk.job = desk.job.model_copy(update={"mode": Mode.UPSERT})

    result = desk.run(slice_changes=1)

    assert (result.ending, result.counts.created) == (Ending.DONE, 21)
    assert [key for _, key, _ in strict(desk).asked].count("E0") == 3


def test_a_value_goes_on_from_hand_to_hand_in_the_wrong_order() -> None:
    desk = bench(one(0, "a@x"), one(1, "b@x"), one(2, "c@x"))
    desk.run()
    desk.source.records = [one(0, "b@x"), one(1, "c@x"), one(2, "d@x")]

    result = desk.run()

    assert (result.ending, result.counts.updated) == (Ending.DONE, 3)
    it_is_equal(desk)


def test_a_new_record_may_take_the_value_of_a_deleted_one() -> None:
    desk = bench(one(0, "a@x"), one(1))
    desk.run()
    desk.source.records = [one(1), one(2, "a@x")]

    result = desk.run()

    assert (result.ending, result.counts.created, result.counts.deleted) == (Ending.DONE, 1, 1)
    it_is_equal(desk)


def test_the_childs_delete_lets_the_parents_through() -> None:
    others = [one(number) for number in range(2, 9)]
    desk = bench(one(0), one(1, manager=0), *others)
    desk.run()
    desk.source.records = others

    result = desk.run()

    assert (result.ending, result.counts.deleted, result.counts.deletes_rejected) == (Ending.DONE, 2, 0)
    it_is_equal(desk)


@pytest.mark.edge(33)
def test_two_that_swap_a_unique_value_stay_rejects_and_say_why() -> None:
    desk = bench(one(0, "a@x"), one(1, "b@x"), one(2))
    desk.run()
    desk.source.records = [one(0, "b@x"), one(1, "a@x"), person(2, name="Other", email="p2@example.test")]

    result = desk.run()

    assert (result.ending, result.counts.updated, result.counts.rejected) == (Ending.REJECTED, 1, 2)
    assert {key: reject.reason for key, reject in desk.state.rejects.items()} == {
        "E0": "e-mail b@x is taken",
        "E1": "e-mail a@x is taken",
    }


def test_a_target_that_refuses_everything_is_not_asked_twice() -> None:
    target = Strict()
    target.refuses = {f"E{number}" for number in range(8)}
    desk = bench(*(one(number) for number in range(8)), target=target)

    result = desk.run()

    assert result.counts.rejected == 8
    assert len(target.asked) == 8


def test_one_that_is_refused_for_good_costs_one_request_more() -> None:
    target = Strict()
    target.refuses = {"E3"}
    desk = bench(*(one(number) for number in range(8)), target=target)

    desk.run()

    assert [key for _, key, _ in target.asked].count("E3") == 2
    assert len(target.asked) == 9


@pytest.mark.parametrize("status", [401, 403, 405, 413, 451])
def test_what_no_order_explains_is_not_tried_again(status: int) -> None:
    target = Strict()
    target.refuses, target.status = {"E3"}, status
    desk = bench(*(one(number) for number in range(8)), target=target)

    desk.run()

    assert [key for _, key, _ in target.asked].count("E3") == 1


def test_when_nothing_fails_nothing_is_asked_twice() -> None:
    desk = bench(*(one(number) for number in range(8)))

    desk.run(slice_changes=2)

    assert len(strict(desk).asked) == 8
    assert not any(isinstance(event, TriedAgain) for event in desk.events)


def test_a_refusal_and_its_repetition_have_keys_of_their_own() -> None:
    desk = bench(one(0, manager=1), one(1))

    desk.run()

    assert [name for _, key, name in strict(desk).asked if key == "E0"] == ["run1-1", "run1-1.2"]


def test_a_lost_answer_is_never_part_of_it() -> None:
    target = Strict(lists=False, looks_up=False)
    target.loses = {"E0"}
    desk = bench(one(0), one(1), one(2, manager=3), one(3), target=target)

    result = desk.run()

    assert [key for _, key, _ in target.asked] == ["E0", "E1", "E2", "E3", "E2"]
    assert list(desk.state.rejects) == ["E0"]
    assert result.counts.rejected == 1


def test_a_key_that_came_twice_is_not_written_by_it() -> None:
    records = [one(0, manager=9), *(one(number) for number in range(1, 7)), one(0, manager=8), one(9)]
    desk = bench(*records)

    result = desk.run(slice_changes=1)
    twice = [key for _, key, _ in strict(desk).asked].count("E0")

    # Its first refusal was answered before the second record was met, so only the rounds of its own slice tried it.
    assert (result.counts.rejected, twice) == (2, 2)
    assert "E0" not in desk.documents()


def test_rounds_are_bounded() -> None:
    length = ROUNDS + 5
    desk = bench(*(one(number, manager=number + 1) for number in range(length)), one(length))
    desk.job = desk.job.model_copy(update={"mode": Mode.UPSERT})

    result = desk.run()

    assert result.counts.rejected == length - ROUNDS
    assert desk.run().ending is Ending.DONE


def test_a_guard_that_tripped_since_is_not_passed_by() -> None:
    records = [one(number) for number in range(30)]
    desk = bench(*records)
    desk.run()
    desk.job = with_guards(desk)
    changed = [{**record, "name": "Other"} for record in records[2:]]
    desk.source.records = [one(0, manager=99), one(1), *changed, one(99)]

    result = desk.run(slice_changes=8)

    assert (result.ending, result.counts.created) == (Ending.HELD, 1)
    assert "manager" not in desk.documents()["E0"]
    assert result.counts.rejected == 1


def test_a_target_that_goes_away_in_a_round_leaves_the_rest_for_the_next_run() -> None:
    class Fading(Strict):
        def create(self, change: Change) -> Written:
            if change.idempotency_key.count(".") and len(self.asked) < 5:
                self.asked.append(("create", change.key, change.idempotency_key))
                raise UnavailableError("gone")
            return super().create(change)

    desk = bench(one(0, manager=3), one(1, manager=3), one(3), target=Fading())

    first: Result = desk.run()
    second = desk.run()

    assert (first.ending, first.counts.balanced) == (Ending.UNAVAILABLE, True)
    assert second.ending is Ending.DONE
    it_is_equal(desk)


# ---- stale links ----


class ListOnly(Strict):
    """A target that can be listed and not looked up."""

    def __init__(self, **ways: Any) -> None:
        super().__init__(looks_up=False, **ways)
        self.lists = 0
        self.hides: set[str] = set()
        """Keys that the list does not show yet."""

    def list(self) -> Iterable[Any]:  # type: ignore[override]
        self.lists += 1
        shown = dict(self.records)
        self.records = {at: record for at, record in shown.items() if record["no"] not in self.hides}
        steps = list(super().list())
        self.records = shown
        return iter(steps)


def linked(*, compare: str = "links", mode: str = "mirror", count: int = 4) -> Bench:
    made = bench(*(one(number) for number in range(count)), target=ListOnly())
    made.run()
    made.job = made.job.model_copy(update={"compare": compare, "mode": Mode(mode)})
    made.target.writes.clear()
    assert isinstance(made.target, ListOnly)
    made.target.asked.clear()
    made.target.lists = 0
    return made


def target_id(bench: Bench, key: str) -> str:
    return bench.state.links[key].target_id


def test_a_record_that_is_gone_is_made_again_after_one_look_at_the_list() -> None:
    desk = linked()
    del desk.target.records[target_id(desk, "E1")]
    del desk.target.records[target_id(desk, "E2")]
    desk.source.records[1]["name"] = desk.source.records[2]["name"] = "Other"

    result = desk.run()

    assert (result.ending, result.counts.created, result.counts.rejected) == (Ending.DONE, 2, 0)
    assert desk.target.writes == [("create", "E1"), ("create", "E2")]
    assert isinstance(desk.target, ListOnly)
    assert desk.target.lists == 1
    it_is_equal(desk)


def test_a_record_that_has_another_id_now_is_linked_and_updated() -> None:
    desk = linked()
    desk.target.records["other"] = desk.target.records.pop(target_id(desk, "E1"))
    desk.source.records[1]["name"] = "Other"

    result = desk.run()

    assert (result.ending, result.counts.updated, result.counts.rejected) == (Ending.DONE, 1, 0)
    assert target_id(desk, "E1") == "other"
    it_is_equal(desk)


@pytest.mark.edge(27, 34)
@pytest.mark.parametrize("compare", ["links", "target"])
def test_a_record_that_was_found_in_place_of_ours_is_not_ours_to_delete(compare: str) -> None:
    desk = linked(compare=compare)
    del desk.target.records[target_id(desk, "E1")]
    desk.target.records["other"] = {"no": "E1", "name": "Somebody's", "email": "s@example.test"}
    desk.source.records[1]["name"] = "Other"
    desk.run()
    assert not desk.state.links["E1"].owned
    del desk.source.records[1]

    result = desk.run()

    assert (result.counts.deleted, result.counts.kept) == (0, 1)
    assert "other" in desk.target.records


def test_what_is_made_again_in_place_of_an_adopted_record_is_ours() -> None:
    desk = linked()
    del desk.target.records[target_id(desk, "E1")]
    desk.state.links["E1"] = replace(desk.state.links["E1"], owned=False)
    desk.source.records[1]["name"] = "Other"

    desk.run()

    assert desk.state.links["E1"].owned


def test_a_job_that_only_updates_makes_nothing_again() -> None:
    desk = linked(mode="update_only")
    del desk.target.records[target_id(desk, "E1")]
    desk.source.records[1]["name"] = "Other"

    result = desk.run()

    assert (result.ending, result.counts.created, result.counts.rejected) == (Ending.REJECTED, 0, 1)


def test_two_records_for_the_key_of_a_stale_link_are_left_to_a_person() -> None:
    desk = linked()
    record = desk.target.records.pop(target_id(desk, "E1"))
    desk.target.records["x"], desk.target.records["y"] = dict(record), {**record, "email": "other@x"}
    desk.source.records[1]["name"] = "Other"

    result = desk.run()

    assert (result.counts.rejected, desk.target.writes) == (1, [])
    assert desk.state.rejects["E1"].status == 404


def test_a_list_that_still_shows_what_is_gone_mends_nothing() -> None:
    class Late(ListOnly):
        def update(self, change: Change) -> Written:
            self.asked.append(("update", change.key, change.idempotency_key))
            raise StaleError("gone", status=404)

    desk = linked()
    late = Late()
    late.records = desk.target.records
    desk.target = late
    desk.source.records[1]["name"] = "Other"

    result = desk.run()

    assert (result.counts.rejected, len(late.asked), late.lists) == (1, 1, 1)


def test_a_list_that_breaks_off_mends_nothing_and_ends_nothing() -> None:
    class Broken(ListOnly):
        def list(self) -> Iterable[Any]:  # type: ignore[override]
            raise RefusedError("forbidden", status=403)

    desk = linked()
    broken = Broken()
    broken.records = desk.target.records
    desk.target = broken
    del desk.target.records[target_id(desk, "E1")]
    desk.source.records[1]["name"] = desk.source.records[2]["name"] = "Other"

    result = desk.run()

    assert (result.ending, result.counts.updated, result.counts.rejected) == (Ending.REJECTED, 1, 1)


# ---- lists that lag ----


@pytest.mark.edge(31)
@pytest.mark.parametrize("compare", ["links", "target"])
def test_a_record_that_the_list_does_not_show_yet_is_not_made_again(compare: str) -> None:
    desk = linked(compare=compare)
    assert isinstance(desk.target, ListOnly)
    desk.target.hides = {"E1", "E2"}
    desk.source.records[2]["name"] = "Other"

    result = desk.run()

    assert result.ending is Ending.DONE
    assert {kind for kind, _ in desk.target.writes} == {"update"}
    assert len(desk.target.records) == 4
    desk.target.hides = set()
    it_is_equal(desk)


def test_a_record_that_the_list_does_not_show_and_that_is_gone_is_made_again() -> None:
    desk = linked(compare="target")
    del desk.target.records[target_id(desk, "E1")]

    result = desk.run()

    assert (result.ending, result.counts.created) == (Ending.DONE, 1)
    it_is_equal(desk)


@pytest.mark.edge(31, 36)
@pytest.mark.parametrize("mode", ["create_only", "append"])
def test_modes_that_never_update_leave_what_the_list_does_not_show(mode: str) -> None:
    desk = linked(compare="target", mode=mode)
    assert isinstance(desk.target, ListOnly)
    desk.target.hides = {"E1"}

    result = desk.run()

    assert (desk.target.asked, result.counts.skipped) == ([], 4)


def test_with_a_look_up_it_is_asked_before_it_is_believed() -> None:
    class Lagging(ListOnly):
        @property
        def can_lookup(self) -> bool:
            return True

    made = bench(*(one(number) for number in range(4)), target=Lagging())
    made.run()
    made.job = made.job.model_copy(update={"compare": "target"})
    assert isinstance(made.target, ListOnly)
    made.target.hides = {"E1"}
    made.target.asked.clear()
    del made.target.records[target_id(made, "E2")]

    result = made.run()

    assert [(kind, key) for kind, key, _ in made.target.asked] == [("create", "E2")]
    assert result.counts.unchanged == 3


def test_it_is_read_by_its_id_where_that_is_declared() -> None:
    desk = linked(compare="target")
    getting = ListOnly(gets=True)
    getting.records = desk.target.records
    desk.target = getting
    getting.hides = {"E1"}
    del getting.records[target_id(desk, "E2")]
    getting._ids = itertools.count(100)

    result = desk.run()

    assert [(kind, key) for kind, key, _ in getting.asked] == [("create", "E2")]
    assert result.counts.unchanged == 3


def test_a_link_whose_record_the_list_lacks_is_counted_by_the_updates_guard() -> None:
    desk = linked(compare="target", count=30)
    assert isinstance(desk.target, ListOnly)
    desk.job = with_guards(desk)
    desk.target.hides = {f"E{number}" for number in range(20)}

    result = desk.run()

    assert (result.ending, result.counts.withheld, desk.target.asked) == (Ending.HELD, 20, [])


def test_every_kind_of_change_has_its_statuses() -> None:
    assert set(AGAIN) == set(Kind)
