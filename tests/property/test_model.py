"""The program against a model of both systems: whatever happens between and during its runs, the laws hold.

`test_sync.py` beside this tells thousands of short stories to the engine alone, over a journal in memory. Here it is
the worker with all it has, on a real state file: leases, run rows, marks, approvals, saved plans, rejects; people edit
both systems while they are read; and a process may be killed, stopped, put to sleep or overtaken at any of its steps.
`RestMachine` puts the wire between: the program's own endpoints and the misbehaving server with every fault it knows,
people at work between the runs only.

    I1  nothing is deleted that was on a page of the read, or in the source all the while    Desk.delete
    I2  nothing is deleted without a certificate                                              Desk.delete, World._check
    I3  at most one create of a key at the server, while its record is there                  Desk.create
    I4  after a run without trouble the plan is empty                                         Life.settles
    I6  the counts balance, in the result and in the run's row, and agree with the journal    World._check
    I7  a second run writes nothing                                                           Life.settles

I5 speaks of cursors. Besides: no write is sent that the journal does not know of, or by a process that was overtaken;
a plan writes nothing anywhere; an approval or a saved plan lets pass what was seen, and nothing else.
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from daemon.runtime.saved_plan import SavedPlan
from daemon.runtime.worker import Finished
from daemon.sync.change import Fate
from daemon.sync.guards import Allowance
from daemon.sync.outcome import Ending
from tests.fakes.misbehaving_records import Paging
from tests.property.mishaps import OF_THE_PROCESS, Edit, Mishap, What, edits, mishaps
from tests.property.model import SHAPES, Feed, Shape
from tests.property.model_wire import BLOWS, PAGINGS, Blow, RestWorld
from tests.property.model_world import EVERYTHING, Pace, Tally, World
from tests.property.people import BETWEEN, DURING

NUMBERS = st.integers(0, 5)
"""Few people, so that things happen to the same one again."""
PACES = st.builds(
    Pace,
    slice_changes=st.integers(1, 3) | st.just(50_000),
    slice_pages=st.integers(1, 2) | st.just(1_000),
    window=st.integers(1, 4),
)
CUTS = st.builds(
    Mishap,
    after=st.integers(8, 40),
    what=st.sampled_from([What.KILL, What.KILL, What.STOP, What.AWAY, What.REFUSED, What.LOST]),
)
LONG_S = 600.0
AT_ONCE = 100
"""Machines in one go of the long search."""


WorldT = TypeVar("WorldT", bound=World)


@dataclass(frozen=True)
class Life(Generic[WorldT]):
    """How every story ends: people clear up, and then all must be well."""

    world: WorldT

    def end(self) -> None:
        world = self.world
        world.people.tidy()
        world.retry_all()
        last = self.quietly()
        if last.result.withheld:
            world.approve()
            last = self.quietly()
        counts = last.result.counts
        assert last.result.withheld == {}, last
        assert last.result.ending in {Ending.DONE, Ending.HELD}, last
        assert (counts.withheld, counts.deletes_withheld, counts.any_rejected) == (0, 0, False), last
        world.people.assert_in_step()
        self.settles()
        world.people.assert_in_step()

    def quietly(self) -> Finished:
        """Do one run from the beginning to the end: what goes on with another's read says nothing of its first part."""
        finished = self.world.run(allowance=Allowance())
        if self.world.went_on:
            finished = self.world.run(allowance=Allowance())
        assert finished is not None
        assert not self.world.went_on
        return finished

    def settles(self) -> None:
        with self.world.plan() as planned:
            assert planned is not None
            assert dict(planned.tally) == {}
            assert planned.unresolved == 0
        again = self.world.run()
        assert again is not None
        assert again.result.counts.wrote == 0
        assert self.world.writes_asked == 0


