"""What was told of each job, so that a restart does not tell it again; and what the runs say that may be news."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from daemon.clock import Clock
from daemon.sync.outcome import Ending

from .columns import moment_text
from .database import Database
from .statements import execute, many


@dataclass(frozen=True, slots=True)
class AlertState:
    """What was told of one job, up to now."""

    since: datetime
    """When the job was first looked at."""
    failing: str | None = None
    """The run whose failure was told; None while nothing of the kind is to be taken back."""
    late_at: datetime | None = None
    """When it was told that the job is late; None: it is not."""
    held: str | None = None
    """What holds the job, as it was told."""
    pinged: str | None = None
    """The latest run that a heartbeat was told of."""


class AlertStates:
    """Reads and writes what was told. Every method is one transaction; threads may share it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def begin(self, jobs: Iterable[str]) -> dict[str, AlertState]:
        """Return what was told of these jobs; of one that is new, nothing since now. Repeating it changes nothing."""
        wanted = tuple(dict.fromkeys(jobs))
        if not wanted:
            return {}
        with self._database.write() as connection:
            now = moment_text(self._clock())
            known = set(execute(connection, "SELECT job FROM alert_states").scalars())
            new = [(job, now) for job in wanted if job not in known]
            many(connection, "INSERT INTO alert_states (job, since) VALUES (?, ?) ON CONFLICT (job) DO NOTHING", new)
            rows = execute(connection, "SELECT job, since, failing, late_at, held, pinged FROM alert_states").all()
        return {row[0]: _state(row) for row in rows if row[0] in set(wanted)}

    def keep(self, job: str, state: AlertState) -> None:
        """Remember what was told of a job."""
        late_at = None if state.late_at is None else moment_text(state.late_at)
        values = (job, moment_text(state.since), state.failing, late_at, state.held, state.pinged)
        with self._database.write() as connection:
            execute(
                connection,
                "INSERT INTO alert_states (job, since, failing, late_at, held, pinged) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (job) DO UPDATE SET failing = excluded.failing, late_at = excluded.late_at, "
                "held = excluded.held, pinged = excluded.pinged",
                values,
            )

    def endings(self, job: str, limit: int) -> tuple[tuple[str, Ending], ...]:
        """Return how the job's latest runs under a service ended, newest first, with their ids; no skipped fires.

        Runs by hand are left out: whoever began one sees how it ends.
        """
        with self._database.read() as connection:
            rows = execute(
                connection,
                "SELECT id, ending FROM runs WHERE job = ? AND phase = 'over' AND fire_time IS NOT NULL "
                "AND ending <> 'skipped' ORDER BY id DESC LIMIT ?",
                (job, limit),
            ).all()
        return tuple((row[0], Ending(row[1])) for row in rows)

    def last_good(self, job: str) -> datetime | None:
        """Return when the job's last good run ended, also one by hand; None when there was none."""
        with self._database.read() as connection:
            found = execute(
                connection,
                "SELECT ended_at FROM runs WHERE job = ? AND ending IN ('done', 'rejected') ORDER BY id DESC LIMIT 1",
                (job,),
            ).scalar()
        return None if found is None else datetime.fromisoformat(found)


def _state(row: Sequence[str | None]) -> AlertState:
    _, since, failing, late_at, held, pinged = row
    return AlertState(
        since=datetime.fromisoformat(str(since)),
        failing=failing,
        late_at=None if late_at is None else datetime.fromisoformat(late_at),
        held=held,
        pinged=pinged,
    )
