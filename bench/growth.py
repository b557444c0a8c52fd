"""How big the state file gets, and what a run and the housekeeping cost, over 100,000 runs and a year of retention.

    python -m bench.growth --write

The service's own store over a real SQLite file: leases, runs, journal, links, rejects, marks, approvals. What a
run commits is committed here in the same order, by the same calls. Only the systems are left out, and the clock is
turned by hand: housekeeping comes when its time has come. Durations are of the process's own CPU, since
machines are busy with other things too.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.service_page import PAGE, where, write
from daemon.runtime.housekeeping import EVERY, Housekeeper, prune_now
from daemon.spec.retention import Retention
from daemon.store import schema
from daemon.store.approvals import Approvals
from daemon.store.database import Database, open_database
from daemon.store.health import Verdict, check
from daemon.store.job_states import JobStates
from daemon.store.journal import SqlJournal
from daemon.store.leases import Lease, Leases, job_lease
from daemon.store.owner import Owner
from daemon.store.retention import Pruned
from daemon.store.run_row import Trigger
from daemon.store.runs import RunStore
from daemon.store.stops import Stops
from daemon.sync.certificate import Certificate, End
from daemon.sync.change import Change, Fate, Kind, Outcome, Reject
from daemon.sync.counts import Counts
from daemon.sync.mark import Mark
from daemon.sync.outcome import Ending, Phase, Result

JOBS = 20
STEP = timedelta(minutes=5)
"""Between two runs of whichever job: 100,000 take 347 days."""
PEOPLE = 40
"""Links of each job, about: each run edits some and replaces one."""
SLICE = 1_000
MOST_GROWTH = 1.10
"""The file at its largest, against its size when everything that retention forgets has been forgotten once."""
MOST_SLOWER = 1.25
"""A run's CPU in the last thousand, against the first thousand after retention began to forget."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class HandClock:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class QuietLog:
    def debug(self, event: str, **facts: object) -> None:
        pass

    info = warning = error = debug


@dataclass
class Sample:
    """What was seen at the end of a slice of runs."""

    runs: int
    file_mib: float
    wal_mib: float
    free_mib: float
    run_rows: int
    change_rows: int
    run_ms: float
    prune_ms: float


