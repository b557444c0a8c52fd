"""What is to be told of a job: from how its runs ended and what was told before. Pure, and done twice it is as once.

Alerts follow how a job stands, and not its single runs: whatever was missed while nobody looked, a look at the latest
runs tells what is owed now. What was told is remembered only after it was told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from daemon.spec import AlertEvent, Tells
from daemon.store.alert_states import AlertState
from daemon.sync.outcome import Ending

FAILURES = frozenset({Ending.FAILED, Ending.UNAVAILABLE})
GOOD = frozenset({Ending.DONE, Ending.REJECTED})
PLAN = "plan:"
"""How the name of a hold begins where it is a guard that holds, and not the whole job that is held."""
PAUSE = "paused:"
LOGIN = "login"


class Health(StrEnum):
    """How a job stands by its latest runs."""

    GOOD = "good"
    FAILING = "failing"
    HELD = "held"
    """A guard withheld changes: neither good nor failing."""
    OPEN = "open"
    """Nothing is known, or the system asked for a wait."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a job stands, by which run, and how many failed in a row up to it."""

    health: Health
    run: str | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to know of a job at a moment."""

    standing: Standing
    hold: str
    """What holds the job, or some of its changes; empty: nothing does."""
    last_good: datetime | None
    late_at: datetime | None
    """From when on it is late; None: never."""
    is_pingable: bool
    """Whether the run of `standing` ended since the job is looked at: older ones are no news for a heartbeat."""
    now: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be told, in order, and what has then been told."""

    events: tuple[AlertEvent, ...]
    state: AlertState
    ping: AlertEvent | None
    """For heartbeats."""
    pinged: str | None
    """The run that heartbeats have been told of then."""


def standing(endings: Sequence[tuple[str, Ending]], counted: int) -> Standing:
    """Return how a job stands, from its latest runs, newest first, and the failures in a row that were counted.

    A run that was interrupted says nothing, unless it is counted as a failure: then its time was out. The count may
    be behind by the latest run, which is over before it is counted.
    """
    failures, telling = 0, None
    for run, ending in endings:
        if ending is Ending.INTERRUPTED:
            continue
        telling = telling or (run, ending)
        if ending not in FAILURES:
            break
        failures += 1
    if endings and endings[0][1] is Ending.INTERRUPTED and counted > failures:
        return Standing(Health.FAILING, endings[0][0], counted)
    if telling is None:
        return Standing(Health.OPEN)
    run, ending = telling
    if ending in FAILURES:
        return Standing(Health.FAILING, run, max(failures, counted))
    if ending in GOOD:
        return Standing(Health.GOOD, run)
    return Standing(Health.HELD if ending is Ending.HELD else Health.OPEN, run)


def decide(tells: Tells, state: AlertState, facts: Facts) -> Decision:
    """Return what is to be told of a job that stands so, after what was told before."""
    events: list[AlertEvent] = []
    after = _failing(tells, state, facts, events)
    after = _late(tells, after, facts, events)
    after = _held(tells, after, facts, events)
    ping, pinged = _ping(tells, state, facts)
    return Decision(tuple(events), after, ping, pinged)


def _failing(tells: Tells, state: AlertState, facts: Facts, events: list[AlertEvent]) -> AlertState:
    if tells.on_failure is None and tells.on_recovery is None:
        return replace(state, failing=None)
    now, most = facts.standing, tells.on_failure.after if tells.on_failure is not None else 1
    if state.failing is None and now.health is Health.FAILING and now.failures >= most:
        events.append(AlertEvent.FAILURE)
        return replace(state, failing=now.run)
    if state.failing is not None and now.health is Health.GOOD:
        events.append(AlertEvent.RECOVERY)
        return replace(state, failing=None)
    return state


def _late(tells: Tells, state: AlertState, facts: Facts, events: list[AlertEvent]) -> AlertState:
    if tells.on_late is None:
        return replace(state, late_at=None)
    is_over = state.late_at is not None and facts.last_good is not None and facts.last_good > state.late_at
    if is_over:
        # Over by a run by hand while the service's own fail: that is no recovery yet.
        if state.failing is None and facts.standing.health is not Health.FAILING and not events:
            events.append(AlertEvent.RECOVERY)
        return replace(state, late_at=None)
    is_late = facts.late_at is not None and facts.late_at <= facts.now
    if state.late_at is None and is_late and not facts.hold.startswith(PAUSE):
        events.append(AlertEvent.LATE)
        return replace(state, late_at=facts.now)
    return state


def _held(tells: Tells, state: AlertState, facts: Facts, events: list[AlertEvent]) -> AlertState:
    if tells.on_hold is None:
        return replace(state, held=None)
    if facts.hold:
        if facts.hold != state.held:
            events.append(AlertEvent.HOLD)
        return replace(state, held=facts.hold)
    # A failure in between does not make the same plan news again.
    is_same = state.held is not None and state.held.startswith(PLAN) and facts.standing.health is not Health.GOOD
    return state if is_same else replace(state, held=None)


def _ping(tells: Tells, state: AlertState, facts: Facts) -> tuple[AlertEvent | None, str | None]:
    now = facts.standing
    if not tells.heartbeat or now.run is None or now.run == state.pinged or not facts.is_pingable:
        return None, state.pinged
    if now.health is Health.GOOD:
        return AlertEvent.GOOD, now.run
    return (AlertEvent.FAILURE, now.run) if now.health is Health.FAILING else (None, state.pinged)
