"""The composition root: what the program can do, put together from its parts."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from . import logs
from .alerting import alert_plan, check_alerts, make_alerter, senders
from .checks import check_named
from .clock import Clock, utc_clock
from .errors import ConfigError, Exit, LeaseLostError, StateError
from .runtime.alarm import NoAlarm
from .runtime.alert_desk import AlertDesk
from .runtime.alerter import Alerter
from .runtime.approving import Approved, approve
from .runtime.auth_desk import AuthDesk
from .runtime.capacity import capacity_of
from .runtime.cursor_desk import CursorDesk
from .runtime.explainer import Explainer
from .runtime.generations import Generations
from .runtime.housekeeping import Housekeeper, prune_now
from .runtime.notify import Notifier
from .runtime.reject_desk import RejectDesk
from .runtime.saved_plan import SavedPlan, check_place, open_plan, save_plan
from .runtime.service import Service
from .runtime.service_desk import SERVICE_LEASE, ServiceDesk
from .runtime.service_work import ServiceWork
from .runtime.signals import Hangups, stop_on_signals
from .runtime.stop_request import StopRequest
from .runtime.wellbeing import Wellbeing
from .runtime.work import Program
from .runtime.worker import Finished, Planned, Worker
from .sealing import vault_lookup
from .settings import Settings
from .spec import Job, Loaded, SpecError, check_secrets, job_revision, load
from .store import schema
from .store.approvals import Approvals
from .store.cursors import Cursors
from .store.database import Database, open_database
from .store.heartbeat import Heartbeat
from .store.job_states import JobStates
from .store.leases import Leases
from .store.owner import Owner
from .store.rejects import Rejects
from .store.retention import Pruned
from .store.runs import RunRow, RunStore, Trigger
from .store.stops import Stops
from .sync.change import Reject
from .sync.events import Observe
from .sync.explanation import Explanation
from .sync.guards import Allowance
from .sync.options import Asked
from .wiring import Connections

_LOST = "another crudsd serve took over this state database, or it could not be written for too long"


def validate(settings: Settings) -> Loaded:
    """Read the configuration and check its secrets. Raises SpecError with every problem; asks no system anything.

    Where it refers to secrets in the vault, the state database is read for them, if there is one.
    """
    loaded = load(settings.config)
    with vault_lookup(settings, loaded) as vault:
        problems = check_secrets(loaded, settings.environment, settings.credentials, vault=vault)
        problems += check_named(settings, loaded, vault) + check_alerts(settings, loaded)
    if problems:
        raise SpecError(problems)
    return loaded


@contextmanager
def open_app(settings: Settings, *, stop: threading.Event | None = None) -> Iterator["App"]:
    """Read the configuration, open the state, and give the program. `stop` asks all its work to come to an end.

    Raises SpecError and ConfigError for what the operator must change, StateError when the state cannot be used. A
    state database that is new gets its tables; one that is behind or ahead is refused.
    """
    loaded = validate(settings)
    with open_database(settings.state_place(loaded.spec.state)) as database:
        schema.prepare(database)
        app = App(settings, loaded, database, stop=stop or threading.Event())
        try:
            yield app
        finally:
            app.close()


class App:
    """The program with its configuration read and its state open. Threads may share it."""

    def __init__(self, settings: Settings, loaded: Loaded, database: Database, *, stop: threading.Event) -> None:
        self.spec = loaded.spec
        self.settings = settings
        self._stop = stop
        self._clock: Clock = utc_clock
        self._log = logs.get_logger()
        self._database = database
        self._place = settings.state_place(loaded.spec.state)
        self._under_way, self._is_retired = 0, False
        self._alerter: Alerter | None = None
        """Of the service, where this is its program."""
        self._counting = threading.Lock()
        self._leases = Leases(database, self._clock, Owner.here())
        self._runs = RunStore(database, self._clock)
        self._states, self._stops = JobStates(database, self._clock), Stops(database)
        self.connections = connections = Connections(settings, loaded, database, self._leases, self._clock, stop=stop)
        self.warnings = connections.warnings
        self._worker = Worker(self.spec, database, self._leases, self._runs, connections.endpoints, self._clock, stop)
        self._explainer = Explainer(
            database, self._leases, self._runs, connections.endpoints, connections.blot, self._clock, stop
        )

    def close(self) -> None:
        """Close every connection to a system."""
        self.connections.close()

    def retire(self) -> None:
        """Close it once the runs that it has under way are over."""
        with self._counting:
            self._is_retired = True
            is_idle = self._under_way == 0
        if is_idle:
            self.close()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._counting:
            self._under_way += 1
        try:
            yield
        finally:
            with self._counting:
                self._under_way -= 1
                is_last = self._is_retired and self._under_way == 0
            if is_last:
                self.close()

    def job(self, name: str) -> Job:
        """Return a job. Raises UsageError, with the nearest name, when there is none."""
        return self.spec.job(name)

    @contextmanager
    def plan(self, job: str, *, observe: Observe, full: bool = False) -> Iterator[Planned]:
        """Compute what a run would do now, or a `full` one; to be read in the block. Raises LoginNeededError."""
        with self._worker.plan(job, self.connections.logged_in(self.job(job)), observe=observe, full=full) as planned:
            yield planned

    def run(
        self,
        job: str,
        *,
        observe: Observe,
        trigger: str = Trigger.MANUAL,
        run: str | None = None,
        allowance: Allowance | None = None,
        asked: Asked | None = None,
        saved: SavedPlan | None = None,
        stop_request: StopRequest | None = None,
    ) -> Finished:
        """Do one run of a job, or the queued one whose id is given; with `saved`, that plan or nothing.

        Raises LockedError when another run of the job is under way, LoginNeededError, or StateError.
        """
        with self._counted():
            return self._worker.run(
                job,
                self.connections.logged_in(self.job(job)),
                observe=observe,
                trigger=Trigger(trigger),
                run=run,
                asked=asked or Asked(allowance or Allowance()),
                saved=saved,
                stop_request=stop_request,
            )

    def backfill(
        self, job: str, begins: str, ends: str | None, *, observe: Observe, allowance: Allowance | None = None
    ) -> Finished:
        """Do one run over a stretch of the past, its bounds as the source writes them; the cursor stays where it is.

        Raises UsageError for a job without a cursor, or values that are none; else as `run`.
        """
        asked = Asked(allowance or Allowance(), backfill=self.cursors(job).span(begins, ends))
        return self.run(job, observe=observe, trigger=Trigger.BACKFILL, asked=asked)

    def cursors(self, job: str) -> CursorDesk:
        """Return what people may ask and set of a job's cursors."""
        return CursorDesk(job, self.job(job), Cursors(self._database, self._clock), self._leases, self._clock)

    def approve(self, asked: str) -> Approved:
        """Let the next run carry out what a held run withheld; `asked` is its id, or a job whose latest run is held.

        Raises UsageError, with what helps instead, when there is nothing that an approval can release.
        """
        return approve(asked, self.spec.jobs, self._runs, Approvals(self._database, self._clock))

    def check_place(self, path: Path) -> None:
        """Raise UsageError when no plan can be saved there, before one is computed."""
        check_place(path)

    def save_plan(self, path: Path, planned: Planned, rejects: Sequence[Reject]) -> None:
        """Write a plan to a file. Raises UsageError when that cannot be."""
        revision = job_revision(self.job(planned.job))
        save_plan(path, planned, rejects, revision=revision, clock=self._clock)

    def saved_plan(self, path: Path) -> SavedPlan:
        """Read a saved plan that may be carried out now. Raises UsageError, with the reason, when it may not."""
        return open_plan(path, self.spec.jobs)

    def explain(self, job: str, key: str, *, ask_source: bool = True, ask_target: bool = True) -> Explanation:
        """Return everything known about one record, its key given as it is shown, and what the next run would do.

        Reads both systems, as far as they are to be asked, and writes to none. One that does not answer is told of in
        the explanation. Raises StoppedError when the process is asked to end.
        """
        return self._explainer.explain(job, self.job(job), key, ask_source=ask_source, ask_target=ask_target)

    def recent_runs(self, job: str | None, *, limit: int) -> tuple[RunRow, ...]:
        """Return the latest runs, newest first, of one job or of all."""
        if job is not None:
            self.job(job)
        return self._runs.recent(job, limit)

    def prune(self) -> Pruned:
        """Forget history that is older than `retention` keeps it."""
        return prune_now(self._database, self.spec.retention, self._clock, stop=self._stop)

    def rejects(self, job: str) -> RejectDesk:
        """Return what people may ask and say of a job's rejects."""
        self.job(job)
        return RejectDesk(job, Rejects(self._database))

    def auth(self) -> AuthDesk:
        """Return what people may ask and say of the connections' sessions: log in, how they stand, log out."""
        return AuthDesk(self.spec.http_connections, self.connections, self._stop)

    def serve(self) -> Exit:
        """Run the jobs on their schedules until the process is asked to stop. On the main thread.

        Raises LockedError when another service uses this state database.
        """
        lease = self._leases.acquire(SERVICE_LEASE)
        lost = threading.Event()

        def end() -> None:
            self._log.error("service.lease_lost", message=f"{_LOST}; it drains and ends, to be started again")
            self._stop.set()

        try:
            with (
                Heartbeat(self._leases, lease, lost=lost, on_lost=end) as heartbeat,
                stop_on_signals(self._stop, speaks=False),
                Hangups() as hangups,
                Generations(self, hangups) as generations,
                make_alerter(self._database, self._runs, self._states, self._clock, self._log) as self._alerter,
                Housekeeper(generations.prune, self._clock, self._log) as housekeeper,
            ):
                ended = Service(
                    self.program(),
                    clock=self._clock,
                    log=self._log,
                    wellbeing=Wellbeing(Notifier(self.settings.environment), is_written=lambda: heartbeat.is_beating),
                    stop=self._stop,
                    housekeeping=housekeeper,
                    reload=generations.next,
                ).run()
        finally:
            # What is lost need not be given back, and may be out of reach.
            with suppress(StateError) if lost.is_set() else nullcontext():
                self._leases.release(lease)
        if lost.is_set():
            # Not a clean end: the unit's Restart= finds out whether the other one is still there.
            raise LeaseLostError(_LOST)
        return ended

    def desk(self) -> ServiceDesk:
        """Return what people may ask of a running service."""
        return ServiceDesk(self._runs, self._states, self._stops, self._leases, self._clock)

    def program(self) -> Program:
        """Return what a service runs by this configuration, and tell the log what should be known of it."""
        for warning in self.warnings:
            self._log.warning("service.warning", message=warning)
        schedules = {name: job.schedule for name, job in self.spec.jobs.items()}
        if self._alerter is not None:
            self._alerter.replace(alert_plan(self.settings, self.spec, self.connections.secret, self._login_needed))
        return Program(schedules, self.service_work(), capacity_of(self.spec))

    def reread(self) -> "App":
        """Return the program of the files as they are now, on the same state. Raises what `open_app` raises.

        This one finishes what it has under way.
        """
        loaded = validate(self.settings)
        place = self.settings.state_place(loaded.spec.state)
        if place != self._place:
            raise ConfigError("state: cannot change while crudsd serve runs; put it back, or restart the service")
        after = App(self.settings, loaded, self._database, stop=self._stop)
        after._alerter = self._alerter
        return after

    def alerts(self) -> AlertDesk:
        """Return what people may ask of alerts: whom they tell of what, and to tell them now."""
        return AlertDesk(self.spec, senders(self.settings, self.spec, self.connections.secret), self._clock)

    def _login_needed(self, job: str) -> str:
        return self.connections.login_obstacle(self.job(job))

    def service_work(self) -> ServiceWork:
        """Return what the service has done by others."""

        def run(job: str, run: str, stop_request: StopRequest) -> Finished:
            return self.run(job, run=run, observe=logs.LogObserver(self._log), stop_request=stop_request)

        return ServiceWork(
            jobs=self.spec.jobs,
            runs=self._runs,
            states=self._states,
            stops=self._stops,
            worker=self._worker,
            run=run,
            login_needed=self._login_needed,
            log=self._log,
            alarm=self._alerter or NoAlarm(),
        )
