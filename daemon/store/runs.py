"""The history of runs: who fired, where each stands, how it ended."""

from datetime import datetime, timedelta
from operator import attrgetter, itemgetter
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from daemon.clock import Clock
from daemon.errors import StateError
from daemon.sync.certificate import Certificate
from daemon.sync.change import Fate
from daemon.sync.counts import Counts
from daemon.sync.outcome import SETTLED, Ending, Phase, Result, Verdict
from daemon.sync.pin import as_text

from .approvals import spend
from .columns import moment_text
from .database import Database
from .latest import ended_well_of, last_fires, of_all_jobs, resume_at_of
from .leases import Lease, Leases, hold, job_lease, wait_for_turn
from .reject_rows import forget_old, forget_settled
from .run_id import new_run_id
from .run_row import RunRow, Trigger, row_of
from .statements import execute, is_sqlite
from .tables import IS_OPEN, runs

LEAST_WAIT_S = 30.0
"""A run that waits goes on no sooner: its calls have waited before, each for itself."""


class RunStore:
    """Writes and reads runs. Every method is one transaction; threads may share it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def fire(self, job: str, fire_time: datetime, *, trigger: Trigger, revision: str) -> str | None:
        """Queue the run that is due at this moment, or return None when somebody has it already."""
        return self._insert(job, trigger, revision, fire_time=fire_time)

    def begin(self, job: str, *, trigger: Trigger, revision: str, resumes: str | None = None) -> str:
        """Queue a run that no schedule asked for and return its id."""
        run = self._insert(job, trigger, revision, resumes=resumes)
        if run is None:
            raise StateError(f"{job}: the new run's id is taken; run the command again")
        return run

    def skip(
        self, job: str, fire_time: datetime, *, reason: str, revision: str, trigger: Trigger = Trigger.SCHEDULE
    ) -> bool:
        """Remember that a run was due and did not start. False when somebody has it already."""
        ended: dict[str, Any] = {"phase": Phase.OVER, "ending": Ending.SKIPPED, "error": reason}
        ended["ended_at"] = self._clock()
        return self._insert(job, trigger, revision, fire_time=fire_time, **ended) is not None

    def start(self, run: str, lease: Lease, *, pinned_by: str | None = None) -> None:
        """Note who runs it from now on.

        Raises StateError when the run is over or unknown, LeaseLostError when another process took the lease.
        """
        values: dict[str, Any] = {"owner": lease.owner, "fence": lease.fence, "phase": Phase.READ}
        values |= {"started_at": self._clock(), "pinned_by": pinned_by}
        with self._database.write() as connection:
            hold(connection, lease, self._clock())
            if connection.execute(update(runs).where(*_open(run)).values(values)).rowcount != 1:
                raise StateError(f"run {run}: is over, or was never queued")

    def phase(self, run: str, phase: Phase) -> None:
        """Note where the run is; a run that is over stays so."""
        with self._database.write() as connection:
            connection.execute(update(runs).where(*_open(run)).values(phase=phase))

    def finish(
        self,
        run: str,
        result: Result,
        *,
        spends: str | None = None,
        keep_rejects: timedelta | None = None,
        at: datetime | None = None,
    ) -> bool:
        """Remember the end; what was never sent is dropped. False, and nothing changes, when the run was over before.

        `spends` is the held run whose approval is used up, or void, with this end. Rejects that no run met for
        `keep_rejects` are forgotten; None forgets none for their age. `at` is when it ended, if that is not now.
        """
        now = self._clock()
        values = {
            "phase": Phase.OVER,
            "ending": result.ending,
            "counts": _json(result.counts),
            "certificate": _json(result.certificate),
            "is_complete": result.certificate.is_of_all and result.is_whole,
            "reach": result.reach,
            "verdicts": _json(result.verdicts),
            "error": result.error,
            "selection": result.selection,
            "digests": msgspec.json.encode(as_text(result.withheld)).decode() if result.withheld else None,
            "ended_at": now if at is None else min(at, now),
            "resume_at": self._resume_at(result),
        }
        with self._database.write() as connection:
            job = connection.execute(select(runs.c.job).where(runs.c.id == run)).scalar()
            wait_for_turn(connection, str(job))
            if connection.execute(update(runs).where(*_open(run)).values(values)).rowcount != 1:
                return False
            execute(
                connection,
                "UPDATE changes SET fate = ?, updated_at = ? WHERE run = ? AND fate = 'planned'",
                (Fate.DROPPED.value, moment_text(now), run),
            )
            if spends is not None:
                spend(connection, spends)
            if result.certificate.is_of_all and result.is_whole and result.ending in SETTLED:
                forget_settled(connection, run)
            if keep_rejects is not None:
                forget_old(connection, run, self._clock() - keep_rejects)
        return True

    def get(self, run: str) -> RunRow | None:
        """Return the run, or None when it is not known."""
        with self._database.read() as connection:
            row = connection.execute(select(runs).where(runs.c.id == run)).mappings().first()
        return None if row is None else row_of(row)

    def recent(self, job: str | None, limit: int) -> tuple[RunRow, ...]:
        """Return the latest runs, newest first, of one job or of all."""
        query = select(runs).order_by(runs.c.id.desc()).limit(limit)
        return self._rows(query if job is None else query.where(runs.c.job == job))

    def queued(self) -> tuple[RunRow, ...]:
        """Return the runs that nobody has begun, oldest first."""
        # Sorted here: told to do it, SQLite walks the whole history by id, and services ask every two seconds.
        return tuple(
            sorted(self._rows(select(runs).where(IS_OPEN, runs.c.phase == Phase.QUEUED)), key=attrgetter("id"))
        )

    def interrupted(self, leases: Leases) -> tuple[RunRow, ...]:
        """Return the runs that were begun, are not over, and whose owner is gone, oldest first."""
        query = select(runs).where(IS_OPEN, runs.c.phase != Phase.QUEUED)
        with self._database.read() as connection:
            found = sorted(connection.execute(query).mappings(), key=itemgetter("id"))
        return tuple(
            row_of(row)
            for row in found
            if not leases.is_held(job_lease(row["job"]), owner=row["owner"], fence=row["fence"])
        )

    def last_complete(self, job: str) -> RunRow | None:
        """Return the job's latest run whose read was proven complete; None when there was none."""
        query = select(runs).where(runs.c.job == job, runs.c.is_complete).order_by(runs.c.id.desc()).limit(1)
        return next(iter(self._rows(query)), None)

    def latest_settled(self, job: str) -> RunRow | None:
        """Return the job's latest run that came to its own end; None when there was none."""
        query = select(runs).where(runs.c.job == job, runs.c.ending.in_(SETTLED)).order_by(runs.c.id.desc()).limit(1)
        return next(iter(self._rows(query)), None)

    def pinned_by(self, job: str, pin: str) -> tuple[str, ...]:
        """Return the ids of the job's runs under this pin, oldest first."""
        query = select(runs.c.id).where(runs.c.job == job, runs.c.pinned_by == pin).order_by(runs.c.id)
        with self._database.read() as connection:
            return tuple(connection.execute(query).scalars())

    def last_fires(self, trigger: Trigger = Trigger.SCHEDULE) -> dict[str, datetime]:
        """Return for each job the latest moment, not after now, for which it was fired or skipped; none if never."""
        return self._found(last_fires(trigger, self._clock()))

    def ended_well(self) -> dict[str, datetime]:
        """Return for each job when its last good run under a service ended; none if there was none."""
        return self._found(_ENDED_WELL)

    def waits_until(self, job: str) -> datetime | None:
        """Return when the work of this job's last run goes on, if that run is waiting; it may be in the past.

        Runs that did not start or were cut off say nothing of the system, so the one before them counts.
        """
        with self._database.read() as connection:
            found: datetime | None = connection.execute(resume_at_of(runs.c.job == job)).scalar()
        return found

    def waiting(self) -> dict[str, datetime]:
        """Return for every job whose last run is waiting when its work goes on, as `waits_until` does for one."""
        return self._found(_ALL_WAITING)

    def _resume_at(self, result: Result) -> datetime | None:
        if result.ending is not Ending.WAITING:
            return None
        return self._clock() + timedelta(seconds=max(result.wait_s or 0.0, LEAST_WAIT_S))

    def _insert(self, job: str, trigger: Trigger, revision: str, **more: Any) -> str | None:
        now = self._clock()
        run = new_run_id(now)
        row = {"id": run, "job": job, "trigger": trigger, "revision": revision, "created_at": now}
        row |= {"phase": Phase.QUEUED, "counts": _json(Counts())} | more
        with self._database.write() as connection:
            insert: Any = sqlite_insert
            if not is_sqlite(connection):
                from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415 - not for SQLite

            # Asked for in words: how many rows an insert made is not told by every driver.
            made = connection.execute(insert(runs).values(row).on_conflict_do_nothing().returning(runs.c.id)).first()
        return None if made is None else run

    def _found(self, query: Any) -> dict[str, datetime]:
        with self._database.read() as connection:
            return {row.job: row.found for row in connection.execute(query)}

    def _rows(self, query: Any) -> tuple[RunRow, ...]:
        with self._database.read() as connection:
            return tuple(row_of(row) for row in connection.execute(query).mappings())


def store_counts(connection: Connection, run: str, counts: Counts) -> None:
    """Set a run's counts inside the journal's own transaction. A plan has no row."""
    execute(connection, "UPDATE runs SET counts = ? WHERE id = ?", (_json(counts), run))


_ALL_WAITING: Final = of_all_jobs(resume_at_of)
_ENDED_WELL: Final = of_all_jobs(ended_well_of)


def _open(run: str) -> tuple[Any, Any]:
    return runs.c.id == run, runs.c.phase != Phase.OVER


def _json(value: Counts | Certificate | tuple[Verdict, ...]) -> str:
    return msgspec.json.encode(value).decode()
