"""Fields that the target sets back: written twice for nothing, then left alone and told."""

import itertools
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from daemon.errors import RefusedError
from daemon.sync.change import Change
from daemon.sync.contest import FIELDS_TOLD, REWRITES, Contests, weigh
from daemon.sync.events import FieldContested
from daemon.sync.guards import Allowance
from daemon.sync.outcome import Ending
from daemon.sync.ports import Written
from daemon.values import MISSING
from tests.fakes.normalising import NormalisingTarget, keeping
from tests.unit.sync.harness import Bench, job, person

EMPTY: list[dict[str, Any]] = [{}, {"a": None}, {"a": []}, {"a": ""}, {"a": {}}, {"a": 0}, {"a": False}]
ANY = Allowance(updates=1_000)
MAP = {"no": "record.no", "name": "record.name", "email": "record.email"}


def desk(target: NormalisingTarget, *records: Mapping[str, Any], **changes: Any) -> Bench:
    """A job that compares with the target, after its first run."""
    bench = Bench(job(**{"compare": "target", "map": MAP, **changes}), target=target)
    bench.source.records = list(records)
    bench.run(allowance=ANY)
    bench.target.writes.clear()
    return bench


def writes(bench: Bench, runs: int) -> list[int]:
    """Return the writes of each of the next runs."""
    made = []
    for _ in range(runs):
        bench.target.writes.clear()
        assert bench.run(allowance=ANY).ending is Ending.DONE
        made.append(len(bench.target.writes))
    return made


# ---- the memory by itself ----


def test_a_field_is_written_so_often_and_then_contested() -> None:
    contest, written = None, []
    for _ in range(REWRITES + 2):
        weighed = weigh(contest, {"a": "X"}, {"a": "x"}, ("a",))
        written.append(weighed.fields)
        contest = weighed.contest
    assert written == [("a",)] * REWRITES + [()] * 2
    assert weighed.contested == ("a",)


def contested(wanted: dict[str, Any], found: dict[str, Any]) -> str:
    contest = ""
    for _ in range(REWRITES):
        contest = weigh(contest or None, wanted, found, tuple(wanted)).contest or ""
    assert weigh(contest, wanted, found, tuple(wanted)).fields == ()
    return contest


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param({"a": "Y"}, {"a": "x"}, id="another wanted value"),
        pytest.param({"a": "X"}, {"a": "y"}, id="another found value"),
        pytest.param({"a": "X"}, {"a": None}, id="null found"),
        pytest.param({"a": "X"}, {}, id="nothing found"),
        pytest.param({"a": "X"}, {"a": []}, id="an empty list found"),
        pytest.param({"a": None}, {"a": "x"}, id="null wanted"),
        pytest.param({"a": ["X"]}, {"a": "x"}, id="a list wanted"),
    ],
)
def test_another_value_on_either_side_starts_afresh(wanted: dict[str, Any], found: dict[str, Any]) -> None:
    contest = contested({"a": "X"}, {"a": "x"})

    assert weigh(contest, wanted, found, ("a",)).fields == ("a",)


@pytest.mark.parametrize("wanted", [None, [], "", {}, 0, False])
@pytest.mark.parametrize("found", EMPTY)
def test_null_missing_and_the_empty_ones_are_all_different_findings(wanted: Any, found: dict[str, Any]) -> None:
    contest = contested({"a": wanted}, found)

    known = [repr(other) for other in EMPTY if not weigh(contest, {"a": wanted}, other, ("a",)).fields]

    assert known == [repr(found)]


def test_values_that_are_equal_are_the_same_finding_however_they_are_written() -> None:
    contest = contested({"a": Decimal("19.90")}, {"a": Decimal(20)})

    assert weigh(contest, {"a": Decimal("19.9")}, {"a": 20}, ("a",)).fields == ()


def test_what_the_target_adds_to_an_object_is_no_new_finding() -> None:
    contest = contested({"a": {"b": "X"}}, {"a": {"b": "x", "seen": 1}})

    assert weigh(contest, {"a": {"b": "X"}}, {"a": {"b": "x", "seen": 2}}, ("a",)).fields == ()


def test_a_memory_that_cannot_be_read_costs_the_rewrites_again() -> None:
    for text in ("", "no json", "[]", '{"a": 1}', '{"a": ["x"]}'):
        assert weigh(text, {"a": "X"}, {"a": "x"}, ("a",)).fields == ("a",)


