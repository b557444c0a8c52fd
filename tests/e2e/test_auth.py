"""`crudsd auth` as a process, beside a certified login server, an API behind its tokens, and jobs that use them."""

import contextlib
import re
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from daemon.errors import Exit
from daemon.upkeep import generate_key
from tests.e2e.harness import LIMIT_S, Folder, caught, ended, until
from tests.fakes.misbehaving import MisbehavingServer
from tests.integration.oauth.person import enter, log_in
from tests.servers.counting_proxy import CountingProxy
from tests.servers.exchange import ask
from tests.servers.oidc import LOOPBACK, Oidc
from tests.servers.rewriting_proxy import RewritingProxy, members

pytestmark = pytest.mark.servers

ADDRESS = re.compile(r"^(http\S+/auth\?\S+)$", re.MULTILINE)
CODE = re.compile(r"^  (http\S+)\n\nand enter the code  (\S+)$", re.MULTILINE)
READY = re.compile(r"(paste it here:|waits for you \(Ctrl-C ends it\)\.)$", re.MULTILINE)
"""The last line before the person acts."""


@dataclass
class Dialogue:
    """A command that talks with a person."""

    process: subprocess.Popen[str]
    said: str = ""
    _watch: threading.Timer = field(init=False, repr=False)

    def until(self, *patterns: re.Pattern[str]) -> list[re.Match[str]]:
        """Read on until the command has said all of this."""
        assert self.process.stdout is not None
        while not all(found := [pattern.search(self.said) for pattern in patterns]):
            line = self.process.stdout.readline()
            assert line, f"it ended:\n{self.said}{ended(self.process)}"
            self.said += line
        return [one for one in found if one is not None]

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def end(self) -> int:
        """Wait for its end; what it said, on stdout and then on stderr, is in `said`."""
        code, out, err = ended(self.process)
        self.said += out + err
        return code


