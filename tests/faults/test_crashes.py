"""`crudsd run` is killed at every step of a small sync, one after another; the next run makes it good.

The steps come from the program itself (tests/faults/steps.py). By default each name among them is tried once, shared
out among the ways of clearing up a lost answer; `make faults` tries every step in each of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from daemon.errors import Exit
from tests.fakes.misbehaving import MisbehavingServer
from tests.faults.processes import Ended, Nursery, nursery
from tests.faults.scene import SLICE, Scene, Way
from tests.faults.steps import Order, methods, protocols, stores

KILLED = -9
APART = 20
"""Of so many names of steps a spread takes one."""

pytestmark = pytest.mark.timeout(3600)


@dataclass(frozen=True, slots=True)
class Case:
    """What is killed."""

    way: Way
    at_once: int = 1
    resumes: bool = False
    """It is the run after one that was killed while a create was under way, so that it begins by clearing up."""

    def __str__(self) -> str:
        return f"{self.way}{', the run after a crash' * self.resumes}{', four at once' * (self.at_once > 1)}"


CASES = [*(Case(way) for way in Way), *(Case(way, resumes=True) for way in Way), Case(Way.LOOKUP, at_once=4)]

NOT_CALLED = {
    "Target.get": "for updates by PUT, and for versions",
    "Links.raws": "for jobs without a cursor field",
    "Links.range": "for more records that are gone at once",
    "Links.in_part": "for parts that cannot be read: see test_parts.py",
    "Journal.part_of": "for two records of one key",
    "Links.young": "for targets that are behind",
    "Journal.failed": "for links that went stale",
    "Journal.mend": "for links that went stale",
    "Journal.tally": "for what is shown of a plan",
    "Journal.spoil": "for two records of one key",
    "Journal.withhold": "for what a guard withholds",
    "RunStore.fire": "for the service",
    "RunStore.skip": "for the service",
    "RunStore.recent": "for people",
    "RunStore.last_complete": "for people",
    "RunStore.last_fires": "for the service",
    "RunStore.ended_well": "for the service",
    "RunStore.waiting": "for the service",
    "RunStore.waits_until": "for the service",
    "RunStore.latest_settled": "for approvals",
    "RunStore.pinned_by": "for approvals and saved plans",
    "Leases.renew": "for runs that take longer than a heartbeat",
    "Leases.held_until": "for the service",
    "Leases.holder": "for people",
    "Leases.holders": "for upgrades",
    "SqlTokenStore.clear": "for people",
    "Database.migrate": "for upgrades",
}
"""Methods that the sync which is killed has no use for, and why."""

ALONE = {"Target.create after", "Target.create failed", "Target.update after", "Target.delete after"}
TOGETHER = {"Target.write before", "Target.write after"}
WANTED = {"SqlTokenStore.save before", "Database.write leaving", "Database.write after"}
"""Steps without which the sync that is killed would prove little."""


@pytest.fixture(scope="module")
def warm() -> Iterator[Nursery]:
    with nursery() as made:
        yield made


@dataclass(frozen=True, slots=True)
class Course:
    """What a run of a case goes through, in order."""

    steps: list[str]
    boundaries: list[str]


@pytest.fixture(scope="module")
def courses(warm: Nursery, tmp_path_factory: pytest.TempPathFactory) -> dict[Case, Course]:
    """The course of each case, as far as nothing strikes it."""
    with scenes_in(tmp_path_factory.mktemp("courses"), warm) as scenes:
        return {case: Course(scene.steps(), scene.boundaries()) for case in CASES for scene in [scenes(case)]}


@pytest.fixture
def scenes(warm: Nursery, tmp_path: Path) -> Iterator[Callable[[Case], Scene]]:
    with scenes_in(tmp_path, warm) as made:
        yield made


@contextmanager
def scenes_in(path: Path, warm: Nursery) -> Iterator[Callable[[Case], Scene]]:
    with MisbehavingServer(seed=1) as plain, MisbehavingServer(seed=1, idempotent=True) as idempotent:

        def make(case: Case) -> Scene:
            server = idempotent if case.way is Way.KEY else plain
            scene = Scene(server, path / str(case), warm, case.way, at_once=case.at_once)
            if case.resumes:
                scene.back()
                # In the second slice, so that it begins by a mark of the first, too.
                where = "POST /batch applied #2" if case.way is Way.BATCH else "POST /users applied #3"
                assert scene.struck_at(where).code == KILLED
                scene.keep()
            return scene

        yield make


@pytest.mark.edge(42)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_run_that_is_killed_at_any_step_is_made_good_by_the_next(
    case: Case,
    courses: dict[Case, Course],
    scenes: Callable[[Case], Scene],
    long: bool,
    record_property: Callable[[str, object], None],
) -> None:
    scene = scenes(case)
    points = courses[case].steps if long else shared_out({one: course.steps for one, course in courses.items()})[case]

    failures = tried(points, scene, case, lambda step: scene.run(Order(at=step, slice_changes=SLICE)), long=long)

    record_property("crash points", len(points))
    assert "\n".join(failures) == ""


@pytest.mark.edge(23, 24, 42)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_run_that_is_killed_at_any_moment_of_a_request_is_made_good_by_the_next(
    case: Case,
    courses: dict[Case, Course],
    scenes: Callable[[Case], Scene],
    long: bool,
    record_property: Callable[[str, object], None],
) -> None:
    scene = scenes(case)
    whole = {one: course.boundaries for one, course in courses.items()}
    points = whole[case] if long else shared_out(whole)[case]

    failures = tried(points, scene, case, scene.struck_at, long=long)

    record_property("request points", len(points))
    assert "\n".join(failures) == ""


def test_the_script_itself_is_killed_and_run_again(
    scenes: Callable[[Case], Scene], long: bool, record_property: Callable[[str, object], None]
) -> None:
    case = Case(Way.LOOKUP)
    scene = scenes(case)
    points = chosen([step for step in scene.steps() if is_a_write(step)], 0, long=long)

    failures = tried(
        points,
        scene,
        case,
        lambda step: scene.run_afresh(Order(at=step, slice_changes=SLICE)),
        by=scene.run_afresh,
        long=long,
    )

    record_property("script points", len(points))
    assert "\n".join(failures) == ""


def test_the_steps_are_all_calls_of_a_run_and_the_sync_that_is_killed_has_everything_in_it(
    courses: dict[Case, Course],
) -> None:
    ports = [(protocol, methods(protocol)) for protocol in protocols().values()]
    declared = {f"{owner.__name__}.{name}" for owner, names in (*ports, *stores()) for name in names}

    steps = {case: course.steps for case, course in courses.items()}

    reached = {name_of(step).partition(" ")[0] for some in steps.values() for step in some}
    called = {name for name in reached if not name.startswith("observe.")}
    hint = "let the scene's sync call it, so that a run is killed there too, or say in NOT_CALLED why not"
    assert declared - called - set(NOT_CALLED) == set(), hint
    assert called - declared == set()
    assert set(NOT_CALLED) & called == set()
    assert {"Journal.plan", "Journal.commit", "Journal.resolve", "Target.create", "Target.lookup"} <= called
    assert {"observe.PhaseBegan", "observe.ChangesSettled", "observe.Resolved"} <= reached

    for case, some in steps.items():
        if not case.resumes:
            assert {name_of(step) for step in some} >= WANTED | (TOGETHER if case.way is Way.BATCH else ALONE)
            assert sum(step.startswith("Source.read gave") for step in some) > 2
            assert sum(step.startswith("observe.PhaseBegan before") for step in some) >= 4, "one slice only"


# ---- how it is done ----


def tried(
    points: Iterable[str],
    scene: Scene,
    case: Case,
    strike: Callable[[str], Ended],
    *,
    long: bool,
    by: Callable[[], Ended] | None = None,
) -> list[str]:
    """Strike at each point, from the same beginning, and return what was not made good.

    If not `long`, only after each eighth it is tried that the run after the next one has nothing to do.
    """
    failures = []
    for number, point in enumerate(points):
        scene.back()
        ended = strike(point)
        try:
            # With several changes under way the order of steps is not the same each time, nor quite their number.
            allowed = {KILLED} if case.at_once == 1 else {KILLED, Exit.REJECTED}
            assert ended.code in allowed, f"ended with {ended.code}: {ended.out}{ended.err}"
            scene.assert_made_good(scene.in_doubt(), by=by, once_more=long or number % 8 == 0)
        except AssertionError as error:
            failures.append(f"{point}: {error}")
    return failures


def shared_out(points: Mapping[Case, Sequence[str]]) -> dict[Case, list[str]]:
    """Each name once, at one of its places, in one of the cases that have it."""
    places = {case: by_name(some) for case, some in points.items()}
    names = list(dict.fromkeys(name for some in places.values() for name in some))
    shares: dict[Case, list[str]] = {case: [] for case in points}
    for number, name in enumerate(names):
        case = min((case for case in places if name in places[case]), key=lambda one: len(shares[one]))
        group = places[case][name]
        shares[case].append(group[7 * number % len(group)])
    return shares


def chosen(points: Sequence[str], turn: int, *, long: bool) -> list[str]:
    """All of them, or a spread: every `APART`th of the names, at one of its places; others at another turn."""
    if long:
        return list(points)
    groups = [group for number, group in enumerate(by_name(points).values()) if (number + 3 * turn) % APART == 0]
    return [group[(7 * number + turn) % len(group)] for number, group in enumerate(groups)]


def by_name(points: Iterable[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for point in points:
        groups.setdefault(name_of(point), []).append(point)
    return groups


def name_of(point: str) -> str:
    return point.partition(" #")[0]


def is_a_write(step: str) -> bool:
    return step.startswith(("Journal.commit", "Journal.plan ", "Target.", "Database.write"))