class Machine(RuleBasedStateMachine):
    """One job's life."""

    tally = Tally()

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory(prefix="crudsd-model-")
        self.saved: tuple[SavedPlan, set[tuple[str, str]]] | None = None
        self.tally.note("machines")

    @initialize(
        shape=st.sampled_from(SHAPES),
        staff=st.frozensets(NUMBERS),
        there_before=st.frozensets(NUMBERS, max_size=4),
        page_size=st.integers(1, 4),
        resumes=st.booleans(),
        counts=st.booleans(),
    )
    def begin(
        self,
        shape: Shape,
        staff: frozenset[int],
        there_before: frozenset[int],
        page_size: int,
        resumes: bool,
        counts: bool,
    ) -> None:
        feed = Feed(page_size=page_size, resumes=resumes, counts=counts)
        self.world = World(Path(self._folder.name), shape, feed, tally=self.tally)
        self.world.people.begin(staff, there_before)

    # ---- what may happen ----

    @rule(edits=st.lists(edits(NUMBERS, BETWEEN), min_size=1, max_size=4))
    def people(self, edits: list[Edit]) -> None:
        self.step()
        for edit in edits:
            self.world.people.do(edit)

    @rule(
        edits=st.lists(edits(NUMBERS, BETWEEN), max_size=3),
        planned=mishaps(NUMBERS, DURING),
        allowed=st.sampled_from([True, True, False]),
        pace=PACES,
    )
    def run(self, edits: list[Edit], planned: list[Mishap], allowed: bool, pace: Pace) -> None:
        self.step()
        for edit in edits:
            self.world.people.do(edit)
        self.world.run(planned, allowance=EVERYTHING if allowed else Allowance(), pace=pace)

    @rule(edits=st.lists(edits(NUMBERS, BETWEEN), max_size=2), planned=mishaps(NUMBERS, DURING), pace=PACES)
    def run_again(self, edits: list[Edit], planned: list[Mishap], pace: Pace) -> None:
        self.run(edits, planned, True, pace)

    @rule(cuts=st.lists(CUTS, min_size=1, max_size=3), edits=st.lists(edits(NUMBERS, BETWEEN), max_size=2))
    def long_read(self, cuts: list[Mishap], edits: list[Edit]) -> None:
        """A read of many pages that is cut off again and again, and gone on with."""
        for cut in cuts:
            self.step()
            self.world.run([cut], pace=Pace(slice_changes=1, slice_pages=1))
            for edit in edits:
                self.world.people.do(edit)

    @precondition(lambda self: self.world.last is not None and self.world.last.result.withheld)
    @rule()
    def approve(self) -> None:
        self.step()
        self.world.approve()
        self.world.last = None

    @rule(planned=mishaps(NUMBERS, DURING))
    def plan(self, planned: list[Mishap]) -> None:
        self.step()
        with self.world.plan(planned) as made:
            if made is not None and made.result.ending in {Ending.DONE, Ending.HELD, Ending.REJECTED}:
                changes = {
                    (f"{one.kind}", one.key) for one in made.changes if one.fate in {Fate.PLANNED, Fate.WITHHELD}
                }
                self.saved = self.world.save(made), changes

    @precondition(lambda self: self.saved is not None)
    @rule(planned=mishaps(NUMBERS, DURING), allowed=st.booleans())
    def apply(self, planned: list[Mishap], allowed: bool) -> None:
        self.step()
        if self.saved is None:
            return
        saved, changes = self.saved
        writes = len(self.world.desk.writes)
        overtakes = self.tally.counts["overtake"]
        self.world.run(planned, allowance=EVERYTHING if allowed else Allowance(), saved=saved)
        if self.tally.counts["overtake"] == overtakes:
            assert {key for _, key in self.world.desk.writes[writes:]} <= {key for _, key in changes}

    @precondition(lambda self: self.world.rows("SELECT 1 FROM rejects LIMIT 1"))
    @rule(looks=st.booleans())
    def rejects(self, looks: bool) -> None:
        """Somebody has the rejects tried again, or a day passes."""
        self.step()
        if looks:
            self.world.retry_all()
        else:
            self.world.rest()

    @rule()
    def peace(self) -> None:
        """Nothing goes wrong for a while."""
        self.step()
        finished = self.world.run()
        assert finished is not None
        if finished.result.ending is Ending.DONE and not self.world.went_on:
            Life(self.world).settles()

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                Life(self.world).end()
                self.world.close()
        finally:
            self._folder.cleanup()

    def step(self) -> None:
        self.tally.note("steps")


