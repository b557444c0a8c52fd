"""What the service asks for, done with the state database, the worker and the log."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from daemon import logs
from daemon.errors import LockedError, LoginNeededError
from daemon.report.cures import Told, cures
from daemon.spec import Job, job_revision
from daemon.store.job_states import JobState, JobStates
from daemon.store.run_row import Trigger
from daemon.store.runs import RunStore
from daemon.store.stops import Stops
from daemon.sync.outcome import Ending

from .alarm import Alarm, NoAlarm
from .stop_request import StopRequest
from .work import Fire
from .worker import Finished, Worker

Run = Callable[[str, str, StopRequest], Finished]
"""Does the queued run of a job: its name, the run's id, and what may end it."""


@dataclass(frozen=True, slots=True)
class ServiceWork:
    """The port `Work` of the service. Threads may share it."""

    jobs: Mapping[str, Job]
    runs: RunStore
    states: JobStates
    stops: Stops
    worker: Worker
    run: Run
    login_needed: Callable[[str], str]
    """Says what a person has to do before a job can run, empty when nothing."""
    log: logs.Logger
    alarm: Alarm = field(default_factory=NoAlarm)
    """Told of what may be news."""

    def fire(self, fire: Fire) -> str | None:
        """Write the run that is due and return its id; None when somebody else has written it."""
        revision = job_revision(self.jobs[fire.job])
        return self.runs.fire(fire.job, fire.fire_time, trigger=Trigger(fire.trigger), revision=revision)

    def skip(self, fire: Fire, *, reason: str) -> None:
        """Record a fire that does not run; nothing when its run is written already."""
        revision = job_revision(self.jobs[fire.job])
        self.runs.skip(fire.job, fire.fire_time, trigger=Trigger(fire.trigger), reason=reason, revision=revision)
        self.alarm.changed(fire.job)

    def carry_out(self, job: str, run: str, stop_request: StopRequest) -> Ending:
        """Do a queued run, telling the log."""
        self.alarm.began(job, run)
        try:
            return self._carry_out(job, run, stop_request)
        finally:
            self.alarm.changed(job)

    def _carry_out(self, job: str, run: str, stop_request: StopRequest) -> Ending:
        with logs.bound(job=job, run=run):
            self.log.info("run.began")
            try:
                finished = self.run(job, run, stop_request)
            except (LockedError, LoginNeededError) as error:
                self.worker.end(run, Ending.SKIPPED, str(error))
                self.log.warning("run.skipped", reason=str(error))
                return Ending.SKIPPED
            told = cures(Told(job, run), finished.result)
            logs.tell_result(
                self.log, finished.result, took_s=finished.took_s, resume_at=finished.resume_at, cures=told
            )
            return finished.result.ending

    def obstacle(self, job: str) -> str:
        """Return why this job may not run before a person does something, empty when it may."""
        return _paused(job, self.states.get(job)) or self.login_needed(job)

    def held_back(self, jobs: Collection[str]) -> Mapping[str, str]:
        """Return those of these jobs that may not run before a person does something, with why."""
        if not jobs:
            return {}
        paused, logins = self.states.paused(), dict[frozenset[str], str]()
        found = {}
        for job in jobs:
            state = paused.get(job)
            found[job] = "" if state is None else _paused(job, state)
            if job in self.jobs and not found[job]:
                uses = frozenset((self.jobs[job].source.connection, self.jobs[job].target.connection))
                found[job] = logins[uses] if uses in logins else logins.setdefault(uses, self.login_needed(job))
        return {job: why for job, why in found.items() if why}

    def waits_until(self, job: str) -> datetime | None:
        """Return when the work of a job goes on whose last run is waiting; None where it is not."""
        return self.runs.waits_until(job)

    def waiting(self) -> Mapping[str, datetime]:
        """Return when the work goes on of all jobs whose last run is waiting."""
        return self.runs.waiting()

    def fired_last(self) -> Mapping[str, datetime]:
        """Return for each job the latest moment for which the schedule fired it."""
        return self.runs.last_fires()

    def ended_well_last(self) -> Mapping[str, datetime]:
        """Return for each job when its last good run under a service ended."""
        return self.runs.ended_well()

    def followed_last(self) -> Mapping[str, datetime]:
        """Return for each job when it was fired last because another one had ended well."""
        return self.runs.last_fires(Trigger.AFTER)

    def interrupted(self) -> tuple[str, ...]:
        """Close the runs whose process died, and return their jobs as far as they still exist."""
        return tuple(dict.fromkeys(row.job for row in self.worker.cut_off() if row.job in self.jobs))

    def queued(self) -> Mapping[str, str]:
        """Return the runs that are written and not begun, oldest first: their jobs by their ids."""
        # One without a fire time was begun by hand: its process is about to carry it out.
        return {row.id: row.job for row in self.runs.queued() if row.fire_time is not None}

    def asked_to_stop(self) -> Mapping[str, str]:
        """Return the runs that somebody asked to stop: the reasons by their ids."""
        return self.stops.asked()

    def drop(self, run: str, reason: str) -> None:
        """Close a queued run that does not start."""
        self.worker.end(run, Ending.SKIPPED, reason)

    def failed(self, job: str, *, failed: bool) -> int:
        """Count a run that is over, and return how many of the job failed in a row with it."""
        failures = self.states.count(job, failed=failed)
        self.alarm.changed(job)
        return failures

    def pause(self, job: str, reason: str) -> None:
        """Let the job run no more until a person resumes it."""
        self.states.pause(job, reason)
        self.alarm.changed(job)


def _paused(job: str, state: JobState) -> str:
    """Return that a job is paused, since when, why, and what helps; empty when it is not."""
    if state.paused_at is None:
        return ""
    return f"it is paused since {state.paused_at:%Y-%m-%d %H:%M:%S} UTC: {state.reason}; `crudsd resume {job}`"
