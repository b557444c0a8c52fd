"""A key that has changed is shown as what it looks like, and nothing else is done about it."""

from typing import Any

import pytest

from daemon.endpoints.memory import MemoryTarget
from daemon.errors import RefusedError, UnavailableError
from daemon.sync import key_change, remarks
from daemon.sync.change import Change
from daemon.sync.events import ReadResumed
from daemon.sync.guards import Allowance
from daemon.sync.key_change import KeyChange
from daemon.sync.mapping import JobMapping
from daemon.sync.outcome import Ending, Result
from daemon.sync.ports import Written
from tests.unit.sync.harness import Bench, job, person

ANY = Allowance(deletes=1_000)


def after_a_first_run(count: int = 10, **changes: Any) -> Bench:
    bench = Bench(job(**changes))
    bench.source.records = [person(number) for number in range(count)]
    bench.run()
    bench.target.writes.clear()
    return bench


def renamed(number: int, key: str, **fields: Any) -> dict[str, Any]:
    return {**person(number), "no": key, **fields}


def plan(bench: Bench) -> Result:
    return bench.run(writes=False, allowance=ANY)


def test_a_delete_and_a_create_that_agree_in_all_but_the_key_look_like_a_key_change() -> None:
    bench = after_a_first_run()
    bench.source.records[3] = renamed(3, "X3")

    result = plan(bench)

    assert result.key_changes == (KeyChange("E3", "X3"),)
    assert (result.counts.pending, result.counts.deletes_pending) == (1, 1)


def test_a_run_deletes_and_creates_as_it_would_without_the_remark() -> None:
    bench = after_a_first_run()
    bench.source.records[3] = renamed(3, "X3")

    result = bench.run(allowance=ANY)

    assert bench.target.writes == [("create", "X3"), ("delete", "E3")]
    assert result.key_changes == (KeyChange("E3", "X3"),)


@pytest.mark.parametrize("fields", [{"name": "Other"}, {"email": "other@x"}, {"email": None}])
def test_another_difference_makes_it_two_records(fields: dict[str, Any]) -> None:
    bench = after_a_first_run()
    bench.source.records[3] = renamed(3, "X3", **fields)

    assert plan(bench).key_changes == ()


def test_several_key_changes_are_told_apart() -> None:
    bench = after_a_first_run()
    bench.source.records[3:5] = [renamed(4, "X4"), renamed(3, "X3")]

    assert plan(bench).key_changes == (KeyChange("E3", "X3"), KeyChange("E4", "X4"))


def test_two_candidates_are_none() -> None:
    bench = after_a_first_run()
    bench.source.records[3] = renamed(3, "X3")
    bench.source.records.append(renamed(3, "Y3"))
    assert plan(bench).key_changes == ()

    twins = after_a_first_run(0)
    twins.source.records = [renamed(3, "E3"), renamed(3, "E4"), *(person(number) for number in range(5, 15))]
    twins.run()
    twins.source.records[0:2] = [renamed(3, "X3")]
    assert plan(twins).key_changes == ()


def test_a_document_that_is_all_key_says_nothing() -> None:
    bench = after_a_first_run(map={"no": "record.no"})
    bench.source.records[3] = renamed(3, "X3")

    assert plan(bench).key_changes == ()


def test_without_a_certificate_nothing_is_deleted_and_nothing_is_said() -> None:
    bench = after_a_first_run()
    bench.source.records[3] = renamed(3, "X3")
    bench.source.total = 99

    assert plan(bench).key_changes == ()


def test_a_job_that_never_deletes_says_nothing() -> None:
    bench = after_a_first_run(mode="upsert")
    bench.source.records[3] = renamed(3, "X3")

    assert plan(bench).key_changes == ()


def test_a_record_that_is_not_ours_to_delete_says_nothing() -> None:
    bench = after_a_first_run(0)
    bench.target.records["7"] = {"no": "E3", "name": "Name 3", "email": "p3@example.test"}
    bench.source.records = [person(number) for number in range(10)]
    bench.run()
    bench.source.records[3] = renamed(3, "X3")

    assert plan(bench).key_changes == ()


def test_a_run_with_too_many_creates_keeps_none_in_mind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_change, "CREATES_KEPT", 2)
    bench = after_a_first_run()
    bench.source.records[3] = renamed(3, "X3")
    bench.source.records.append(person(20))
    assert plan(bench).key_changes == (KeyChange("E3", "X3"),)
    bench.source.records.append(person(21))

    assert plan(bench).key_changes == ()


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, {"no"}),
        ({"map": {"id": "record.no", "label": "'#' ~ record.no", "name": "record.name"}}, {"no", "id", "label"}),
        ({"map": {"custom.no": "record.no", "all": "record", "x": "'fixed'"}}, {"no", "custom", "all"}),
        ({"key": ["record.a.b", "record.no | lower"], "map": {"a": "record.a", "c": "record.a.c"}}, {"no", "a"}),
        ({"key": "record.a.b", "map": None}, {"no", "a"}),
    ],
)
def test_the_fields_that_derive_from_the_key(changes: dict[str, Any], fields: set[str]) -> None:
    assert JobMapping(job(**changes)).key_fields == fields