def test_fields_that_agree_are_remembered_no_more() -> None:
    assert weigh(contested({"a": "X"}, {"a": "x"}), {"a": "X"}, {"a": "X"}, ()).contest is None


def test_a_run_tells_of_so_many_fields_and_counts_their_records() -> None:
    contests = Contests()
    for number in range(3):
        document = {f"f{field}": number for field in range(FIELDS_TOLD + 5)}
        contests.note(f"E{number}", tuple(document), document, {})

    assert len(contests.fields) == FIELDS_TOLD
    assert {(one.records, one.key, one.wanted) for one in contests.fields} == {(3, "E0", 0)}
    assert contests.fields[0].found is MISSING


# ---- over runs ----


def test_a_target_that_lowers_an_address_is_written_twice_and_then_left_alone() -> None:
    bench = desk(NormalisingTarget(keeping(email=str.lower)), person(1, email="A@x"), person(2, email="b@x"))

    assert writes(bench, 4) == [1, 1, 0, 0]


def test_a_contested_field_is_told_once_a_run_and_is_neither_reject_nor_failure() -> None:
    records = [person(number, email="A@x") for number in range(12)]
    bench = desk(NormalisingTarget(keeping(email=str.lower)), *records)
    writes(bench, REWRITES)
    bench.events.clear()

    result = bench.run()

    assert (result.ending, result.counts.unchanged, result.counts.any_rejected) == (Ending.DONE, 12, False)
    (told,) = result.contests
    assert (told.field, told.records, told.key, told.wanted, told.found) == ("email", 12, "E0", "A@x", "a@x")
    assert [event for event in bench.events if isinstance(event, FieldContested)] == [FieldContested(told)]


def test_nothing_is_told_of_a_field_that_is_still_being_written() -> None:
    bench = desk(NormalisingTarget(keeping(email=str.lower)), person(1, email="A@x"))

    assert [bench.run(allowance=ANY).contests for _ in range(REWRITES)] == [(), ()]


def test_the_other_fields_of_a_record_go_on_being_written_without_the_contested_one() -> None:
    bench = desk(NormalisingTarget(keeping(email=str.lower)), person(1, email="A@x"))
    writes(bench, REWRITES)
    bench.source.records = [person(1, email="A@x", name="Other")]

    result = bench.run()

    assert result.counts.updated == 1
    assert [change.fields for change in changes(bench)] == [("name",)]
    assert bench.documents()["E1"]["name"] == "Other"
    assert writes(bench, 2) == [0, 0]


def test_a_new_value_in_the_source_is_written_at_once() -> None:
    bench = desk(NormalisingTarget(keeping(email=str.lower)), person(1, email="A@x"))
    writes(bench, REWRITES)
    bench.source.records = [person(1, email="B@x")]

    assert writes(bench, 5) == [1, 1, 1, 0, 0]  # the first of them brought another found value
    assert bench.documents()["E1"]["email"] == "b@x"


def test_a_value_that_the_target_learnt_to_keep_is_contested_no_more() -> None:
    target = NormalisingTarget(keeping(email=str.lower))
    bench = desk(target, person(1, email="A@x"))
    writes(bench, REWRITES)
    target.keep = keeping()
    bench.target.records["1"] = {**bench.target.records["1"], "email": "A@x"}

    assert bench.run().contests == ()
    assert bench.state.links["E1"].contest is None


def test_a_person_who_edits_once_is_overruled_and_no_contest() -> None:
    bench = desk(NormalisingTarget(keeping()), person(1, email="right"))
    for _ in range(5):
        edit(bench, "wrong")
        assert writes(bench, 2) == [1, 0]  # one run in which the two agree starts the count afresh


def test_a_person_who_edits_it_back_before_every_run_is_let_have_it_and_it_is_told() -> None:
    bench = desk(NormalisingTarget(keeping()), person(1, email="right"))
    made = []
    for _ in range(REWRITES + 2):
        edit(bench, "wrong")
        made += writes(bench, 1)

    assert made == [1, 1, 0, 0]
    assert [one.found for one in bench.run().contests] == ["wrong"]


def edit(bench: Bench, email: str) -> None:
    (target_id,) = bench.target.records
    bench.target.records[target_id] = {**bench.target.records[target_id], "email": email}


