"""The law of a target that is behind: whatever is lost, nothing is made twice, and in the end all is in step."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from daemon.errors import UnknownError
from daemon.sync.change import Change
from daemon.sync.ports import Written
from tests.unit.sync.harness import Bench, person
from tests.unit.sync.test_settle import Behind, spec

LAG = timedelta(seconds=30)


class KillError(BaseException):
    """The process is gone."""


@dataclass(frozen=True)
class Step:
    """What happens before and in one run."""

    waits_s: int
    edits: tuple[tuple[int, str | None], ...]
    """Numbers of people with their names, None for one who has left."""
    lost: frozenset[int] = frozenset()
    """Whose create arrives, and whose answer does not."""
    astray: frozenset[int] = frozenset()
    """Whose create does not arrive."""
    killed_by: int | None = None
    """Whose create is the last thing the run does."""


class Slow(Behind):
    """Shows each new record after `LAG`."""

    def __init__(self, **ways: bool) -> None:
        super().__init__(**ways)
        self.made_at: dict[str, datetime] = {}
        self.killed_by: str | None = None

    def create(self, change: Change) -> Written:
        known = set(self.records)
        try:
            return super().create(change)
        finally:
            for target_id in set(self.records) - known:
                self.made_at[target_id] = self.bench.state.now
            if change.key == self.killed_by:
                raise KillError

    def show(self) -> None:
        self.hidden = {one for one in self.hidden if self.made_at[one] + LAG > self.bench.state.now}

    bench: Bench


NUMBERS = st.integers(0, 4)
STEPS = st.builds(
    Step,
    waits_s=st.sampled_from([0, 5, 20, 29, 31, 60]),
    edits=st.lists(st.tuples(NUMBERS, st.sampled_from(["Ada", "Grace", None])), max_size=3).map(tuple),
    lost=st.frozensets(NUMBERS, max_size=2),
    astray=st.frozensets(NUMBERS, max_size=1),
    killed_by=st.none() | NUMBERS,
)
WAYS = st.sampled_from([{"lists": False}, {"looks_up": False}, {"gets": True}])


@given(ways=WAYS, compare=st.sampled_from(["links", "target"]), steps=st.lists(STEPS, min_size=1, max_size=6))
@example(
    ways={"looks_up": False},
    compare="links",
    steps=[Step(0, ((1, "Ada"),), lost=frozenset({1})), Step(5, ()), Step(31, ((1, None),))],
)
def test_whatever_is_lost_nothing_is_made_twice_and_in_the_end_all_is_in_step(
    ways: dict[str, bool], compare: str, steps: list[Step]
) -> None:
    slow = Slow(**ways)
    lists = ways.get("lists", True)
    slow.bench = bench = Bench(spec(settle="31s", compare=compare if lists else "links"), target=slow)
    people = dict.fromkeys(range(10, 20), "Always there")  # so that no guard speaks

    for step in [*steps, Step(60, ()), Step(60, ()), Step(60, ())]:
        bench.state.now += timedelta(seconds=step.waits_s)
        slow.show()
        for number, name in step.edits:
            if name is None:
                people.pop(number, None)
            else:
                people[number] = name
        bench.source.records = [person(number, name=name) for number, name in sorted(people.items())]
        slow.loses = [f"E{number}" for number in step.lost]
        slow.never_came = [f"E{number}" for number in step.astray]
        slow.killed_by = None if step.killed_by is None else f"E{step.killed_by}"
        try:
            bench.run()
        except (KillError, UnknownError):
            continue
        finally:
            held = Counter(str(record["no"]) for record in slow.records.values())
            assert not held or max(held.values()) == 1

    assert bench.is_in_step()
