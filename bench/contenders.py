"""Who is measured: each with the command that does the job, and what it needs in its folder before."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import jobs
from tests.servers.install import install_venv

HERE = Path(__file__).parent
ROOT = HERE.parent
PLACE = ROOT / ".bench"
"""Of the peers' environments, the data and the folders of the jobs; git does not see it."""
JOBS = PLACE / f"jobs-{os.getpid()}"
"""Of the folders in which this process lets jobs run; it removes it."""
PEERS = {"dlt": "dlt", "singer": "singer-sdk", "airbyte": "airbyte-cdk"}
"""The environments, and the package that each is about."""
CRUDSD = str(Path(sys.executable).with_name("crudsd"))


@dataclass(frozen=True)
class Contender:
    """One way to do a job."""

    name: str
    command: tuple[str, ...]
    """`{host}` stands for the address of the API."""
    prepare: Callable[[Path, str], None] | None = None
    """Writes what it needs into its folder, given the address of the API."""
    threads: int = 8
    is_ours: bool = False
    reads_only: bool = False
    """It does a part of the work, which is compared with the whole."""


def yardstick(mode: str, *, threads: int = 8) -> Contender:
    """Return a lower limit, written by hand."""
    return Contender(mode, (sys.executable, "-m", "bench.yardstick", mode, "{host}"), threads=threads)


def crudsd(target: str, *, concurrency: int = 8) -> Contender:
    """Return the product, with the target `table` or `api`."""

    def prepare(folder: Path, host: str) -> None:
        jobs.write(folder, host, jobs.TABLE if target == "table" else jobs.API, concurrency=concurrency)

    return Contender("**crudsd**", (CRUDSD, "run", "people", "--json"), prepare, is_ours=True)


def peer(name: str, environment: str, module: str) -> Contender:
    """Return a peer that is one command."""
    return Contender(name, (python(environment), "-m", f"bench.peers.{module}", "{host}"))


def singer(target: str) -> Contender:
    """Return Singer's two processes, with the target `table` or `api`."""

    def prepare(folder: Path, host: str) -> None:
        (folder / "singer.json").write_text(json.dumps({"host": host}), encoding="utf-8")

    own = shlex.quote(python("singer"))
    tap, sink = (f"{own} -m bench.peers.singer_{one} --config singer.json 2>>log" for one in ("tap", target))
    return Contender("Singer SDK", ("sh", "-c", f"{tap} | {sink}"), prepare)


def python(environment: str) -> str:
    return str(PLACE / environment / "bin" / "python")


def airbyte() -> Contender:
    """Return Airbyte's source."""
    command = (python("airbyte"), "-m", "bench.peers.airbyte_read", "{host}")
    return Contender("Airbyte CDK, reads only", command, reads_only=True)


def into_table(*, peers: bool) -> list[Contender]:
    """Return who fills the table; the first two are the yardsticks."""
    ours = [yardstick("plain"), yardstick("manifest"), crudsd("table")]
    return [*ours, peer("dlt, replace", "dlt", "dlt_table"), singer("table"), airbyte()] if peers else ours


def into_api(*, peers: bool) -> list[Contender]:
    """Return who creates at another API; the first is the yardstick."""
    ours = [yardstick("loop"), crudsd("api")]
    return [*ours, peer("dlt, custom destination", "dlt", "dlt_api"), singer("api")] if peers else ours


def at_a_distance(concurrency: int) -> list[Contender]:
    """Return who creates at an API that takes its time."""
    return [yardstick("loop", threads=concurrency), crudsd("api", concurrency=concurrency)]


def install() -> None:
    """Make the peers' environments, exactly as locked, where they are not there yet."""
    for name in PEERS:
        install_venv(PLACE / name, HERE / "peers" / f"{name}.txt", f"what is compared: {name}")


def versions() -> str:
    """Name the peers with the versions to which they are locked."""
    told = []
    for name, package in PEERS.items():
        lock = (HERE / "peers" / f"{name}.txt").read_text(encoding="utf-8")
        found = re.search(rf"^{package}(?:\[\w+\])?==(\S+)", lock, re.MULTILINE)
        told.append(f"{package} {found[1] if found else '?'}")
    return ", ".join(told)
