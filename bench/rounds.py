"""Rounds: every contender does the same job in every round, in an order that moves on, and its result is verified.

Ratios are taken round by round, then their median, so that whatever else the machine does hits all of them alike.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bench.contenders import PLACE, ROOT, Contender
from bench.memory import Cost
from bench.records import COLUMNS, Edition, row_of, tally

T = TypeVar("T")
LAUNCH = ROOT / "bench" / "launch.py"
TIMEOUT_S = 1_800
"""The longest that anybody may take for one job."""
BASES = ("plain", "manifest", "loop")
"""The yardsticks, by their names."""


@dataclass
class Line:
    """What one contender took in each round, and what it did in the last."""

    contender: Contender
    costs: list[Cost] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    """Creates a second, as the API saw them."""
    reads: int = 0
    written: int | None = None
    """Rows or records; None where a peer does not tell."""

    def cpu_s(self) -> float:
        return statistics.median(cost.cpu_s for cost in self.costs)


@dataclass(frozen=True)
class Api:
    """The API of records, in a process of its own."""

    host: str

    def begin(self, edition: Edition, *, delay_s: float = 0.0) -> None:
        """Let it forget what it was asked, and show this edition."""
        self._ask("begin", json.dumps({"edition": edition.name, "delay_s": delay_s}).encode())

    def told(self) -> dict[str, Any]:
        """Return what happened since the beginning."""
        return self._ask("told")

    def _ask(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(f"{self.host}/{path}", body), timeout=60) as answer:
            told: dict[str, Any] = json.load(answer)
        return told


@contextmanager
def server(module: str, *arguments: str) -> Iterator[str]:
    """Run a server of ours, which prints its port and ends with its input, for the length of the block."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


@contextmanager
def api() -> Iterator[Api]:
    """Run the API of records for the length of the block."""
    with server("bench.records_server", str(PLACE / "data")) as host:
        yield Api(host)


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment without proxies, in which bytecode is kept and the benches are found."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", "NO_COLOR": "1", **more}


def run(contender: Contender, host: str, folder: Path) -> tuple[Cost, dict[str, Any]]:
    """Let one do its job in its folder; return what it took, and its last line where that is JSON.

    CPU is user and system of the process and of those that it started; the peak is the largest of them.
    """
    took = folder / "took"
    launch = [sys.executable, "-I", "-S", str(LAUNCH), str(took), str(TIMEOUT_S)]
    command = [*launch, *(part.replace("{host}", host) for part in contender.command)]
    with (folder / "log").open("ab") as log:
        ran = subprocess.run(
            command,
            cwd=folder,
            env=environment(THREADS=str(contender.threads)),
            stdout=subprocess.PIPE,
            stderr=log,
            check=False,
        )
    lines = ran.stdout.decode().strip().splitlines()
    if ran.returncode:
        tail = (folder / "log").read_text(encoding="utf-8", errors="replace")[-2_000:]
        raise SystemExit(f"{contender.name} ended with {ran.returncode}\n{tail}\n{lines[-1:]}")
    text = "\n".join(lines) if contender.is_ours else "".join(lines[-1:])
    cost = Cost(*map(float, took.read_text(encoding="ascii").split()))
    return cost, json.loads(text) if text.startswith("{") else {}


def measure(line: Line, api: Api, folder: Path, edition: Edition) -> None:
    """Do one job and note what it took; the result must be what the edition's records come to."""
    cost, said = run(line.contender, api.host, folder)
    told = api.told()
    count, checksum = result(folder, told)
    if (count, checksum) != (edition.count, edition.checksum):
        raise SystemExit(f"{line.contender.name}: {count} of {edition.count} records, checksum {checksum}: {folder}")
    line.costs.append(cost)
    line.reads = told["reads"]
    line.written = written(said, told)
    if told["seconds"]:
        line.rates.append((told["creates"] - 1) / told["seconds"])


def result(folder: Path, told: dict[str, Any]) -> tuple[int, int]:
    """Return number and checksum of the records at the other side: of the API, the messages, or the table.

    One by one: what this process grows to, the kernel would count as the peak of its next child.
    """
    if told["creates"]:
        return told["creates"], told["checksum"]
    if (folder / "messages").exists():
        with (folder / "messages").open("rb") as file:
            return tally(row_of(json.loads(text)["record"]["data"]) for text in file if b'"RECORD"' in text)
    with closing(sqlite3.connect(folder / "target.db")) as database:
        return tally(database.execute(f"SELECT {', '.join(COLUMNS)} FROM items"))


def written(said: dict[str, Any], told: dict[str, Any]) -> int | None:
    """Return how many rows or records were written."""
    if told["creates"]:
        return int(told["creates"])
    if counts := said.get("counts"):
        return int(counts["created"] + counts["updated"] + counts["deleted"])
    return said.get("rows")


def rotated(ones: Sequence[T], by: int) -> list[T]:
    """Return them beginning with another one for each number."""
    at = by % len(ones)
    return [*ones[at:], *ones[:at]]


def ratio(of: Line, to: Line, *, wall: bool = False) -> float:
    """Return the median of the ratios of the rounds."""
    pairs = zip(of.costs, to.costs, strict=True)
    return statistics.median(a.wall_s / b.wall_s if wall else a.cpu_s / b.cpu_s for a, b in pairs)


def table(lines: Sequence[Line], count: int) -> list[str]:
    """Return the table of one job over so many records."""
    bases = [line for line in lines if line.contender.name in BASES]
    heads = "".join(f" CPU ÷ {base.contender.name} |" for base in bases)
    made = [
        f"| | CPU s | µs a record |{heads} wall s | peak MiB | pages read | written |",
        f"|---|---:|---:|{'---:|' * len(bases)}---:|---:|---:|---:|",
    ]
    for line in lines:
        wall_s = statistics.median(cost.wall_s for cost in line.costs)
        peak_mib = max(cost.peak_mib for cost in line.costs)
        ratios = "".join(f" {ratio(line, base):.2f} |" for base in bases)
        rows = "" if line.written is None else f"{line.written:,}"
        made.append(
            f"| {line.contender.name} | {line.cpu_s():.2f} | {line.cpu_s() / count * 1e6:.1f} |{ratios} {wall_s:.2f} | "
            f"{peak_mib:.0f} | {line.reads:,} | {rows} |"
        )
    return made
