"""Runs that are asked to stop, by a person or by the service, from whichever process."""

from collections.abc import Mapping

from sqlalchemy import select, update

from daemon.sync.outcome import Phase

from .database import Database
from .tables import runs


class Stops:
    """Asks runs to stop, and tells which were asked. Every method is one transaction; threads may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, job: str, reason: str) -> str | None:
        """Ask the run of a job that is not over to stop, and return its id; None when there is none.

        The first reason stays. Whoever carries it out looks now and then, and ends it between two steps.
        """
        with self._database.write() as connection:
            query = select(runs.c.id).where(runs.c.job == job, runs.c.phase.not_in([Phase.OVER, Phase.QUEUED]))
            found: str | None = connection.execute(query.order_by(runs.c.id.desc()).limit(1)).scalar()
            if found is not None:
                asked = update(runs).where(runs.c.id == found, runs.c.stop_reason.is_(None))
                connection.execute(asked.values(stop_reason=reason))
        return found

    def asked(self) -> Mapping[str, str]:
        """Return the reasons of the runs, not over yet, that were asked to stop, by their ids."""
        query = select(runs.c.id, runs.c.stop_reason).where(runs.c.phase != Phase.OVER, runs.c.stop_reason.is_not(None))
        with self._database.read() as connection:
            return {row.id: row.stop_reason for row in connection.execute(query)}
