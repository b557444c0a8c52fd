"""`crudsd` as a process of its own, in a folder as an operator would have it, beside servers of this process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.process import until
from tests.watch import look

CRUDSD = Path(sys.executable).with_name("crudsd")
LIMIT_S = 60.0
"""How long any command may take; each needs a second or two."""


class Folder:
    """A folder with a crudsd.yaml, and the environment in which its commands run."""

    def __init__(self, path: Path, spec: Mapping[str, Any] | None = None, **environment: str) -> None:
        self.path = path
        self.environment = environment
        if spec is not None:
            self.write(spec)

    @property
    def state(self) -> Path:
        return self.path / "crudsd.db"

    def write(self, spec: Mapping[str, Any]) -> None:
        """Write the configuration. JSON is YAML."""
        text = json.dumps({"version": 1, **spec}, indent=1)
        (self.path / "crudsd.yaml").write_text(text, encoding="utf-8")

    def crudsd(self, *arguments: str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. Neither what it says nor the state that it leaves may hold a secret."""
        done = subprocess.run(
            [*prefix, str(CRUDSD), *arguments],
            cwd=self.path,
            env=self._env(),
            check=False,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        look(done.stdout + done.stderr, where=f"crudsd {' '.join(arguments)}")
        for file in self.path.glob(f"{self.state.name}*"):
            look(file.read_bytes(), where=f"{file.name} after crudsd {' '.join(arguments)}")
        return done

    @contextmanager
    def started(
        self, *arguments: str, stdin: int = subprocess.DEVNULL, program: Sequence[str] = (str(CRUDSD),)
    ) -> Iterator[subprocess.Popen[str]]:
        """Start a command and let it run beside the block; it is dead when the block ends."""
        process = subprocess.Popen(
            [*program, *arguments],
            cwd=self.path,
            env=self._env(),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def _env(self) -> dict[str, str]:
        quiet = {"NO_COLOR": "1", "TZ": "UTC"}
        return {**os.environ, **quiet, **self.environment}


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a command that was started: its exit code, stdout and stderr."""
    out, err = process.communicate(timeout=LIMIT_S)
    look(out + err, where=f"{process.args!r}")
    return process.returncode, out, err


def caught(process: subprocess.Popen[str], holds: Callable[[], bool], *, what: str, within_s: float = LIMIT_S) -> None:
    """Wait until something holds while a command is under way; a command that ends before it says why."""
    until(lambda: holds() or process.poll() is not None, what=what, within_s=within_s)
    if not holds():
        _, out, err = ended(process)
        raise AssertionError(f"ended with {process.returncode} before {what}:\n{out}{err}")


def kill_9(process: subprocess.Popen[str]) -> None:
    """End a process as a power cut would."""
    process.kill()
    process.wait(LIMIT_S)
    assert process.returncode == -signal.SIGKILL, "it was over before it could be killed"


__all__ = ["CRUDSD", "Folder", "caught", "ended", "kill_9", "until"]
