"""What there is to know of a job for its alerts, as the state database says it now."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from itertools import islice

from daemon.clock import Clock
from daemon.report.alert import Alerted, ToldRun
from daemon.report.identity import version
from daemon.spec import AlertEvent, Schedule, Tells
from daemon.store.alert_states import AlertState, AlertStates
from daemon.store.job_states import JobState, JobStates
from daemon.store.run_row import RunRow
from daemon.store.runs import RunStore
from daemon.sync.pin import as_text

from .alert_channel import Sender
from .alert_decision import LOGIN, PAUSE, PLAN, Facts, Health, standing
from .triggers import fires_after, jitter_of

_LOOKED_AT = 20
"""So many runs more than a job's `on_failure.after` are looked at: interrupted ones say nothing."""
_FIRES = 2
"""A job is late at its second fire after its last good run, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class AlertPlan:
    """What is told to whom, by one reading of the configuration."""

    tells: Mapping[str, Tells]
    """By job; jobs that tell nobody anything are left out."""
    schedules: Mapping[str, Schedule | None]
    senders: Mapping[str, Sender]
    login_needed: Callable[[str], str]
    """Says what a person has to do before a job can run, empty when nothing."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A job at a moment."""

    facts: Facts
    row: RunRow | None
    """The run that says how it stands."""
    hold_reason: str
    hold_cure: str


class Lookout:
    """Looks at jobs. Every method may raise StateError; threads may share it."""

    def __init__(self, states: AlertStates, runs: RunStore, job_states: JobStates, clock: Clock) -> None:
        self._states, self._runs, self._job_states, self._clock = states, runs, job_states, clock
        self._host, self._version = socket.gethostname(), version()

    def look(self, job: str, plan: AlertPlan, state: AlertState, *, not_late_before: datetime) -> Seen:
        """Return how a job stands now."""
        tells, job_state = plan.tells[job], self._job_states.get(job)
        after = tells.on_failure.after if tells.on_failure is not None else 1
        now = standing(self._states.endings(job, after + _LOOKED_AT), job_state.failures)
        row = self._runs.get(now.run) if now.run is not None else None
        hold, reason, cure = self._hold(job, plan, job_state, row if now.health is Health.HELD else None)
        last_good = self._states.last_good(job) if tells.on_late is not None or tells.on_recovery is not None else None
        late_at = _late_at(job, tells, plan.schedules.get(job), last_good or state.since)
        facts = Facts(
            standing=now,
            hold=hold,
            last_good=last_good,
            late_at=None if late_at is None else max(late_at, not_late_before),
            is_pingable=row is not None and row.ended_at is not None and row.ended_at >= state.since,
            now=self._clock(),
        )
        return Seen(facts, row, reason, cure)

    def alerted(self, event: AlertEvent, job: str, seen: Seen) -> Alerted:
        """Return what is to be told of what was seen."""
        facts, is_hold = seen.facts, event is AlertEvent.HOLD
        return Alerted(
            event,
            job,
            id=_id(event, job, facts),
            at=facts.now,
            host=self._host,
            version=self._version,
            cause=_cause(facts.hold) if is_hold else "",
            run=None if seen.row is None else _told(seen.row),
            reason=seen.hold_reason if is_hold else "",
            cure=seen.hold_cure if is_hold else "",
            failures=facts.standing.failures,
            last_good_at=facts.last_good,
        )

    def begun(self, job: str, run: str) -> Alerted:
        """Return what is told when a run begins."""
        return Alerted(
            AlertEvent.START, job, id=f"{job}:start:{run}", at=self._clock(), host=self._host, version=self._version
        )

    def _hold(self, job: str, plan: AlertPlan, state: JobState, held: RunRow | None) -> tuple[str, str, str]:
        """Return the name of what holds a job, why, and the cure; empty where it is a run that says so."""
        if state.paused_at is not None:
            return f"{PAUSE}{state.paused_at.isoformat()}", f"it is paused: {state.reason}", f"crudsd resume {job}"
        obstacle = plan.login_needed(job)
        if obstacle:
            reason, _, cure = obstacle.rpartition("; ")
            return LOGIN, reason or obstacle, cure
        if held is not None:
            tripped = sorted(verdict.guard for verdict in held.verdicts if verdict.tripped)
            return f"{PLAN}{_digest(repr((tripped, as_text(held.digests))))}", "", ""
        return "", "", ""


def _late_at(job: str, tells: Tells, schedule: Schedule | None, last_good: datetime) -> datetime | None:
    """Return from when on a job is late whose last good run ended then; None: never."""
    if tells.on_late is None or not tells.on_late.to:
        return None
    if tells.on_late.after is not None:
        return last_good + tells.on_late.after
    if schedule is None:
        return None
    fire = next(islice(fires_after(schedule, last_good), _FIRES - 1, None), None)
    return None if fire is None else fire + jitter_of(job, schedule)


def _id(event: AlertEvent, job: str, facts: Facts) -> str:
    run = facts.standing.run or ""
    match event:
        case AlertEvent.HOLD:
            return f"{job}:{event}:{run}:{_digest(facts.hold)}"
        case AlertEvent.LATE:
            return f"{job}:{event}:{run}:{facts.late_at:%Y%m%dT%H%M%SZ}"
        case _:
            return f"{job}:{event}:{run}"


def _cause(hold: str) -> str:
    if hold.startswith(PLAN):
        return "guard"
    return "paused" if hold.startswith(PAUSE) else "login"


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=6).hexdigest()


def _told(row: RunRow) -> ToldRun:
    return ToldRun(
        row.id,
        str(row.trigger),
        row.ending,
        row.counts,
        row.verdicts,
        row.error,
        row.started_at,
        row.ended_at,
        row.digests,
    )
