"""What a request costs: cruds beside bare urllib3, requests, httpx and niquests, in CPU seconds, in one run.

Each case is a process of its own. A round runs every case once, and the order moves by one from round to round, so
that whatever else the machine does hits all of them alike. Ratios are taken round by round, then their median.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
PLACE = ROOT / ".servers" / "bench"
OURS = ROOT / ".venv"
PAGE = ROOT / "docs" / "benchmarks-client.md"

PEERS = {"peers": ["requests", "requests-oauthlib", "httpx"], "niquests": ["niquests"]}
"""Environments and what is installed into them. niquests brings a package that takes urllib3's place: alone."""
CASES = {
    "urllib3": ("bare urllib3 HTTPConnectionPool, `json`", OURS),
    "cruds": ("**cruds.Client, OAuth2**", OURS),
    "cruds-none": ("cruds.Client, no credentials", OURS),
    "requests": ("requests.Session, fixed token", PLACE / "peers"),
    "requests-oauthlib": ("requests-oauthlib OAuth2Session", PLACE / "peers"),
    "httpx": ("httpx.Client, fixed token", PLACE / "peers"),
    "niquests": ("niquests.Session, fixed token", PLACE / "niquests"),
}
IMPORTS = {
    "cruds": OURS,
    "urllib3": OURS,
    "requests": PLACE / "peers",
    "httpx": PLACE / "peers",
    "niquests": PLACE / "niquests",
}
BASE = "urllib3"
OURS_NAME = "cruds"
MOST_OF_BARE, TOKEN_US, IMPORT_MS = 1.25, 50.0, 150.0


@dataclass
class Result:
    """What one case cost, one number a round."""

    cpu_us: list[float] = field(default_factory=list)
    wall_us: list[float] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)


