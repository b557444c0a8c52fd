"""The service: the program put together for `crudsd serve`, one reading of the configuration after another."""

import threading
from contextlib import nullcontext, suppress
from typing import Final, Self

from . import logs
from .alerting import alert_plan, make_alerter
from .app import App
from .errors import ConfigError, Exit, LeaseLostError, LockedError, StateError
from .runtime.alarm import NoAlarm
from .runtime.alerter import Alerter
from .runtime.capacity import capacity_of
from .runtime.generations import Generations
from .runtime.housekeeping import Housekeeper
from .runtime.notify import Notifier
from .runtime.service import Service
from .runtime.service_desk import SERVICE_LEASE
from .runtime.service_work import ServiceWork
from .runtime.signals import Hangups, stop_on_signals
from .runtime.stop_request import StopRequest
from .runtime.wellbeing import Wellbeing
from .runtime.work import Program
from .runtime.worker import Finished
from .store.heartbeat import Heartbeat
from .store.leases import Lease, Leases
from .store.retention import Pruned
from .validation import validate

_LOST: Final = "another crudsd serve took over this state database, or it could not be written for too long"


def serve(app: App) -> Exit:
    """Run the jobs on their schedules until the process is asked to stop. On the main thread.

    Raises LockedError when another service uses this state database, LeaseLostError when one took it over.
    """
    state, log = app.state, logs.get_logger()
    lease = _service_lease(state.leases)
    lost = threading.Event()

    def end() -> None:
        log.error("service.lease_lost", message=f"{_LOST}; it drains and ends, to be started again")
        app.stop.set()

    try:
        with (
            Heartbeat(state.leases, lease, lost=lost, on_lost=end) as heartbeat,
            stop_on_signals(app.stop, speaks=False),
            Hangups() as hangups,
            make_alerter(state.database, state.runs, state.job_states, state.clock, log) as alerter,
            Generations(first := ServedProgram(app, alerter), hangups) as generations,
            Housekeeper(generations.prune, state.clock, log) as housekeeper,
        ):
            ended = Service(
                first.program(),
                clock=state.clock,
                log=log,
                wellbeing=Wellbeing(Notifier(app.settings.environment), is_written=lambda: heartbeat.is_beating),
                stop=app.stop,
                housekeeping=housekeeper,
                reload=generations.next,
            ).run()
    finally:
        # What is lost need not be given back, and may be out of reach.
        with suppress(StateError) if lost.is_set() else nullcontext():
            state.leases.release(lease)
    if lost.is_set():
        # Not a clean end: the unit's Restart= finds out whether the other one is still there.
        raise LeaseLostError(_LOST)
    return ended


def _service_lease(leases: Leases) -> Lease:
    try:
        return leases.acquire(SERVICE_LEASE)
    except LockedError as error:
        cure = (
            "one crudsd serve works on a state database; stop that one, or give this one a state of its own (--state)"
        )
        raise LockedError(f"{error}: {cure}", owner=error.owner) from None


class ServedProgram:
    """The program of one reading of the configuration, as a service runs it."""

    def __init__(self, app: App, alerter: Alerter | None = None) -> None:
        """Without an alerter nobody is told of anything."""
        self._app = app
        self._alerter = alerter
        self._log = logs.get_logger()

    def program(self) -> Program:
        """Return what a service runs by this configuration, and tell the log what should be known of it."""
        app = self._app
        for warning in app.warnings:
            self._log.warning("service.warning", message=warning)
        schedules = {name: job.schedule for name, job in app.spec.jobs.items()}
        if self._alerter is not None:
            self._alerter.replace(alert_plan(app.settings, app.spec, app.connections.secret, self._login_needed))
        return Program(schedules, self.work(), capacity_of(app.spec))

    def reread(self) -> Self:
        """Return the program of the files as they are now, on the same state. Raises what `open_app` raises.

        This one finishes what it has under way.
        """
        app = self._app
        loaded = validate(app.settings)
        if app.settings.state_place(loaded.spec.state) != app.state.place:
            raise ConfigError("state: cannot change while crudsd serve runs; put it back, or restart the service")
        return type(self)(App(app.settings, loaded, app.state, stop=app.stop), self._alerter)

    def prune(self) -> Pruned:
        """Forget history that is older than it has to be kept."""
        return self._app.prune()

    def retire(self) -> None:
        """Close it once the runs that it has under way are over."""
        self._app.retire()

    def close(self) -> None:
        """Close it now. May be repeated."""
        self._app.close()

    def work(self) -> ServiceWork:
        """Return what the service has done by others."""

        def run(job: str, run: str, stop_request: StopRequest) -> Finished:
            return self._app.run(job, run=run, observe=logs.LogObserver(self._log), stop_request=stop_request)

        state = self._app.state
        return ServiceWork(
            jobs=self._app.spec.jobs,
            runs=state.runs,
            states=state.job_states,
            stops=state.stops,
            worker=self._app.worker,
            run=run,
            login_needed=self._login_needed,
            log=self._log,
            alarm=self._alerter or NoAlarm(),
        )

    def _login_needed(self, job: str) -> str:
        return self._app.connections.login_obstacle(self._app.job(job))
