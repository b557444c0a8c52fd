"""The tests of the systemd unit where `make check` runs: on one Debian, within a time, and only where they can run.

What keeps a machine from booting a throw-away Debian (no root, no apt, no registry, a sandbox without mounts) is said,
and is no failure; a test that fails is one. `make e2e` is for both Debians, and fails where it cannot run.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.servers.install import ROOT

from .base import Base, NoBoxError, check_machine, install_tools, make, say
from .box import booted

RELEASE = "bookworm"
TESTS = ROOT / "tests" / "systemd"
SUITE_S = 900.0
"""Five times what the suite takes on two cores."""
END_S = 60.0
"""For its fixtures to end their machines, once it was told to stop."""


def main() -> int:
    """Return what the tests return; 0 with a reason where there can be none."""
    try:
        install_tools()
        check_machine()
        base = Base(RELEASE)
        make(base)
        _try_out(base)
    except (NoBoxError, AssertionError, OSError, subprocess.SubprocessError) as reason:
        say(f"SKIPPED: the tests of the systemd unit cannot run here: {_short(reason)}")
        return 0
    return _run_suite()


def _try_out(base: Base) -> None:
    """Boot once, with nothing of crudsd in it: what fails here is the machine's."""
    with tempfile.TemporaryDirectory(prefix="crudsd-box-") as folder, booted(base.root, work=Path(folder)) as box:
        box.run("systemctl", "show", "--property=Version")


def _run_suite() -> int:
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "worksteal", f"--box={RELEASE}", str(TESTS)]
    # Its own session: what ends it below ends all of it. The machines end with it, whatever happens (box.py).
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as suite:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        try:
            return suite.wait(SUITE_S)
        except subprocess.TimeoutExpired:
            say(f"FAILED: the tests of the systemd unit took longer than {SUITE_S:g} s")
            return 1
        finally:
            _end(suite)


def _end(suite: subprocess.Popen[bytes]) -> None:
    if suite.poll() is not None:
        return
    suite.send_signal(signal.SIGINT)  # as a person would: the fixtures do their part
    try:
        suite.wait(END_S)
    except subprocess.TimeoutExpired:
        os.killpg(suite.pid, signal.SIGKILL)


def _short(reason: Exception) -> str:
    lines = str(reason).strip().splitlines() or [type(reason).__name__]
    return lines[0] if len(lines) == 1 else f"{lines[0]} … {lines[-1]}"


if __name__ == "__main__":
    sys.exit(main())
