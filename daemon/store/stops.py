"""Runs that are asked to stop, by a person or by the service, from whichever process."""

from collections.abc import Mapping

from sqlalchemy import select, update

from daemon.sync.outcome import Phase

from .database import Database
from .tables import IS_OPEN, runs


class Stops:
    """Asks runs to stop, and tells which were asked. Every method is one transaction; threads may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, job: str, reason: str) -> str | None:
        """Ask the run of a job that is under way to stop, or else the first one queued; return its id, None if none is.

        The first reason stays. Whoever carries it out looks now and then, and ends it between two steps. One that
        waits for its turn does not start.
        """
        under_way = select(runs.c.id).where(runs.c.job == job, runs.c.phase.not_in([Phase.OVER, Phase.QUEUED]))
        # Without a fire time it is about to begin in a process of its own, which asks nobody.
        queued = select(runs.c.id).where(
            runs.c.job == job, runs.c.phase == Phase.QUEUED, runs.c.fire_time.is_not(None), runs.c.stop_reason.is_(None)
        )
        with self._database.write() as connection:
            found: str | None = connection.execute(under_way.order_by(runs.c.id.desc()).limit(1)).scalar()
            found = found or connection.execute(queued.order_by(runs.c.id).limit(1)).scalar()
            if found is not None:
                asked = update(runs).where(runs.c.id == found, runs.c.stop_reason.is_(None))
                connection.execute(asked.values(stop_reason=reason))
        return found

    def asked(self) -> Mapping[str, str]:
        """Return the reasons of the runs, not over yet, that were asked to stop, by their ids."""
        query = select(runs.c.id, runs.c.stop_reason).where(IS_OPEN, runs.c.stop_reason.is_not(None))
        with self._database.read() as connection:
            return {row.id: row.stop_reason for row in connection.execute(query)}
