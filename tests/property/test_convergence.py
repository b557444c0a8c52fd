"""Whatever the target makes of what it is sent, a job that compares with it comes to rest, and says why."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.sync.canonical import agrees
from daemon.sync.contest import REWRITES
from daemon.sync.guards import Allowance
from daemon.sync.outcome import Ending
from tests.fakes.normalising import NormalisingTarget
from tests.unit.sync.harness import Bench, job

FIELDS = ("no", "name", "email")
AT_REST = 1 + REWRITES
"""Runs until nothing is written any more: the creates, and the rewrites."""
ANY = Allowance(updates=1_000)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-9, 9) | st.just(2**53 + 1),
    st.decimals(-9, 9, places=3, allow_nan=False),
    st.text("aB é", max_size=4),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner), max_leaves=5
)


def deep(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a normaliser that changes all scalars inside a value."""

    def changed(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: changed(part) for name, part in value.items()}
        return [changed(part) for part in value] if isinstance(value, list) else change(value)

    return changed


def without_nulls(value: Any) -> Any:
    return {name: part for name, part in value.items() if part is not None} if isinstance(value, Mapping) else value


WAYS: list[Callable[[Any], Any]] = [
    lambda value: value,
    deep(lambda value: value.lower() if isinstance(value, str) else value),
    deep(lambda value: value.strip() if isinstance(value, str) else value),
    deep(lambda value: round(value, 1) if isinstance(value, Decimal) else value),
    deep(lambda value: value[:2] if isinstance(value, str) else value),
    deep(lambda value: [] if value is None else value),
    deep(lambda value: str(value) if isinstance(value, int) else value),
    lambda value: None if value in ("", [], {}) else value,
    lambda value: sorted(value, key=repr) if isinstance(value, list) else value,
    lambda value: {"kind": "default", **value} if isinstance(value, Mapping) else value,
    lambda _: "fixed",
    without_nulls,
]
ways = st.fixed_dictionaries({name: st.sampled_from(WAYS) for name in FIELDS[1:]} | {"no": st.sampled_from(WAYS[:3])})
people = st.lists(
    st.fixed_dictionaries({"name": values, "email": values}),
    min_size=1,
    max_size=4,
).map(lambda rows: [{"no": f"E{number}", **row} for number, row in enumerate(rows)])


@pytest.mark.edge(30)
@pytest.mark.suffering(18)
@settings(max_examples=120, deadline=None)
@given(
    ways=ways,
    drops=st.frozensets(st.sampled_from(FIELDS[1:])),
    records=people,
    edited=values,
    when_null=st.sampled_from(["keep", "clear"]),
)
def test_whatever_the_target_makes_of_values_the_writes_come_to_an_end(
    ways: Mapping[str, Callable[[Any], Any]],
    drops: frozenset[str],
    records: list[dict[str, Any]],
    edited: Any,
    when_null: str,
) -> None:
    def keep(record: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: ways[name](value) for name, value in record.items() if name not in drops}

    mapped = {name: {"from": f"record.{name}", "when_null": when_null} for name in FIELDS}
    bench = Bench(job(compare="target", map=mapped), target=NormalisingTarget(keep))
    bench.source.records = list(records)

    it_comes_to_rest(bench, AT_REST)

    bench.source.records[0] = {**records[0], "name": edited}
    # One more: the write of the new value may bring another found value.
    it_comes_to_rest(bench, AT_REST + 1)


def it_comes_to_rest(bench: Bench, runs: int) -> None:
    for _ in range(runs):
        assert bench.run(allowance=ANY).ending is Ending.DONE
    bench.target.writes.clear()
    result = bench.run(allowance=ANY)
    assert bench.target.writes == []
    assert result.counts.unchanged == len(bench.source.records)
    it_says_what_differs(bench, {one.field: one.records for one in result.contests})


def it_says_what_differs(bench: Bench, told: dict[str, int]) -> None:
    """Each field that is not as the source has it is told, with the number of its records, and no other one is."""
    differing: dict[str, int] = {}
    for record in bench.source.records:
        held = bench.target.records[bench.state.links[record["no"]].target_id]
        document = bench.state.documents[record["no"]]
        for name in document:
            if name not in held or not agrees(document[name], held[name]):
                differing[name] = differing.get(name, 0) + 1
    assert told == differing
