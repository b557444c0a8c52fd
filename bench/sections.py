"""The sections of the page of benchmarks: each runs its case, and ends with its targets and whether they are met."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import cases, contenders, idle, memory
from bench.contenders import CRUDSD, JOBS, Contender
from bench.rounds import Api, Line, ratio, rotated, run, server, table

CONCURRENCY = 32
"""Of the creates at a distance."""


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    records: int
    creates: int
    distant: int
    ledger: int
    memory: tuple[int, int]
    idle_s: float
    peers: bool = True


QUICK = Scale(2, 20_000, 2_000, 1_000, 300_000, (10_000, 50_000), 5.0)
USUAL = Scale(3, 100_000, 10_000, 5_000, 1_000_000, (10_000, 100_000), 20.0)
FULL = Scale(3, 1_000_000, 100_000, 20_000, 10_000_000, (10_000, 1_000_000), 60.0)


def verdict(what: str, measured: float, most: float, unit: str = "×") -> str:
    """Return a line that says whether a target is met; `most` is the largest that meets it."""
    met = "met" if measured <= most else "**missed**"
    return f"- {what}: at most {most:g} {unit}; measured {measured:.3g} {unit}: {met}"


def find(lines: list[Line], name: str) -> Line:
    """Return the line of a contender; crudsd is the one that is ours."""
    return next(line for line in lines if line.contender.name == name or (name == "crudsd" and line.contender.is_ours))


def into_table(api: Api, scale: Scale) -> list[str]:
    """Fill a table, read again, read what changed."""
    entered = contenders.into_table(peers=scale.peers)
    steps = cases.into_table(api, scale.records, scale.rounds, entered)
    heads = {"first": "First sync", "again": "Nothing changed", "changed": "One record of a hundred changed"}
    bases = {"first": ("plain", 1.2), "again": ("manifest", 2.0), "changed": ("manifest", 2.0)}
    said = []
    for step, lines in steps.items():
        base, most = bases[step]
        ours = find(lines, "crudsd")
        said += [
            f"## {heads[step]}: {scale.records:,} records, API → SQLite table",
            "",
            *table(lines, scale.records),
            "",
        ]
        said.append(verdict(f"CPU ÷ {base}", ratio(ours, find(lines, base)), most))
        if step == "first":
            said.append(verdict("peak", max(cost.peak_mib for cost in ours.costs), 130, "MiB"))
        if step == "again":
            said.append(verdict("rows written", float(ours.written or 0), 0, "rows"))
        said.append("")
    return said[:-1]


def into_api(api: Api, scale: Scale) -> list[str]:
    """Create records at another API."""
    entered = contenders.into_api(peers=scale.peers)
    lines = cases.into_api(api, scale.creates, scale.rounds, entered)
    bare = ratio(find(lines, "crudsd"), find(lines, "loop"))
    head = f"## Creates: {scale.creates:,} records, one request each"
    return [head, "", *table(lines, scale.creates), "", verdict("CPU ÷ loop", bare, 0.5)]


def at_a_distance(api: Api, scale: Scale) -> list[str]:
    """Create records at an API that takes 20 ms for each."""
    entered = contenders.at_a_distance(CONCURRENCY)
    lines = cases.into_api(api, scale.distant, scale.rounds, entered, delay_s=cases.DELAY_S)
    ideal = CONCURRENCY / cases.DELAY_S
    said = [
        f"## Creates at {cases.DELAY_S * 1e3:.0f} ms each: {scale.distant:,} records, {CONCURRENCY} at once",
        "",
        f"The most there can be: {CONCURRENCY} ÷ {cases.DELAY_S * 1e3:.0f} ms = {ideal:,.0f} a second.",
        "",
        "| | creates a second | of the most | CPU s | wall s | of a core |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for line in lines:
        wall_s = statistics.median(cost.wall_s for cost in line.costs)
        share = cases.rate(line) / ideal
        said.append(
            f"| {line.contender.name} | {cases.rate(line):,.0f} | {share:.0%} | {line.cpu_s():.2f} | {wall_s:.2f} | "
            f"{busy(line):.0%} |"
        )
    ours = find(lines, "crudsd")
    share = max(cases.rate(ours) / ideal, busy(ours))
    met = "met" if share >= 0.9 else "**missed**"
    return [
        *said,
        "",
        f"- at least 90 % of the most, or 90 % of a core where that is less; measured {share:.0%}: {met}",
    ]


def busy(line: Line) -> float:
    """Return which part of a core it had under way, from its start to its end."""
    return statistics.median(cost.cpu_s / cost.wall_s for cost in line.costs)


def ledger(api: Api, scale: Scale) -> list[str]:
    """Find what is gone in a large ledger."""
    del api
    folder = JOBS / "ledger"
    folder.mkdir(parents=True)
    rows = {name: Line(_ledger_case(name, scale.ledger)) for name in ("bitmap", "crudsd")}
    run(_ledger_case("fill", scale.ledger), "", folder)
    search: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
    for number in range(scale.rounds):
        for name in rotated(list(rows), number):
            cost, told = run(rows[name].contender, "", folder)
            rows[name].costs.append(cost)
            search[name].append((told["cpu_s"], told["grew_mib"]))
    said = [
        f"## Deletes found: a ledger of {scale.ledger:,} records, each thousandth gone",
        "",
        "| | CPU s of the search | it grew by MiB | CPU s of the process |",
        "|---|---:|---:|---:|",
    ]
    for name, line in rows.items():
        cpu_s, grew_mib = map(statistics.median, zip(*search[name], strict=True))
        said.append(f"| {line.contender.name} | {cpu_s:.3f} | {grew_mib:.1f} | {line.cpu_s():.2f} |")
    of_ten_million = statistics.median(cpu_s for cpu_s, _ in search["crudsd"]) * 10_000_000 / scale.ledger
    grew_mib = max(grew_mib for _, grew_mib in search["crudsd"])
    return [
        *said,
        "",
        verdict("CPU of the search, for 10,000,000 records", of_ten_million, 1.5, "s"),
        verdict(f"memory of the search, for {scale.ledger:,} records", grew_mib, 40, "MiB"),
    ]


def _ledger_case(what: str, count: int) -> Contender:
    name = {"crudsd": "**crudsd**"}.get(what, what)
    return Contender(name, (sys.executable, "-m", "bench.ledger_case", what, str(count)))


def token(api: Api, scale: Scale) -> list[str]:
    """Take what a valid OAuth2 token adds to a request."""
    del api
    costs = []
    with server("bench.fixed_server") as host:
        command = (sys.executable, "-m", "bench.client_case", "token", "get", "3000", "{host}")
        for _ in range(scale.rounds):
            _, told = run(Contender("token", command), host, JOBS)
            costs.append(told["token_s"] * 1e6)
    head = "## A valid OAuth2 token, added to a request of the client"
    return [head, "", verdict("CPU a request", statistics.median(costs), 50, "µs")]


def by_size(api: Api, scale: Scale) -> list[str]:
    """Take the memory of a run over few and over many records."""
    del api
    few, many = scale.memory
    lines = [
        f"## Memory: {few:,} and {many:,} records, API → API, every record found and linked; then again",
        "",
        "| | first run MiB | second run MiB |",
        "|---|---:|---:|",
    ]
    peaks = {}
    for count in scale.memory:
        peaks[count] = [cost.peak_mib for cost in memory.case(count, adopts=True, runs=2)]
        lines.append(f"| {count:,} | {peaks[count][0]:.0f} | {peaks[count][1]:.0f} |")
    growth = max(after / before for before, after in zip(peaks[few], peaks[many], strict=True))
    return [*lines, "", verdict(f"peak of {many:,} ÷ peak of {few:,}", growth, 1.3)]


def service(api: Api, scale: Scale) -> list[str]:
    """Take the start of a command, and the service with a thousand jobs at rest."""
    del api
    help_cpu_s = statistics.median(
        run(Contender("help", (CRUDSD, "--help")), "", JOBS)[0].cpu_s for _ in range(2 * scale.rounds + 1)
    )
    cost = idle.serve(1_000, scale.idle_s)
    return [
        "## Start and rest",
        "",
        f"`crudsd serve` with 1,000 jobs, none of them due, watched for {scale.idle_s:.0f} s.",
        "",
        verdict("`crudsd --help`", idle.help_s(2 * scale.rounds + 1), 0.25, "s"),
        verdict("`crudsd --help`, CPU", help_cpu_s, 0.25, "s"),
        verdict("start of `serve` to READY", cost.ready_s, 1.5, "s"),
        verdict("start of `serve` to READY, CPU", cost.ready_cpu_s, 1.5, "s"),
        verdict("idle, RSS", cost.rss_mib, 70, "MiB"),
        verdict("idle, CPU of a core", cost.idle_percent, 0.5, "%"),
    ]


SECTIONS: dict[str, Callable[[Api, Scale], list[str]]] = {
    "table": into_table,
    "creates": into_api,
    "distance": at_a_distance,
    "ledger": ledger,
    "token": token,
    "memory": by_size,
    "service": service,
}
WITH_PEERS = frozenset({"table", "creates"})
"""Those in which peers take part."""
ONCE = frozenset({"memory", "service"})
"""Those in which nobody is compared, and which take long: they are run once."""
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
