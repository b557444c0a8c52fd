"""`crudsd run` with its state on PostgreSQL: killed, raced, and left by its server in mid-run."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.errors import Exit
from tests.e2e.harness import LIMIT_S, caught, ended, kill_9, until
from tests.e2e.test_processes import PEOPLE, Scene, spec
from tests.fakes.misbehaving import MisbehavingServer, Moment, Seen
from tests.servers.postgres import Postgres

pytestmark = pytest.mark.servers

FEW = 60
"""So that a run is long enough to be struck, and no longer."""


@pytest.fixture
def scene(tmp_path: Path, postgres: Postgres) -> Iterator[Scene]:
    with MisbehavingServer(seed=1) as server:
        scene = Scene(server, tmp_path)
        for number in range(FEW, PEOPLE):
            scene.people.remove(f"E{number}")
        # A database without tables: the first run makes them. Its address comes as one with a password would.
        scene.folder.write({**spec(server.url), "state": {"env": "STATE_URL"}})
        scene.folder.environment["STATE_URL"] = postgres.url(postgres.empty_database())
        yield scene


def held_back(scene: Scene, *, after: int) -> threading.Event:
    """Answer so many creates, and the others, which are carried out too, when the event is set."""
    go_on = threading.Event()

    def wait(moment: Moment, seen: Seen) -> None:
        if moment is Moment.APPLIED and seen.method == "POST" and scene.done("create") > after:
            go_on.wait(LIMIT_S)

    scene.server.watch(wait)
    return go_on


@pytest.mark.edge(42)
def test_what_a_killed_run_left_is_finished_by_the_next_and_nothing_is_doubled(scene: Scene) -> None:
    go_on = held_back(scene, after=20)
    with scene.folder.started("run", "people") as process:
        caught(process, lambda: scene.done("create") > 20, what="21 creates")
        kill_9(process)
    go_on.set()
    assert 20 < scene.done("create") < FEW

    again = scene.crudsd("run", "people")  # at once: the holder of the lease is dead

    assert again.returncode == Exit.DONE, again.stdout + again.stderr
    scene.assert_well()
    scene.server.forget()
    assert scene.crudsd("run", "people").returncode == Exit.DONE
    assert scene.server.writes() == []
    assert not scene.folder.state.exists()


@pytest.mark.edge(44)
def test_of_two_that_run_the_same_job_at_once_one_does_it(scene: Scene) -> None:
    assert scene.crudsd("db", "upgrade").returncode == Exit.DONE
    go_on = held_back(scene, after=0)  # so that the one who has the lease holds it until the other has ended

    with scene.folder.started("run", "people") as one, scene.folder.started("run", "people") as other:
        until(lambda: one.poll() is not None or other.poll() is not None, what="one of them has ended")
        go_on.set()
        outcomes = [ended(one), ended(other)]

    assert sorted(code for code, _, _ in outcomes) == [Exit.DONE, Exit.LOCKED], outcomes
    assert scene.done("create") == FEW
    scene.assert_well()


@pytest.mark.edge(41)
@pytest.mark.parametrize("is_back", [False, True], ids=["until the run has ended", "for a moment"])
def test_a_run_whose_server_goes_away_ends_with_the_reason_and_the_next_one_goes_on(
    scene: Scene, postgres: Postgres, is_back: bool
) -> None:
    go_on = held_back(scene, after=20)
    with scene.folder.started("run", "people") as process:
        caught(process, lambda: scene.done("create") > 20, what="21 creates")
        with postgres.away():
            if not is_back:
                go_on.set()
                code, out, err = ended(process)
        go_on.set()
        if is_back:
            code, out, err = ended(process)

    sent = {one.key for one in scene.server.applied}
    if not is_back:
        assert code == Exit.ERROR, out + err
        assert "the state database" in err
        assert "what was committed is kept" in err
        assert len(sent) < FEW
    assert code in {Exit.DONE, Exit.ERROR}, out + err  # between two transactions, nobody notices
    assert "Traceback" not in err
    database = scene.folder.environment["STATE_URL"].partition("@/")[2].partition("?")[0]
    assert sent <= {
        key for (key,) in postgres.sql("SELECT key FROM changes WHERE fate <> 'planned'", database=database)
    }

    again = scene.crudsd("run", "people")

    assert again.returncode == Exit.DONE, again.stdout + again.stderr
    scene.assert_well()
