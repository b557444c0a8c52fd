"""The state database is locked, taken away or damaged while a run is under way; the disk under it fails."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from daemon.errors import Exit
from tests.fakes.misbehaving import MisbehavingServer
from tests.faults.processes import Ended, Nursery, nursery
from tests.faults.scene import GONE, NEW, SLICE, Scene, Way
from tests.faults.steps import Order
from tests.faults.test_crashes import chosen
from tests.servers.fiu import Fiu

BUSY_S = 0.3
FSYNC = "posix/io/sync/fdatasync,failinfo=5"
FULL = "posix/io/rw/pwrite,failinfo=28"
PAGE = 4096

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def warm() -> Iterator[Nursery]:
    with nursery() as made:
        yield made


@pytest.fixture
def scene(warm: Nursery, tmp_path: Path) -> Iterator[Scene]:
    with MisbehavingServer(seed=1) as server:
        yield Scene(server, tmp_path, warm, Way.LOOKUP)


@pytest.mark.edge(41)
def test_a_state_that_another_process_locks_in_mid_run_ends_it_with_nothing_sent_that_is_not_journalled(
    scene: Scene, long: bool, record_property: Callable[[str, object], None]
) -> None:
    points = [step for step in chosen(scene.steps(), 1, long=long) if not holds_the_lock(step)]

    failures = []
    for point in points:
        scene.back()
        try:
            ended = locked_out(scene, point)
            assert ended.code in {Exit.ERROR, Exit.REJECTED}, ended
            assert ended.code == Exit.REJECTED or "is locked by another process" in ended.err, ended
            assert_journalled(scene)
            scene.assert_made_good()
        except AssertionError as error:
            failures.append(f"{point}: {error}")

    record_property("locked points", len(points))
    assert "\n".join(failures) == ""


def locked_out(scene: Scene, point: str) -> Ended:
    with scene.start(Order(at=point, by="pause", slice_changes=SLICE, busy_s=BUSY_S)) as process:
        assert process.until_stopped(), "the step was not reached"
        with closing(sqlite3.connect(scene.state, isolation_level=None)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            process.go_on()
            return process.ended()


@pytest.mark.edge(41)
@pytest.mark.parametrize("is_replaced", [False, True], ids=["deleted", "replaced"])
def test_a_state_that_is_taken_away_in_mid_run_ends_it_before_anything_more_is_sent(
    is_replaced: bool, scene: Scene, long: bool, record_property: Callable[[str, object], None]
) -> None:
    steps = scene.steps()
    over = steps.index("RunStore.finish after #1")
    points = [step for step in chosen(steps, 2, long=long) if not holds_the_lock(step) and steps.index(step) < over]

    failures = []
    for point in points:
        scene.back()
        try:
            taken_away(scene, point, is_replaced=is_replaced)
        except AssertionError as error:
            failures.append(f"{point}: {error}")

    record_property("taken away points", len(points))
    assert "\n".join(failures) == ""


def taken_away(scene: Scene, point: str, *, is_replaced: bool) -> None:
    with scene.start(Order(at=point, by="pause", slice_changes=SLICE)) as process:
        assert process.until_stopped(), "the step was not reached"
        for file in scene.folder.glob("crudsd.db*"):
            file.rename(file.with_name(f"away-{file.name}"))
        if is_replaced:
            with closing(sqlite3.connect(scene.state)) as other:
                other.execute("create table other (one)")
        before = len(scene.server.writes())
        process.go_on()
        ended = process.ended()
    assert ended.code == Exit.ERROR, ended
    assert "was moved, deleted or replaced" in ended.err
    # The one in hand was journalled before.
    assert len(scene.server.writes()) - before <= 1
    for file in scene.folder.glob("crudsd.db*"):
        file.unlink()
    for file in scene.folder.glob("away-*"):
        file.rename(file.with_name(file.name.removeprefix("away-")))
    assert_journalled(scene)
    scene.assert_made_good()


def test_a_state_with_a_damaged_page_does_no_harm_wherever_the_page_is(scene: Scene, long: bool) -> None:
    scene.back()
    pages = range(scene.state.stat().st_size // PAGE)

    failures = []
    for page in pages if long else pages[::6]:
        scene.back()
        with scene.state.open("r+b") as file:
            file.seek(page * PAGE)
            file.write(bytes([0xA5]) * PAGE)
        ended = scene.run()
        try:
            assert_harmless(scene, ended)
        except AssertionError as error:
            failures.append(f"page {page}: {error}")

    assert "\n".join(failures) == ""


def assert_harmless(scene: Scene, ended: Ended) -> None:
    told = ("is damaged", "is not a SQLite database")
    assert ended.code == Exit.REJECTED or (ended.code == Exit.ERROR and any(one in ended.err for one in told)), ended
    assert ended.code == Exit.ERROR or scene.is_in_step()
    applied = scene.server.applied
    assert {one.key for one in applied if one.kind == "delete"} <= set(GONE)
    created = Counter(one.key for one in applied if one.kind == "create")
    assert set(created) <= NEW
    assert max(created.values(), default=0) <= 1


@pytest.mark.edge(41)
@pytest.mark.parametrize("fault", [FSYNC, FULL], ids=["fsync fails", "disk full"])
@pytest.mark.servers
def test_a_disk_that_takes_nothing_ends_the_run_before_anything_is_sent(fault: str, scene: Scene, fiu: Fiu) -> None:
    scene.back()

    ended = scene.run_afresh(prefix=fiu.prefix(f"enable name={fault}"))

    assert ended.code == Exit.ERROR, ended
    assert ended.err.count(": the disk ") == 1
    assert "defect" not in ended.err
    assert scene.server.writes() == []
    scene.assert_made_good()


@pytest.mark.edge(41)
@pytest.mark.parametrize("fault", [f"{FSYNC},probability=0.05", f"{FULL},probability=0.02"])
@pytest.mark.servers
def test_a_disk_that_fails_now_and_then_ends_the_run_with_everything_sent_in_the_journal(
    fault: str, scene: Scene, fiu: Fiu, long: bool, record_property: Callable[[str, object], None]
) -> None:
    failures = []
    times = 60 if long else 2

    for _ in range(times):
        scene.back()
        ended = scene.run_afresh(prefix=fiu.prefix(f"enable_random name={fault}"))
        try:
            assert ended.code == Exit.REJECTED or (ended.code == Exit.ERROR and " disk " in ended.err), ended
            assert "defect" not in ended.err
            assert_journalled(scene)
            scene.assert_made_good()
        except AssertionError as error:
            failures.append(str(error))

    record_property("disk points", times)
    assert "\n".join(failures) == ""


def assert_journalled(scene: Scene) -> None:
    """Everything that reached the target stands in the journal, as sent or as what became of it."""
    journalled = {key for (key,) in scene.rows("select key from changes where fate in ('sent', 'done')")}
    assert {one.key for one in scene.server.applied} <= journalled


def holds_the_lock(step: str) -> bool:
    return step.startswith(("Database.write entered", "Database.write leaving"))
