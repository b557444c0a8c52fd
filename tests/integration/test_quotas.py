"""Systems that count their requests, ask to be left alone, or are down: the oracle is what they themselves counted."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon import serving
from daemon.app import open_app
from daemon.store.database import open_database
from daemon.store.run_row import RunRow, Trigger
from daemon.store.runs import RunStore
from daemon.sync.outcome import Ending
from tests.fakes.limited import LimitedServer
from tests.fakes.misbehaving import Fault, MisbehavingServer
from tests.fakes.misbehaving_faults import Dialect
from tests.integration.harness import Desk
from tests.integration.test_bad_input import spec
from tests.servers.process import until

PEOPLE = 60


class Scene:
    """So many people, a target, and a job between them over a connection of these settings."""

    def __init__(self, server: MisbehavingServer, folder: Path, *, target: MisbehavingServer | None = None) -> None:
        self.server, self.target = server, target or server
        self.people = server.collection("people", paging="cursor")
        self.users = self.target.collection("users", paging="page")
        self.put(PEOPLE)
        self.desk = Desk(folder, self.spec(), secrets={"TOKEN": "canary-good"})

    def put(self, number: int) -> None:
        names = (f"E{one:04}" for one in range(number))
        self.people.put({"external_id": name, "name": "Ada", "email": f"{name}@example.test"} for name in names)

    def spec(self, *, schedule: dict[str, str] | None = None, **connection: Any) -> dict[str, Any]:
        made = spec(self.server.url)
        made["connections"]["api"].update({"retry": {"attempts": 5, "backoff": 0.1, "max_wait": "10s"}, **connection})
        made["connections"]["desk"] = {**made["connections"]["api"], "host": self.target.url}
        if self.target is not self.server:
            made["jobs"]["people"]["target"]["connection"] = "desk"
        if schedule is not None:
            made["jobs"]["people"]["schedule"] = schedule
        return made

    def assert_in_step(self) -> None:
        assert self.people.by_key().keys() == self.users.by_key().keys()
        assert set(self.target.creates_by_key("users").values()) == {1}

    def runs(self) -> tuple[RunRow, ...]:
        with open_database(self.desk.state, read_only=True) as database:
            return RunStore(database, lambda: datetime.now(UTC)).recent("people", 50)


# ---- budgets that the server counts ----


@pytest.mark.edge(50)
@pytest.mark.parametrize("dialect", ["ietf", "draft-03", "x-delta", "x-epoch"])
def test_a_budget_that_the_server_states_is_never_overdrawn(dialect: Dialect, tmp_path: Path) -> None:
    with LimitedServer(70, 2, dialect=dialect, seed=1) as server:
        scene = Scene(server, tmp_path)

        result = scene.desk.run().result

        assert result.ending is Ending.DONE
        assert server.overdrawn == 0
        assert len(server.windows) >= 2, "one window was not enough, so the job had to wait"
        scene.assert_in_step()


@pytest.mark.fact(9)
@pytest.mark.parametrize("says_when", [True, False])
def test_a_server_that_only_refuses_is_obeyed_and_the_job_ends_equal(tmp_path: Path, *, says_when: bool) -> None:
    with LimitedServer(50, 2, says_when=says_when, seed=1) as server:
        scene = Scene(server, tmp_path)

        result = scene.desk.run().result

        assert result.ending is Ending.DONE
        assert server.overdrawn <= 8 * len(server.windows), (
            "a wave of those under way, and then somebody who asks again"
        )
        scene.assert_in_step()


def test_the_configured_quota_holds_for_repeats_too(tmp_path: Path) -> None:
    """Every fifth look-up fails and is repeated by the library; what arrives is within the quota all the same."""
    with LimitedServer(10_000, 60, seed=1) as server:
        scene = Scene(server, tmp_path)
        # Every fifth request may be the same one, five times over, so there are many tries.
        retry = {"attempts": 30, "backoff": 0.1, "max_wait": "10s"}
        scene.desk.write(scene.spec(quota={"requests": 50, "per": "1s"}, retry=retry))
        server.fault(Fault.answer(502), method="GET", path="^/users", every=5)

        result = scene.desk.run().result

        assert result.ending is Ending.DONE
        assert len(server.arrivals) > 2 * PEOPLE + 10, "there were repeats"
        # A request that left in time may be held up on its way, and arrive nearer to the next: a tenth is for that.
        assert all(after - first >= 0.9 for first, after in zip(server.arrivals, server.arrivals[50:], strict=False))


@pytest.mark.suffering(12)
def test_two_jobs_share_the_quota_of_their_connection_and_both_go_on(tmp_path: Path) -> None:
    with LimitedServer(10_000, 60, seed=1) as server:
        scene = Scene(server, tmp_path)
        server.collection("others", paging="page")
        both = scene.spec(quota={"requests": 60, "per": "1s", "concurrency": 2})
        target = {**both["jobs"]["people"]["target"], "create": "others"}
        target["lookup"] = {**target["lookup"], "uri": "others", "records": "others"}
        both["jobs"]["others"] = {**both["jobs"]["people"], "target": target}
        scene.desk.write(both)
        with open_app(scene.desk.settings) as app:
            threads = [
                threading.Thread(target=app.run, args=(job,), kwargs={"observe": lambda event: None})
                for job in ("people", "others")
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)

        writes = [seen.path for seen in server.writes()]
        assert sorted(writes) == ["/others"] * PEOPLE + ["/users"] * PEOPLE
        assert {"/others", "/users"} == set(writes[: PEOPLE // 2]), "neither waited for the other's end"
        assert all(after - first >= 0.9 for first, after in zip(server.arrivals, server.arrivals[60:], strict=False))


# ---- waits ----

IN_TEN_HOURS = timedelta(hours=10)


@pytest.mark.edge(49)
@pytest.mark.suffering(12)
@pytest.mark.parametrize(
    "fault",
    [
        lambda: Fault.too_many(36_000),
        lambda: Fault.too_many(datetime.now(UTC) + IN_TEN_HOURS),
        lambda: Fault.too_many(36_000, status=503),
    ],
    ids=["seconds", "date", "503"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_run_whose_system_asks_for_ten_hours_waits_and_the_next_goes_on(
    fault: Callable[[], Fault], method: str, tmp_path: Path
) -> None:
    with MisbehavingServer(seed=1) as server:
        scene = Scene(server, tmp_path)
        server.fault(fault(), method=method, path="^/users", nth=20, times=1_000)

        finished = scene.desk.run()
        server.behave()
        created = len(server.applied)
        by_hand = scene.desk.run().result

        assert finished.result.ending is Ending.WAITING
        assert finished.resume_at is not None
        assert abs(finished.resume_at - datetime.now(UTC) - IN_TEN_HOURS) < timedelta(minutes=5)
        assert created == finished.result.counts.created
        assert (method == "POST") == (created > 0)
        assert (by_hand.ending, by_hand.counts.created) == (Ending.DONE, PEOPLE - created)
        scene.assert_in_step()


@pytest.mark.edge(49)
@pytest.mark.parametrize("text", ["soon", "-1", "Mon, 23 Nov 2020 22:00:00 GMT", "0"])
@pytest.mark.parametrize("status", [429, 503])
def test_an_unreadable_or_past_retry_after_costs_a_moment(text: str, status: int, tmp_path: Path) -> None:
    with MisbehavingServer(seed=1) as server:
        scene = Scene(server, tmp_path)
        server.fault(Fault.too_many(text, status=status), method="GET", path="^/people", times=1)

        result = scene.desk.run().result

        assert result.ending is Ending.DONE
        scene.assert_in_step()


def test_a_system_that_says_a_second_for_ever_is_unavailable_and_not_waited_for(tmp_path: Path) -> None:
    with MisbehavingServer(seed=1) as server:
        scene = Scene(server, tmp_path)
        scene.desk.write(scene.spec(retry={"attempts": 2, "backoff": 0.01}))
        server.fault(Fault.too_many(1), path="^/people")

        finished = scene.desk.run()

        assert (finished.result.ending, finished.resume_at) == (Ending.UNAVAILABLE, None)
        assert len(server.requests) == 2


@pytest.mark.edge(49)
def test_the_service_leaves_a_waiting_job_alone_and_goes_on_when_its_time_has_come(tmp_path: Path) -> None:
    with MisbehavingServer(seed=1) as server:
        scene = Scene(server, tmp_path)
        scene.desk.write(scene.spec(schedule={"every": "1s"}))
        server.fault(Fault.too_many(36_000), path="^/people", times=1)
        serve(scene, lambda: len(scene.runs()) >= 3)

        *skipped, first = scene.runs()
        asked = len(server.requests)

        assert first.ending is Ending.WAITING
        assert first.resume_at is not None
        assert {row.ending for row in skipped} == {Ending.SKIPPED}
        moment = f"{first.resume_at:%Y-%m-%d %H:%M:%S} UTC"
        assert {row.error for row in skipped} == {f"the system asked to be left alone until {moment}"}
        assert asked == 1

        # Ten hours later, and after a restart.
        scene.desk.write(scene.spec(schedule={"cron": "0 0 29 2 *"}))
        with closing(sqlite3.connect(scene.desk.state)) as connection:
            connection.execute("UPDATE runs SET resume_at = ended_at WHERE ending = 'waiting'")
            connection.commit()
        serve(scene, lambda: scene.runs()[0].ending is Ending.DONE)

        assert scene.runs()[0].trigger is Trigger.RESUME
        scene.assert_in_step()


def serve(scene: Scene, holds: Callable[[], bool]) -> None:
    """Serve in this process until something holds."""
    stop = threading.Event()
    with open_app(scene.desk.settings, stop=stop) as app:
        thread = threading.Thread(target=serving.serve, args=(app,))
        thread.start()
        try:
            until(holds, what="the service did its work", within_s=30)
        finally:
            stop.set()
            thread.join(30)
    assert not thread.is_alive()


# ---- runs that are asked to stop ----


def test_a_timeout_ends_the_wait_for_the_quota(tmp_path: Path) -> None:
    with MisbehavingServer(seed=1) as server:
        scene = Scene(server, tmp_path)
        made = scene.spec(quota={"requests": 1, "per": "1h"})
        made["jobs"]["people"]["timeout"] = "2s"  # time enough for the first request
        scene.desk.write(made)

        result = scene.desk.run().result

    assert (result.ending, len(server.requests)) == (Ending.INTERRUPTED, 1)
    assert "timeout" in result.error


# ---- systems that are down ----


@pytest.mark.parametrize(
    ("fault", "method"),
    [(Fault.connection_reset(), None), (Fault.answer(503), "POST"), (Fault.answer(502), None)],
)
def test_a_target_that_is_down_is_not_hammered_by_hundreds_of_records(
    fault: Fault, method: str | None, tmp_path: Path
) -> None:
    with MisbehavingServer(seed=1) as server, MisbehavingServer(seed=2) as target:
        scene = Scene(server, tmp_path, target=target)
        scene.put(300)
        scene.desk.write(scene.spec(retry={"backoff": 0.01}))
        target.fault(fault, method=method)
        with open_app(scene.desk.settings) as app:
            results = [app.run("people", observe=lambda event: None).result for _ in range(5)]

        failed = target.requests if method is None else target.writes()

        assert {result.ending for result in results} == {Ending.UNAVAILABLE}
        assert 5 <= len(failed) <= 20, "the breaker lets ten in a row fail, and those that were under way then"
