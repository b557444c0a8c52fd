"""Runs in a real state database, an alerter over it, and destinations that do what the test says."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from daemon.errors import UnavailableError
from daemon.runtime.alert_channel import Sender
from daemon.runtime.alert_lookout import AlertPlan, Lookout
from daemon.runtime.alerter import Alerter
from daemon.spec import ALERTED, PINGED, AlertEvent, Schedule, Tells
from daemon.store.alert_states import AlertStates
from daemon.store.database import Database
from daemon.store.job_states import JobStates
from daemon.store.run_row import Trigger
from daemon.store.runs import RunStore
from daemon.sync.certificate import Certificate
from daemon.sync.counts import Counts
from daemon.sync.outcome import Ending, Result
from tests.unit.runtime.service_scene import Story
from tests.unit.store.places import HandClock, ready

TELLS: dict[str, Any] = {"on_failure": "ops", "on_recovery": "ops", "on_hold": "ops", "heartbeat": "dead"}


class Ear:
    """A destination that keeps what it hears, after it failed as often as it is told to."""

    def __init__(self, *events: AlertEvent) -> None:
        self.events = frozenset(events or ALERTED)
        self.heard: list[Mapping[str, Any]] = []
        self.asked = 0
        self.fails = 0
        self.error: Exception = UnavailableError("no connection")
        self.gate = threading.Event()
        self.gate.set()
        self.busy = threading.Event()
        self.closed = 0

    def send(self, event: AlertEvent, alert: Mapping[str, Any]) -> None:
        self.asked += 1
        self.busy.set()
        assert self.gate.wait(20)
        if self.fails:
            self.fails -= 1
            raise self.error
        self.heard.append({**alert, "event": str(event)})

    def close(self) -> None:
        self.closed += 1

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(one["event"], one["job"]) for one in self.heard]


class AlertScene:
    """What stays while one alerter after another is started over it."""

    def __init__(self, database: Database) -> None:
        self.clock, self.story = HandClock(), Story()
        self.database = database
        self.runs, self.job_states = RunStore(database, self.clock), JobStates(database, self.clock)
        self.states: AlertStates = AlertStates(database, self.clock)
        self.ops, self.dead = Ear(), Ear(*PINGED)
        self.senders: dict[str, Sender] = {"ops": self.ops, "dead": self.dead}
        self.login = ""
        self.tells: dict[str, dict[str, Any]] = {"people": TELLS}
        self.schedules: dict[str, Schedule | None] = {}

    def plan(self) -> AlertPlan:
        tells = {job: Tells.model_validate(said) for job, said in self.tells.items()}
        return AlertPlan(tells, self.schedules, self.senders, lambda _: self.login)

    @contextmanager
    def alerting(self, *, waits_s: tuple[float, ...] = (0.0, 0.0), grace_s: float = 0) -> Iterator[Alerter]:
        lookout = Lookout(self.states, self.runs, self.job_states, self.clock)
        made = Alerter(
            self.states,
            lookout,
            clock=self.clock,
            log=self.story,
            waits_s=waits_s,
            grace=timedelta(seconds=grace_s),
        )
        with made as alerter:
            alerter.replace(self.plan())
            self.settled(alerter)
            yield alerter

    def ran(self, ending: Ending, job: str = "people", *, trigger: Trigger = Trigger.SCHEDULE, **more: Any) -> str:
        """Let a run end so, a second after the one before."""
        self.clock.move(1)
        run = self.runs.fire(job, self.clock(), trigger=trigger, revision="r")
        assert run is not None
        self.runs.finish(run, Result(ending, Counts(), Certificate(end=None), **{"verdicts": (), **more}))
        return run

    def settled(self, alerter: Alerter) -> None:
        """Wait until all that there is to decide is decided, and told or given up."""
        busy = ("_dirty", "_looking", "_in_hand")
        with alerter._changed:
            assert alerter._changed.wait_for(lambda: not any(getattr(alerter, what) for what in busy), 20)


@contextmanager
def alert_scene(folder: Path) -> Iterator[AlertScene]:
    with ready(str(folder / "state.db")) as database:
        yield AlertScene(database)
