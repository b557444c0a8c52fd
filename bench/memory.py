"""How much memory a run takes, by the number of its records: the peak of the whole process, from the kernel.

Three runs for each number: a first run that finds every record at the target already and links it, a second run in
which nothing changed, and a first run that creates (of a tenth, since a thousand requests a second is what one process
makes). The lists come from a process of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CRUDSD = Path(sys.executable).with_name("crudsd")
PAGE = HERE.parent / "docs" / "benchmarks-memory.md"
FIELDS = ("no", "name", "email", "street", "city", "country", "active", "salary", "title", "team")


@dataclass(frozen=True)
class Cost:
    """What one process took."""

    wall_s: float
    cpu_s: float
    peak_mib: float


@contextmanager
def lists(count: int) -> Iterator[str]:
    """Give the address of a server whose lists have so many records."""
    command = [sys.executable, str(HERE / "lists_server.py"), str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()


def job_file(host: str, *, adopts: bool) -> dict[str, Any]:
    pages = {"records": "data", "paginate": {"type": "cursor", "param": "page", "next": "next", "total": "total"}}
    known = "users" if adopts else "nobody"
    return {
        "version": 1,
        "connections": {"api": {"host": host, "quota": {"concurrency": 8}}},
        "jobs": {
            "people": {
                "mode": "mirror",
                "source": {"connection": "api", "read": "people", **pages},
                "key": "record.no",
                "map": {name: f"record.{name}" for name in FIELDS},
                "target": {
                    "connection": "api",
                    "match": "no",
                    "list": {"uri": known, **pages},
                    "create": {"uri": "users", "id": "id"},
                    "update": {"uri": "users/{{ target.id }}", "body": "changed"},
                    "delete": "users/{{ target.id }}",
                },
            }
        },
    }


def run(folder: Path) -> tuple[Cost, dict[str, int]]:
    """Do one run and return what it took, and its counts."""
    began = time.monotonic()
    command = [str(CRUDSD), "run", "people", "--json"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"crudsd run ended with {process.returncode}: {said}")
    cost = Cost(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
    return cost, json.loads(said)["counts"]


def case(count: int, *, adopts: bool, runs: int) -> list[Cost]:
    """Return what each run of a fresh state took, its counts checked."""
    costs = []
    with lists(count) as host, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "crudsd.yaml").write_text(json.dumps(job_file(host, adopts=adopts)), encoding="utf-8")
        for number in range(runs):
            cost, counts = run(folder)
            expected = "created" if number == 0 and not adopts else "unchanged"
            assert counts["seen"] == counts[expected] == count, counts
            costs.append(cost)
    return costs


def main() -> None:
    """Measure, print, and with `--write` keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args()
    rows = []
    for count in options.counts:
        first, again = case(count, adopts=True, runs=2)
        (created,) = case(count // 10, adopts=False, runs=1)
        rows += [
            ("first run, all there, linked", count, first),
            ("second run, nothing changed", count, again),
            ("first run, all created", count // 10, created),
        ]
        print("\n".join(line(*row) for row in rows[-3:]), flush=True)
    if options.write:
        PAGE.write_text(page(rows), encoding="utf-8")


def line(what: str, count: int, cost: Cost) -> str:
    per_record = cost.cpu_s * 1e6 / count
    return f"| {what} | {count:,} | {cost.peak_mib:.0f} | {cost.cpu_s:.1f} | {per_record:.0f} | {cost.wall_s:.1f} |"


def page(rows: list[tuple[str, int, Cost]]) -> str:
    load = os.getloadavg()[0]
    return "\n".join(
        [
            "# What a run takes in memory",
            "",
            "Made by `python bench/memory.py --write`; how it is measured: [bench/README.md](../bench/README.md).",
            "",
            (
                f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Python {platform.python_version()}, load "
                f"{load:.1f} at the end. One run each: the peak of the process `crudsd run` as the kernel counts it."
            ),
            "",
            "| run | records | peak MiB | CPU s | CPU µs a record | wall s |",
            "|---|---:|---:|---:|---:|---:|",
            *(line(*row) for row in rows),
            "",
        ]
    )


if __name__ == "__main__":
    main()
