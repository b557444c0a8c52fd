"""Many jobs, short intervals, bad systems, for minutes: does the service lose a fire, a record, or memory?

    python -m bench.soak --seconds 600 --jobs 200 --write

The service is a process of its own, and so are the systems (`soak_systems.py`). In the middle it is killed with SIGKILL
and started again, and later told to read its files anew. Near the end the systems are well, and then both sides must
be equal. What it must have done is judged from its state database alone (`soak_oracle.py`); what it took is the
kernel's word. Ends with 1, and says why, when anything is not as it should be.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from bench.service_page import PAGE, where, write
from bench.soak_oracle import Findings, judge
from daemon import upkeep

CRUDSD = Path(sys.executable).with_name("crudsd")
SAMPLE_S = 5.0
CHANGE_S = 15.0
KILL_AT, RELOAD_AT, CALM_AT = 0.15, 0.25, 0.9
"""Shares of the whole time."""
WARM_UP = 0.4
"""Share of the whole time after which memory is watched: what is made once is made by then."""
MOST_MIB = 6.0
"""So much may the line through the samples rise in the watched time. Idle samples of one process scatter by about two
MiB; a leak of 100 bytes in each request, or of 2 kB in each run, would be more than this in ten minutes."""
MOST_FILES = 20.0
"""A leaked descriptor for each run would be thousands; open connections to the systems come and go."""


@dataclass(frozen=True)
class Sample:
    """What the service took at one moment."""

    at_s: float
    pss_mib: float
    rss_mib: float
    files: int
    threads: int
    wal_mib: float


@dataclass
class Soak:
    """One soak, as far as it has come."""

    folder: Path
    seconds: float
    jobs: int
    tenants: int
    url: str = ""
    began: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    cpu_s: float = 0.0
    ready: datetime | None = None
    ended: datetime | None = None
    compared: dict[str, Any] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    drained_s: float = 0.0
    exit_code: int = -1

    @property
    def at(self) -> float:
        return (time.monotonic() - self.began) / self.seconds

    @property
    def watched(self) -> list[Sample]:
        return [one for one in self.samples if one.at_s >= WARM_UP * self.seconds]


def interval(number: int) -> int:
    """Seconds between two fires of a job: 1 to 5."""
    return 1 + number % 5


def schedule(number: int) -> dict[str, Any]:
    found: dict[str, Any] = {"every": f"{interval(number)}s"}
    if number % 7 == 3:
        found["overlap"] = "queue"
    if number % 11 == 5:
        found["catch_up"] = "none"
    if number % 20 == 19:
        found["catch_up"] = "all"
    return found


def job(number: int, tenants: int, timeout: str) -> dict[str, Any]:
    place = f"j{number}"
    tenant = number % tenants
    fields = {"external_id": "record.employee_no", "name": "record.given_name ~ ' ' ~ record.family_name"}
    fields |= {"email": "record.work_email | lower"}
    return {
        "schedule": schedule(number),
        "mode": "mirror",
        "timeout": timeout,
        "source": {
            "connection": f"hr-{tenant}",
            "read": f"{place}/employees",
            "records": "data.items",
            "paginate": {"type": "cursor", "param": "cursor", "next": "data.next_cursor", "total": "data.total"},
        },
        "key": "record.employee_no",
        "map": fields
        | {"phone": {"from": "record.mobile", "when_null": "clear"}}
        | {"locale": {"from": "record.language | default('en')"}},
        "target": {
            "connection": f"desk-{tenant}",
            "match": "external_id",
            "list": {
                "uri": f"{place}/users",
                "records": "users",
                "paginate": {"type": "page", "param": "page", "total": "total"},
            },
            "lookup": {
                "uri": f"{place}/users",
                "params": {"external_id": "{{ document.external_id }}"},
                "records": "users",
            },
            "create": {"uri": f"{place}/users", "idempotency_header": "Idempotency-Key", "id": "user.id"},
            "update": {"uri": f"{place}/users/{{{{ target.id }}}}", "body": "changed"},
            "delete": {"uri": f"{place}/users/{{{{ target.id }}}}"},
        },
        "guards": {"deletes": "90%", "updates": "100%"},
    }


def configuration(soak: Soak, tenants: list[dict[str, str]], *, timeout: str) -> str:
    connections: dict[str, Any] = {}
    for number, one in enumerate(tenants):
        host = f"{soak.url}/t{number}"
        auth = {"type": "oauth2", "grant": "client_credentials", "url": f"{host}/oauth/token"}
        auth |= {"client_id": one["client_id"]}
        secret = {"file": f"secrets/hr-{number}"}
        # Quick to try again and to close the breaker: what is looked for takes many runs.
        haste = {"retry": {"attempts": 4, "backoff": 0.1}, "breaker": {"cool_down": "2s"}}
        connections[f"hr-{number}"] = {"host": host, "auth": {**auth, "client_secret": secret}, **haste}
        bearer = {"type": "bearer", "token": {"file": f"secrets/desk-{number}"}}
        connections[f"desk-{number}"] = {"host": host, "auth": bearer, **haste}
    jobs = {f"job-{number:03}": job(number, soak.tenants, timeout) for number in range(soak.jobs)}
    return json.dumps({"version": 1, "connections": connections, "jobs": jobs}, indent=1)


def prepare(soak: Soak, tenants: list[dict[str, str]]) -> None:
    (soak.folder / "secrets").mkdir(mode=0o700)
    for number, one in enumerate(tenants):
        for name, secret in ((f"hr-{number}", one["client_secret"]), (f"desk-{number}", one["token"])):
            path = soak.folder / "secrets" / name
            path.touch(mode=0o600)
            path.write_text(secret, encoding="utf-8")
    upkeep.generate_key(soak.folder / "crudsd.key")
    (soak.folder / "crudsd.yaml").write_text(configuration(soak, tenants, timeout="60s"), encoding="utf-8")


@contextmanager
def systems(soak: Soak) -> Iterator[list[dict[str, str]]]:
    """Serve the systems within the block; give their credentials."""
    command = [sys.executable, "-m", "bench.soak_systems", f"--tenants={soak.tenants}", f"--jobs={soak.jobs}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            said = json.loads(process.stdout.readline())
            soak.url = said["url"]
            yield said["tenants"]
        finally:
            process.terminate()


def ask(soak: Soak, method: str, path: str) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(f"{soak.url}{path}", method=method), timeout=30) as answer:
        return json.load(answer)


def start(soak: Soak, log: TextIO) -> subprocess.Popen[bytes]:
    """Start the service and wait until it says in its log that it is ready."""
    before = _told(soak, "service.ready")
    process = subprocess.Popen([str(CRUDSD), "serve"], cwd=soak.folder, stdout=log, stderr=log)
    until = time.monotonic() + 60
    while _told(soak, "service.ready") == before:
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            raise SystemExit(f"crudsd serve did not come up: {(soak.folder / 'log').read_text()[-2000:]}")
        time.sleep(0.05)
    soak.ready = soak.ready or datetime.now(UTC)
    return process


def _told(soak: Soak, event: str) -> int:
    return (soak.folder / "log").read_text(encoding="utf-8").count(f'"event": "{event}"')


def sample(soak: Soak, pid: int) -> None:
    place = Path(f"/proc/{pid}")
    memory = dict(line.split()[:2] for line in (place / "smaps_rollup").read_text().splitlines()[1:])
    wal = soak.folder / "crudsd.db-wal"
    soak.samples.append(
        Sample(
            at_s=time.monotonic() - soak.began,
            pss_mib=int(memory["Pss:"]) / 1024,
            rss_mib=int(memory["Rss:"]) / 1024,
            files=len(list((place / "fd").iterdir())),
            threads=len(list((place / "task").iterdir())),
            wal_mib=wal.stat().st_size / 2**20 if wal.exists() else 0.0,
        )
    )


def stir(soak: Soak, process: subprocess.Popen[bytes], until: float) -> None:
    """Let time pass, with changes in the source and a look at the service each few seconds."""
    due = time.monotonic()
    change_due = due
    while soak.at < until:
        if process.poll() is not None:
            raise SystemExit(f"crudsd serve ended by itself with {process.returncode}")
        sample(soak, process.pid)
        if time.monotonic() >= change_due and soak.at < CALM_AT:
            ask(soak, "POST", "/change")
            change_due += CHANGE_S
        due += SAMPLE_S
        time.sleep(max(0.0, min(due - time.monotonic(), (until - soak.at) * soak.seconds + 0.01)))


def run(soak: Soak) -> None:
    """Soak, and leave what is to be judged in the folder."""
    with systems(soak) as tenants, (soak.folder / "log").open("a", encoding="utf-8") as log:
        prepare(soak, tenants)
        soak.began = time.monotonic()
        process = start(soak, log)
        try:
            stir(soak, process, KILL_AT)
            process.kill()
            process.wait()
            process = start(soak, log)
            stir(soak, process, RELOAD_AT)
            changed = configuration(soak, tenants, timeout="90s")
            (soak.folder / "crudsd.yaml").write_text(changed, encoding="utf-8")
            process.send_signal(signal.SIGHUP)
            stir(soak, process, CALM_AT)
            soak.faults = ask(soak, "GET", "/faults")
            ask(soak, "POST", "/calm?on=true")
            stir(soak, process, 1.0)
            settle(soak)
            soak.ended = datetime.now(UTC)
            drain(soak, process)
        finally:
            process.kill()
            process.wait()


def settle(soak: Soak) -> None:
    """Wait, for minutes at most, until the systems are equal: each job has to have its turn after the last fault."""
    until = time.monotonic() + 240
    while True:
        soak.compared = ask(soak, "GET", "/compare")
        if not soak.compared["different"] or time.monotonic() > until:
            return
        time.sleep(1)


def drain(soak: Soak, process: subprocess.Popen[bytes]) -> None:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    soak.cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    soak.exit_code = process.wait(90)
    soak.drained_s = time.monotonic() - began


def rise(samples: list[Sample], name: str) -> float:
    """Return by how much the line of least squares through a figure rises from the first sample to the last."""
    times = [one.at_s for one in samples]
    values = [float(getattr(one, name)) for one in samples]
    middle, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((at - middle) ** 2 for at in times) or 1.0
    slope = sum((at - middle) * (value - mean) for at, value in zip(times, values, strict=True)) / spread
    return slope * (times[-1] - times[0])


def complaints(soak: Soak, found: Findings) -> list[str]:
    """Return everything that is not as it should be."""
    said = list(found.complaints)
    if soak.exit_code != 0:
        said.append(f"crudsd serve ended with {soak.exit_code}")
    if soak.compared["different"] or soak.compared["doubled"]:
        said.append(f"the systems differ: {soak.compared}")
    for name, most in (("pss_mib", MOST_MIB), ("files", MOST_FILES), ("threads", MOST_FILES)):
        if (by := rise(soak.watched, name)) > most:
            said.append(f"{name} rose by {by:.1f} after the warm-up")
    return said


def report(soak: Soak, found: Findings, load_before: float) -> list[str]:
    watched = soak.watched
    minutes = (watched[-1].at_s - watched[0].at_s) / 60

    def shown(name: str, digits: int = 0) -> str:
        values = [float(getattr(one, name)) for one in watched]
        by = rise(watched, name)
        return f"{values[0]:.{digits}f} | {min(values):.{digits}f} to {max(values):.{digits}f} | {by:+.1f} |"

    return [
        "## Soak",
        "",
        f"Made by `make soak`. {where(load_before)}",
        "",
        *story(soak, found),
        "",
        f"From {watched[0].at_s:.0f} s on ({minutes:.1f} minutes, a sample each {SAMPLE_S:.0f} s):",
        "",
        "| | first | range | rise of the line through all samples |",
        "|---|---:|---:|---:|",
        f"| PSS, MiB | {shown('pss_mib', 1)}",
        f"| RSS, MiB | {shown('rss_mib', 1)}",
        f"| file descriptors | {shown('files')}",
        f"| threads | {shown('threads')}",
        f"| WAL, MiB | {shown('wal_mib', 1)}",
    ]


def story(soak: Soak, found: Findings) -> list[str]:
    counts, size = soak.compared, (soak.folder / "crudsd.db").stat().st_size / 2**20
    faults = ", ".join(f"{number:,} × {name}" for name, number in sorted(soak.faults.items()))
    endings = ", ".join(f"{number:,} {name}" for name, number in sorted(found.endings.items()))
    begin = (
        f"{soak.jobs} jobs, one every 1 to 5 s, over {soak.tenants} pairs of systems for {soak.seconds:.0f} s; killed "
        f"with SIGKILL at {KILL_AT * soak.seconds:.0f} s, reloaded at {RELOAD_AT * soak.seconds:.0f} s. "
        f"Faults: {faults}."
    )
    fires = (
        f"- Fires: {found.fires:,} were due. {found.ran:,} have a run; {found.skipped:,} were skipped, each with its "
        f"reason; {found.covered:,} more are told of by the row of a later one; unexplained: {found.unexplained}. "
        f"A row was written {found.lag.total_seconds():.0f} s after its fire time at most."
    )
    sides = (
        f"- Both sides at the end: {counts['people']:,} people, differences: {len(counts['different'])}, twice: "
        f"{counts['doubled']}; {counts['created']:,} created, {counts['deleted']:,} deleted, {counts['replayed']} "
        "creates repeated under their idempotency key."
    )
    log = (
        f"- Log: {found.errors} lines of level error, of runs that failed for a fault; unexplained: "
        f"{len(found.strange_errors)}."
    )
    return [
        begin,
        "",
        fires,
        f"- Runs by ending: {endings}. Counts that do not balance: {found.unbalanced}.",
        sides,
        log,
        f"- Drained in {soak.drained_s:.1f} s; {soak.cpu_s:.0f} s of CPU since the kill; state file {size:.1f} MiB.",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--tenants", type=int, default=20)
    parser.add_argument("--keep", type=Path, help="a new folder for everything, which stays")
    parser.add_argument("--write", action="store_true", help=f"write the section in {PAGE.name}")
    given = parser.parse_args()
    load_before = os.getloadavg()[0]
    folder = given.keep or Path(tempfile.mkdtemp(prefix="crudsd-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        soak = Soak(folder, given.seconds, given.jobs, given.tenants)
        run(soak)
        assert soak.ready is not None
        assert soak.ended is not None
        intervals = {f"job-{number:03}": interval(number) for number in range(soak.jobs)}
        found = judge(folder, intervals, begin=soak.ready, end=soak.ended)
        lines = report(soak, found, load_before)
        print("\n".join(lines))
        if given.write:
            write("soak", lines)
        wrong = complaints(soak, found)
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(["", *(f"WRONG: {one}" for one in wrong)] if wrong else ["", "all is as it should be"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
