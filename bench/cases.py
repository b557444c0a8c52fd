"""The jobs that are compared: a table that is filled and kept in step, and records created at another API."""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import contenders
from bench.contenders import JOBS, PLACE, Contender
from bench.records import Edition, edition
from bench.rounds import Api, Line, measure, rotated

STEPS = ("first", "again", "changed")
"""A first sync into an empty table, one in which nothing changed, and one in which a record of a hundred did."""
DELAY_S = 0.02


def editions(count: int) -> tuple[Edition, Edition]:
    """Return the records as they are at first, and with one of a hundred changed."""
    return edition(PLACE / "data", count), edition(PLACE / "data", count, changed=True)


def into_table(api: Api, count: int, rounds: int, entered: Sequence[Contender]) -> dict[str, list[Line]]:
    """Fill a table and keep it in step; return what each contender took, step by step."""
    base, changed = editions(count)
    lines = {step: [Line(one) for one in entered] for step in STEPS}
    for number in range(rounds):
        for step, shown in zip(STEPS, (base, base, changed), strict=True):
            for line in rotated(lines[step], number):
                folder = folder_of(line.contender, "table", api.host, fresh=step == "first")
                api.begin(shown)
                measure(line, api, folder, shown)
                say(f"{step} {count}", line)
    return lines


def into_api(api: Api, count: int, rounds: int, entered: Sequence[Contender], *, delay_s: float = 0.0) -> list[Line]:
    """Create every record at an API that has none, and that lets each create wait so long."""
    (base, _), lines = editions(count), [Line(one) for one in entered]
    for number in range(rounds):
        for line in rotated(lines, number):
            folder = folder_of(line.contender, "api", api.host, fresh=True)
            api.begin(base, delay_s=delay_s)
            measure(line, api, folder, base)
            say(f"creates {count}", line)
    return lines


def folder_of(contender: Contender, job: str, host: str, *, fresh: bool) -> Path:
    """Return the folder in which a contender does a job, emptied and prepared when it is to be fresh."""
    folder = JOBS / f"{job}-{''.join(filter(str.isalnum, contender.name))}"
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if contender.prepare is not None:
            contender.prepare(folder, host)
    return folder


def say(what: str, line: Line) -> None:
    """Tell who waits how it goes."""
    cost = line.costs[-1]
    name = line.contender.name
    print(f"  {what}: {name}: {cost.cpu_s:.2f} s CPU, {cost.wall_s:.2f} s, {cost.peak_mib:.0f} MiB", file=sys.stderr)


def warm_up(api: Api, *, peers: bool) -> None:
    """Do every job once over a few records: bytecode is compiled, files are read from the disk, all can do it."""
    into_table(api, 1_000, 1, contenders.into_table(peers=peers))
    into_api(api, 100, 1, contenders.into_api(peers=peers))


def rate(line: Line) -> float:
    """Return the median of the creates a second."""
    return statistics.median(line.rates)
