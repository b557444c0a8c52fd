"""A server that nobody here wrote, running as a child process: started, awaited, ended by its own id."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.servers.exchange import ask

READY_S = 60.0
"""Ten times what the slowest of them needs on a busy machine with two cores."""
END_S = 10.0


class NotInstalledError(Exception):
    """The server's program is not on this machine."""


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], *, folder: Path, ready_url: str, env: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Run a server until the block ends; yields its process id once `ready_url` answers 200.

    What it prints goes to `server.log` in its folder, and into the failure if it does not come up.
    """
    log = folder / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*_dies_with_us(), *map(str, command)],
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: process.poll() is not None or _answers(ready_url), what=f"{command[0]} is up")
        if process.poll() is not None:
            shown = log.read_text(errors="replace")[-2000:]
            raise AssertionError(f"{command[0]} ended with {process.returncode}:\n{shown}")
        yield process.pid
    finally:
        _end(process)


def until(holds: Callable[[], bool], *, what: str, within_s: float = READY_S) -> None:
    """Poll until something holds; a failure names what did not happen in time."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require(program: Path) -> Path:
    """The program, if it is installed."""
    if not program.exists():
        raise NotInstalledError(f"{program.name} is not installed: run `make servers`")
    return program


def _answers(url: str) -> bool:
    try:
        return ask("GET", url, timeout_s=5).status == 200
    except OSError:
        return False


def _dies_with_us() -> list[str]:
    # A test run that is killed must not leave servers behind. `setpriv` keeps the process id: it execs.
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
