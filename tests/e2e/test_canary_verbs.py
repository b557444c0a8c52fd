"""No command shows a secret: each has a row that says how it is tried, and a new one fails here until it has one."""

import json
import os
import pty
import socket
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from daemon import cli
from tests.canaries import seen_in, shown
from tests.e2e.canary import BEARER, CLIENT, ENVIRONMENT, HEADER, SEALED, Desk, Hostile, desk, echo, empty_state, server
from tests.e2e.harness import CRUDSD, LIMIT_S, until
from tests.fakes.journal import entry, journal
from tests.fakes.scripted import Reply, json_reply

__all__ = ["desk", "empty_state", "server"]


@dataclass(frozen=True)
class Try:
    """The arguments after a command's name, and what it is given on stdin.

    It is carried out in a folder where a run has failed at a target that threw back what it was sent. Searched: what
    it says on stdout and stderr at the debug level, the state with its journals, every file that it leaves.
    """

    arguments: tuple[str, ...] = ()
    stdin: str = ""


def tries(*lines: str, stdin: str = "") -> tuple[Try, ...]:
    return tuple(Try(tuple(line.split()), stdin) for line in lines)


COMMANDS: Mapping[str, tuple[Try, ...] | str] = {
    "validate": tries("", "--json"),
    "plan": tries("people", "people --json", "people --out second.plan", "nobody"),
    "run": tries("people", "people --json"),
    "backfill": tries("people --from 2026-01-01", "people --from 1 --to 2 --json"),
    "apply": tries("saved.plan", "saved.plan --json", "crudsd.yaml"),
    "approve": tries("people", "people --json"),
    "serve": "test_a_service_shows_no_secret, as a process",
    "schedule": tries("", "people", "--json"),
    "trigger": tries("people", "nobody"),
    "cancel": tries("people"),
    "pause": tries("people --reason moved", "people"),
    "resume": tries("people", "people"),
    "runs": tries("", "people", "--json"),
    "rejects list": tries("people", "people --json", "people --reason canary"),
    "rejects show": tries("people E1", "people E1 --json"),
    "rejects retry": tries("people E1", "people --all"),
    "rejects drop": tries("people E1", "people E1 --json"),
    "state show": tries("people", "people --json", "nobody"),
    "state set": tries("people 2026-01-01", "people 2026-01-01 --yes"),
    "state reset": tries("people", "people --yes"),
    "state export": tries("people"),
    "state import": tries("people saved.plan", "people nowhere.json --yes"),
    "explain": tries("people E1", "people E1 --json", "people E1 --no-source --no-target"),
    "alerts list": tries("", "--json"),
    "alerts test": tries("hook", "hook --event hold", "program", "switch", "nobody"),
    "schema": tries(""),
    "db upgrade": tries(""),
    "db check": tries("", "--json"),
    "db backup": tries("copy.db"),
    "db prune": tries(""),
    "key generate": tries("another.key", "crudsd.key"),
    "key check": tries("", "--json"),
    "key add": tries(""),
    "key rotate": tries(""),
    "key retire": tries("kother"),
    "secret set": tries("api-token", stdin=SEALED),
    "secret list": tries("", "--json"),
    "secret remove": tries("api-token"),
    "auth login": tries("api", stdin="http://127.0.0.1/back?code=canary-code-in-the-redirect&state=canary-state"),
    "auth status": tries("", "api", "--json"),
    "auth logout": tries("api", "api --local"),
    "demo": "it has systems of its own and none of the operator's secrets: tests/e2e/test_demo.py",
    "version": tries("", "--json"),
}
"""Rows of commands that are not there yet are left out."""


def commands() -> Iterator[str]:
    """Give the name of every command of the program."""
    context = click.Context(cli.crudsd)
    for name in cli.crudsd.list_commands(context):
        found = cli.crudsd.get_command(context, name)
        if isinstance(found, click.Group):
            yield from (f"{name} {one}" for one in found.list_commands(context))
        else:
            yield name


ALL = tuple(commands())


def test_every_command_has_a_row() -> None:
    assert [name for name in ALL if name not in COMMANDS] == []


