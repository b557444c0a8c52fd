"""Make the Debians that the tests of the systemd unit boot, in `.servers/box/`: one folder a release, with crudsd's
dependencies in its own virtualenv.

Run by `make box`, as root. Repeating it costs nothing: each leaves a stamp with the digest of what it was made from.
"""

import inspect
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.servers.install import INSTALLED, ROOT, digest_of, is_stamped, run, stamp

RELEASES = {"bookworm": "3.11", "trixie": "3.13"}
"""Debian 12 and 13, and the Python that each has."""
TOOLS = {"mmdebstrap": "mmdebstrap", "systemd-nspawn": "systemd-container", "nsenter": "util-linux", "pgrep": "procps"}
"""Programs, and Debian's packages of them."""
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "libpam-systemd", "libnss-systemd"),
    *("python3", "python3-venv", "ca-certificates", "tzdata", "procps", "curl", "sqlite3", "iproute2"),
)
"""What a small server has, and what the how-to and the tests call."""
REQUIREMENTS = ROOT / "requirements" / "run.txt"
WHEELS = "/wheels"
"""Inside: what pip finds there. A box has no network."""
VENV = "/opt/crudsd"
ALONE = ("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc")
"""What mounts and starts things of its own is run behind this: whatever ends it takes all of that with it."""
NEEDLESS = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man")


class NoBoxError(Exception):
    """No box can be booted here; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Base:
    """A Debian that was never booted."""

    release: str

    @property
    def folder(self) -> Path:
        return INSTALLED / "box" / self.release

    @property
    def root(self) -> Path:
        """Its root directory. Never written to: a box lays a layer of its own over it."""
        return self.folder / "root"

    @property
    def digest(self) -> str:
        return digest_of([REQUIREMENTS], f"{self.release} {PACKAGES} {inspect.getsource(make)}")

    def chroot(self, *command: str) -> None:
        """Run a command inside, with nothing of this machine's environment."""
        surroundings = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"}
        prefix = ["env", "-i", *(f"{name}={value}" for name, value in surroundings.items())]
        run([*prefix, "chroot", str(self.root), *command])


def find_base(release: str) -> Base:
    """Return a base that is ready. Raises NoBoxError with the reason and the cure."""
    check_machine()
    base = Base(release)
    if not is_stamped(base.folder, base.digest):
        raise NoBoxError(f"there is no Debian {release} of today's dependencies to boot: run `make box` as root")
    return base


def check_machine() -> None:
    """Raise NoBoxError unless this machine can make and boot a box."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NoBoxError("booting a throw-away Debian needs root on Linux")
    missing = sorted({package for program, package in TOOLS.items() if shutil.which(program) is None})
    if missing:
        raise NoBoxError(f"not installed here: {', '.join(missing)} (`make box` as root installs them from Debian)")


def main(releases: Sequence[str]) -> int:
    """Make what is missing; 0 when all of it is there."""
    try:
        if unknown := sorted(set(releases) - set(RELEASES)):
            raise NoBoxError(f"no such Debian here: {', '.join(unknown)}; there are {', '.join(RELEASES)}")
        install_tools()
        check_machine()
        for release in releases or RELEASES:
            make(Base(release))
    except (NoBoxError, subprocess.SubprocessError) as error:
        say(str(error))
        return 1
    return 0


def install_tools() -> None:
    """The programs that make and boot a box, where this is a Debian and they are not there."""
    if all(map(shutil.which, TOOLS)) or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    packages = [*sorted(set(TOOLS.values())), "debian-archive-keyring"]
    say(f"installing {', '.join(packages)}")
    run(["apt-get", "update", "--quiet"])
    run(["apt-get", "install", "--quiet", "--yes", "--no-install-recommends", *packages])


def make(base: Base) -> None:
    """A Debian with the dependencies as locked, each as a wheel too."""
    if is_stamped(base.folder, base.digest):
        return
    say(f"making Debian {base.release}")
    shutil.rmtree(base.folder, ignore_errors=True)
    base.folder.mkdir(parents=True)
    wanted = ["--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", base.release, str(base.root)]
    run([*ALONE, "mmdebstrap", *wanted])
    for needless in NEEDLESS:
        shutil.rmtree(base.root / needless, ignore_errors=True)
    # Empty, not missing: each boot makes one up, and is no first boot.
    (base.root / "etc/machine-id").write_text("")
    (base.root / "etc/hostname").write_text("box\n")
    (base.root / "etc/hosts").write_text("127.0.0.1 localhost box\n::1 localhost\n")
    wheels = base.root / WHEELS.lstrip("/")
    wheels.mkdir()
    shutil.copy(REQUIREMENTS, wheels)
    download = ["download", "--quiet", "--require-hashes", "--only-binary=:all:", "--dest", str(wheels)]
    python = ["--python-version", RELEASES[base.release], "--requirement", str(REQUIREMENTS)]
    run([sys.executable, "-m", "pip", "--disable-pip-version-check", *download, *python])
    base.chroot("python3", "-m", "venv", VENV)
    locked = ["--require-hashes", "--requirement", f"{WHEELS}/{REQUIREMENTS.name}"]
    base.chroot(f"{VENV}/bin/pip", "install", "--quiet", "--no-index", f"--find-links={WHEELS}", *locked)
    stamp(base.folder, base.digest)


def say(text: str) -> None:
    """One line for the person at the terminal."""
    sys.stdout.write(f"box: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