class RestMachine(RuleBasedStateMachine):
    """A job's life over REST: what goes wrong is on the wire, and in the process."""

    tally = Tally()

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory(prefix="crudsd-model-")
        self.tally.note("machines")

    @initialize(
        shape=st.sampled_from(SHAPES),
        paging=st.sampled_from(PAGINGS),
        doubles=st.booleans(),
        staff=st.frozensets(NUMBERS),
        there_before=st.frozensets(NUMBERS, max_size=3),
        page_size=st.integers(1, 4),
    )
    def begin(
        self,
        shape: Shape,
        paging: Paging,
        doubles: bool,
        staff: frozenset[int],
        there_before: frozenset[int],
        page_size: int,
    ) -> None:
        feed = Feed(page_size=page_size, resumes=False, counts=False)
        world = RestWorld(Path(self._folder.name), shape, feed, tally=self.tally, paging=paging, doubles=doubles)
        self.life = Life(world)
        world.people.begin(staff, there_before)

    @rule(edits=st.lists(edits(NUMBERS, BETWEEN), max_size=3), blows=BLOWS, planned=OF_THE_PROCESS, pace=PACES)
    def run(self, edits: list[Edit], blows: list[Blow], planned: list[Mishap], pace: Pace) -> None:
        self.tally.note("steps")
        for edit in edits:
            self.life.world.people.do(edit)
        self.life.world.blows(blows)
        self.life.world.run(planned, pace=pace)

    @rule(blows=st.lists(BLOWS, min_size=1, max_size=4), edits=st.lists(edits(NUMBERS, BETWEEN), max_size=2))
    def runs(self, blows: list[list[Blow]], edits: list[Edit]) -> None:
        for some in blows:
            self.run(edits, some, [], Pace())

    @rule(edits=st.lists(edits(NUMBERS, BETWEEN), max_size=3), blows=BLOWS, planned=OF_THE_PROCESS, pace=PACES)
    def run_again(self, edits: list[Edit], blows: list[Blow], planned: list[Mishap], pace: Pace) -> None:
        self.run(edits, blows, planned, pace)

    @rule(blows=BLOWS)
    def plan(self, blows: list[Blow]) -> None:
        self.tally.note("steps")
        self.life.world.blows(blows)
        with self.life.world.plan():
            pass

    @precondition(lambda self: self.life.world.rows("SELECT 1 FROM rejects LIMIT 1"))
    @rule()
    def rejects(self) -> None:
        self.tally.note("steps")
        self.life.world.retry_all()

    def teardown(self) -> None:
        try:
            if hasattr(self, "life"):
                self.life.end()
                self.life.world.close()
        finally:
            self._folder.cleanup()


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Keep the files in memory: what a disk makes of a commit is for tests/faults to find out."""
    shared = Path("/dev/shm")
    folder = TemporaryDirectory(prefix="crudsd-", dir=shared if shared.is_dir() else tmp_path)
    with folder as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield


def searched(
    machine: type[Machine] | type[RestMachine], record: Callable[[str, object], None], *, long: bool, examples: int
) -> None:
    """Let Hypothesis try to break the laws: some machines, or as many as it can in ten minutes."""
    machine.tally = Tally()
    until = time.monotonic() + (LONG_S if long else 0)
    while True:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=AT_ONCE if long else examples,
                stateful_step_count=15,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        if time.monotonic() >= until:
            break
    for what, number in machine.tally.counts.items():
        record(f"{what} of the model", number)


@pytest.mark.usefixtures("quick_disk")
@pytest.mark.timeout(3_600)
def test_nothing_on_the_wire_breaks_the_laws(long: bool, record_property: Callable[[str, object], None]) -> None:
    searched(RestMachine, record_property, long=long, examples=18)


@pytest.mark.usefixtures("quick_disk")
@pytest.mark.timeout(3_600)
def test_nothing_breaks_the_laws(long: bool, record_property: Callable[[str, object], None]) -> None:
    searched(Machine, record_property, long=long, examples=45)


@pytest.mark.usefixtures("quick_disk")
@pytest.mark.parametrize("what", [What.KILL, What.OVERTAKE, What.FULL], ids=str)
def test_a_small_run_that_is_struck_at_any_step_keeps_the_laws(what: What) -> None:
    for after in itertools.count(1):
        machine = Machine()
        machine.begin(SHAPES[0], frozenset([1, 4]), frozenset(), page_size=2, resumes=True, counts=True)
        machine.peace()
        machine.people([Edit("edit", 4, "b"), Edit("join", 5, "a"), Edit("leave", 1, "a")])

        before = machine.tally.counts[what]
        machine.run([], [Mishap(after, what)], True, Pace())
        machine.teardown()

        if machine.tally.counts[what] == before:
            assert after > 20, "the run has fewer steps than it should"
            break
