"""A hundred thousand parts: what a run over that many parents costs, in time and memory, without any network.

    python -m bench.parts [PARTS]

Parents and children stand in memory, the state in a file. Each parent has one child, and each part a cursor. It prints
the rows of docs/benchmarks-parts.md.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from daemon.clock import utc_clock
from daemon.endpoints.memory import MemoryTarget
from daemon.spec import Job
from daemon.store import schema
from daemon.store.database import Database, open_database
from daemon.store.index import SqlTargetIndex
from daemon.store.journal import SqlJournal
from daemon.store.links import SqlLinks
from daemon.sync import engine
from daemon.sync.certificate import End
from daemon.sync.change import Change
from daemon.sync.options import Options
from daemon.sync.parents import ParentParts
from daemon.sync.parts import NOTHING
from daemon.sync.ports import Page, Ports, Written

PAGE = 1_000

JOB = Job.model_validate(
    {
        "mode": "mirror",
        "for_each": {"as": "project", "connection": "a", "read": "projects"},
        "source": {
            "connection": "a",
            "read": "projects/{{ project.id }}/tickets",
            "params": {"since": "{{ cursor.start }}"},
            "incremental": {"field": "no", "type": "number"},
        },
        "key": ["project.id", "record.no"],
        "map": {"ref": "[project.id, record.no]", "title": "record.title"},
        "target": {
            "connection": "b",
            "match": "ref",
            "list": "x",
            "create": "x",
            "update": "x/{{ target.id }}",
            "delete": "x/{{ target.id }}",
        },
    }
)


class Many:
    """So many parents."""

    def __init__(self, number: int) -> None:
        self.number = number

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any] = NOTHING) -> Iterator[Page | End]:
        """Yield them, a page at a time."""
        del resume, scope
        for at in range(0, self.number, PAGE):
            yield Page(at // PAGE + 1, tuple(b'{"id": %d}' % one for one in range(at, min(at + PAGE, self.number))))
        yield End("no next page", -(-self.number // PAGE), self.number, None)


class Children:
    """One child of each, given once more by each read: the lower bound is inclusive."""

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any] = NOTHING) -> Iterator[Page | End]:
        """Yield one page."""
        del resume
        yield Page(1, (b'{"no": %d, "title": "ticket"}' % scope["project"]["id"],))
        yield End("the only page", 1, 1, None)


class Taker(MemoryTarget):
    """Takes every create without looking for another one of its key, which would cost the more the more it holds."""

    def create(self, change: Change) -> Written:
        """Give an id."""
        return Written(f"id-{change.key}")


def main() -> None:
    """Run once over everything, then once over what changed, and say what each took."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    target = Taker(match="ref", lists=False, looks_up=False)
    with tempfile.TemporaryDirectory() as folder, open_database(Path(folder) / "state.db") as database:
        schema.upgrade(database)
        for name in ("first", "second"):
            began, cpu = time.perf_counter(), time.process_time()
            said = run(name, number, database, target)
            wall, cpu = time.perf_counter() - began, time.process_time() - cpu
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            load = os.getloadavg()[0]
            figures = f"{wall:.1f} | {cpu:.1f} | {cpu / number * 1e6:,.0f} | {peak} | {load:.1f}"
            print(f"| {name} | {said} | {figures} |", flush=True)


def run(name: str, number: int, database: Database, target: MemoryTarget) -> str:
    """Run the job once."""
    with Database.scratch() as scratch, ThreadPoolExecutor(8) as pool:
        assert JOB.for_each is not None
        ports = Ports(
            source=Children(),
            target=target,
            links=SqlLinks(database, "job"),
            journal=SqlJournal(database, run=name, job="job", clock=utc_clock, lease=None),
            index=SqlTargetIndex(scratch, name),
            pool=pool,
            observe=lambda _: None,
            parts=ParentParts(JOB.for_each, Many(number)),
            ahead=8,
        )
        result = engine.run(JOB, ports, Options(run=name, writes=True, now=utc_clock()))
    counts = result.counts
    assert result.certificate.parts == number, result
    return f"{number:,} | {counts.created:,} | {counts.unchanged:,}"


if __name__ == "__main__":
    main()
