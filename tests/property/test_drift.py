"""Whatever comes and goes between two pages, nobody is deleted who was in the source all the time."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.sync.guards import Allowance
from tests.fakes.shifting import ShiftingSource, join, leave
from tests.unit.sync.harness import Bench, people, person

PEOPLE = 8
ALL = Allowance(deletes=1_000, updates=1_000)


@dataclass(frozen=True)
class Gap:
    """What happens after one page of one reading."""

    page: int
    leave: tuple[int, ...] = ()
    join: tuple[int, ...] = ()
    """Places in the list."""


LEAVERS = st.lists(st.integers(0, PEOPLE - 1), max_size=3).map(tuple)
JOINERS = st.lists(st.integers(0, PEOPLE), max_size=3).map(tuple)
PAGES = st.integers(1, PEOPLE)
ANYTHING = st.lists(st.builds(Gap, page=PAGES, leave=LEAVERS, join=JOINERS), max_size=4)
ONE_WAY = st.lists(
    st.builds(Gap, page=PAGES, leave=LEAVERS) | st.builds(Gap, page=PAGES, join=JOINERS),
    max_size=4,
    unique_by=lambda gap: gap.page,
)
"""In no gap both, so that the total cannot stay the same while rows move."""


def run(readings: Sequence[Sequence[Gap]], *, left: frozenset[int], page_size: int, says_total: bool) -> Bench:
    """Sync, let the leavers go, and sync again while the gaps of each reading happen."""
    bench = Bench()
    source = ShiftingSource(people(range(PEOPLE)), page_size=page_size, says_total=says_total)
    bench.source = source  # type: ignore[assignment]  # a source in memory of another kind
    bench.run()
    bench.target.writes.clear()
    source.records[:] = [one for one in source.records if int(one["no"][1:]) not in left]
    source.watch()
    new = PEOPLE
    for reading, gaps in enumerate(readings, 1):
        for gap in gaps:
            for number in gap.leave:
                source.edit(reading, gap.page, leave(f"E{number}"))
            for place in gap.join:
                new += 1
                source.edit(reading, gap.page, join(person(new), at=place))
    result = bench.run(allowance=ALL)

    deleted = {key for kind, key in bench.target.writes if kind == "delete"}
    assert deleted & source.always == set()
    assert not deleted or result.certificate.issued
    assert not source.always & set(bench.state.rejects)
    return bench


@pytest.mark.suffering(16)
@pytest.mark.edge(7)
@settings(max_examples=300, deadline=None)
@given(
    disturbed=st.integers(1, 3),
    gaps=ANYTHING,
    left=st.frozensets(st.integers(0, PEOPLE - 1), max_size=2),
    page_size=st.integers(1, 4),
    says_total=st.booleans(),
)
def test_changes_of_any_kind_in_one_reading_hide_nobody(
    disturbed: int, gaps: list[Gap], left: frozenset[int], page_size: int, says_total: bool
) -> None:
    readings: list[Sequence[Gap]] = [()] * (disturbed - 1)

    run([*readings, gaps], left=left, page_size=page_size, says_total=says_total)


@pytest.mark.edge(7)
@settings(max_examples=300, deadline=None)
@given(
    readings=st.lists(ONE_WAY, min_size=1, max_size=3),
    left=st.frozensets(st.integers(0, PEOPLE - 1), max_size=2),
    page_size=st.integers(1, 4),
)
def test_changes_in_every_reading_hide_nobody_where_the_api_counts(
    readings: list[list[Gap]], left: frozenset[int], page_size: int
) -> None:
    run(readings, left=left, page_size=page_size, says_total=True)


def test_the_leavers_are_deleted_when_the_source_holds_still_again() -> None:
    bench = run([[Gap(1, join=(0,))]], left=frozenset({3, 5}), page_size=2, says_total=True)

    assert sorted(bench.target.writes) == [("delete", "E3"), ("delete", "E5")]
