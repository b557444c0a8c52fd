"""Parents that come, go, fail and lose their children to others, with kills in between: nothing is ever deleted that is
still there, and once everything can be read again the target is in step."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import MalformedError, RefusedError, UnavailableError
from daemon.sync import engine
from daemon.sync.options import Options
from daemon.sync.outcome import Ending
from daemon.sync.ports import Ports
from tests.fakes.families import FOR_EACH, Families, family_bench, family_job
from tests.fakes.memory_state import MemoryIndex, MemoryJournal, MemoryLinks
from tests.unit.sync.harness import Bench, InlinePool

PARENTS = "abcd"
CHILDREN = range(5)
STEADY, STEADY_CHILDREN = "z", (100, 101, 102)
"""What never changes, so that the source is never empty: the guards would let nothing pass then."""
ERRORS = {
    "404": RefusedError("404", status=404),
    "403": RefusedError("403", status=403),
    "garbage": MalformedError("HTML"),
    "500": UnavailableError("500", status=500),
}


class Killed(BaseException):
    """The process ends here."""


class DyingJournal:
    """A journal whose process is killed before its n-th call; None for one that lives."""

    def __init__(self, journal: MemoryJournal, calls: int | None) -> None:
        self._journal = journal
        self._left = calls

    def __getattr__(self, name: str) -> Any:
        if self._left is not None:
            if not self._left:
                raise Killed
            self._left -= 1
        return getattr(self._journal, name)


@dataclass(frozen=True)
class Round:
    """What the world is like in one run."""

    homes: dict[int, str]
    """The parent of each child that is there."""
    parents: frozenset[str]
    failing: dict[str, str]
    values: int
    dies_at: int | None
    ahead: int
    slices: int


rounds = st.builds(
    Round,
    homes=st.dictionaries(st.sampled_from(CHILDREN), st.sampled_from(PARENTS)),
    parents=st.frozensets(st.sampled_from(PARENTS)),
    failing=st.dictionaries(st.sampled_from(PARENTS), st.sampled_from(sorted(ERRORS)), max_size=2),
    values=st.integers(0, 1),
    dies_at=st.none() | st.integers(0, 25),
    ahead=st.sampled_from([1, 3]),
    slices=st.sampled_from([1, 50]),
)


@dataclass
class World:
    """A job over families, run after run."""

    names_part: bool
    runs: int = 0
    bench: Bench = field(init=False)
    families: Families = field(init=False)

    def __post_init__(self) -> None:
        key: list[str] | str = ["project.id", "record.no"] if self.names_part else "record.no"
        no = "[project.id, record.no]" if self.names_part else "record.no"
        spec = family_job(
            key=key,
            map={"no": no, "value": "record.value"},
            for_each={**FOR_EACH, "limit": "100%"},
            rejects={"limit": "100%"},
        )
        self.families = Families({})
        self.bench = family_bench(self.families, spec)

    def become(self, now: Round) -> None:
        families = self.families
        for parent in list(families.children):
            families.remove(parent)
        for parent in sorted(now.parents):
            some = [{"no": child, "value": now.values} for child, home in sorted(now.homes.items()) if home == parent]
            families.add(parent, some)
        families.add(STEADY, [{"no": child, "value": 0} for child in STEADY_CHILDREN])
        families.failing = {parent: ERRORS[said] for parent, said in now.failing.items()}

    def there(self, now: Round) -> Iterator[str]:
        """Yield the keys of the children that are in the source."""
        for child, home in now.homes.items():
            if home in now.parents:
                yield f"{home}\x1f{child}" if self.names_part else str(child)

    def run(self, now: Round) -> Ending | None:
        self.runs += 1
        bench, run = self.bench, f"run{self.runs}"
        journal = MemoryJournal(bench.state, run)
        ports = Ports(
            source=self.families,
            target=bench.target,
            links=MemoryLinks(bench.state),
            journal=DyingJournal(journal, now.dies_at),
            index=MemoryIndex(),
            pool=InlinePool(),
            observe=bench.events.append,
            parts=bench.parts,
            ahead=now.ahead,
        )
        bench.target.writes.clear()
        try:
            options = Options(
                run=run, writes=True, slice_changes=now.slices, slice_pages=now.slices, now=bench.state.now
            )
            result = engine.run(bench.job, ports, options)
        except Killed:
            bench.state.endings.pop(run, None)
            return None
        assert result.counts.balanced, result.counts
        bench.state.endings[run] = result.ending
        if result.selection is not None:
            bench.state.selection = result.selection
        return result.ending


def check(names_part: bool, played: list[Round]) -> None:
    world = World(names_part)
    for now in played:
        world.become(now)
        world.run(now)
        deleted = {key for kind, key in world.bench.target.writes if kind == "delete"}
        assert deleted.isdisjoint(world.there(now)), "deleted, and still there"
    last = played[-1]
    calm = Round(last.homes, last.parents, {}, last.values, None, last.ahead, 50)
    world.become(calm)
    for _ in range(3):
        ending = world.run(calm)
    assert ending is Ending.DONE
    held = sorted(str(record["no"]) for record in world.bench.target.records.values())
    pairs = [(home, child) for child, home in calm.homes.items() if home in calm.parents]
    pairs += [(STEADY, child) for child in STEADY_CHILDREN]
    assert held == sorted(str([home, child]) if names_part else str(child) for home, child in pairs)
    assert not world.bench.target.writes


@given(st.booleans(), st.lists(rounds, min_size=1, max_size=5))
def test_no_child_is_deleted_that_is_still_there_and_calm_brings_the_target_in_step(
    names_part: bool, played: list[Round]
) -> None:
    check(names_part, played)


def test_a_run_that_is_killed_before_any_step_of_it_deletes_nothing_that_is_there() -> None:
    before = Round({0: "a", 1: "a", 2: "b", 3: "c"}, frozenset("abc"), {}, 0, None, 1, 1)
    after = {0: "b", 2: "b", 3: "c"}
    for names_part in (True, False):
        for step in range(60):
            dying = Round(after, frozenset("ab"), {"b": "404"}, 1, step, 3, 1)
            check(names_part, [before, dying])
