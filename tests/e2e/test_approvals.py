"""Holds as an operator meets them: processes that are killed in the middle of what was approved, and a service."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.errors import Exit
from tests.e2e.harness import LIMIT_S, caught, kill_9, until
from tests.e2e.test_processes import PEOPLE, Scene, person, rows, spec
from tests.fakes.misbehaving import Fault, MisbehavingServer

STAYING = PEOPLE - 60
WITHIN_S = 30.0


class Holds(Scene):
    """Everybody in step, and then sixty people leave, which is more than a guard lets pass."""

    def leave(self, *, staying: int = STAYING) -> None:
        self.people = self.server.collection("people", paging="cursor")
        self.people.put(person(number) for number in range(staying))

    def held(self) -> str:
        self.leave()
        done = self.crudsd("run", "people", "--json")
        assert done.returncode == Exit.HELD, done.stdout + done.stderr
        return str(json.loads(done.stdout)["run"])

    def approvals(self) -> int:
        return int(rows(self.folder.state, "select count(*) from approvals")[0][0])

    def assert_deleted_once(self) -> None:
        """Just those who left are gone, each by one delete that the target carried out."""
        self.assert_well()
        deleted = [one.key for one in self.server.applied if one.kind == "delete"]
        assert len(deleted) == len(set(deleted)) == PEOPLE - STAYING


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Holds]:
    with MisbehavingServer(seed=1) as server:
        scene = Holds(server, tmp_path)
        scene.filled()
        yield scene


def test_what_was_approved_is_carried_out_by_the_next_run_and_by_no_later_one(scene: Holds) -> None:
    run = scene.held()
    assert scene.crudsd("approve", run).returncode == Exit.DONE

    assert scene.crudsd("run", "people").returncode == Exit.DONE
    scene.assert_deleted_once()

    scene.leave(staying=STAYING - 40)
    assert scene.crudsd("run", "people").returncode == Exit.HELD


def test_a_pinned_run_that_was_killed_is_finished_by_the_next_one_without_asking_again(scene: Holds) -> None:
    scene.crudsd("approve", scene.held())
    scene.slowed("DELETE")
    with scene.folder.started("run", "people") as process:
        caught(process, lambda: scene.done("delete") >= 20, what="20 deletes")
        kill_9(process)
    scene.server.behave()
    assert 20 <= scene.done("delete") < 60
    assert scene.approvals() == 1

    after = scene.crudsd("run", "people")

    assert after.returncode == Exit.DONE, after.stdout + after.stderr
    assert scene.approvals() == 0
    scene.assert_deleted_once()


def test_the_rest_of_a_killed_pinned_run_is_held_again_once_the_source_has_changed(scene: Holds) -> None:
    scene.crudsd("approve", scene.held())
    scene.slowed("DELETE")
    with scene.folder.started("run", "people") as process:
        caught(process, lambda: scene.done("delete") >= 20, what="20 deletes")
        kill_9(process)
    scene.server.behave()
    scene.leave(staying=STAYING - 1)
    deleted = scene.done("delete")

    after = scene.crudsd("run", "people")

    assert after.returncode == Exit.HELD, after.stdout
    assert "is void: the source or the target has changed since" in after.stdout
    assert scene.done("delete") == deleted
    assert scene.approvals() == 0


def test_a_saved_plan_that_was_killed_is_taken_up_by_applying_it_again(scene: Holds) -> None:
    scene.leave()
    plan = scene.crudsd("plan", "people", "--out", "people.plan")
    assert plan.returncode == Exit.HELD, plan.stderr
    scene.slowed("DELETE")
    with scene.folder.started("apply", "people.plan") as process:
        caught(process, lambda: scene.done("delete") >= 20, what="20 deletes")
        kill_9(process)
    scene.server.behave()

    again = scene.crudsd("apply", "people.plan")
    third = scene.crudsd("apply", "people.plan")

    assert (again.returncode, third.returncode) == (Exit.DONE, Exit.DONE), again.stdout + third.stdout
    scene.assert_deleted_once()


def test_an_approval_that_is_given_during_a_run_waits_for_the_one_after_it(scene: Holds) -> None:
    run = scene.held()
    scene.people.put(person(number) for number in range(1_000, 1_060))
    scene.server.fault(Fault.late(0.7), method="POST", path="^/users")  # longer in all than two commands take
    with scene.folder.started("run", "people") as process:
        caught(process, lambda: scene.done("create") >= 1, what="a create")
        by_job = scene.crudsd("approve", "people")
        by_run = scene.crudsd("approve", run)
        assert process.poll() is None, "the run was over before the approval"
        scene.server.behave()
        process.wait(LIMIT_S)

    assert (by_job.returncode, "it is not over" in by_job.stderr) == (Exit.USAGE, True)
    assert (by_run.returncode, process.returncode) == (Exit.DONE, Exit.HELD)
    assert (scene.done("delete"), scene.approvals()) == (0, 1)
    assert scene.crudsd("run", "people").returncode == Exit.DONE
    scene.assert_deleted_once()


def test_an_approval_is_given_while_a_service_runs_and_its_next_run_takes_it(scene: Holds) -> None:
    served: dict[str, Any] = spec(scene.server.url)
    served["jobs"]["people"]["schedule"] = {"every": "1s"}
    scene.folder.write(served)
    run = scene.held()
    with scene.folder.started("serve") as process:
        held = "select count(*) from runs where ending = 'held' and trigger = 'schedule'"
        until(lambda: rows(scene.folder.state, held) != [(0,)], what="a held run", within_s=WITHIN_S)
        assert scene.done("delete") == 0

        approved = scene.crudsd("approve", run)

        caught(process, lambda: scene.is_in_step() and not scene.approvals(), what="the deletes", within_s=WITHIN_S)
    assert approved.returncode == Exit.DONE, approved.stderr
    scene.assert_deleted_once()
    assert rows(scene.folder.state, f"select count(*) from runs where pinned_by = '{run}'") == [(1,)]
