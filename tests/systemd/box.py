"""A real systemd: a throw-away Debian, booted in a second, with no network but its own loopback."""

import contextlib
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.servers.process import until

BOOT = Path(__file__).with_name("boot.sh")
BOOT_S = 60.0
"""Ten times what it needs on a busy machine with two cores."""
LIMIT_S = 60.0
"""How long any command inside may take."""
END_S = 15.0

_KEEPER = 'read -r _; for pid in $(pgrep -P "$1"); do kill -KILL "$pid"; done; exec cat'
"""Waits for the end of its stdin, which comes also when the tests are killed, and ends the machine.

Its systemd, not its nspawn: that would die and leave the machine behind. nspawn goes when its machine is gone.
"""


class Box:
    """A machine that runs. Everything is done as its root, from outside."""

    def __init__(self, leader: int) -> None:
        self._leader = leader

    def run(
        self, *command: str, stdin: str = "", within_s: float = LIMIT_S, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end; with `check`, one that fails is an AssertionError with all it said."""
        enter = ["nsenter", "--target", str(self._leader), "--all", "--wdns=/", "--"]
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/root", "NO_COLOR=1"]
        done = subprocess.run(
            [*enter, *clean, *command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
            start_new_session=True,  # `kill 0` inside must not reach the tests: process groups cross namespaces
        )
        if check and done.returncode:
            said = done.stdout + done.stderr
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{said}")
        return done

    def sh(self, script: str, *, within_s: float = LIMIT_S) -> str:
        """Run a script of bash, which ends with its first failure; return what it printed."""
        return self.run("bash", "-euo", "pipefail", "-c", script, within_s=within_s).stdout

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file."""
        self.run("install", "-D", f"--mode={mode:o}", "/dev/stdin", path, stdin=text)

    def shows(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", "--property", name, "--value", unit).stdout.strip()

    def main_pid(self, unit: str) -> int:
        """Return the number, inside, of a unit's main process, which must be there."""
        pid = int(self.shows(unit, "MainPID"))
        assert pid > 1, f"{unit} has no process"
        return pid

    def until(self, holds: Callable[[], bool], *, what: str, within_s: float = LIMIT_S) -> None:
        """Poll until something holds."""
        until(holds, what=what, within_s=within_s)


@contextlib.contextmanager
def booted(*layers: Path, work: Path) -> Iterator[Box]:
    """Boot a machine from layers of files, the uppermost first, and end it with the block, whatever happens in it.

    `work` is an empty folder of the tests'; what the machine writes goes into memory and is lost with it.
    """
    name = f"crudsd-{secrets.token_hex(4)}"
    tree, console = work / "tree", work / "console.log"
    tree.mkdir()
    boot = ["unshare", "--mount", "bash", str(BOOT), name, str(tree), ":".join(map(str, layers))]
    with console.open("wb") as output:
        nspawn = subprocess.Popen(
            boot, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    keeper = subprocess.Popen(
        ["bash", "-c", _KEEPER, "keeper", str(nspawn.pid)], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        box = Box(_leader(nspawn, console))
        _wait_for_boot(box, console)
        # nspawn lays a boot id of its own over the kernel's, and a service with a /proc of its own would see another.
        box.run("umount", "/proc/sys/kernel/random/boot_id")
        yield box
    finally:
        keeper.communicate(timeout=END_S)
        try:
            nspawn.wait(END_S)
        except subprocess.TimeoutExpired:
            nspawn.kill()
            nspawn.wait()
        _forget_cgroup(name)


def _leader(nspawn: subprocess.Popen[bytes], console: Path) -> int:
    """Wait for the machine's systemd; its number here."""
    found: list[str] = []

    def is_there() -> bool:
        assert nspawn.poll() is None, f"nspawn ended with {nspawn.returncode}:\n{_end_of(console)}"
        asked = ["pgrep", "-P", str(nspawn.pid), "-x", "systemd"]
        found[:] = subprocess.run(asked, capture_output=True, text=True, timeout=END_S, check=False).stdout.split()
        return bool(found)

    until(is_there, what="the machine has a systemd", within_s=BOOT_S)
    return int(found[0])


def _wait_for_boot(box: Box, console: Path) -> None:
    state = ""

    def is_up() -> bool:
        nonlocal state
        state = box.run("systemctl", "is-system-running", "--wait", within_s=BOOT_S, check=False).stdout.strip()
        return state in {"running", "degraded"}

    until(is_up, what="the machine has booted", within_s=BOOT_S)
    if state == "degraded":
        failed = box.run("systemctl", "--failed", "--no-legend", "--plain", check=False).stdout
        raise AssertionError(f"the machine did not come up whole:\n{failed}{_end_of(console)}")


def _forget_cgroup(name: str) -> None:
    """Remove the machine's cgroups: empty folders, which the kernel keeps."""
    script = f"""
        mount --make-rprivate /
        umount -R /sys/fs/cgroup
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        find /sys/fs/cgroup/{name} -depth -type d -exec rmdir {{}} +
    """
    subprocess.run(["unshare", "--mount", "bash", "-ec", script], check=False, capture_output=True, timeout=END_S)


def _end_of(console: Path) -> str:
    return console.read_text(errors="replace")[-3000:]
