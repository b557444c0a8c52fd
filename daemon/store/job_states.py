"""What is known of a job beside its runs: whether it is paused and why, and how often it failed in a row."""

from dataclasses import dataclass
from datetime import datetime

from daemon.clock import Clock

from .columns import moment_text
from .database import Database
from .statements import Stored, execute


@dataclass(frozen=True, slots=True)
class JobState:
    """One job, as the service finds it."""

    paused_at: datetime | None = None
    """None: it is not paused."""
    reason: str = ""
    """Why it is paused."""
    failures: int = 0
    """How many of its runs failed in a row, up to now."""


class JobStates:
    """Reads and writes the states of jobs. Every method is one transaction; threads may share it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def get(self, job: str) -> JobState:
        """Return what is known of a job."""
        with self._database.read() as connection:
            row = execute(
                connection, "SELECT paused_at, reason, failures FROM job_states WHERE job = ?", (job,)
            ).first()
        return JobState() if row is None else _state(row)

    def paused(self) -> dict[str, JobState]:
        """Return the jobs that are paused."""
        with self._database.read() as connection:
            rows = execute(
                connection,
                "SELECT paused_at, reason, failures, job FROM job_states WHERE paused_at IS NOT NULL ORDER BY job",
            ).all()
        return {row[3]: _state(row) for row in rows}

    def pause(self, job: str, reason: str) -> bool:
        """Pause a job until somebody resumes it. False, and the first reason stays, when it is paused already."""
        with self._database.write() as connection:
            done = execute(
                connection,
                "INSERT INTO job_states (job, paused_at, reason) VALUES (?, ?, ?) ON CONFLICT (job) DO UPDATE SET "
                "paused_at = excluded.paused_at, reason = excluded.reason WHERE job_states.paused_at IS NULL",
                (job, moment_text(self._clock()), reason),
            )
        return done.rowcount == 1

    def resume(self, job: str) -> bool:
        """Let a job run again, its failures forgotten. False when it was not paused."""
        with self._database.write() as connection:
            done = execute(
                connection,
                "UPDATE job_states SET paused_at = NULL, reason = '', failures = 0 "
                "WHERE job = ? AND paused_at IS NOT NULL",
                (job,),
            )
        return done.rowcount == 1

    def count(self, job: str, *, failed: bool) -> int:
        """Count a run that is over, and return how many of the job failed in a row with it."""
        with self._database.write() as connection:
            execute(
                connection,
                "INSERT INTO job_states (job, failures) VALUES (?, ?) ON CONFLICT (job) DO UPDATE SET "
                "failures = CASE WHEN excluded.failures = 0 THEN 0 ELSE job_states.failures + 1 END",
                (job, int(failed)),
            )
            found = execute(connection, "SELECT failures FROM job_states WHERE job = ?", (job,)).scalar_one()
        return int(found)


def _state(row: Stored) -> JobState:
    paused_at, reason, failures = row[:3]
    return JobState(None if paused_at is None else datetime.fromisoformat(paused_at), reason, failures)
