"""What a person asks of a service that runs: through the state database, so from any process that may open it."""

from dataclasses import dataclass

from daemon.clock import Clock
from daemon.errors import UsageError
from daemon.spec import Job, job_revision
from daemon.store.job_states import JobStates
from daemon.store.leases import Leases
from daemon.store.run_row import Trigger
from daemon.store.runs import RunStore
from daemon.store.stops import Stops

SERVICE_LEASE = "service"
"""Held by the one `crudsd serve` of a state database."""


@dataclass(frozen=True, slots=True)
class ServiceDesk:
    """Triggers and ends runs, pauses and resumes jobs."""

    runs: RunStore
    states: JobStates
    stops: Stops
    leases: Leases
    clock: Clock

    def trigger(self, name: str, job: Job) -> str:
        """Queue a run for the service to do now, or behind the one under way, and return its id.

        Raises UsageError when no service runs.
        """
        if self.leases.holder(SERVICE_LEASE) is None:
            raise UsageError(f"no crudsd serve uses this state database, so nobody would do it; `crudsd run {name}`")
        run = self.runs.fire(name, self.clock(), trigger=Trigger.MANUAL, revision=job_revision(job))
        if run is None:
            raise UsageError(f"{name}: another run is due in this very moment; try again")
        return run

    def cancel(self, name: str) -> str:
        """Ask the run of a job that is under way, or else queued, to stop; return its id. UsageError if none is."""
        run = self.stops.ask(name, "a person asked it to stop (crudsd cancel)")
        if run is None:
            raise UsageError(f"no run of {name} is under way or queued; `crudsd runs {name}` shows the latest")
        return run

    def pause(self, name: str, reason: str) -> bool:
        """Let the service run a job no more until it is resumed. False when it is paused already."""
        return self.states.pause(name, reason)

    def resume(self, name: str) -> bool:
        """Let the service run a job again. False when it was not paused."""
        return self.states.resume(name)
