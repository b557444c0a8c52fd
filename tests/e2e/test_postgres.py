"""`crudsd run` with its state on PostgreSQL: killed, raced, and left by its server in mid-run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.errors import Exit
from tests.e2e.harness import caught, ended, kill_9
from tests.e2e.test_processes import PEOPLE, Scene, spec
from tests.fakes.misbehaving import MisbehavingServer
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


def test_what_a_killed_run_left_is_finished_by_the_next_and_nothing_is_doubled(scene: Scene) -> None:
    scene.slowed("POST")
    with scene.folder.started("run", "people") as process:
        caught(process, lambda: scene.done("create") >= 20, what="20 creates")
        kill_9(process)
    assert 20 <= scene.done("create") < FEW

    again = scene.crudsd("run", "people")  # at once: the holder of the lease is dead

    assert again.returncode == Exit.DONE, again.stdout + again.stderr
    scene.assert_well()
    scene.server.forget()
    assert scene.crudsd("run", "people").returncode == Exit.DONE
    assert scene.server.writes() == []
    assert not scene.folder.state.exists()


def test_of_two_that_run_the_same_job_at_once_one_does_it(scene: Scene) -> None:
    assert scene.crudsd("db", "upgrade").returncode == Exit.DONE
    scene.slowed("POST")

    with scene.folder.started("run", "people") as one, scene.folder.started("run", "people") as other:
        outcomes = [ended(one), ended(other)]

    assert sorted(code for code, _, _ in outcomes) == [Exit.DONE, Exit.LOCKED], outcomes
    assert scene.done("create") == FEW
    scene.assert_well()


def test_a_run_whose_server_goes_away_ends_with_the_reason_and_the_next_one_goes_on(
    scene: Scene, postgres: Postgres
) -> None:
    scene.slowed("POST")
    with scene.folder.started("run", "people") as process:
        caught(process, lambda: scene.done("create") >= 20, what="20 creates")
        with postgres.away():
            code, out, err = ended(process)

    assert code == Exit.ERROR, out + err
    assert "the state database" in err
    assert "what was committed is kept" in err
    assert "Traceback" not in err
    assert scene.done("create") < FEW

    again = scene.crudsd("run", "people")

    assert again.returncode == Exit.DONE, again.stdout + again.stderr
    scene.assert_well()


def test_a_server_that_is_back_within_a_write_costs_no_more_than_the_run(scene: Scene, postgres: Postgres) -> None:
    scene.slowed("POST")
    with scene.folder.started("run", "people") as process:
        caught(process, lambda: scene.done("create") >= 20, what="20 creates")
        with postgres.away():
            pass
        code, out, err = ended(process)

    assert code in {Exit.DONE, Exit.ERROR}, out + err
    assert "Traceback" not in err
    assert scene.crudsd("run", "people").returncode == Exit.DONE
    scene.assert_well()
