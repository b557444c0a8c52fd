"""The composition root: what the program can do, put together from its parts.

What only some commands need, such as a desk, is loaded by the method that gives it.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .runtime.saved_plan import SavedPlan, check_place, open_plan, save_plan
from .runtime.stop_request import StopRequest
from .runtime.worker import Finished, Planned, Worker
from .settings import Settings
from .sides import Sides
from .spec import Job, Loaded, job_revision
from .store import schema
from .store.database import open_database
from .store.run_row import RunRow, Trigger
from .store.state import State
from .sync.change import Reject
from .sync.events import Observe
from .sync.guards import Allowance
from .sync.options import Asked
from .validation import validate
from .wiring import Connections

if TYPE_CHECKING:
    from .runtime.alert_desk import AlertDesk
    from .runtime.approving import Approved
    from .runtime.auth_desk import AuthDesk
    from .runtime.cursor_desk import CursorDesk
    from .runtime.reject_desk import RejectDesk
    from .runtime.service_desk import ServiceDesk
    from .store.retention import Pruned
    from .sync.explanation import Explanation


@contextmanager
def open_app(settings: Settings, *, stop: threading.Event | None = None) -> Iterator["App"]:
    """Read the configuration, open the state, and give the program. `stop` asks all its work to come to an end.

    Raises SpecError and ConfigError for what the operator must change, StateError when the state cannot be used. A
    state database that is new gets its tables; one that is behind or ahead is refused.
    """
    loaded = validate(settings)
    place = settings.state_place(loaded.spec.state)
    with open_database(place) as database:
        schema.prepare(database)
        app = App(settings, loaded, State.of(place, database), stop=stop or threading.Event())
        try:
            yield app
        finally:
            app.close()


class App:
    """The program with its configuration read and its state open. Threads may share it."""

    def __init__(self, settings: Settings, loaded: Loaded, state: State, *, stop: threading.Event) -> None:
        self.spec = loaded.spec
        self.settings = settings
        self.state = state
        self.stop = stop
        """Asks all work to come to an end."""
        self._under_way, self._is_retired = 0, False
        self._counting = threading.Lock()
        database, leases, clock = state.database, state.leases, state.clock
        self.connections = Connections(settings, loaded, database, leases, clock, stop=stop)
        self.warnings = self.connections.warnings
        self._sides = Sides(self.spec, self.connections, database)
        self.worker = Worker(self.spec, database, leases, state.runs, self._sides.endpoints, clock, stop)

    def close(self) -> None:
        """Close every connection to a system."""
        self.connections.close()
        self._sides.close()

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
        with self.worker.plan(job, self.connections.logged_in(self.job(job)), observe=observe, full=full) as planned:
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
            return self.worker.run(
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

    def cursors(self, job: str) -> "CursorDesk":
        """Return what people may ask and set of a job's cursors."""
        from .runtime.cursor_desk import CursorDesk
        from .store.cursors import Cursors

        return CursorDesk(
            job, self.job(job), Cursors(self.state.database, self.state.clock), self.state.leases, self.state.clock
        )

    def approve(self, asked: str) -> "Approved":
        """Let the next run carry out what a held run withheld; `asked` is its id, or a job whose latest run is held.

        Raises UsageError, with what helps instead, when there is nothing that an approval can release.
        """
        from .runtime.approving import approve
        from .store.approvals import Approvals

        return approve(asked, self.spec.jobs, self.state.runs, Approvals(self.state.database, self.state.clock))

    def check_place(self, path: Path) -> None:
        """Raise UsageError when no plan can be saved there, before one is computed."""
        check_place(path)

    def save_plan(self, path: Path, planned: Planned, rejects: Sequence[Reject]) -> None:
        """Write a plan to a file. Raises UsageError when that cannot be."""
        revision = job_revision(self.job(planned.job))
        save_plan(path, planned, rejects, revision=revision, clock=self.state.clock)

    def saved_plan(self, path: Path) -> SavedPlan:
        """Read a saved plan that may be carried out now. Raises UsageError, with the reason, when it may not."""
        return open_plan(path, self.spec.jobs)

    def explain(self, job: str, key: str, *, ask_source: bool = True, ask_target: bool = True) -> "Explanation":
        """Return everything known about one record, its key given as it is shown, and what the next run would do.

        Reads both systems, as far as they are to be asked, and writes to none. One that does not answer is told of in
        the explanation. Raises StoppedError when the process is asked to end.
        """
        from .runtime.explainer import Explainer

        state, sides = self.state, self._sides
        explainer = Explainer(
            state.database, state.leases, state.runs, sides.endpoints, sides.blot, state.clock, self.stop
        )
        return explainer.explain(job, self.job(job), key, ask_source=ask_source, ask_target=ask_target)

    def recent_runs(self, job: str | None, *, limit: int) -> tuple[RunRow, ...]:
        """Return the latest runs, newest first, of one job or of all."""
        if job is not None:
            self.job(job)
        return self.state.runs.recent(job, limit)

    def prune(self) -> "Pruned":
        """Forget history that is older than `retention` keeps it."""
        from .runtime.housekeeping import prune_now

        return prune_now(self.state.database, self.spec.retention, self.state.clock, stop=self.stop)

    def rejects(self, job: str) -> "RejectDesk":
        """Return what people may ask and say of a job's rejects."""
        from .runtime.reject_desk import RejectDesk
        from .store.rejects import Rejects

        self.job(job)
        return RejectDesk(job, Rejects(self.state.database))

    def auth(self) -> "AuthDesk":
        """Return what people may ask and say of the connections' sessions: log in, how they stand, log out."""
        from .runtime.auth_desk import AuthDesk

        return AuthDesk(self.spec.http_connections, self.connections, self.stop)

    def desk(self) -> "ServiceDesk":
        """Return what people may ask of a running service."""
        from .runtime.service_desk import ServiceDesk

        return ServiceDesk(
            self.state.runs, self.state.job_states, self.state.stops, self.state.leases, self.state.clock
        )

    def alerts(self) -> "AlertDesk":
        """Return what people may ask of alerts: whom they tell of what, and to tell them now."""
        from .alerting import senders
        from .runtime.alert_desk import AlertDesk

        return AlertDesk(self.spec, senders(self.settings, self.spec, self.connections.secret), self.state.clock)
