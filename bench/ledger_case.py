"""Deletes found in a large ledger: `ledger_case.py fill|crudsd|bitmap RECORDS`, in the folder of the state database.

`fill` makes the ledger. The others are told that a read met all links but each thousandth, find these, and print a
line of JSON: how many, the CPU seconds that it took, and by how much the process grew. `crudsd` does it as a run does;
`bitmap` is the yardstick: a byte for each row, searched for zeros; only rows that are gone are read from the ledger.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from daemon.clock import utc_clock
from daemon.endpoints.memory import MemoryTarget
from daemon.store import schema
from daemon.store.database import Database, open_database
from daemon.store.index import SqlTargetIndex
from daemon.store.journal import SqlJournal
from daemon.store.links import SqlLinks
from daemon.sync.certificate import End
from daemon.sync.gone import gone
from daemon.sync.ports import Page, Ports
from daemon.sync.seen import Seen

JOB = "people"
STATE = "state.db"
EACH = 1_000
"""One link of so many is gone."""
FILL = (
    "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?) "
    "INSERT INTO links (id, job, key, target_id, fingerprint, raw, owned) "
    "SELECT n, ?, printf('%08d', n), printf('t%08d', n), randomblob(16), randomblob(16), 1 FROM numbers"
)


class Nothing:
    """A source that is not asked."""

    def read(self, resume: str | None = None, **scope: object) -> Iterator[Page | End]:
        """Yield the end."""
        del resume, scope
        yield End("the only page", 0, 0, None)


def fill(count: int) -> None:
    """Make the ledger."""
    with open_database(STATE) as database:
        schema.upgrade(database)
    with closing(sqlite3.connect(STATE)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(FILL, (count, JOB))


def crudsd(count: int) -> tuple[int, float]:
    """Find what is gone as a run does."""
    bits = bytearray(b"\xff" * (count // 8 + 1))
    for number in range(EACH, count + 1, EACH):
        bits[number >> 3] &= ~(1 << (number & 7)) & 0xFF
    seen = Seen(count, bits=bytes(bits))
    with open_database(STATE) as database, Database.scratch() as scratch, ThreadPoolExecutor(1) as pool:
        ports = Ports(
            source=Nothing(),
            target=MemoryTarget(match="id"),
            links=SqlLinks(database, JOB),
            journal=SqlJournal(database, run="run", job=JOB, clock=utc_clock, lease=None),
            index=SqlTargetIndex(scratch, "run"),
            pool=pool,
            observe=lambda _: None,
        )
        began = time.process_time()
        found = sum(len(links) for links in gone(ports, seen, check_stop=lambda: None))
        return found, time.process_time() - began


def bitmap(count: int) -> tuple[int, float]:
    """Find what is gone with a byte a row."""
    seen = bytearray(b"\1" * (count + 1))
    for number in range(EACH, count + 1, EACH):
        seen[number] = 0
    with closing(sqlite3.connect(STATE)) as connection:
        began = time.process_time()
        found, at = 0, seen.find(0)
        while at >= 0:
            found += connection.execute("SELECT key, target_id FROM links WHERE id = ?", (at,)).fetchone() is not None
            at = seen.find(0, at + 1)
        return found, time.process_time() - began


def main(what: str, count: int) -> None:
    if what == "fill":
        fill(count)
        return
    before_mib = peak_mib()
    found, cpu_s = {"crudsd": crudsd, "bitmap": bitmap}[what](count)
    if found != count // EACH:
        raise SystemExit(f"{what} found {found} of {count // EACH}")
    print(json.dumps({"rows": found, "cpu_s": cpu_s, "grew_mib": peak_mib() - before_mib}))


def peak_mib() -> float:
    """Return the most that this process had in memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