def environment() -> dict[str, str]:
    """Return this process's environment without proxies, and with bytecode that is written and kept aside."""
    hidden = {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH"}
    kept = {name: value for name, value in os.environ.items() if name not in hidden and "proxy" not in name.lower()}
    return {
        **kept,
        "PYTHONPYCACHEPREFIX": str(PLACE / "bytecode"),
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "0",
        "OAUTHLIB_INSECURE_TRANSPORT": "1",
    }


def python(venv: Path) -> str:
    return str(venv / "bin" / "python")


def install() -> None:
    """Make the peers' environments where they are missing."""
    for name, packages in PEERS.items():
        venv = PLACE / name
        mark = venv / "installed"
        if mark.is_file() and mark.read_text() == " ".join(packages):
            continue
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        pip = [python(venv), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        subprocess.run([*pip, *packages], check=True)
        mark.write_text(" ".join(packages))


@contextmanager
def server() -> Iterator[str]:
    """Run the fixed server for the length of the block and give its address."""
    command = [python(OURS), str(HERE / "fixed_server.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()) as process:
        try:
            yield f"http://127.0.0.1:{int((process.stdout or sys.stdin).readline())}"
        finally:
            if process.stdin is not None:
                process.stdin.close()


def run(*command: str) -> tuple[dict[str, Any], float, float]:
    """Run a command and return its last line as JSON, its CPU seconds and its largest size in MiB."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), cwd=PLACE)
    output = process.stdout.read() if process.stdout is not None else b""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.stdout is not None:
        process.stdout.close()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    lines = output.decode().strip().splitlines()
    return json.loads(lines[-1]) if lines else {}, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def rotated(names: list[str], by: int) -> list[str]:
    at = by % len(names)
    return names[at:] + names[:at]


def requests_cost(
    base: str, rounds: int, count: int, versions: dict[str, str]
) -> tuple[dict[str, dict[str, Result]], list[float]]:
    """Run every case in every round; return the costs by verb and case, and those of a token in microseconds."""
    found = {verb: {name: Result() for name in CASES} for verb in ("get", "post")}
    tokens: list[float] = []
    for number in range(rounds):
        for verb in rotated(list(found), number):
            for name in rotated(list(CASES), number):
                told, _, rss = run(python(CASES[name][1]), str(HERE / "client_case.py"), name, verb, str(count), base)
                versions[name] = told["package"]
                one = found[verb][name]
                one.cpu_us.append(told["cpu_s"] / count * 1e6)
                one.wall_us.append(told["wall_s"] / count * 1e6)
                one.rss_mib.append(rss)
        token, _, _ = run(python(OURS), str(HERE / "client_case.py"), "token", "get", str(count), base)
        tokens.append(token["token_s"] * 1e6)
        print(f"round {number + 1} of {rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return found, tokens


def imports_cost(rounds: int) -> dict[str, list[float]]:
    """Return the CPU milliseconds of each import without those of Python itself.

    The first round, which compiles, is left out.
    """
    names = ["", *IMPORTS]
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in rotated(names, number):
            _, cpu_s, _ = run(python(IMPORTS.get(name, OURS)), "-c", f"import {name}" if name else "")
            if number:
                found[name].append(cpu_s * 1e3)
    python_alone = statistics.median(found.pop(""))
    return {name: [one - python_alone for one in values] for name, values in found.items()}


def ratio(of: list[float], to: list[float]) -> float:
    return statistics.median(one / base for one, base in zip(of, to, strict=True))


def table(results: dict[str, Result]) -> list[str]:
    lines = [
        "| client | CPU µs a request | lowest to highest | CPU ÷ bare urllib3 | CPU ÷ cruds | wall µs | peak MiB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, one in results.items():
        median = statistics.median
        lines.append(
            f"| {CASES[name][0]} | {median(one.cpu_us):.0f} | {min(one.cpu_us):.0f} to {max(one.cpu_us):.0f} | "
            f"{ratio(one.cpu_us, results[BASE].cpu_us):.2f} | {ratio(one.cpu_us, results[OURS_NAME].cpu_us):.2f} | "
            f"{median(one.wall_us):.0f} | {median(one.rss_mib):.0f} |"
        )
    return lines


def verdicts(
    costs: dict[str, dict[str, Result]], tokens: list[float], imports: dict[str, list[float]]
) -> list[tuple[str, str, bool]]:
    """Return each target, what was measured, and whether it is met."""
    found: list[tuple[str, str, bool]] = []
    for verb, results in costs.items():
        ours = results[OURS_NAME].cpu_us
        bare = ratio(ours, results[BASE].cpu_us)
        found.append((f"{verb.upper()}: at most {MOST_OF_BARE} × bare urllib3", f"{bare:.2f} ×", bare <= MOST_OF_BARE))
        for peer in ("requests", "httpx", "niquests"):
            times = ratio(ours, results[peer].cpu_us)
            found.append((f"{verb.upper()}: below {peer}", f"{times:.2f} ×", times < 1))
    token = statistics.median(tokens)
    found.append((f"a valid token: less than {TOKEN_US:.0f} µs a request", f"{token:.1f} µs", token < TOKEN_US))
    import_ms = statistics.median(imports["cruds"])
    found.append((f"`import cruds`: less than {IMPORT_MS:.0f} ms", f"{import_ms:.0f} ms", import_ms < IMPORT_MS))
    return found


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def run_on(options: argparse.Namespace, loads: tuple[float, float]) -> str:
    """Say when, where and how often."""
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores ({processor()}), {system}, "
        f"Python {platform.python_version()}, load {loads[0]:.1f} at the start and {loads[1]:.1f} at the end. "
        f"{options.rounds} interleaved rounds of {options.count} requests a case; medians; ratios round by round."
    )


def page(
    options: argparse.Namespace,
    loads: tuple[float, float],
    versions: dict[str, str],
    costs: dict[str, dict[str, Result]],
    tokens: list[float],
    imports: dict[str, list[float]],
) -> str:
    lines = [
        "# What a request costs: the client",
        "",
        "Made by the target `bench-client` of the Makefile; how it is measured: [bench/README.md](../bench/README.md).",
        "",
        run_on(options, loads),
        "",
        f"Versions: {', '.join(sorted(set(versions.values())))}.",
    ]
    for verb, results in costs.items():
        what = "GET of a small JSON document" if verb == "get" else "POST of a small JSON document"
        lines += ["", f"## {what}, one connection kept alive", "", *table(results)]
    lines += ["", "## Import", "", "Bytecode compiled, Python's own start left out.", ""]
    lines += ["| `import` | CPU ms | lowest to highest |", "|---|---:|---:|"]
    for name, values in imports.items():
        lines.append(f"| {name} | {statistics.median(values):.0f} | {min(values):.0f} to {max(values):.0f} |")
    lines += ["", "## Targets", "", "| target | measured | |", "|---|---:|---|"]
    lines += [
        f"| {what} | {value} | {'met' if is_met else '**missed**'} |"
        for what, value, is_met in verdicts(costs, tokens, imports)
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=3000, help="requests a case and round")
    parser.add_argument("--write", action="store_true", help="write the page in docs/, too")
    options = parser.parse_args()
    PLACE.mkdir(parents=True, exist_ok=True)
    install()
    before = os.getloadavg()[0]
    versions: dict[str, str] = {}
    imports = imports_cost(2 * options.rounds)
    with server() as base:
        costs, tokens = requests_cost(base, options.rounds, options.count, versions)
    text = page(options, (before, os.getloadavg()[0]), versions, costs, tokens, imports)
    print(text)
    if options.write:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
