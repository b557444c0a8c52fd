"""What the service must have done in a soak, judged from its state database and its log, by nothing of its own code."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

MISSED = re.compile(r"^fires since (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC were missed: ")
EDGE = timedelta(seconds=1)
"""Who fires in the moment of a start or an end, nobody can say."""
LEAST_LAG = timedelta(seconds=10)
"""Who came due in the last seconds may not have been woken for: the next start finds that. How far behind the service
was at most, its own rows tell."""
NEW = timedelta(seconds=30)
PARTS = ("created", "updated", "unchanged", "skipped", "rejected", "withheld")
EXPLAINED = ("429", "503", "malformed", "no JSON", "connection", "reset", "records", "Sign in", "is no ", "total")
"""A run that fails may be told of as an error; its text says what the systems did."""


@dataclass
class Findings:
    """What was found."""

    fires: int = 0
    lag: timedelta = timedelta(0)
    """From a fire time to its row, at most."""
    ran: int = 0
    skipped: int = 0
    covered: int = 0
    unexplained: int = 0
    unbalanced: int = 0
    errors: int = 0
    strange_errors: list[str] = field(default_factory=list)
    endings: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)


def judge(folder: Path, intervals: dict[str, int], *, begin: datetime, end: datetime) -> Findings:
    """Judge what was left in the folder. `intervals`: seconds between two fires of each job, by its name."""
    found = Findings()
    with closing(sqlite3.connect(f"file:{folder / 'crudsd.db'}?mode=ro", uri=True)) as state:
        fires_have_rows(state, intervals, begin + EDGE, end - EDGE, found)
        counts_balance(state, found)
        state_is_sound(state, found)
    log_is_explained(folder / "log", found)
    return found


def fires_have_rows(
    state: sqlite3.Connection, intervals: dict[str, int], begin: datetime, end: datetime, found: Findings
) -> None:
    """Each fire time of each schedule has a row, or is told of by the row of a later one."""
    rows: dict[str, dict[datetime, tuple[str | None, str]]] = defaultdict(dict)
    query = "SELECT job, fire_time, ending, error, created_at FROM runs WHERE trigger = 'schedule'"
    for job, text, ending, error, made in state.execute(query):
        fire = datetime.fromisoformat(text)
        found.lag = max(found.lag, datetime.fromisoformat(made) - fire)
        if fire in rows[job]:
            found.complaints.append(f"{job}: two rows for {fire}")
        rows[job][fire] = (ending, error)
    for job, seconds in intervals.items():
        missed = [
            (datetime.strptime(told[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC), fire)
            for fire, (_, error) in rows[job].items()
            if (told := MISSED.match(error))
        ]
        last = max(rows[job], default=begin)
        # Before its first fire a job has missed nothing: where the service was killed that early, nobody knows of it.
        first = min(min(rows[job], default=end), begin + NEW)
        for fire in due(seconds, max(begin, first), end):
            if fire > last and fire > end - max(found.lag, LEAST_LAG):
                break
            found.fires += 1
            one_is_known(job, fire, rows[job].get(fire), missed, found)


def one_is_known(
    job: str,
    fire: datetime,
    row: tuple[str | None, str] | None,
    missed: list[tuple[datetime, datetime]],
    found: Findings,
) -> None:
    if row is None:
        one_more_is_missed(job, fire, missed, found)
    elif row[0] != "skipped":
        found.ran += 1
    else:
        found.skipped += 1
        found.reasons[MISSED.sub("missed: ", row[1])[:60]] += 1
        if not row[1]:
            found.complaints.append(f"{job}: skipped at {fire} without a reason")


def due(seconds: int, begin: datetime, end: datetime) -> list[datetime]:
    first = -(-int(begin.timestamp()) // seconds) * seconds
    return [datetime.fromtimestamp(moment, UTC) for moment in range(first, int(end.timestamp()), seconds)]


def one_more_is_missed(job: str, fire: datetime, told: list[tuple[datetime, datetime]], found: Findings) -> None:
    if any(first <= fire <= last for first, last in told):
        found.covered += 1
        return
    found.unexplained += 1
    if found.unexplained <= 10:
        found.complaints.append(f"{job}: nothing is known of the fire at {fire}")


def counts_balance(state: sqlite3.Connection, found: Findings) -> None:
    for run, phase, ending, text in state.execute("SELECT id, phase, ending, counts FROM runs"):
        found.endings[ending or phase] += 1
        counts = json.loads(text)
        pending = counts.get("pending", 0)
        # One that was cut off, or asked to wait, leaves its rest to the next one.
        may_be_pending = ending in {"interrupted", "unavailable", "waiting", "failed"}
        parts = sum(counts.get(name, 0) for name in PARTS)
        if counts.get("seen", 0) != parts + pending or (pending and not may_be_pending):
            found.unbalanced += 1
            found.complaints.append(f"run {run} ({ending}) does not balance: {counts}")
        if phase not in {"over", "queued"}:  # who waits for a thread at the end is taken up by the next start
            found.complaints.append(f"run {run} is not over: {phase}")


def state_is_sound(state: sqlite3.Connection, found: Findings) -> None:
    for name, query in {
        "damage": "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
        "changes without a known outcome": "SELECT run, seq FROM changes WHERE fate IN ('planned', 'sent', 'unknown')",
        "links that are two": "SELECT job, target_id FROM links GROUP BY job, target_id HAVING count(*) > 1",
        "changes of no run": "SELECT DISTINCT run FROM changes WHERE run NOT IN (SELECT id FROM runs)",
        "leases that are held": "SELECT name FROM leases WHERE owner <> '' AND name NOT LIKE 'token/%'",
    }.items():
        if rows := state.execute(query).fetchall():
            found.complaints.append(f"{len(rows)} {name}: {rows[:5]}")


def log_is_explained(log: Path, found: Findings) -> None:
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            found.complaints.append(f"a line of the log is no event: {line[:200]}")
            continue
        if event["level"] not in {"error", "critical"}:
            continue
        found.errors += 1
        text = str(event.get("error", ""))
        if event["event"] != "run.ended" or not any(word in text for word in EXPLAINED):
            found.strange_errors.append(line)
            if len(found.strange_errors) <= 10:
                found.complaints.append(f"an error in the log: {line[:400]}")
