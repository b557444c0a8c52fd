"""What a hold withholds, and that it stays withheld until somebody has accepted it (edge cases 14, 16, 38 and 43)."""

import pytest

from daemon.errors import UnavailableError
from daemon.sync.guards import Allowance
from daemon.sync.outcome import Ending, Result
from tests.unit.sync.harness import Bench, job, people, person


def filled(numbers: int = 20, **changes: object) -> Bench:
    bench = Bench(job(**changes))
    bench.source.records = people(range(numbers))
    assert bench.run().ending is Ending.DONE
    return bench


def tripped(result: Result) -> set[str]:
    return {one.guard for one in result.verdicts if one.tripped}


@pytest.mark.edge(14)
@pytest.mark.suffering(1)
def test_an_empty_source_is_held_again_and_again() -> None:
    bench = filled(guards={"deletes": "100%"})
    bench.source.records = []

    results = [bench.run() for _ in range(3)]

    assert [(one.ending, one.counts.deletes_withheld) for one in results] == [(Ending.HELD, 20)] * 3
    assert all("empty_source" in tripped(one) for one in results)
    assert len(bench.documents()) == 20


@pytest.mark.suffering(1)
def test_a_source_that_collapsed_is_held_until_somebody_accepts_it() -> None:
    bench = filled(guards={"deletes": "90%"})
    bench.source.records = people(range(9))

    results = [bench.run() for _ in range(3)]

    assert [(one.ending, tripped(one)) for one in results] == [(Ending.HELD, {"collapse"})] * 3
    assert bench.run(allowance=Allowance(deletes=11)).counts.deleted == 11
    assert bench.run().ending is Ending.DONE


def test_a_source_that_came_back_is_no_news() -> None:
    bench = filled()
    bench.source.records = people(range(9))
    bench.run()
    bench.source.records = people(range(20))

    result = bench.run()

    assert (result.ending, result.counts.unchanged) == (Ending.DONE, 20)


@pytest.mark.edge(16)
def test_half_the_rows_hidden_by_a_lost_permission_delete_nobody() -> None:
    bench = filled(40)
    bench.source.records = people(range(0, 40, 2))

    result = bench.run()

    assert (result.ending, result.counts.deletes_withheld) == (Ending.HELD, 20)
    assert len(bench.documents()) == 40


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"where": "record.no != 'E0'"}, "filter (where)"),
        ({"source": {"connection": "hr", "read": "staff"}}, "source"),
    ],
)
def test_an_edited_selection_trips_in_every_run_until_its_deletes_are_accepted(
    edit: dict[str, object], words: str
) -> None:
    bench = filled(guards={"deletes": "90%"})
    bench.job = job(guards={"deletes": "90%"}, **edit)
    bench.source.records = people(range(1, 20))

    results = [bench.run() for _ in range(3)]

    assert [(one.ending, one.counts.deletes_withheld) for one in results] == [(Ending.HELD, 1)] * 3
    assert f"and the job's {words} has changed" in next(one.message for one in results[-1].verdicts if one.tripped)
    assert bench.run(allowance=Allowance(deletes=1)).counts.deleted == 1
    assert [one.guard for one in bench.run().verdicts] == []


@pytest.mark.edge(43)
def test_a_narrower_filter_trips_even_after_a_run_that_broke_off_between_read_and_deletes() -> None:
    bench = filled(guards={"deletes": "90%"})
    bench.job = job(guards={"deletes": "90%"}, where="record.no != 'E0'")
    bench.source.records.append(person(20))
    cut = bench.run(stopping=lambda: len(bench.target.writes) > 20)
    assert (cut.ending, cut.certificate.issued) == (Ending.INTERRUPTED, True)

    result = bench.run()

    assert (result.ending, result.counts.deleted) == (Ending.HELD, 0)


@pytest.mark.edge(43)
def test_an_edited_key_is_named_and_deletes_nothing_unasked() -> None:
    bench = filled(guards={"deletes": "100%"})
    bench.job = job(guards={"deletes": "100%"}, key="record.no | lower")

    result = bench.run(writes=False)

    assert "the job's key has changed since its last complete read" in {one.message for one in result.verdicts}
    assert tripped(result) == {"deletes"}


@pytest.mark.edge(38)
def test_a_share_of_deletes_is_of_all_known_records_adopted_ones_included() -> None:
    bench = Bench(job(guards={"deletes": "10%"}))
    for number in range(10):
        bench.target.records[f"x{number}"] = {"no": f"E{number}", "name": f"Name {number}", "email": ""}
    bench.source.records = people(range(20))
    bench.run(allowance=Allowance(updates=10))
    bench.source.records = people([*range(8), *range(10, 18)])  # two adopted and two of our own are gone

    result = bench.run()

    assert (result.ending, result.counts.deleted, result.counts.kept) == (Ending.DONE, 2, 2)


def test_updates_add_up_over_slices_and_trip_from_there_on() -> None:
    bench = Bench(job(guards={"updates": "50%"}))
    bench.source.records = people(range(100))
    bench.run()
    bench.source.records = [person(number, name="New") for number in range(100)]

    result = bench.run(slice_changes=20)

    assert (result.counts.updated, result.counts.withheld, result.ending) == (42, 58, Ending.HELD)
    assert result.withheld
    assert sum(digest.number for digest in result.withheld.values()) == 58


def test_a_read_that_broke_off_changes_no_measure() -> None:
    bench = filled()
    bench.source.breaks_at, bench.source.error = 2, UnavailableError("gone")

    assert bench.run().selection is None
    assert bench.state.seen == 20
