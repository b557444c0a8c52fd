"""What `crudsd serve` takes while it has nothing to do: 1,000 jobs, none of which is due.

The service is a process of its own, started as systemd starts it: with a socket for its word that it is ready, and a
watchdog to pet. The numbers are the kernel's (`/proc`), read from outside.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.service_page import PAGE, write
from daemon.clock import utc_clock
from daemon.store.database import open_database
from daemon.store.runs import RunStore

CRUDSD = Path(sys.executable).with_name("crudsd")
CONNECTIONS = 20
WATCHDOG_S = 60
"""As in systemd/crudsd.service."""
SETTLES_S = 5.0
"""After it is ready, before idling is measured."""
FAR = timedelta(minutes=30)
"""No job is due within this time."""
HEAD = "version: 1\nconnections:\n"
CONNECTION = "  api-{number}:\n    host: http://127.0.0.1:9\n    quota: {{concurrency: 4}}\n"
JOB = """  job-{number}:
    description: Keeps the people of one system in step with another
    schedule: {schedule}
    mode: upsert
    source:
      connection: api-{source}
      read: employees
      params: {{status: active, page_size: 200}}
      records: data.items
      paginate: {{type: cursor, next: data.next_cursor, param: cursor, total: data.total}}
    key: record.employee_no
    map:
      external_id: record.employee_no
      name: record.given_name ~ ' ' ~ record.family_name_{number}
      email: {{from: record.work_email_{number} | trim | lower, required: true}}
      phone: {{from: record.mobile, when_null: clear}}
    target:
      connection: api-{target}
      match: external_id
      lookup: {{uri: users, params: {{external_id: "{{{{ key }}}}"}}, records: users}}
      create: {{uri: users, id: user.id}}
      update: {{uri: "users/{{{{ target.id }}}}", body: changed}}
"""


@dataclass(frozen=True)
class Cost:
    """What one process took."""

    ready_s: float
    ready_cpu_s: float
    rss_mib: float
    pss_mib: float
    idle_percent: float
    """Of one core."""
    threads: int
    files: int


def job_file(jobs: int) -> str:
    """Return a configuration none of whose jobs is due soon: a third each of cron, every and at."""
    parts = [HEAD, *(CONNECTION.format(number=number) for number in range(CONNECTIONS)), "jobs:\n"]
    now = datetime.now(UTC)
    parts += [
        JOB.format(
            number=number,
            schedule=schedule(number, now),
            source=number % CONNECTIONS,
            target=(number + 1) % CONNECTIONS,
        )
        for number in range(jobs)
    ]
    return "".join(parts)


def schedule(number: int, now: datetime) -> str:
    """Return one schedule; its next fire is far from now."""
    if number % 3 == 0:
        due = now + timedelta(hours=2 + number % 20)
        return f'{{cron: "{number % 60} {due.hour} * * *", jitter: 60s}}'
    if number % 3 == 1:
        hours = next(hours for hours in range(12 + number % 50, 1_000) if _rest(now, hours) > FAR)
        return f"{{every: {hours}h}}"
    return (
        f'{{at: ["{now + timedelta(days=1 + number):%Y-%m-%dT%H:%M}", "{now + timedelta(days=400):%Y-%m-%dT%H:%M}"]}}'
    )


def _rest(now: datetime, hours: int) -> timedelta:
    """Return how long it is until the next multiple of so many hours since the epoch."""
    step = timedelta(hours=hours)
    return step - (now - datetime(1970, 1, 1, tzinfo=UTC)) % step


def serve(jobs: int, idle_s: float) -> Cost:
    """Start a service over a fresh state, let it idle, and end it."""
    with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        folder = Path(place)
        (folder / "crudsd.yaml").write_text(job_file(jobs), encoding="utf-8")
        subprocess.run([str(CRUDSD), "db", "upgrade"], cwd=folder, check=True, capture_output=True)
        remember(folder / "crudsd.db", jobs)
        notified.bind(str(folder / "notify"))
        notified.settimeout(60)
        environment = os.environ | {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": str(WATCHDOG_S * 10**6)}
        with (
            (folder / "log").open("w") as log,
            subprocess.Popen([str(CRUDSD), "serve"], cwd=folder, env=environment, stdout=log, stderr=log) as service,
        ):
            try:
                return measured(service.pid, notified, idle_s)
            finally:
                service.send_signal(signal.SIGTERM)


def remember(state: Path, jobs: int) -> None:
    """Give each job a history, as it has after the first day: the service then looks what each waits for."""
    with open_database(str(state)) as database:
        runs = RunStore(database, utc_clock)
        for number in range(jobs):
            runs.skip(f"job-{number}", utc_clock(), reason="made for the benchmark", revision="")


def measured(pid: int, notified: socket.socket, idle_s: float) -> Cost:
    """Wait until it is ready, then look at it from outside."""
    began = time.monotonic()
    while b"READY=1" not in notified.recv(4096):
        pass
    ready_s, ready_cpu_s = time.monotonic() - began, cpu_s(pid)
    time.sleep(SETTLES_S)
    cpu_before, at = cpu_s(pid), time.monotonic()
    time.sleep(idle_s)
    idle = (cpu_s(pid) - cpu_before) / (time.monotonic() - at)
    memory = dict(line.split()[:2] for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return Cost(
        ready_s,
        ready_cpu_s,
        int(memory["Rss:"]) / 1024,
        int(memory["Pss:"]) / 1024,
        100 * idle,
        len(list(Path(f"/proc/{pid}/task").iterdir())),
        len(list(Path(f"/proc/{pid}/fd").iterdir())),
    )


def cpu_s(pid: int) -> float:
    """Return the seconds of CPU, user and system, that a process and its threads have taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def help_s(times: int) -> float:
    """Return how long `crudsd --help` takes, the median of several."""
    took = []
    for _ in range(times):
        began = time.monotonic()
        subprocess.run([str(CRUDSD), "--help"], check=True, stdout=subprocess.DEVNULL)
        took.append(time.monotonic() - began)
    return statistics.median(took)


def main() -> None:
    """Measure, print, and with `--write` keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 1_000])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to idle")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args()
    lines = []
    for jobs in options.jobs:
        lines.append(line(jobs, serve(jobs, options.seconds)))
        print(lines[-1], flush=True)
    asked_s = help_s(5)
    print(f"crudsd --help: {asked_s:.2f} s")
    if options.write:
        write("idle", page(lines, asked_s, options.seconds).splitlines())


def line(jobs: int, cost: Cost) -> str:
    return (
        f"| {jobs:,} | {cost.ready_s:.2f} | {cost.ready_cpu_s:.2f} | {cost.rss_mib:.0f} | {cost.pss_mib:.0f} | "
        f"{cost.idle_percent:.2f} | {cost.threads} | {cost.files} |"
    )


def page(lines: list[str], asked_s: float, seconds: float) -> str:
    load = os.getloadavg()[0]
    return "\n".join(
        [
            "## At rest",
            "",
            "Made by `make bench-idle`.",
            "",
            (
                f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Python {platform.python_version()}, load "
                f"{load:.1f} at the end. One start each, {seconds:.0f} seconds of idling; `crudsd --help` takes "
                f"{asked_s:.2f} s."
            ),
            "",
            "| jobs | start to READY s | its CPU s | RSS MiB | PSS MiB | CPU % of a core, idle | threads | files |",
            "|---:|---:|---:|---:|---:|---:|---:|---:|",
            *lines,
        ]
    )


if __name__ == "__main__":
    main()