class Scene:
    """A folder whose job reads people through a connection that somebody has to log in to."""

    def __init__(
        self, oidc: Oidc, proxy: RewritingProxy, gate: CountingProxy, api: MisbehavingServer, path: Path
    ) -> None:
        self.oidc, self.proxy, self.gate, self.api = oidc, proxy, gate, api
        self.api.collection("hr", paging="none").put(
            {"external_id": f"p{number}", "name": f"Person {number}"} for number in range(3)
        )
        self.desk = api.collection("desk", paging="none", unique=["external_id"])
        self.folder = Folder(path)
        self.connect()
        generate_key(path / "crudsd.key")

    def connect(self) -> None:
        """Write the configuration."""
        auth = {
            "type": "oauth2",
            "grant": "authorization_code",
            "issuer": self.oidc.issuer,
            "client_id": "native",
            "redirect_uri": LOOPBACK,
            "scope": "people.read people.write",
        }
        hr = {"host": self.gate.url, "auth": auth, "retry": {"attempts": 1}}
        self.folder.write(
            {
                "connections": {"hr": hr, "desk": {"host": self.api.url}},
                "jobs": {
                    "people": {
                        "schedule": {"every": "1s"},
                        "mode": "append",
                        "source": {"connection": "hr", "read": "hr", "records": "hr"},
                        "key": "record.external_id",
                        "map": {"external_id": "record.external_id", "name": "record.name"},
                        "target": {
                            "connection": "desk",
                            "id": "id",
                            "match": "external_id",
                            "list": {"uri": "desk", "records": "desk"},
                            "create": "desk",
                        },
                    }
                },
            }
        )

    def connect_device(self) -> None:
        self.proxy.next("/device/auth", members(interval=1))
        self.folder.write(
            {
                "connections": {
                    "tv": {
                        "host": self.gate.url,
                        "auth": {
                            "type": "oauth2",
                            "grant": "device_code",
                            "url": f"{self.proxy.url}/token",
                            "device_authorization_url": f"{self.proxy.url}/device/auth",
                            "client_id": "device",
                            "scope": "people.read",
                        },
                    }
                },
                "jobs": {},
            }
        )

    def crudsd(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.folder.crudsd(*arguments)

    @contextlib.contextmanager
    def talking(self, *arguments: str) -> Iterator[Dialogue]:
        with self.folder.started("auth", "login", *arguments, stdin=subprocess.PIPE) as process:
            limit = threading.Timer(LIMIT_S, process.kill)  # else a test would wait for a line that never comes
            limit.start()
            try:
                yield Dialogue(process)
            finally:
                limit.cancel()

    def logged_in(self) -> None:
        """Log in as a person with a browser on this machine."""
        with self.talking("hr") as dialogue:
            address, _ = dialogue.until(ADDRESS, READY)
            assert ask("GET", log_in(address[1])).status == 200
            assert dialogue.end() == Exit.DONE, dialogue.said

    def kept(self) -> list[tuple[Any, ...]]:
        """The sealed sessions, as they lie in the state database."""
        with contextlib.closing(sqlite3.connect(self.folder.state)) as connection:
            return connection.execute("select * from tokens").fetchall()


@pytest.fixture
def scene(oidc: Oidc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with (
        MisbehavingServer(seed=1) as api,
        RewritingProxy(oidc.port) as proxy,
        oidc.gate(urlsplit(api.url).port or 0) as gate,
    ):
        yield Scene(oidc, proxy, gate, api, tmp_path)


def test_after_a_login_in_a_browser_the_job_runs_and_after_the_logout_it_needs_another(scene: Scene) -> None:
    with scene.talking("hr") as dialogue:
        address, _ = dialogue.until(ADDRESS, READY)
        page = ask("GET", log_in(address[1]))
        code = dialogue.end()
    status, run = scene.crudsd("auth", "status", "hr"), scene.crudsd("run", "people")
    logout, over = scene.crudsd("auth", "logout", "hr"), scene.crudsd("run", "people")

    assert (code, page.status) == (Exit.DONE, 200), dialogue.said
    assert "Logged in to hr" in dialogue.said
    assert (status.returncode, status.stdout.split()[-1]) == (Exit.DONE, "valid")
    assert run.returncode == Exit.DONE, run.stdout + run.stderr
    assert len(scene.desk.records()) == 3
    assert logout.returncode == Exit.DONE, logout.stderr
    assert over.returncode == Exit.ERROR
    assert re.search("log ?in", over.stdout + over.stderr)


def test_over_ssh_the_address_is_pasted(scene: Scene) -> None:
    with scene.talking("hr", "--paste") as dialogue:
        address, _ = dialogue.until(ADDRESS, READY)
        dialogue.say(log_in(address[1]))
        code = dialogue.end()

    assert code == Exit.DONE, dialogue.said


def test_a_browser_is_opened_only_for_who_asks_for_it(scene: Scene) -> None:
    browser = scene.folder.path / "browser"
    browser.write_text(f'#!/bin/sh\nenv > "{scene.folder.path}/given"\necho "$1" >> "{scene.folder.path}/opened"\n')
    scene.folder.environment["CRUDSD_KEY"] = "k1:of-no-use-to-a-browser"
    browser.chmod(0o700)
    scene.folder.environment["BROWSER"] = str(browser)
    with scene.talking("hr") as unasked:
        unasked.until(READY)
    with scene.talking("hr", "--browser") as asked:
        address, _ = asked.until(ADDRESS, READY)
        caught(asked.process, (scene.folder.path / "opened").exists, what="the browser")

    until(lambda: (scene.folder.path / "opened").read_text() == f"{address[1]}\n", what="the address")
    assert "CRUDSD_KEY" not in (scene.folder.path / "given").read_text()


def test_a_listening_login_takes_a_pasted_address_too(scene: Scene) -> None:
    with scene.talking("hr") as dialogue:
        address, _ = dialogue.until(ADDRESS, READY)
        dialogue.say("what should I paste?")
        dialogue.say(log_in(address[1]))
        code = dialogue.end()

    assert code == Exit.DONE, dialogue.said
    assert "it has no code in it; still waiting" in dialogue.said


def test_a_code_is_entered_on_another_device(scene: Scene) -> None:
    scene.connect_device()
    with scene.talking("tv") as dialogue:
        shown, _ = dialogue.until(CODE, READY)
        enter(shown[1], shown[2])
        code = dialogue.end()

    assert code == Exit.DONE, dialogue.said
    assert "Logged in to tv" in dialogue.said


def test_a_refused_login_and_an_interrupted_one_keep_the_session_that_was_there(scene: Scene) -> None:
    scene.logged_in()
    before = scene.kept()
    with scene.talking("hr") as refused:
        address, _ = refused.until(ADDRESS, READY)
        page = ask("GET", log_in(address[1], answer="deny"))
        refused_code = refused.end()
    with scene.talking("hr") as interrupted:
        interrupted.until(ADDRESS, READY)
        interrupted.process.send_signal(signal.SIGINT)
        interrupted_code = interrupted.end()

    assert (refused_code, interrupted_code) == (Exit.ERROR, Exit.INTERRUPTED)
    assert b"nothing was changed" in page.body
    assert "access_denied" in refused.said
    assert "interrupted; what was kept before is as it was" in interrupted.said
    assert "Traceback" not in refused.said + interrupted.said
    assert scene.kept() == before != []


def test_without_a_key_it_refuses_before_anybody_is_asked(scene: Scene) -> None:
    (scene.folder.path / "crudsd.key").unlink()

    login = scene.crudsd("auth", "login", "hr")

    assert login.returncode == Exit.CONFIG
    assert "crudsd key generate" in login.stderr
    assert login.stdout == ""


def test_a_service_that_runs_goes_on_by_itself_after_a_login(scene: Scene) -> None:
    with scene.folder.started("serve") as service:
        scene.logged_in()
        caught(service, lambda: len(scene.desk.records()) == 3, what="the records of a run")
        service.send_signal(signal.SIGTERM)
        code, _, err = ended(service)

    assert code in {Exit.DONE, Exit.INTERRUPTED}, err


def test_neither_a_token_nor_a_code_is_told_at_any_level(scene: Scene) -> None:
    with scene.talking("hr", "--log-level", "debug") as dialogue:
        address, _ = dialogue.until(ADDRESS, READY)
        back = log_in(address[1])
        ask("GET", back)
        dialogue.end()
    run = scene.crudsd("run", "people", "--log-level", "debug")

    told = dialogue.said + run.stdout + run.stderr
    assert re.search(r"[?&]code=([^&]+)", back)[1] not in told  # type: ignore[index]
    assert "Bearer " not in told
    assert "refresh_token" not in told
