"""Tells people what the service finds: decides on a thread of its own, and hands on to one line for each destination.

No run waits for it, and nothing that goes wrong here reaches a run. What was told is remembered after it was told, so
that a process that is killed in between tells it again (at least once), and a restart tells nothing twice otherwise.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from daemon.clock import Clock
from daemon.errors import CrudsdError
from daemon.logs import Logger
from daemon.report.alert import Alerted
from daemon.report.alert import alert as told
from daemon.spec import AlertEvent, Tells
from daemon.store.alert_states import AlertState, AlertStates

from .alert_channel import WAITS_S, Channel, Countdown, Notice, Sender
from .alert_decision import Decision
from .alert_decision import decide as decide_on
from .alert_lookout import AlertPlan, Lookout, Seen

GRACE = timedelta(minutes=5)
"""For so long after its start the service calls no job late: first it makes up for what it missed."""
CLOSING_S = 5.0
"""What the lines get at the end of the service."""
_AGAIN_S = 30.0
"""Until a job is looked at again that could not be looked at, or that is late and must not be called so."""
_MOST_S = 60.0
"""No wait for lateness is longer: clocks are set, and machines sleep."""


class Alerter:
    """Decides what is to be told, and has it told. Threads may share it."""

    def __init__(
        self,
        states: AlertStates,
        lookout: Lookout,
        *,
        clock: Clock,
        log: Logger,
        waits_s: Sequence[float] = WAITS_S,
        grace: timedelta = GRACE,
    ) -> None:
        self._states, self._lookout, self._clock, self._log = states, lookout, clock, log
        self._waits_s = waits_s
        self._plan = AlertPlan({}, {}, {}, lambda _: "")
        self._not_late_before = clock() + grace
        self._kept: dict[str, AlertState] = {}
        """What was told; the database may be behind while it cannot be written."""
        self._unwritten: set[str] = set()
        self._in_hand: set[tuple[str, str]] = set()
        """Jobs of which something is being told: next comes what is news after that."""
        self._dirty: set[str] = set()
        self._looking: frozenset[str] = frozenset()
        self._look_at: dict[str, datetime] = {}
        """When jobs are to be looked at though nothing has happened."""
        self._channels: dict[str, Channel] = {}
        self._changed, self._writing = threading.Condition(), threading.Lock()
        self._is_closing = self._is_over = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def replace(self, plan: AlertPlan) -> None:
        """Tell by another reading of the configuration from now on, and look at each job of it."""
        with self._changed:
            before, self._plan = self._plan, plan
            self._look_at = {}
            self._dirty |= plan.tells.keys()
            if plan.tells and self._thread is None:
                self._thread = threading.Thread(target=self._work, name="alerts", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        for sender in before.senders.values():
            sender.close()

    def began(self, job: str, run: str) -> None:
        """Tell the heartbeats of a job that want to know that a run begins."""
        with self._changed:
            tells = self._plan.tells.get(job)
        if tells is None or not tells.heartbeat:
            return
        try:
            self._put(AlertEvent.START, tells.heartbeat, self._lookout.begun(job, run), lambda: None)
        except Exception as error:  # noqa: BLE001 - it is the run's thread, and no alert ends a run
            self._log.error("alert.crashed", job=job, error=repr(error), exc_info=True)

    def changed(self, job: str) -> None:
        """Have a job looked at soon."""
        with self._changed:
            if job in self._plan.tells:
                self._dirty.add(job)
                self._changed.notify_all()

    def close(self, within_s: float = CLOSING_S) -> None:
        """Look once more, give the lines a short time, and leave what is not told then for the next start."""
        ends_at = time.monotonic() + within_s
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(within_s)
        channels = tuple(self._channels.values())
        for channel in channels:
            channel.close()
        left = [channel for channel in channels if not channel.join(max(0.0, ends_at - time.monotonic()))]
        with self._changed:
            self._is_over = True
            senders = tuple(self._plan.senders.values())
        for sender in senders:
            sender.close()
        if left:
            self._log.warning("alerts.left", destinations=len(left), message="told after the next start")

    # ---- on the thread that decides ----

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._dirty and not self._is_closing:
                    self._changed.wait(self._wait_s())
                jobs, self._dirty = self._dirty, set()
                is_last, now = self._is_closing, self._clock()
                jobs |= {job for job, at in self._look_at.items() if at <= now}
                self._looking = frozenset(jobs)
            for job in sorted(jobs):
                self._try(job)
            with self._changed:
                self._looking = frozenset()
                self._changed.notify_all()
            if is_last and not jobs:
                return

    def _wait_s(self) -> float | None:
        if not self._look_at:
            return None
        soonest = (min(self._look_at.values()) - self._clock()).total_seconds()
        return min(_MOST_S, max(0.0, soonest))

    def _try(self, job: str) -> None:
        self._look_at.pop(job, None)
        try:
            self._look(job)
        except CrudsdError as error:
            self._log.warning("alert.look_failed", job=job, error=str(error), again_s=_AGAIN_S)
            self._look_at[job] = self._clock() + timedelta(seconds=_AGAIN_S)
        except Exception as error:  # noqa: BLE001 - the last handler of this thread: no alert ends the service
            self._log.error("alert.crashed", job=job, error=repr(error), exc_info=True)

    def _look(self, job: str) -> None:
        with self._changed:
            plan = self._plan
            missing = plan.tells.keys() - self._kept.keys()
        if job not in plan.tells:
            return
        if missing:
            found = self._states.begin(missing)
            with self._changed:
                self._kept = found | self._kept
        with self._changed:
            state = self._kept[job]
        seen = self._lookout.look(job, plan, state, not_late_before=self._not_late_before)
        decision = decide_on(plan.tells[job], state, seen.facts)
        self._look_again(job, decision, seen)
        at = _Looked(job, plan.tells[job], state, seen)
        self._tell(at, decision)
        self._ping(at, decision)
        if job in self._unwritten:
            self._write(job)

    def _look_again(self, job: str, decision: Decision, seen: Seen) -> None:
        """Note when a job becomes late by nothing happening."""
        late_at = seen.facts.late_at
        if late_at is not None and decision.state.late_at is None:
            soon = seen.facts.now + timedelta(seconds=_AGAIN_S)
            self._look_at[job] = late_at if late_at > seen.facts.now else soon

    def _tell(self, at: "_Looked", decision: Decision) -> None:
        after = decision.state

        def keep(state: AlertState) -> AlertState:
            return replace(state, failing=after.failing, late_at=after.late_at, held=after.held)

        if not self._takes(at, "alerts", keep, is_news=bool(decision.events)):
            return
        finished = Countdown(1 + len(decision.events), lambda: self._is_told(at.job, "alerts", keep))
        for event in decision.events:
            alerted = self._lookout.alerted(event, at.job, at.seen)
            self._put(event, _recipients(at.tells, event), alerted, finished)
        finished()

    def _ping(self, at: "_Looked", decision: Decision) -> None:
        ping, pinged = decision.ping, decision.pinged

        def keep(state: AlertState) -> AlertState:
            return replace(state, pinged=pinged)

        if ping is None or not self._takes(at, "heartbeat", keep, is_news=True):
            return
        alerted = self._lookout.alerted(ping, at.job, at.seen)
        self._put(ping, at.tells.heartbeat or (), alerted, lambda: self._is_told(at.job, "heartbeat", keep))

    def _takes(self, at: "_Looked", what: str, keep: Callable[[AlertState], AlertState], *, is_news: bool) -> bool:
        """Whether something is to be told of a job now; what is to be remembered without a word is remembered."""
        job = at.job
        with self._changed:
            if (job, what) in self._in_hand:
                return False
            if self._kept[job] != at.state:  # something was told since it was read, so that this may be no news
                self._dirty.add(job)
                return False
            if is_news:
                self._in_hand.add((job, what))
                return True
            self._kept[job] = keep(at.state)
            is_same = self._kept[job] == at.state
        if not is_same:
            self._write(job)
        return False

    def _put(self, event: AlertEvent, names: Sequence[str], alerted: Alerted, done: Callable[[], None]) -> None:
        """Line up an event for each of its destinations that takes it; `done` is called after the last one."""
        with self._changed:
            senders = self._plan.senders
            taking = [name for name in dict.fromkeys(names) if name in senders and event in senders[name].events]
            channels = [self._channel(name) for name in taking]
        finished = Countdown(1 + len(channels), done)
        message = told(alerted) if channels else {}
        for channel in channels:
            channel.put(Notice(event, message, finished))
        finished()

    def _channel(self, name: str) -> Channel:
        if name not in self._channels:
            self._channels[name] = Channel(name, lambda: self._sender(name), self._log, waits_s=self._waits_s)
        return self._channels[name]

    def _sender(self, name: str) -> Sender | None:
        with self._changed:
            return self._plan.senders.get(name)

    # ---- on the thread of a line ----

    def _is_told(self, job: str, what: str, keep: Callable[[AlertState], AlertState]) -> None:
        """Remember that it was told, and look for what became news meanwhile."""
        with self._changed:
            if self._is_over:
                return
            self._in_hand.discard((job, what))
            self._kept[job] = keep(self._kept[job])
        self._write(job)
        self.changed(job)

    def _write(self, job: str) -> None:
        with self._writing:  # so that the later of two states is the one that stays
            with self._changed:
                state = self._kept[job]
                self._unwritten.discard(job)
            try:
                self._states.keep(job, state)
            except CrudsdError as error:
                self._unwritten.add(job)
                self._log.warning("alert.not_remembered", job=job, error=str(error))


@dataclass(frozen=True, slots=True)
class _Looked:
    """A job that was looked at, and what had been told of it then."""

    job: str
    tells: Tells
    state: AlertState
    seen: Seen


def _recipients(tells: Tells, event: AlertEvent) -> Sequence[str]:
    match event:
        case AlertEvent.FAILURE:
            return tells.on_failure.to if tells.on_failure is not None else ()
        case AlertEvent.RECOVERY:
            return tells.on_recovery or ()
        case AlertEvent.HOLD:
            return tells.on_hold or ()
        case _:
            return tells.on_late.to if tells.on_late is not None else ()
