"""A person's word for the changes that a run withheld: one for each job, until it is used or void."""

from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from daemon.clock import Clock
from daemon.sync.pin import Digests, as_text, from_text

from .columns import moment_text
from .database import Database
from .statements import execute


@dataclass(frozen=True, slots=True)
class Approval:
    """One approval, as it is remembered."""

    job: str
    run: str
    """The held run whose withheld changes it releases."""
    digests: Digests
    approved_at: datetime


class Approvals:
    """Gives and reads approvals. Every method is one transaction; threads and processes may share it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def give(self, job: str, run: str, digests: Digests) -> None:
        """Approve what a run withheld; the job's earlier approval, if any, is replaced. May be repeated."""
        values = (job, run, msgspec.json.encode(as_text(digests)).decode(), moment_text(self._clock()))
        with self._database.write() as connection:
            execute(
                connection,
                "INSERT INTO approvals (job, run, digests, approved_at) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (job) DO UPDATE SET run = excluded.run, digests = excluded.digests, "
                "approved_at = excluded.approved_at",
                values,
            )

    def pending(self, job: str) -> Approval | None:
        """Return the job's approval that waits for a run; None when there is none."""
        sql = "SELECT job, run, digests, approved_at FROM approvals WHERE job = ?"
        with self._database.read() as connection:
            row = execute(connection, sql, (job,)).first()
        if row is None:
            return None
        name, run, digests, approved_at = row
        return Approval(name, run, from_text(msgspec.json.decode(digests)), datetime.fromisoformat(approved_at))


def spend(connection: Connection, run: str) -> None:
    """Remove the approval of what this run withheld, inside a run's last transaction.

    An approval of another run, which was given meanwhile, stays for the next run.
    """
    execute(connection, "DELETE FROM approvals WHERE run = ?", (run,))
