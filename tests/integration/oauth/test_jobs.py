"""`crudsd run` and `crudsd serve` when the session ends, was never begun, or the token endpoint is down for a while."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from daemon.errors import Exit
from tests.e2e.harness import caught, ended
from tests.fakes.misbehaving import MisbehavingServer
from tests.integration.oauth.desk import JOB, Desk, told
from tests.integration.oauth.world import World
from tests.servers.counting_proxy import CountingProxy
from tests.servers.rewriting_proxy import status

pytestmark = pytest.mark.servers

NEEDED = "connection api needs a login: nobody is logged in; run `crudsd auth login api`"


@pytest.fixture
def desk_of(world: World, tmp_path: Path) -> Iterator[Callable[[str], Desk]]:
    with ExitStack() as stack:

        def make(client_id: str) -> Desk:
            server = stack.enter_context(MisbehavingServer(seed=1))
            gate = stack.enter_context(world.oidc.gate(int(server.url.rpartition(":")[2])))
            return Desk(world, server, gate.url, tmp_path, world.oidc.clients[client_id])

        yield make


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_a_run_by_hand_says_in_one_line_that_nobody_has_logged_in_and_asks_nobody(
    desk_of: Callable[[str], Desk], verb: str
) -> None:
    desk = desk_of("person")

    done = desk.folder.crudsd(verb, JOB)

    assert (done.returncode, done.stdout) == (Exit.ERROR, "")
    assert done.stderr.splitlines() == [f"crudsd: {NEEDED}"]
    assert desk.requests() == 0
    assert desk.runs() == []


def test_a_login_that_cannot_be_read_or_kept_is_told_in_one_line_too(desk_of: Callable[[str], Desk]) -> None:
    desk = desk_of("person")
    desk.log_in()
    desk.write(token_url="http://127.0.0.1:9/token")
    moved = desk.folder.crudsd("run", JOB)
    (desk.folder.path / "crudsd.key").unlink()
    keyless = desk.folder.crudsd("run", JOB)

    assert (moved.returncode, keyless.returncode) == (Exit.ERROR, Exit.ERROR)
    assert "needs a login: the stored token of api cannot be opened: " in moved.stderr
    assert moved.stderr.endswith("run `crudsd auth login api`\n")
    assert "there is no key to keep one with; `crudsd key generate " in keyless.stderr
    assert desk.server.requests == ()


@pytest.mark.edge(48)
def test_a_run_in_whose_middle_the_session_ends_fails_with_the_cause_and_the_cure_and_the_next_one_asks_nobody(
    desk_of: Callable[[str], Desk],
) -> None:
    desk = desk_of("person")
    desk.log_in()
    desk.at_page(2, desk.end_session)

    done = desk.folder.crudsd("run", JOB)

    assert done.returncode == Exit.ERROR, done
    ((ending, _, error),) = desk.runs()
    assert ending == "failed"
    assert "invalid_grant" in error
    assert error.endswith("; run `crudsd auth login api`")
    assert "log in again" not in error
    assert len(desk.world.token_requests("refresh_token")) == 1

    before = desk.requests()
    again = desk.folder.crudsd("run", JOB)
    assert again.returncode == Exit.ERROR
    (line,) = again.stderr.splitlines()
    assert line.startswith("crudsd: connection api needs a login: the session is over since ")
    assert line.endswith("; run `crudsd auth login api`")
    assert desk.requests() == before

    desk.log_in()
    assert desk.folder.crudsd("run", JOB).returncode == Exit.DONE
    assert desk.is_in_step()


def test_a_service_skips_what_needs_a_login_says_so_once_and_goes_on_by_itself_after_it(
    desk_of: Callable[[str], Desk],
) -> None:
    desk = desk_of("person")
    desk.write(schedule="1s")
    desk.folder.crudsd("db", "upgrade")

    with desk.folder.started("serve") as process:
        caught(process, lambda: len(desk.runs()) >= 3, what="three fires are skipped")
        assert {(ending, error) for ending, _, error in desk.runs()} == {("skipped", NEEDED)}
        assert desk.requests() == 0
        desk.log_in()
        caught(process, desk.is_in_step, what="the job runs")
        process.terminate()
        code, _, err = ended(process)

    assert code == Exit.DONE
    warned = [line for line in told(err) if line.get("event") == "run.skipped" and line.get("level") == "warning"]
    assert [line["reason"] for line in warned] == [NEEDED]


@pytest.mark.suffering(14)
def test_a_token_endpoint_that_is_down_in_mid_run_is_waited_for(desk_of: Callable[[str], Desk], long: bool) -> None:
    desk = desk_of("cc-basic")
    outage = Outage(desk, seconds=60.0 if long else 2.5)
    desk.write(total="3m", token_url=outage.url)
    desk.at_page(2, outage.begin)

    with outage, desk.folder.started("run", JOB) as process:
        out, err = process.communicate(timeout=150)

    assert process.returncode == Exit.DONE, out + err
    assert desk.is_in_step()
    assert desk.world.oidc.stats()["cc-basic"] - outage.tokens_before == 2


def test_a_token_endpoint_that_stays_down_ends_the_run_as_unavailable_and_rejects_nothing(
    desk_of: Callable[[str], Desk],
) -> None:
    desk = desk_of("cc-basic")
    desk.write(total="2s")

    def fail() -> None:
        desk.world.proxy.next("/token", status(503), times=99)
        desk.lose_token()

    desk.at_page(2, fail)

    done = desk.folder.crudsd("run", JOB)

    assert done.returncode == Exit.UNAVAILABLE, done
    ((ending, _, error),) = desk.runs()
    assert (ending, "503" in error) == ("unavailable", True)
    assert len(desk.world.token_requests()) > 4  # it was asked again after the first renewal had given up
    desk.world.proxy.forgive("/token")
    desk.server.watch(None)
    assert desk.folder.crudsd("run", JOB).returncode == Exit.DONE
    assert desk.is_in_step()


def test_a_token_endpoint_that_asks_for_an_hour_lets_the_run_wait_that_long(desk_of: Callable[[str], Desk]) -> None:
    desk = desk_of("cc-basic")

    def fail() -> None:
        desk.world.proxy.next("/token", status(429, Retry_After="3600"))
        desk.lose_token()

    desk.at_page(2, fail)

    done = desk.folder.crudsd("run", JOB)

    assert done.returncode == Exit.UNAVAILABLE, done
    assert [ending for ending, _, _ in desk.runs()] == ["waiting"]
    assert len(desk.world.token_requests()) == 2


class Outage:
    """A token endpoint behind which, for a while, nobody listens."""

    def __init__(self, desk: Desk, *, seconds: float) -> None:
        self._desk, self._seconds = desk, seconds
        self._proxy = CountingProxy(desk.world.oidc.port)
        self._proxy.start()
        self.url = f"{self._proxy.url}/token"
        desk.token_url = self.url
        self.tokens_before = desk.world.oidc.stats()["cc-basic"]
        self._timer: threading.Timer | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.join()
        self._proxy.close()

    def begin(self) -> None:
        """Let the endpoint go, and with it the token; it comes back by itself."""
        port = self._proxy.port
        self._proxy.close()
        self._desk.lose_token()
        self._timer = threading.Timer(self._seconds, self._come_back, [port])
        self._timer.start()

    def _come_back(self, port: int) -> None:
        self._proxy = CountingProxy(self._desk.world.oidc.port, port=port)
        self._proxy.start()