# ---- a key that was changed on both sides ----


def changed_on_both_sides(bench: Bench, number: int, key: str) -> str:
    target_id = bench.state.links[f"E{number}"].target_id
    bench.source.records[number] = renamed(number, key)
    bench.target.records[target_id] = {**bench.target.records[target_id], "no": key}
    bench.target.writes.clear()
    return target_id


@pytest.mark.edge(35)
@pytest.mark.parametrize("compare", ["links", "target"])
def test_a_record_whose_key_was_changed_on_both_sides_is_linked_anew_and_not_deleted(compare: str) -> None:
    bench = after_a_first_run(compare=compare)
    target_id = changed_on_both_sides(bench, 3, "X3")

    result = bench.run(allowance=ANY)

    assert bench.target.writes == []
    assert (result.counts.unchanged, result.counts.deletes_pending, result.key_changes) == (10, 0, ())
    assert "E3" not in bench.state.links
    assert (bench.state.links["X3"].target_id, bench.state.links["X3"].owned) == (target_id, True)


def test_a_record_that_was_linked_anew_before_a_read_was_cut_off_is_not_deleted_by_the_run_that_goes_on() -> None:
    bench = after_a_first_run()
    bench.source.resumes, bench.source.page_size = True, 2
    target_id = changed_on_both_sides(bench, 3, "X3")
    # On the first page, and to be updated: its new link comes only with the update, which is refused.
    bench.source.records.insert(0, renamed(3, "X3", name="Other"))
    del bench.source.records[4]
    bench.target = Refusing(bench.target)
    bench.source.breaks_at, bench.source.error = 3, UnavailableError("gone")

    cut_off = bench.run(allowance=ANY, slice_changes=1, slice_pages=1)
    assert cut_off.ending is Ending.UNAVAILABLE
    bench.source.breaks_at = None
    assert bench.run(allowance=ANY, slice_changes=1, slice_pages=1).certificate.issued

    assert any(isinstance(event, ReadResumed) for event in bench.events)
    assert target_id in bench.target.records


def test_what_was_linked_anew_is_deleted_with_its_new_key() -> None:
    bench = after_a_first_run()
    target_id = changed_on_both_sides(bench, 3, "X3")
    bench.run(allowance=ANY)
    del bench.source.records[3]

    assert bench.run(allowance=ANY).counts.deleted == 1
    assert target_id not in bench.target.records


def test_a_held_delete_of_the_old_key_does_no_harm_later() -> None:
    bench = after_a_first_run()
    target_id = changed_on_both_sides(bench, 3, "X3")
    bench.source.total = 99
    bench.run(allowance=ANY)  # adopted, and no certificate to delete by
    bench.source.total = None

    bench.run(allowance=ANY)

    assert bench.target.writes == []
    assert target_id in bench.target.records


def test_a_plan_hands_nothing_over() -> None:
    bench = after_a_first_run()
    changed_on_both_sides(bench, 3, "X3")

    assert plan(bench).counts.deletes_pending == 0
    assert "E3" in bench.state.links


def test_an_old_key_that_comes_back_is_a_new_record() -> None:
    bench = after_a_first_run()
    changed_on_both_sides(bench, 3, "X3")
    bench.run(allowance=ANY)
    bench.source.records.append(person(3))

    assert bench.run(allowance=ANY).counts.created == 1
    assert {"E3", "X3"} <= set(bench.documents())


def test_a_record_whose_adoption_fails_is_not_deleted_under_its_old_key() -> None:
    bench = after_a_first_run()
    target_id = changed_on_both_sides(bench, 3, "X3")
    bench.source.records[3] = renamed(3, "X3", name="Other")
    bench.target = Refusing(bench.target)

    assert bench.run(allowance=ANY).ending is Ending.REJECTED

    assert target_id in bench.target.records


class Refusing(MemoryTarget):
    def __init__(self, other: MemoryTarget) -> None:
        super().__init__(match="no")
        self.records = other.records

    def update(self, change: Change) -> Written:
        raise RefusedError("answered with status code 422", status=422)


def test_a_run_that_adopts_too_much_to_keep_in_mind_deletes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remarks, "ADOPTED_KEPT", 2)
    bench = after_a_first_run()
    del bench.source.records[9]
    for number in (3, 4):
        changed_on_both_sides(bench, number, f"X{number}")

    result = bench.run(allowance=ANY)

    assert bench.target.writes == []
    assert "2 records or more were adopted" in str(result.certificate)
    assert bench.run(allowance=ANY).counts.deleted == 1
    assert {"X3", "X4"} <= set(bench.documents())