@pytest.mark.parametrize("name", [name for name in COMMANDS if name in ALL and not isinstance(COMMANDS[name], str)])
def test_a_command_shows_no_secret(desk: Desk, server: Hostile, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    used(desk, server)

    for one in COMMANDS[name]:
        assert isinstance(one, Try)
        with Path(os.devnull).open(encoding="utf-8") if not one.stdin else piped(one.stdin) as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            said = desk.crudsd(*name.split(), *one.arguments)
        assert said.out or said.err

    keys = [file.read_text(encoding="utf-8").strip().partition(":")[2] for file in desk.folder.glob("another.key")]
    for file in desk.folder.glob("another.key"):
        file.unlink()
    assert desk.shows(*keys) == []


def used(desk: Desk, server: Hostile) -> None:
    """Have a state with tokens and rejects, and a saved plan."""
    desk.write(server.url, "oauth2")
    server.throws["POST /users"] = lambda seen: json_reply({"message": echo(seen)}, 422)
    with_alerts(desk, server)
    assert desk.crudsd("plan", "people", "--out", "saved.plan").code == 0
    assert desk.crudsd("run", "people").code == 3
    with sqlite3.connect(desk.folder / "crudsd.db") as state:
        assert state.execute("SELECT count(*) FROM tokens").fetchone() == (1,)
    state.close()


def with_alerts(desk: Desk, server: Hostile) -> None:
    """Have destinations with secrets, that throw back what they were sent."""
    server.throws[f"/{SEALED}"] = lambda seen: Reply(400, body=echo(seen).encode())
    (desk.folder / "hook.txt").write_text(f"{server.url}/{SEALED}?token={HEADER}\n", encoding="utf-8")
    config = json.loads((desk.folder / "crudsd.yaml").read_text(encoding="utf-8"))
    headers = {"Authorization": {"env": "CANARY_PASSWORD"}}
    config["alerts"] = {
        "hook": {"type": "webhook", "url": {"file": "hook.txt"}, "headers": headers},
        "program": {"type": "command", "command": ["/bin/sh", "-c", "cat; env; exit 1"]},
        "switch": {"type": "heartbeat", "url": {"file": "hook.txt"}, "path": "{{ alert.job }}"},
    }
    desk.text(json.dumps(config))


def piped(text: str) -> Any:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as pipe:
        pipe.write(text + "\n")
    return os.fdopen(reading, encoding="utf-8")


# ---- as processes: what the system shows of them, and the other forms of the log ----


def started(desk: Desk, *arguments: str, **how: Any) -> subprocess.Popen[bytes]:
    secrets = {**os.environ, "TMPDIR": str(desk.folder), **ENVIRONMENT, **how.pop("environment", {})}
    return subprocess.Popen([str(CRUDSD), *arguments], cwd=desk.folder, env=secrets, stdin=subprocess.DEVNULL, **how)


def relatives(pid: int) -> Iterator[int]:
    """Give a process and its children, and theirs."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from relatives(int(child))


def test_a_service_shows_no_secret(desk: Desk, server: Hostile) -> None:
    desk.write(server.url, "oauth2")
    config = json.loads((desk.folder / "crudsd.yaml").read_text(encoding="utf-8"))
    config["jobs"]["people"]["schedule"] = {"every": "1s"}
    desk.text(json.dumps(config))
    server.throws["POST /users"] = lambda seen: json_reply({"message": echo(seen)}, 422)
    said = desk.folder / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, said.open("wb") as log:
        systemd.bind(str(desk.folder / "notify"))
        journal = {
            "NOTIFY_SOCKET": str(desk.folder / "notify"),
            "JOURNAL_STREAM": f"{os.fstat(log.fileno()).st_dev}:{os.fstat(log.fileno()).st_ino}",
        }
        process = started(desk, "serve", "--log-level", "debug", stdout=log, stderr=log, environment=journal)
        with process:
            try:
                until(lambda: b"run.ended" in said.read_bytes() or process.poll() is not None, what="a run has ended")
                shown_by_system = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in relatives(process.pid))
                process.terminate()
                process.wait(LIMIT_S)
            finally:
                process.kill()
        systemd.setblocking(False)
        told = b""
        while piece := received(systemd):
            told += piece + b"\n"

    assert said.read_bytes().startswith(b"<"), "journald's form"
    assert b"<7>" in said.read_bytes()
    assert b"READY=1" in told
    assert b"serve" in shown_by_system
    assert seen_in(told + shown_by_system + said.read_bytes()) == []
    assert desk.shows() == []


def received(systemd: socket.socket) -> bytes:
    try:
        return systemd.recv(65536)
    except BlockingIOError:
        return b""


@pytest.mark.parametrize("auth", ["bearer", "oauth2"])
def test_the_fields_of_the_journal_show_no_secret(desk: Desk, server: Hostile, auth: str) -> None:
    desk.write(server.url, auth)
    server.throws["POST /users"] = lambda seen: json_reply({"message": echo(seen)}, 422)
    with journal() as journald:
        desk.crudsd("run", "people", "--log-format", "journald")
        server.throws["/users"] = lambda seen: json_reply({"message": echo(seen)}, 500)
        desk.crudsd("run", "people", "--log-format", "journald")
        datagrams = journald.datagrams()

    events = [entry(datagram)["CRUDSD_EVENT"] for datagram in datagrams]
    assert "request.attempted" in events
    assert seen_in(b"\n".join(datagrams)) == []
    assert desk.shows() == []


@pytest.mark.parametrize("auth", ["bearer", "oauth2"])
def test_the_log_of_a_terminal_shows_no_secret(desk: Desk, server: Hostile, auth: str) -> None:
    desk.write(server.url, auth)
    server.throws["/users"] = lambda seen: json_reply({"message": echo(seen)}, 500)
    ours, theirs = pty.openpty()
    with started(desk, "run", "people", "--log-level", "debug", stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        told = b"".join(iter(lambda: read(ours), b""))
        process.wait(LIMIT_S)
    os.close(ours)

    assert process.returncode
    assert b"\x1b[" in told, "a terminal gets colours"
    assert b"request.attempted" in told
    assert seen_in(told) == []
    assert desk.shows() == []


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # its other end is closed (pty(7))
        return b""


def test_a_secret_in_a_process_list_would_be_found(desk: Desk) -> None:
    desk.text("{}")
    with started(desk, "demo", "--dir", f"{BEARER}", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        line = Path(f"/proc/{process.pid}/cmdline")
        until(lambda: seen_in(line.read_bytes()) == [BEARER], what="its arguments are seen", within_s=LIMIT_S)
        process.kill()

    assert shown([CLIENT], CLIENT.encode())
