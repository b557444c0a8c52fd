"""What the service has done by others: rows in the state database, and the runs themselves."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from daemon.spec import Schedule
from daemon.sync.outcome import Ending

from .stop_request import StopRequest


@dataclass(frozen=True, slots=True)
class Fire:
    """A moment at which a job is due, and what made it so."""

    job: str
    fire_time: datetime
    """The schedule's own, before jitter. One job has one run for one fire time."""
    trigger: str = "schedule"
    """schedule, manual, after or resume."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much at once, and how long to the end."""

    workers: int = 8
    """Runs under way at once."""
    drain_s: float = 60.0
    """Seconds that runs get to finish what is in hand when the service is asked to stop. The unit's
    TimeoutStopSec is longer."""
    connections: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The connections that each job uses; none for a job that is not here."""
    runs: Mapping[str, int] = field(default_factory=dict)
    """Runs under way at once on each connection; as many as there are workers on one that is not here."""

    def most(self, connection: str) -> int:
        """Return how many runs may be under way at once on a connection."""
        return self.runs.get(connection, self.workers)


@dataclass(frozen=True, slots=True)
class Program:
    """What the service runs, as one reading of the configuration says it."""

    schedules: Mapping[str, Schedule | None]
    work: "Work"
    capacity: Capacity = Capacity()


class Work(Protocol):
    """What the service asks for. Safe to share between threads. Every method may raise StateError."""

    def fire(self, fire: Fire) -> str | None:
        """Write the run that is due and return its id; None when somebody else has written it."""

    def skip(self, fire: Fire, *, reason: str) -> None:
        """Record a fire that does not run; nothing when its run is written already."""

    def carry_out(self, job: str, run: str, stop_request: StopRequest) -> Ending:
        """Do the run and return how it ended. Raises CrudsdError when it could not even begin."""

    def obstacle(self, job: str) -> str:
        """Return why this job may not run before a person does something, empty when it may. Asks no system."""

    def held_back(self, jobs: Collection[str]) -> Mapping[str, str]:
        """Return those of these jobs that may not run before a person does something, with why, in one look."""

    def waits_until(self, job: str) -> datetime | None:
        """Return when the work of a job goes on whose last run is waiting; None where it is not."""

    def waiting(self) -> Mapping[str, datetime]:
        """Return when the work goes on of all jobs whose last run is waiting, in one look."""

    def fired_last(self) -> Mapping[str, datetime]:
        """Return for each job the latest moment for which the schedule fired it, in one look; not if it never did."""

    def ended_well_last(self) -> Mapping[str, datetime]:
        """Return for each job when its last good run here ended, in one look; not if there was none."""

    def followed_last(self) -> Mapping[str, datetime]:
        """Return for each job when it was fired last because another one had ended well; not if it never was."""

    def interrupted(self) -> tuple[str, ...]:
        """Close the runs whose process died, and return their jobs, whose work is to be taken up now."""

    def queued(self) -> Mapping[str, str]:
        """Return the runs that are written and not begun, oldest first: their jobs by their ids."""

    def asked_to_stop(self) -> Mapping[str, str]:
        """Return the runs that somebody asked to stop: the reasons by their ids."""

    def drop(self, run: str, reason: str) -> None:
        """Close a queued run that does not start."""

    def failed(self, job: str, *, failed: bool) -> int:
        """Count a run that is over, and return how many of the job failed in a row with it."""

    def pause(self, job: str, reason: str) -> None:
        """Let the job run no more until a person resumes it."""
