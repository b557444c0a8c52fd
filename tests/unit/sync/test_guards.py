"""Guard arithmetic."""

from typing import Any

import pytest

from daemon.spec import Guards, Limit, Mode
from daemon.sync.change import Kind
from daemon.sync.guards import Allowance, Facts, exceeds, judge, withheld_kinds


def facts(**changes: Any) -> Facts:
    plain: dict[str, Any] = {
        "creates": 0,
        "updates": 0,
        "deletes": 0,
        "known": 100,
        "seen": 100,
        "seen_before": 100,
        "changed": (),
        "read_is_over": True,
    }
    return Facts(**{**plain, **changes})


def tripped(found: Facts, mode: Mode = Mode.MIRROR, allowance: Allowance | None = None, **guards: Any) -> set[str]:
    verdicts = judge(Guards.model_validate(guards), mode, found, allowance or Allowance())
    return {verdict.guard for verdict in verdicts if verdict.tripped}


LIMITS: list[tuple[Any, int, int, bool]] = [
    # a share: exactly at the limit is within it
    ("10%", 10, 100, False),
    ("10%", 11, 100, True),
    ("10%", 1, 10, False),
    ("10%", 1, 9, True),
    ("50%", 1, 2, False),
    ("50%", 2, 3, True),
    # small sets: one of three is a third of everything
    ("10%", 1, 3, True),
    ("34%", 1, 3, False),
    ("33.4%", 1, 3, False),
    ("33.3%", 1, 3, True),
    # nothing known: a share of none is none
    ("10%", 1, 0, True),
    ("100%", 1, 0, True),
    ("10%", 0, 0, False),
    # no per cent: not one
    ("0%", 1, 1_000_000, True),
    ("0%", 0, 1_000_000, False),
    # all per cent
    ("100%", 7, 7, False),
    ("100%", 8, 7, True),
    # decimals are exact: in binary fractions 0.1 % of 3,000 is more than 3
    ("33.3%", 333, 1000, False),
    ("33.3%", 334, 1000, True),
    ("0.1%", 3, 3000, False),
    ("0.1%", 4, 3000, True),
    ("0.07%", 7, 10_000, False),
    ("1.1%", 11, 1000, False),
    ("12.5%", 1, 8, False),
    ("0.000001%", 1, 100_000_000, False),
    ("0.000001%", 2, 100_000_000, True),
    # a number
    (5, 5, 6, False),
    (5, 6, 1_000_000, True),
    (0, 1, 1_000_000, True),
    (0, 0, 0, False),
    # both: whichever is reached first
    ({"percent": "50%", "count": 5}, 6, 100, True),
    ({"percent": "50%", "count": 5}, 5, 100, False),
    ({"percent": "5%", "count": 50}, 6, 100, True),
    ({"percent": "5%", "count": 50}, 5, 100, False),
    ({"percent": "5%", "count": 50}, 51, 10_000, True),
]


@pytest.mark.edge(38)
@pytest.mark.parametrize(("limit", "count", "of", "expected"), LIMITS)
def test_a_limit_is_passed_only_beyond_it(limit: Any, count: int, of: int, expected: bool) -> None:
    assert exceeds(Limit.model_validate(limit), count, of) is expected


@pytest.mark.edge(38)
def test_all_records_are_never_deleted_even_at_a_limit_of_a_hundred_percent() -> None:
    assert tripped(facts(deletes=100), deletes="100%") == {"deletes"}


@pytest.mark.edge(38)
def test_one_delete_of_three_trips_the_default() -> None:
    assert tripped(facts(deletes=1, known=3, seen=2, seen_before=3)) == {"deletes"}


def test_a_few_updates_of_a_small_set_pass() -> None:
    assert tripped(facts(updates=3, known=3)) == set()


@pytest.mark.parametrize(("updates", "expected"), [(10, set()), (11, {"updates"})])
def test_updates_have_a_floor_under_which_a_share_says_nothing(updates: int, expected: set[str]) -> None:
    assert tripped(facts(updates=updates, known=12)) == expected


def test_many_updates_trip_and_withhold_updates_only() -> None:
    verdicts = judge(Guards(), Mode.MIRROR, facts(updates=51))
    assert set(withheld_kinds(verdicts)) == {Kind.UPDATE}


def test_an_empty_source_trips_when_it_was_not_empty() -> None:
    assert tripped(facts(seen=0)) == {"empty_source"}


def test_an_empty_source_is_fine_when_nothing_was_ever_there() -> None:
    assert tripped(facts(seen=0, seen_before=None, known=0)) == set()


def test_a_source_that_lost_half_its_records_trips() -> None:
    assert tripped(facts(seen=49)) == {"collapse"}
    assert tripped(facts(seen=50)) == set()


@pytest.mark.edge(14)
def test_fewer_records_than_the_minimum_trip() -> None:
    assert tripped(facts(seen=60), min_records=61) == {"min_records"}


def test_a_changed_selection_withholds_even_one_delete() -> None:
    assert tripped(facts(deletes=1, changed=("where",))) == {"deletes"}


def test_the_source_guards_are_silent_until_the_read_is_over() -> None:
    assert tripped(facts(seen=0, read_is_over=False)) == set()


def test_an_allowance_lifts_deletes_up_to_its_number() -> None:
    assert tripped(facts(deletes=20), allowance=Allowance(deletes=20)) == set()
    assert tripped(facts(deletes=21), allowance=Allowance(deletes=20)) == {"deletes"}


def test_an_append_job_may_find_its_source_empty() -> None:
    assert tripped(facts(seen=0), mode=Mode.APPEND) == set()


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        (("where",), "the job's filter (where) has changed since its last complete read"),
        (("key", "map"), "the job's key and map have changed since its last complete read"),
        (("source", "key", "target"), "the job's source, key and target have changed since its last complete read"),
    ],
)
def test_an_edited_job_is_named_and_trips_nothing_by_itself(blocks: tuple[str, ...], words: str) -> None:
    (verdict,) = judge(Guards(), Mode.MIRROR, facts(changed=blocks))

    assert (verdict.guard, verdict.tripped, verdict.message) == ("job", False, words)


@pytest.mark.parametrize(
    ("block", "expected"),
    [("source", {"deletes"}), ("key", {"deletes"}), ("where", {"deletes"}), ("map", set()), ("target", set())],
)
def test_deletes_trip_after_an_edit_of_what_the_job_picks(block: str, expected: set[str]) -> None:
    assert tripped(facts(deletes=1, changed=(block,)), deletes="100%") == expected


def test_a_verdict_tells_numbers_and_leaves_the_cure_to_who_knows_where_it_is_read() -> None:
    verdicts = judge(Guards(), Mode.MIRROR, facts(updates=51, deletes=20, seen=80))

    assert [one.message for one in verdicts] == [
        "51 of 100 known records would be updated, the limit is 50 %",
        "20 of 100 known records would be deleted, the limit is 10 %",
    ]
