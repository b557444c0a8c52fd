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


@pytest.mark.parametrize(
    ("limit", "count", "of", "expected"),
    [
        ("10%", 10, 100, False),
        ("10%", 11, 100, True),
        ("10%", 1, 3, True),
        ("0%", 1, 1000, True),
        ("0%", 0, 1000, False),
        ("33.3%", 333, 1000, False),
        ("33.3%", 334, 1000, True),
        (5, 5, 6, False),
        (5, 6, 1000, True),
        ({"percent": "50%", "count": 5}, 6, 100, True),
        ({"percent": "5%", "count": 50}, 6, 100, True),
        ("10%", 1, 0, True),
        ("100%", 7, 7, False),
    ],
)
def test_a_limit_is_passed_only_beyond_it(limit: Any, count: int, of: int, expected: bool) -> None:
    assert exceeds(Limit.model_validate(limit), count, of) is expected


def test_all_records_are_never_deleted_even_at_a_limit_of_a_hundred_percent() -> None:
    assert tripped(facts(deletes=100), deletes="100%") == {"deletes"}


def test_one_delete_of_three_trips_the_default() -> None:
    assert tripped(facts(deletes=1, known=3, seen=2, seen_before=3)) == {"deletes"}


def test_a_few_updates_of_a_small_set_pass() -> None:
    assert tripped(facts(updates=3, known=3)) == set()


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
