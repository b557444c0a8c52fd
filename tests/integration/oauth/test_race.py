"""Processes that share one session in the daemon's store: they race, are killed and paused, and their clock is set.

The server is strict: a refresh token that comes twice ends the whole session. So every test that ends with reads and
no ended session has shown that no refresh token was used twice.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.integration.oauth.process import Came, Task, came, done, sealed_store, started, until_paused
from tests.integration.oauth.world import World
from tests.servers.exchange import Answer
from tests.servers.faketime import ClockFile, Faketime
from tests.servers.fiu import Fiu
from tests.servers.process import until
from tests.servers.rewriting_proxy import Fault, Forward

ROOT = Path(__file__).resolve().parents[3]
PROCESSES = 6
BRIEF_S = 1.0
"""The time of one renewal in tests that wait for the end of a lease: a little more than twice as long."""
FOREVER_S = 100.0
"""The same where nobody may wait for it: the lease outlives the test."""
ASKED, ANSWERED = "AuthorizationServer.refresh before #1", "AuthorizationServer.refresh after #1"
MARK, SAVE = "SqlTokenStore.save before #1", "SqlTokenStore.save before #2"
MARKED = "SqlTokenStore.save after #1"

pytestmark = pytest.mark.servers


@dataclass
class Desk:
    """The session of a person in a file, and the processes that use it."""

    world: World
    path: Path
    client_id: str
    families: int = 0
    server: str = ""
    """The address of the state database, if it is not a file."""

    @property
    def token_url(self) -> str:
        return f"{self.world.proxy.url}/token"

    @property
    def database(self) -> Path:
        return self.path / "state.db"

    @property
    def place(self) -> str:
        """What `state:` would say."""
        return self.server or str(self.database)

    def log_in(self, *, evict: bool) -> None:
        """Let the person log in; `evict`: the first access token is dead already."""
        with sealed_store(self.place, self.token_url, self.client_id) as store:
            token = self.world.logged_in(self.client_id, store=store).access_token()
        if evict:
            self.world.oidc.evict(token)
        self.world.proxy.forget()
        self.world.gate.journal.forget()
        self.families = self.world.oidc.families_revoked()

    def task(self, name: str, **more: Any) -> Task:
        """What a process is told."""
        secret = self.world.oidc.clients[self.client_id].secret
        outcome = str(self.path / f"{name} outcome")
        return Task(self.place, self.token_url, self.world.gate.url, self.client_id, secret, outcome, **more)

    def access_token(self) -> str:
        """The token in the file; empty if the session is over."""
        with sealed_store(self.place, self.token_url, self.client_id) as store:
            state = store.load("")
        assert state is not None
        return state.access_token

    def renewals(self) -> list[int]:
        """How each request for a renewal was answered."""
        return [asked.status for asked in self.world.token_requests("refresh_token")]

    def is_whole(self) -> bool:
        """Whether the server has ended no session since the login."""
        return self.world.oidc.families_revoked() == self.families

    def steps(self, name: str = "steps") -> Sequence[str]:
        """The steps that a process has written down."""
        file = self.path / name
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else ()


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Desk:
    return Desk(world, tmp_path, "person")


@pytest.fixture
def hasty(world: World, tmp_path: Path, state_url: str) -> Desk:
    return Desk(world, tmp_path, "person-5s", server=state_url)


@pytest.mark.edge(48)
@pytest.mark.suffering(15)
def test_six_processes_over_one_token_of_five_seconds_never_use_a_refresh_token_twice(hasty: Desk, long: bool) -> None:
    hasty.log_in(evict=False)
    end = time.monotonic() + (30.0 if long else 8.0)
    tasks = [hasty.task(str(number), end=end) for number in range(PROCESSES)]

    processes = [started(task) for task in tasks]
    results = [came(process, task) for process, task in zip(processes, tasks, strict=True)]

    reads = [result.reads for result in results if result is not None and not result.error]
    assert len(reads) == PROCESSES, results
    assert min(reads) > 20
    statuses = hasty.world.gate.journal.by_status()
    # Servers count whole seconds, so a token may be over in its last one; then it is renewed and the read repeated.
    assert statuses[200] == sum(reads)
    assert set(statuses) <= {200, 401}
    assert set(hasty.renewals()) == {200}
    assert len(hasty.renewals()) <= (10 if long else 4)  # one for each four seconds, whoever makes it
    assert hasty.is_whole()


@pytest.mark.edge(48)
@pytest.mark.parametrize(
    ("has_grace", "state_url"),
    [(False, "sqlite"), (True, "sqlite"), (False, "postgres")],
    ids=["strict", "with a grace time", "strict, on a server"],
    indirect=["state_url"],
)
def test_a_process_that_is_killed_at_any_step_of_a_renewal_is_made_good_or_named_as_the_cause_of_a_login(
    world: World, tmp_path: Path, has_grace: bool, state_url: str, long: bool
) -> None:
    desk = Desk(world, tmp_path, "person-fixed" if has_grace else "person", server=state_url)
    desk.log_in(evict=True)
    assert done(desk.task("course", steps=str(tmp_path / "steps"))) == Came(1)
    steps = desk.steps()
    first, answered, last = (steps.index(step) for step in (MARK, ANSWERED, "SqlTokenStore.save after #2"))
    committed = next(n for n in range(steps.index(SAVE), last) if steps[n].startswith("Database.write after"))
    is_brief = not long and (has_grace or "://" in state_url)
    points = range(answered, committed, 2) if is_brief else range(first, last + 1)
    assert committed - answered >= 4

    failures = []
    for point in points:
        desk.log_in(evict=True)
        try:
            assert done(desk.task("killed", at=steps[point], timeout_s=FOREVER_S)) is None
            next_one(desk, is_lost=answered <= point < committed and not has_grace)
        except AssertionError as error:
            failures.append(f"{steps[point]}: {error}")

    assert "\n".join(failures) == ""


def next_one(desk: Desk, *, is_lost: bool) -> None:
    """What the process after the killed one does: at once, since the lease of a dead process holds up nobody."""
    task = desk.task("next", timeout_s=FOREVER_S)
    if not is_lost:
        assert done(task) == Came(1)
        assert desk.is_whole()
        return
    for _ in range(2):
        result = done(task)
        assert result is not None
        assert result.error.startswith("ReauthorizationRequiredError: the session is over since ")
        assert "a refresh was interrupted at " in result.error
    assert desk.renewals() == [200, 400]


def test_a_process_that_is_killed_while_the_server_answers_is_named_as_the_cause_too(desk: Desk) -> None:
    desk.log_in(evict=True)
    killed = started(desk.task("killed", timeout_s=FOREVER_S, at=ASKED, by="pause"))
    until_paused(killed)

    def kill(forward: Forward) -> Answer:
        answer = forward()
        killed.kill()
        killed.join(20)
        return answer

    desk.world.proxy.next("/token", kill)
    os.kill(int(killed.pid or 0), signal.SIGCONT)
    killed.join(20)

    next_one(desk, is_lost=True)


def test_a_process_that_is_paused_before_it_asks_does_not_ask_when_it_wakes_too_late(desk: Desk) -> None:
    desk.log_in(evict=True)
    task = desk.task("paused", at=MARKED, by="pause", timeout_s=BRIEF_S)
    paused = started(task)
    until_paused(paused)

    assert done(desk.task("next", timeout_s=BRIEF_S)) == Came(1)
    assert desk.renewals() == [200]
    os.kill(int(paused.pid or 0), signal.SIGCONT)

    assert came(paused, task) == Came(1)
    assert desk.renewals() == [200]
    assert desk.is_whole()


def test_a_process_that_is_paused_with_a_token_in_hand_does_not_use_it_once_another_took_over(desk: Desk) -> None:
    desk.log_in(evict=True)
    task = desk.task("paused", at=SAVE, by="pause", timeout_s=BRIEF_S)
    paused = started(task)
    until_paused(paused)

    result = done(desk.task("next", timeout_s=BRIEF_S))
    assert result is not None
    assert "a refresh was interrupted at " in result.error
    before = len(desk.world.gate.journal.entries)
    os.kill(int(paused.pid or 0), signal.SIGCONT)

    late = came(paused, task)
    assert late is not None
    assert late.reads == 0
    assert late.error.partition(": ")[2] == result.error.partition(": ")[2]
    assert len(desk.world.gate.journal.entries) == before
    assert desk.renewals() == [200, 400]


def test_a_token_whose_save_meets_a_locked_database_is_saved_when_that_is_free_and_not_used_before(desk: Desk) -> None:
    desk.log_in(evict=True)
    task = desk.task("locked", at=SAVE, by="pause", busy_s=0.1, steps=str(desk.path / "steps"))
    process = started(task)
    until_paused(process)
    with closing(sqlite3.connect(desk.database, isolation_level=None)) as somebody:
        somebody.execute("BEGIN IMMEDIATE")
        os.kill(int(process.pid or 0), signal.SIGCONT)
        until(lambda: "SqlTokenStore.save failed #2" in desk.steps(), what="it has tried twice")
        assert desk.world.gate.journal.by_status() == {401: 1}
        somebody.execute("ROLLBACK")

    assert came(process, task) == Came(1)
    assert desk.renewals() == [200]
    assert done(desk.task("next")) == Came(1)
    assert desk.is_whole()


def test_a_token_whose_save_meets_a_full_disk_is_saved_when_there_is_room_and_not_used_before(
    desk: Desk, fiu: Fiu
) -> None:
    desk.log_in(evict=True)
    task = desk.task("full", full=2, steps=str(desk.path / "steps"))

    with ready_to_go([task], prefix=fiu.prefix()) as go:
        go()

    assert desk.steps().count("SqlTokenStore.save failed #2") == 1
    assert read_outcome(task) == Came(1)
    assert desk.world.gate.journal.by_status() == {401: 1, 200: 1}
    assert desk.renewals() == [200]
    assert done(desk.task("next")) == Came(1)


def test_a_clock_that_is_set_while_a_renewal_is_under_way_costs_no_session_and_no_read(
    desk: Desk, faketime: Faketime, long: bool
) -> None:
    clock = ClockFile(desk.path / "clock")
    tasks = [desk.task(str(number)) for number in range(3)]
    times = 9 if long else 2
    with ready_to_go(tasks, environment=faketime.environment(clock), end_s=2.0 * times + 1.0) as go:
        desk.log_in(evict=True)
        desk.world.proxy.next("/token", *(set_meanwhile(clock, hours) for hours in (3, -3, 0)), times=times)
        evicting = threading.Thread(target=evict_again, args=(desk, times))
        evicting.start()
        go()
        evicting.join()

    results = [read_outcome(task) for task in tasks]
    assert [result.error for result in results] == [""] * 3
    assert len(desk.renewals()) >= times
    assert set(desk.renewals()) == {200}
    assert desk.is_whole()


def evict_again(desk: Desk, times: int) -> None:
    """Let nobody have a token that lives, whenever there is a new one: all of them want the next at once."""
    token = first = desk.access_token()
    for _ in range(1, times):
        until(lambda before=token: desk.access_token() not in {before, ""}, what="a renewal")  # type: ignore[misc]
        token = desk.access_token()
        desk.world.oidc.evict(token)
    assert token != first


def set_meanwhile(clock: ClockFile, hours: int) -> Fault:
    """Answer slowly, and let the clock be another one before: by it, a lease is over, or lasts for hours."""

    def fault(forward: Forward) -> Answer:
        clock.set(hours * 3600)
        threading.Event().wait(0.5)
        return forward()

    return fault


@contextmanager
def ready_to_go(
    tasks: Sequence[Task],
    *,
    prefix: Sequence[str] = (),
    environment: dict[str, str] | None = None,
    end_s: float = 0.0,
) -> Iterator[Any]:
    """Start processes on interpreters of their own; calling what is given lets them do their tasks, to the end.

    `end_s`: so long they read.
    """
    env = {**os.environ, **(environment or {}), "PYTHONPATH": str(ROOT)}
    # Known before it begins, as an argument must be: the end is counted from the moment when all are up.
    file = Path(tasks[0].outcome).with_name("tasks")
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [*prefix, sys.executable, "-m", "tests.integration.oauth.process", str(file), str(number)],
                    cwd=ROOT,
                    env=env,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for number in range(len(tasks))
        ]
        for process in processes:
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"

        def go() -> None:
            end = time.monotonic() + end_s if end_s else 0.0
            file.write_text(json.dumps([asdict(replace(task, end=end)) for task in tasks]), encoding="utf-8")
            for process in processes:
                assert process.stdin is not None
                process.stdin.close()
            assert [process.wait(60) for process in processes] == [0] * len(processes)

        yield go


def read_outcome(task: Task) -> Came:
    """What came of a process."""
    return Came(**json.loads(Path(task.outcome).read_text(encoding="utf-8")))
