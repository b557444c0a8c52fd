"""What stands in a box: crudsd as the how-to installs it, and the demo's two systems for it to keep in step."""

import json
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.errors import Exit
from tests.servers.install import ROOT

from .base import REQUIREMENTS, VENV, Base
from .box import Box
from .systems import CONTROL, EMPLOYEES

SYSTEMD = ROOT / "systemd"
UNIT = "/etc/systemd/system/crudsd.service"
HOW_TO = ROOT / "docs" / "how-to"
CHECKOUT = "/srv/checkout"
DIST = "/srv/dist"
"""Where the wheel is in a box."""
CREDENTIALS = ("hr-client-secret", "helpdesk-token")
WITHIN_S = 45.0


def build_wheel(folder: Path) -> Path:
    """Build the project's wheel and return its place."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=240)
    (wheel,) = folder.glob("crudsd-*.whl")
    return wheel


def install_program(base: Base, wheel: Path, layer: Path) -> None:
    """Fill a folder with what the wheel adds to a base, by the base's own pip, and the wheel. The base stays as is."""
    script = """
        mount --make-rprivate /
        mount --bind "$1" "$2/mnt"
        install -D --target-directory="$1$DIST" "$3"
        chroot "$2" env -i PATH=/usr/bin:/bin LANG=C.UTF-8 /opt/crudsd/bin/pip install --quiet --no-index --no-deps \
            --ignore-installed --no-warn-script-location --root /mnt "/mnt$DIST/${3##*/}"
    """
    command = ["unshare", "--mount", "bash", "-euc", script, "install", str(layer), str(base.root), str(wheel)]
    subprocess.run(command, check=True, timeout=240, env={**os.environ, "DIST": DIST})


def page(heading: str, *, of: str = "systemd") -> str:
    """Return the commands under a heading of a how-to: all that is indented by four blanks or more."""
    parts = re.split(r"(?m)^##+ ", (HOW_TO / f"{of}.md").read_text())
    (found,) = (part for part in parts if part.startswith(heading + "\n"))
    return textwrap.dedent("".join(line + "\n" for line in found.splitlines() if line.startswith("    ")))


def as_service() -> str:
    """Return the shell function that the how-to gives."""
    return page("Run a command as the service would").partition("\n}\n")[0] + "\n}\n"


