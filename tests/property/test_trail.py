"""Laws of recognising records by their bytes: it changes nothing but what a read costs."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.sync import reading, trail
from daemon.sync.guards import Allowance
from daemon.sync.outcome import Result
from daemon.sync.seen import Seen
from daemon.sync.trail import Trail
from tests.unit.sync.harness import Bench, job, person

ALL = Allowance(deletes=100, updates=100)
JOB = job(
    source={"connection": "hr", "read": "employees", "tombstone": "record.dead is defined"},
    map={"no": "record.no", "name": "record.name", "email": "record.email | default('')"},
)
RECORDS = st.builds(
    lambda number, name, dead: {**person(number, name=name), **({"dead": True} if dead else {})},
    st.integers(0, 9),
    st.sampled_from(["Ada", "Bob"]),
    st.integers(0, 7).map(lambda one: one == 0),
)
READS = st.lists(
    st.one_of(
        st.lists(RECORDS, max_size=14),
        # Mostly as it was, in its order, with a few at other places.
        st.tuples(st.integers(0, 10), st.lists(RECORDS, max_size=3)).map(
            lambda drawn: [*(person(number, name="Ada") for number in range(drawn[0])), *drawn[1]]
        ),
    ),
    min_size=2,
    max_size=4,
)


class Blind(Trail):
    """Recognises nobody."""

    def find(self, raws: Sequence[bytes], part: str) -> list[int]:
        del part
        return [0] * len(raws)


def outcome(bench: Bench, result: Result) -> Any:
    state = bench.state
    links = {key: (link.raw, link.fingerprint, link.owned) for key, link in state.links.items()}
    return (
        result,
        sorted(bench.target.writes),
        bench.documents(),
        links,
        {key: str(one) for key, one in state.rejects.items()},
    )


@given(reads=READS, page_size=st.integers(1, 6), stride=st.integers(1, 4))
def test_a_run_that_recognises_records_ends_as_one_that_looks_at_each(
    reads: list[list[dict[str, Any]]], page_size: int, stride: int
) -> None:
    plain, quick = Bench(JOB), Bench(JOB)
    for records in reads:
        for bench, kind in ((plain, Blind), (quick, Trail)):
            bench.source.records = deepcopy(records)
            bench.source.page_size = page_size
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(reading, "Trail", kind)
                patch.setattr(trail, "STRIDE", stride)
                result = bench.run(allowance=ALL)
            ended = outcome(bench, result)
            if bench is plain:
                expected = ended
        assert ended == expected


@given(
    highest=st.integers(0, 90),
    pages=st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=30, unique=True), max_size=5),
)
def test_links_are_noted_together_if_none_of_them_was_met(highest: int, pages: list[list[int]]) -> None:
    seen, met = Seen(highest), set[int]()
    for ids in pages:
        is_new = max(ids) <= highest and met.isdisjoint(ids)

        assert seen.add_new(ids) is is_new
        met.update(ids if is_new else ())
        assert {one for one in range(1, 100) if one in seen} == met
