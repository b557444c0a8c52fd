"""Whose turn it is: limits hold, everybody gets a share, nobody waits for ever, and no worker idles for nothing."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.runtime.line import Line
from daemon.runtime.work import Capacity


def capacity(workers: int, runs: dict[str, int] | None = None, /, **jobs: str) -> Capacity:
    """Limits in short: `people="hr desk"` is a job and its connections."""
    connections = {job: frozenset(names.split()) for job, names in jobs.items()}
    return Capacity(workers=workers, connections=connections, runs=runs or {})


def started(line: Line) -> list[str]:
    """Start all that may start now, and return it in order."""
    found = []
    while (job := line.next()) is not None:
        found.append(job)
    return found


def test_no_more_runs_start_than_there_are_workers_and_the_oldest_goes_first() -> None:
    line = Line(capacity(2))
    for job in ("a", "b", "c"):
        line.join(job)

    assert started(line) == ["a", "b"]
    assert line.waiting == ("c",)
    line.over("a")
    assert started(line) == ["c"]


def test_a_slow_systems_many_jobs_leave_the_other_workers_to_others() -> None:
    slow = {f"slow-{number}": "slow desk" for number in range(10)}
    line = Line(capacity(4, {"slow": 2, "desk": 4}, **slow, quick="hr desk", other="hr desk"))
    for job in (*slow, "quick", "other"):
        line.join(job)

    assert started(line) == ["slow-0", "quick", "slow-1", "other"]


def test_with_one_worker_connections_take_turns() -> None:
    jobs = {f"slow-{number}": "slow" for number in range(3)}
    line = Line(capacity(1, **jobs, quick="hr"))
    for job in (*jobs, "quick"):
        line.join(job)

    order = []
    while line.waiting or line.under_way:
        order += started(line)
        line.over(order[-1])

    assert order == ["slow-0", "quick", "slow-1", "slow-2"]


def test_a_connection_that_is_source_and_target_takes_one_slot() -> None:
    line = Line(capacity(8, {"hr": 1}, itself="hr hr"))
    line.join("itself")

    assert started(line) == ["itself"]


def test_a_run_whose_two_slots_are_never_free_together_has_its_turn_all_the_same() -> None:
    line = Line(capacity(8, {"a": 1, "c": 1}, both="a c", a1="a", a2="a", c1="c", c2="c"))
    for job in ("a1", "c1", "both"):
        line.join(job)
    started(line)

    sides = {"a": ["a1", "a2"], "c": ["c1", "c2"]}
    for side in "ac" * 50:
        # The other run of this side waits already when the one under way ends, and then rejoins in turn.
        line.join(sides[side][1])
        line.over(sides[side][0])
        sides[side].reverse()
        started(line)
        if "both" in line.under_way:
            return
    pytest.fail("it never had its turn")


def test_a_slot_of_a_common_target_is_not_kept_for_a_run_whose_source_is_full_for_long() -> None:
    quick = {f"quick-{number}": "hr desk" for number in range(30)}
    line = Line(capacity(8, {"slow": 1, "desk": 2}, **quick, slow="slow desk", late="slow desk"))
    for job in ("slow", "late", *quick):
        line.join(job)

    order = started(line)
    while line.waiting != ("late",):
        line.over(order[-1])
        order += started(line)

    assert order == ["slow", *quick]


def test_other_limits_count_from_the_next_start_on() -> None:
    line = Line(capacity(1, {"hr": 1}, a="hr", b="hr", c="hr"))
    for job in ("a", "b", "c"):
        line.join(job)
    assert started(line) == ["a"]

    line.replace(capacity(2, {"hr": 2}, a="hr", b="hr", c="hr"))
    assert started(line) == ["b"]

    line.replace(capacity(1, {"hr": 2}, a="hr", b="hr", c="hr"))
    line.over("a")
    assert started(line) == []
    line.over("b")
    assert started(line) == ["c"]


def test_a_run_that_left_the_line_does_not_start() -> None:
    line = Line(capacity(8))
    line.join("a")
    line.leave("a")

    assert started(line) == []


# ---- laws ----

NAMES = ("a", "b", "c", "d")
JOBS = 8


@dataclass
class World:
    """Jobs whose runs take a fixed time each and are due again as soon as they are over: more work than can be done."""

    capacity: Capacity
    lasts: list[int]
    line: Line = field(init=False)
    left: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.line = Line(self.capacity)

    def tick(self) -> tuple[str, ...]:
        """Let time pass, and return what is under way. Ends and starts alternate, as they do in the service."""
        for job in [job for job, left in self.left.items() if left == 1]:
            del self.left[job]
            self.line.over(job)
            self.line.join(job)
            self.start(later=1)
        self.left = {job: left - 1 for job, left in self.left.items()}
        self.start()
        return self.line.under_way

    def start(self, *, later: int = 0) -> None:
        self.left |= {job: self.lasts[int(job)] + later for job in started(self.line)}
        load = Counter(name for job in self.line.under_way for name in self.capacity.connections[job])
        assert len(self.line.under_way) <= self.capacity.workers
        assert all(load[name] <= self.capacity.runs[name] for name in load)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    used = st.frozensets(st.sampled_from(NAMES), min_size=1, max_size=2)
    return World(
        Capacity(
            workers=draw(st.integers(1, 5)),
            connections={str(number): draw(used) for number in range(JOBS)},
            runs={name: draw(st.integers(1, 3)) for name in NAMES},
        ),
        [draw(st.integers(1, 5)) for _ in range(JOBS)],
    )


@given(worlds(), st.permutations([str(number) for number in range(JOBS)]))
@settings(deadline=None)
def test_every_run_has_its_turn_however_much_there_is_to_do(world: World, order: list[str]) -> None:
    for job in order:
        world.line.join(job)

    ran: set[str] = set()
    for _ in range(400):
        ran.update(world.tick())

    assert len(ran) == JOBS


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[str, int]]:
    return draw(st.lists(st.tuples(st.sampled_from(["join", "over"]), st.integers(0, JOBS - 1)), max_size=80))


@given(worlds(), steps())
@settings(deadline=None)
def test_limits_hold_and_no_worker_idles_while_a_run_could_start(world: World, story: list[tuple[str, int]]) -> None:
    line, limits = world.line, world.capacity
    for what, number in story:
        job = str(number)
        if what == "join" and job not in (*line.waiting, *line.under_way):
            line.join(job)
        elif what == "over" and job in line.under_way:
            line.over(job)
        world.start()

        if len(line.under_way) < limits.workers:
            load = Counter(name for one in line.under_way for name in limits.connections[one])
            kept = {name for one in line._waiting for name in one.kept}
            for one in line.waiting:
                has_room = all(load[name] < limits.runs[name] and name not in kept for name in limits.connections[one])
                assert not has_room, one