@pytest.mark.parametrize(
    ("wanted", "keep"),
    [
        pytest.param("A@X", str.lower, id="lower-cases"),
        pytest.param(" a ", str.strip, id="trims"),
        pytest.param(Decimal("19.994"), lambda value: round(value, 2), id="rounds"),
        pytest.param([3, 1, 2], sorted, id="sorts a list"),
        pytest.param(None, lambda _: [], id="null to an empty list"),
        pytest.param([], lambda _: None, id="an empty list to null"),
        pytest.param("", lambda _: None, id="an empty text to null"),
        pytest.param({"a": "X", "b": 1}, lambda value: {"a": value["a"].lower(), "b": 1}, id="inside an object"),
        pytest.param({"a": 1, "b": None}, lambda value: {"a": value["a"]}, id="drops a null inside an object"),
        pytest.param(1, lambda _: "1", id="a number to a text"),
        pytest.param("x" * 300, lambda value: value[:255], id="cuts"),
    ],
)
def test_whatever_the_target_does_to_a_value_the_writes_come_to_an_end(wanted: Any, keep: Any) -> None:
    clearing = {**MAP, "email": {"from": "record.email", "when_null": "clear"}}
    bench = desk(NormalisingTarget(keeping(email=keep)), person(1, email=wanted), map=clearing)

    assert writes(bench, 4) == [1, 1, 0, 0]


def test_a_field_that_the_target_drops_is_contested_and_told_as_missing() -> None:
    bench = desk(
        NormalisingTarget(lambda record: {name: record[name] for name in record if name != "email"}), person(1)
    )

    assert writes(bench, 4) == [1, 1, 0, 0]
    assert [one.found for one in bench.run().contests] == [MISSING]


def test_a_list_in_another_order_is_another_value() -> None:
    bench = desk(NormalisingTarget(keeping()), person(1, email=["a", "b"]))
    bench.source.records = [person(1, email=["b", "a"])]

    assert writes(bench, 2) == [1, 0]
    assert bench.documents()["E1"]["email"] == ["b", "a"]


def test_fields_and_parts_that_the_target_adds_are_no_contest() -> None:
    stamp = itertools.count()

    def keep(record: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**record, "changed": next(stamp), "email": {**record["email"], "changed": next(stamp)}}

    bench = desk(NormalisingTarget(keep), person(1, email={"a": 1}))

    assert writes(bench, 1) == [0]


def test_an_adopted_record_is_contested_like_any_other() -> None:
    target = NormalisingTarget(keeping(email=str.lower))
    target.records["7"] = {"no": "E1", "name": "Name 1", "email": "a@x"}
    bench = desk(target, person(1, email="A@x"))

    assert writes(bench, 3) == [1, 0, 0]  # the first run was the first update


def test_an_update_that_was_not_carried_out_does_not_count() -> None:
    target = Stubborn(keeping(email=str.lower))
    bench = desk(target, person(1, email="A@x"))
    target.refuses = True
    for _ in range(REWRITES + 1):
        assert bench.run(allowance=ANY).ending is Ending.REJECTED
    target.refuses = False
    bench.state.retry_all()

    assert writes(bench, 4) == [1, 1, 0, 0]


class Stubborn(NormalisingTarget):
    refuses = False

    def update(self, change: Change) -> Written:
        if self.refuses:
            raise RefusedError("answered with status code 422", status=422)
        return super().update(change)


def test_a_held_update_does_not_count() -> None:
    records = [person(number, email="A@x") for number in range(20)]
    bench = desk(NormalisingTarget(keeping(email=str.lower)), *records)
    for _ in range(REWRITES + 1):
        assert bench.run().ending is Ending.HELD

    assert writes(bench, 4) == [20, 20, 0, 0]


def test_a_job_that_compares_with_its_links_keeps_what_it_knows_of_contests() -> None:
    bench = desk(NormalisingTarget(keeping(email=str.lower)), person(1, email="A@x"))
    writes(bench, REWRITES)
    bench.job = job(map=MAP)
    bench.source.records = [person(1, email="A@x", name="Other")]
    assert writes(bench, 2) == [1, 0]
    bench.job = job(map=MAP, compare="target")

    assert writes(bench, 2) == [0, 0]


def test_a_plan_leaves_a_contested_field_out_and_tells_of_it() -> None:
    bench = desk(NormalisingTarget(keeping(email=str.lower)), person(1, email="A@x"))
    writes(bench, REWRITES)

    result = bench.run(writes=False)

    assert (result.counts.pending, len(result.contests)) == (0, 1)


def changes(bench: Bench) -> list[Change]:
    """Return the changes of the last run."""
    assert bench.journal is not None
    last = max(run for run, _ in bench.state.changes)
    return [change for (run, _), change in bench.state.changes.items() if run == last]
