"""`crudsd run` is told to end, or paused past the end of its lease, at a spread of the same steps."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.errors import Exit
from tests.fakes.misbehaving import MisbehavingServer
from tests.faults.processes import Ended, Nursery, nursery
from tests.faults.scene import SLICE, Scene, Way
from tests.faults.steps import Order
from tests.faults.test_crashes import chosen

LEASE_S = 0.05
BUSY_S = 0.3
TABLES = ("changes", "links", "documents", "rejects", "tokens")
"""What a process that lost its lease may not touch. Its own row in `runs` was closed by the one that took over."""

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def warm() -> Iterator[tuple[Nursery, Nursery]]:
    with nursery() as one, nursery() as other:
        yield one, other


@pytest.fixture
def other(warm: tuple[Nursery, Nursery]) -> Nursery:
    """Where a second process comes from while the first is paused."""
    return warm[1]


@pytest.fixture
def scenes(warm: tuple[Nursery, Nursery], tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    with MisbehavingServer(seed=1) as plain, MisbehavingServer(seed=1, idempotent=True) as idempotent:

        def make(way: Way, *, at_once: int = 1) -> Scene:
            server = idempotent if way is Way.KEY else plain
            return Scene(server, tmp_path / f"{way} {at_once}", warm[0], way, at_once=at_once)

        yield make


@pytest.mark.edge(15)
@pytest.mark.parametrize("at_once", [1, 4])
def test_a_run_that_is_told_to_end_at_any_step_finishes_what_it_began_and_the_next_run_the_rest(
    at_once: int, scenes: Callable[..., Scene], long: bool, record_property: Callable[[str, object], None]
) -> None:
    scene = scenes(Way.LOOKUP, at_once=at_once)
    points = chosen(scene.steps(), at_once, long=long)

    failures = []
    for point in points:
        scene.back()
        try:
            told_to_end(scene, point, at_once)
            scene.assert_made_good()
        except AssertionError as error:
            failures.append(f"{point}: {error}")

    record_property("SIGTERM points", len(points))
    assert "\n".join(failures) == ""


def told_to_end(scene: Scene, point: str, at_once: int) -> None:
    with scene.start(Order(at=point, by="pause", slice_changes=SLICE)) as process:
        if not process.until_stopped():
            assert at_once > 1, "the step was not reached"
            return
        before = len(scene.server.writes())
        os.kill(process.pid, signal.SIGTERM)
        process.go_on()
        ended = process.ended()
    assert ended.code in {Exit.INTERRUPTED, Exit.REJECTED}, ended
    # Those in hand, and what a thread starts before it hears of it.
    assert len(scene.server.writes()) - before <= at_once + 2
    assert ended.code == Exit.INTERRUPTED or scene.is_in_step()
    assert scene.rows("select key from changes where fate = 'sent'") == []
    done = {key for (key,) in scene.rows("select key from changes where fate = 'done'")}
    assert {one.key for one in scene.server.applied} <= done


@pytest.mark.edge(44)
@pytest.mark.parametrize("way", Way)
def test_a_run_that_is_paused_past_its_lease_neither_sends_nor_commits_anything_when_it_wakes(
    way: Way,
    scenes: Callable[..., Scene],
    other: Nursery,
    long: bool,
    record_property: Callable[[str, object], None],
) -> None:
    scene = scenes(way)
    steps = scene.steps()
    points = chosen(steps, list(Way).index(way), long=long)
    fenced = set(steps[steps.index("Leases.acquire after #1") : steps.index("RunStore.finish before #1") + 1])

    failures = []
    for point in points:
        scene.back()
        try:
            woken_too_late(scene, point, other, is_fenced=point in fenced)
        except AssertionError as error:
            failures.append(f"{point}: {error}")

    record_property("SIGSTOP points", len(points))
    assert "\n".join(failures) == ""


def woken_too_late(scene: Scene, point: str, other: Nursery, *, is_fenced: bool) -> None:
    order = Order(at=point, by="pause", slice_changes=SLICE, lease_s=LEASE_S)
    with scene.start(order) as process:
        assert process.until_stopped(), "the step was not reached"
        in_doubt = scene.in_doubt()
        second = taken_over(scene, other)
        is_locked = second.code == Exit.ERROR and "is locked by another process" in second.err
        assert is_locked or second.code == Exit.REJECTED, second
        writes, held = len(scene.server.writes()), contents(scene)

        process.go_on()
        ended = process.ended()

    if is_fenced and not is_locked:
        assert ended.code == Exit.LOCKED, ended
        assert "another process took over" in ended.err
        assert contents(scene) == held
        assert scene.server.writes()[writes:] == []
    else:
        # It held the database itself, or its lease was not needed: not taken yet, or given back.
        assert ended.code == Exit.REJECTED, ended
    scene.assert_made_good(in_doubt if not is_locked else frozenset())


def taken_over(scene: Scene, other: Nursery) -> Ended:
    """Run the job by another process, once the lease of the paused one has come to its end."""
    for _ in range(100):
        ended = scene.run(Order(busy_s=BUSY_S), by=other)
        if ended.code != Exit.LOCKED:
            return ended
    raise AssertionError(f"the lease does not end: {ended.err}")


def contents(scene: Scene) -> list[list[tuple[Any, ...]]]:
    """What is remembered, but for the history of runs."""
    return [list(scene.rows(f"select * from {table} order by 1, 2")) for table in TABLES]