@dataclass(frozen=True, slots=True)
class Desk:
    """A box with what the reader of the how-to has at the beginning, and the systems of their job running."""

    box: Box

    def prepare(self) -> None:
        """Put everything there: a checkout with the job's configuration and its secrets."""
        self.box.put("/srv/systems.py", Path(__file__).with_name("systems.py").read_text())
        script = [f"{VENV}/bin/python", "-B", "/srv/systems.py", CHECKOUT]
        self.box.run("systemd-run", "--quiet", "--unit=systems", "--property=Type=notify", *script)
        self.box.sh(f"""
            cd {CHECKOUT}
            rm crudsd.key
            sed -i 's/{{file: secrets.\\(.*\\)}}/{{credential: \\1}}/; s/every: 10s/every: 1s/' crudsd.yaml
        """)
        for file in (*SYSTEMD.rglob("*"), REQUIREMENTS):
            if file.is_file():
                self.box.put(f"{CHECKOUT}/{file.relative_to(ROOT)}", file.read_text())

    def install(self) -> None:
        """Do what the how-to says, but for the virtualenv, which is in the box, and the start."""
        done_or_later = ("python3 -m venv", f"{VENV}/bin/pip", "systemctl")
        lines = (line for line in page("Install").splitlines() if not line.startswith((*done_or_later, "journalctl")))
        self.box.sh("\n".join((f"cd {CHECKOUT}", *lines)))

    def drop_in(self, name: str, lines: str) -> None:
        """Change the unit as an administrator does."""
        self.box.put(f"/etc/systemd/system/crudsd.service.d/{name}.conf", f"[Service]\n{lines}")
        self.box.run("systemctl", "daemon-reload")

    def example(self, name: str, **edited: str) -> None:
        """Take over one of the drop-ins that are shipped as examples, with some words edited."""
        text = (SYSTEMD / "crudsd.service.d" / f"{name}.conf.example").read_text()
        for old, new in edited.items():
            assert old in text
            text = text.replace(old, new)
        self.box.put(f"/etc/systemd/system/crudsd.service.d/{name}.conf", text)
        self.box.run("systemctl", "daemon-reload")

    def edit_config(self, old: str, new: str) -> None:
        """Change the configuration."""
        text = self.box.run("cat", "/etc/crudsd/crudsd.yaml").stdout
        assert old in text
        self.box.put("/etc/crudsd/crudsd.yaml", text.replace(old, new))

    def make_schema(self, revision: str) -> None:
        """Make the state database as another version of crudsd would leave it."""
        if revision == "9999":
            assert self.as_service("db", "upgrade").returncode == Exit.DONE
            self.box.run(
                *("runuser", "--user=crudsd", "--", "sqlite3", "/var/lib/crudsd/state.db"),
                f"update alembic_version set version_num = '{revision}'",
            )
            return
        code = f"""
from alembic import command
from alembic.config import Config
from daemon.store import schema
from daemon.store.database import open_database
from daemon.store.tables import metadata
with open_database("/var/lib/crudsd/state.db") as database, database.migrate() as connection:
    config = Config()
    config.set_main_option("script_location", str(schema._folder()))
    config.attributes.update(connection=connection, metadata=metadata)
    command.upgrade(config, "{revision}")
"""
        self.box.run("install", "--directory", "--owner=crudsd", "--group=crudsd", "--mode=0700", "/var/lib/crudsd")
        self.box.run("runuser", "--user=crudsd", "--", "/opt/crudsd/bin/python", "-W", "ignore", "-c", code)

    def start(self) -> None:
        """Start the service; returns when it is ready."""
        started = self.box.run("systemctl", "start", "crudsd", check=False)
        assert started.returncode == 0, started.stderr + "\n".join(map(str, self.journal()))

    def as_service(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the how-to tells to."""
        return self.box.run("bash", "-euc", f'{as_service()}as_service "$@"', "bash", *arguments, check=False)

    # ---- what can be seen ----------------------------------------------------------------------------------------

    def shows(self, name: str) -> str:
        """Return a property of the service."""
        return self.box.shows("crudsd", name)

    def journal(self, *fields: str) -> list[dict[str, str]]:
        """Return the service's lines of the journal, oldest first; those with these fields, such as CRUDSD_JOB=x."""
        told = self.box.run("journalctl", "--unit=crudsd", "--output=json", "--no-pager", *fields).stdout
        return [json.loads(line) for line in told.splitlines()]

    def events(self) -> list[dict[str, Any]]:
        """Return what crudsd itself told the journal, with the priority that the journal keeps."""
        lines = [line for line in self.journal() if line["MESSAGE"].startswith("{")]
        return [{"priority": int(line["PRIORITY"]), **json.loads(line["MESSAGE"])} for line in lines]

    def messages(self) -> str:
        """Return the journal's text."""
        return "\n".join(str(line["MESSAGE"]) for line in self.journal())

    def runs(self, condition: str) -> int:
        """Return how many runs there are of a kind."""
        return int(self.asked(f"select count(*) from runs where {condition}"))

    def asked(self, statement: str) -> str:
        """Return what the state database says."""
        return self.box.run("sqlite3", "-readonly", "/var/lib/crudsd/state.db", statement).stdout.strip()

    # ---- both systems --------------------------------------------------------------------------------------------

    def told(self, method: str, request: str) -> dict[str, int]:
        """Send a request to the systems' control."""
        url = f"http://127.0.0.1:{CONTROL}/demo/{request}"
        answered: dict[str, int] = json.loads(self.box.run("curl", "-sSf", "-X", method, url).stdout)
        return answered

    def late(self, ms: int) -> None:
        """Let each write be answered so much later."""
        self.told("POST", f"late?ms={ms}")

    def change(self, number: int = 40) -> None:
        """Let so many employees come, go and move."""
        self.told("POST", f"change?n={number}")

    def is_in_step(self) -> bool:
        """Whether both systems hold the same."""
        return self.told("GET", "compare")["differences"] == 0

    def wait_until_in_step(self) -> None:
        """Wait for both systems to hold the same."""
        self.box.until(self.is_in_step, what="both systems are in step", within_s=WITHIN_S)

    def wait_for_a_run_in_its_middle(self) -> None:
        """Wait until a quarter of the first load is there. Let the writes be late first."""
        begun = EMPLOYEES // 4
        self.box.until(lambda: self.told("GET", "writes")["created"] > begun, what="a run in its middle")
        assert self.told("GET", "writes")["created"] < EMPLOYEES

    def assert_nothing_was_doubled_or_lost(self) -> None:
        """Every employee has one user, was created once, and nobody who is employed was deleted."""
        shown, writes = self.told("GET", "compare"), self.told("GET", "writes")
        assert (shown["differences"], shown["doubled"], writes["wrongly_deleted"]) == (0, 0, 0)
        assert writes["created"] == shown["employees"] + writes["deleted"]