@dataclass
class World:
    """The service's store, and whatever runs remember of each other."""

    database: Database
    clock: HandClock
    number: int = 0
    created: dict[str, int] = field(default_factory=dict)
    prune_cpu_s: float = 0.0
    prunes: int = 0

    def __post_init__(self) -> None:
        self.leases = Leases(self.database, self.clock, Owner.here())
        self.runs = RunStore(self.database, self.clock)
        self.states, self.stops = JobStates(self.database, self.clock), Stops(self.database)
        self.approvals = Approvals(self.database, self.clock)
        self.house = Housekeeper(self.prune, self.clock, QuietLog())

    def prune(self) -> Pruned:
        began = time.process_time()
        done = prune_now(self.database, Retention(), self.clock)
        self.prune_cpu_s += time.process_time() - began
        self.prunes += 1
        return done

    def fire(self) -> None:
        """Let the next job fire, and do what the service would."""
        self.number += 1
        self.clock.now += STEP
        job = f"job-{self.number % JOBS:02}"
        self.stops.asked()
        self.runs.queued()
        self.states.get(job)
        self.runs.waits_until(job)
        if self.number % 10 == 0:
            self.runs.skip(job, self.clock(), reason="the run before it is not over", revision="r1")
            return
        run = self.runs.fire(job, self.clock(), trigger=Trigger.SCHEDULE, revision="r1")
        assert run is not None
        lease = self.leases.acquire(job_lease(job))
        self.runs.start(run, lease)
        for phase in (Phase.READ, Phase.APPLY):
            self.runs.phase(run, phase)
        ending = self.carry_out(job, run, lease)
        self.leases.release(lease)
        self.states.count(job, failed=ending is Ending.FAILED)

    def carry_out(self, job: str, run: str, lease: Lease) -> Ending:
        journal = SqlJournal(self.database, run=run, job=job, clock=self.clock, lease=lease)
        journal.resolve([Outcome(one, Fate.DONE, target_id=f"t{one.key}") for one in journal.unresolved()])
        journal.last_mark("r1")
        changes = self.changes(job, run)
        kinds = [one.kind for one in changes]
        counts = Counts(
            seen=PEOPLE,
            unchanged=PEOPLE - len(changes) + kinds.count(Kind.DELETE),
            pending=len(changes) - kinds.count(Kind.DELETE),
            deletes_pending=kinds.count(Kind.DELETE),
        )
        journal.plan(changes, links=[], rejects=self.rejects(run), counts=counts)
        journal.tally()
        ending = self.ending()
        if ending is Ending.HELD:
            journal.withhold([Kind.DELETE], "too many", counts)
            changes = [one for one in changes if one.kind is not Kind.DELETE]
        journal.commit(sent=changes, outcomes=(), counts=counts)
        if ending is Ending.INTERRUPTED:
            mark = Mark("r1", "page-2", counts, 1, 1, PEOPLE, listed=False, doubts=(), adopted=(), seen=b"", judged=0)
            journal.mark(mark)
        else:
            outcomes = [Outcome(one, Fate.DONE, target_id=f"t{one.key}", owned=True) for one in changes]
            journal.commit(sent=(), outcomes=outcomes, counts=counts)
            journal.unmark()
        self.runs.finish(run, result(ending), keep_rejects=timedelta(days=90))
        if ending is Ending.HELD and self.number % 2:
            self.approvals.give(job, run, {})
        return ending

    def ending(self) -> Ending:
        """Most runs end well; some fail, some are held, some are cut off while a change is under way."""
        for every, ending in ((97, Ending.INTERRUPTED), (89, Ending.HELD), (53, Ending.FAILED)):
            if self.number % every == 0:
                return ending
        return Ending.DONE

    def changes(self, job: str, run: str) -> list[Change]:
        """Plan a create, an edit, and the delete of the oldest: so that the job's links stay as many."""
        last = self.created[job] = self.created.get(job, 0) + 1
        planned = [(Kind.CREATE, last), (Kind.UPDATE, max(1, last - PEOPLE // 2))]
        if last > PEOPLE:
            planned.append((Kind.DELETE, last - PEOPLE))
        return [change(run, seq, kind, f"E{key}", self.number) for seq, (kind, key) in enumerate(planned, start=1)]

    def rejects(self, run: str) -> list[Reject]:
        """Now and then a record that cannot be mapped, never the same."""
        del run
        return [Reject(f"bad-{self.number}", "email is required")] if self.number % 31 == 0 else []


def change(run: str, seq: int, kind: Kind, key: str, number: int) -> Change:
    document = {
        "external_id": key,
        "name": f"Name {number}",
        "email": f"somebody.of.{number}@example.com",
        "street": LETTERS,
        "city": LETTERS,
    }
    is_new, is_gone = kind is Kind.CREATE, kind is Kind.DELETE
    return Change(
        seq=seq,
        kind=kind,
        key=key,
        target_id=None if is_new else f"t{key}",
        version=None,
        document=None if is_gone else document,
        before=None if is_new or is_gone else {**document, "name": "Name"},
        fields=() if is_gone else ("name",),
        fingerprint=number.to_bytes(32, "big"),
        raw=number.to_bytes(16, "big"),
        owned=True,
        idempotency_key=f"{run}-{seq}",
    )


def result(ending: Ending) -> Result:
    is_whole = ending in {Ending.DONE, Ending.HELD}
    end = End("no next cursor", 2, PEOPLE, PEOPLE) if is_whole else None
    error = "" if is_whole else "hr: read employees, page 2: answered 503 (tried 5 times); is the system well?"
    certificate = Certificate(end=end)
    selection = "[]" if ending is Ending.DONE else None
    return Result(ending, Counts(), certificate, (), error, selection=selection)


def sample(world: World, file: Path, runs: int, run_s: float) -> Sample:
    wal = file.with_name(f"{file.name}-wal")
    with world.database.read() as connection:

        def number(sql: str) -> int:
            return int(connection.exec_driver_sql(sql).scalar_one())

        page = number("PRAGMA page_size")
        return Sample(
            runs=runs,
            file_mib=file.stat().st_size / 2**20,
            wal_mib=wal.stat().st_size / 2**20,
            free_mib=number("PRAGMA freelist_count") * page / 2**20,
            run_rows=number("SELECT count(*) FROM runs"),
            change_rows=number("SELECT count(*) FROM changes"),
            run_ms=run_s * 1000 / SLICE,
            prune_ms=world.prune_cpu_s * 1000 / max(1, world.prunes),
        )


def grow(folder: Path, runs: int, told: Callable[[Sample], None]) -> tuple[list[Sample], list[str]]:
    """Do so many runs; return a sample of each slice, and what `crudsd db check` finds at the end."""
    file = folder / "crudsd.db"
    samples = []
    with open_database(file) as database:
        schema.prepare(database)
        world = World(database, HandClock())
        for begin in range(0, runs, SLICE):
            spent, world.prune_cpu_s, world.prunes = 0.0, 0.0, 0
            for _ in range(SLICE):
                began = time.process_time()
                world.fire()
                spent += time.process_time() - began
                with world.house:  # waited for, so that nothing else is measured meanwhile
                    world.house()
            samples.append(sample(world, file, begin + SLICE, spent))
            told(samples[-1])
        findings = [f"{one.what}: {one.message}" for one in check(database) if one.verdict is not Verdict.OK]
    return samples, findings


def complaints(samples: list[Sample], findings: list[str]) -> list[str]:
    """Return everything that is not as it should be."""
    said = [f"db check: {one}" for one in findings]
    settled = after_the_horizon(samples)
    if settled:
        if (by := max(one.file_mib for one in settled) / settled[0].file_mib) > MOST_GROWTH:
            said.append(f"the file grew by {by:.2f} × after everything old was forgotten once")
        if (by := settled[-1].run_ms / settled[0].run_ms) > MOST_SLOWER:
            said.append(f"a run became {by:.2f} × as dear")
    return said


def after_the_horizon(samples: list[Sample]) -> list[Sample]:
    """Return the samples from when retention has forgotten runs of its whole length once."""
    horizon = (Retention().runs + EVERY) / STEP * 1.1
    return [one for one in samples if one.runs > horizon]


def report(samples: list[Sample], findings: list[str], load_before: float, took_s: float) -> list[str]:
    shown = sorted({0, *range(9, len(samples), 10), len(samples) - 1})
    lines = [
        "## Growth",
        "",
        f"Made by `make bench-growth`. {where(load_before)}",
        "",
        (
            f"{samples[-1].runs:,} fires of {JOBS} jobs, {STEP.seconds // 60} minutes apart on a clock turned by hand, "
            "each but every tenth a run with three changes; housekeeping every six hours, retention by default "
            f"(runs 90d, changes 30d). It took {took_s / 60:.0f} minutes. Each line tells of the thousand before it; "
            "durations are CPU."
        ),
        "",
        "| fires | file MiB | of it free | WAL MiB | runs kept | changes kept | ms a fire | ms a housekeeping |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [line(samples[at]) for at in shown]
    settled = after_the_horizon(samples)
    if settled:
        largest = max(one.file_mib for one in settled)
        lines += [
            "",
            f"From {settled[0].runs:,} fires on the file had {settled[0].file_mib:.1f} MiB, and {largest:.1f} at most.",
        ]
    lines += ["", f"`crudsd db check` at the end: {'; '.join(findings) or 'all is well'}."]
    return lines


def line(one: Sample) -> str:
    return (
        f"| {one.runs:,} | {one.file_mib:.1f} | {one.free_mib:.1f} | {one.wal_mib:.1f} | {one.run_rows:,} | "
        f"{one.change_rows:,} | {one.run_ms:.2f} | {one.prune_ms:.1f} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--write", action="store_true", help=f"write the section in {PAGE.name}")
    given = parser.parse_args()
    # In memory where that can be had: a hundred thousand runs wait a million times for a disk, and it is not measured.
    shm = Path("/dev/shm")
    load_before, began = os.getloadavg()[0], time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="crudsd-growth-", dir=shm if shm.is_dir() else None))
    try:
        samples, findings = grow(folder, given.runs, lambda one: print(line(one), flush=True))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    lines = report(samples, findings, load_before, time.monotonic() - began)
    print("\n".join(lines))
    if given.write:
        write("growth", lines)
    wrong = complaints(samples, findings)
    print("\n".join(["", *(f"WRONG: {one}" for one in wrong)] if wrong else ["", "all is as it should be"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
