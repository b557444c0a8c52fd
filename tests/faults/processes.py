"""`crudsd` as a process of its own that can be struck at a chosen step: forked from a warm one, or started afresh."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.e2e.harness import CRUDSD, LIMIT_S
from tests.faults.steps import Order, as_text
from tests.watch import look

ROOT = Path(__file__).resolve().parents[2]
QUIET = {"NO_COLOR": "1", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    """Negative: by that signal."""
    out: str
    err: str


class Process:
    """A `crudsd` that was forked. Not for several threads, but for `pid`."""

    def __init__(self, nursery: "Nursery", pid: int, output: tuple[Path, Path]) -> None:
        self.pid = pid
        self._nursery, self._output = nursery, output
        self._is_over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End it, if it has not ended."""
        if not self._is_over:
            os.kill(self.pid, signal.SIGKILL)
            while "code" not in self._nursery.hear():
                pass

    def until_stopped(self) -> bool:
        """Wait until it is paused; False if it ended instead."""
        answer = self._nursery.hear()
        if "code" in answer:
            self._nursery.put_back(answer)
        return "stopped" in answer

    def go_on(self) -> None:
        """Wake it up."""
        os.kill(self.pid, signal.SIGCONT)

    def ended(self) -> Ended:
        """Wait for its end."""
        answer = self._nursery.hear()
        assert "code" in answer, "it is paused"
        self._is_over = True
        out, err = (file.read_text(encoding="utf-8") for file in self._output)
        look(out + err, where="a forked crudsd")
        return Ended(answer["code"], out, err)


class Nursery:
    """The warm process that the others are forked from, one at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            cwd=ROOT,
            env={**os.environ, **QUIET},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._heard: list[dict[str, Any]] = []
        self._buffer = b""
        self._child = 0

    def start(
        self, folder: Path, arguments: Sequence[str], *, environment: Mapping[str, str], order: Order | None = None
    ) -> Process:
        """Start a command."""
        out, err = (folder.parent / f"{name} {id(self)}" for name in ("stdout", "stderr"))
        asked = {
            "folder": str(folder),
            "arguments": list(arguments),
            "environment": dict(environment),
            "order": "" if order is None else as_text(order),
            "stdout": str(out),
            "stderr": str(err),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        self._child = self.hear()["pid"]
        return Process(self, self._child, (out, err))

    def hear(self) -> dict[str, Any]:
        """Wait for the next answer."""
        while not self._heard:
            assert self._process.stdout is not None
            with selectors.DefaultSelector() as ready:
                ready.register(self._process.stdout, selectors.EVENT_READ)
                assert ready.select(LIMIT_S), f"process {self._child} neither stops nor ends"
            piece = os.read(self._process.stdout.fileno(), 65536)
            assert piece, "the nursery is gone"
            *lines, self._buffer = (self._buffer + piece).split(b"\n")
            self._heard += [json.loads(line) for line in lines]
        answer = self._heard.pop(0)
        if "code" in answer:
            self._child = 0
        return answer

    def put_back(self, answer: dict[str, Any]) -> None:
        """Let the next one hear it."""
        self._heard.insert(0, answer)

    def close(self) -> None:
        """End it, and what it has started."""
        if self._child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
        with self._process as process:
            process.kill()


@contextmanager
def nursery() -> Iterator[Nursery]:
    """A warm process while the block lasts."""
    made = Nursery()
    try:
        yield made
    finally:
        made.close()


def program_of(order: Order | None) -> list[str]:
    """What runs the `crudsd` script with an order; it finds our modules by PYTHONPATH."""
    return [str(CRUDSD)] if order is None else [sys.executable, "-m", "tests.faults.steps", as_text(order)]


def fresh(
    folder: Path,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    order: Order | None,
    prefix: Sequence[str] = (),
) -> Ended:
    """Run the `crudsd` script on an interpreter of its own, to its end."""
    done = subprocess.run(
        [*prefix, *program_of(order), *arguments],
        cwd=folder,
        env={**os.environ, **QUIET, **environment, "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    look(done.stdout + done.stderr, where=f"crudsd {' '.join(arguments)}")
    return Ended(done.returncode, done.stdout, done.stderr)


class Killer:
    """Kills a process from another thread as soon as both are known: the process, and that its time has come."""

    def __init__(self) -> None:
        self._known = threading.Event()
        self._pid = 0

    def is_for(self, pid: int) -> None:
        """Name the process."""
        self._pid = pid
        self._known.set()

    def strike(self) -> None:
        """Kill it, and wait until it can do nothing any more."""
        assert self._known.wait(LIMIT_S)
        os.kill(self._pid, signal.SIGKILL)
        while not _is_over(self._pid):
            pass


def _is_over(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in {"Z", "X"}
