"""What becomes of fires that were missed: while the service was down, the machine asleep, or the clock set."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from daemon.spec import CatchUp, Schedule

from .triggers import fires_after

MOST = 1_000
"""Of one job's missed fires so many, the latest, may be run; what lies before them is recorded only."""

_FAR_BACK = (timedelta(days=2), timedelta(days=70), timedelta(days=10_000))
"""So far back is looked for a fire, one after the other: most jobs fire daily, some monthly, few in leap years."""


@dataclass(frozen=True, slots=True)
class Missed:
    """What to do about missed fires. All moments are fire times, in order."""

    due: tuple[datetime, ...] = ()
    """To be run now, one after the other."""
    skipped: datetime | None = None
    """To be recorded as skipped: the latest of those that are not made up for, since one row tells of all."""
    reason: str = ""
    """Why they are not made up for."""


def missed(schedule: Schedule, fires: Sequence[datetime], *, now: datetime, is_due: bool = False) -> Missed:
    """Return which of these fires, given in order, are made up for, and which are only recorded.

    `catch_up: last` runs the latest, `all` each, `none` none; one that is older than `catch_up_window` is not run.
    `is_due`: the last of them was not missed, its time is now; it is run whatever the job says of missed ones.
    """
    young = [fire for fire in fires if now - fire <= schedule.catch_up_window or (is_due and fire == fires[-1])]
    match schedule.catch_up:
        case CatchUp.NONE:
            due, why = young[-1:] if is_due else [], "catch_up is none"
        case CatchUp.LAST:
            due, why = young[-1:], "the latest makes up for them" if young else "they are older than catch_up_window"
        case CatchUp.ALL:
            due, why = young[-MOST:], "they are older than catch_up_window"
    left = fires[: len(fires) - len(due)]
    if not left:
        return Missed(due=tuple(due))
    return Missed(tuple(due), left[-1], f"fires since {left[0]:%Y-%m-%d %H:%M:%S} UTC were missed: {why}")


def fires_between(schedule: Schedule, after: datetime, until: datetime) -> tuple[datetime, ...]:
    """Return the fire times after one moment and before another, in order.

    Of those that are not made up for in any case, it is the first and the last alone: a job of each second that was
    away for a year has millions of them.
    """
    begin = until - _reach(schedule) - timedelta(microseconds=1)
    first = next(fires_after(schedule, after), until)
    if first >= until:
        return ()
    if first >= begin:
        return _latest(schedule, after, until)
    last = _last(schedule, after, begin)
    return (*dict.fromkeys((first, last)), *_latest(schedule, begin, until))


def _reach(schedule: Schedule) -> timedelta:
    """Return how far back there may be fires to make up for."""
    window = schedule.catch_up_window
    return window if schedule.every is None else min(window, (MOST + 1) * schedule.every)


def _latest(schedule: Schedule, after: datetime, until: datetime) -> tuple[datetime, ...]:
    """Return the latest fires of those between two moments: those that may be run, and the one before them."""
    return tuple(deque(takewhile(lambda fire: fire < until, fires_after(schedule, after)), maxlen=MOST + 1))


def _last(schedule: Schedule, after: datetime, until: datetime) -> datetime:
    """Return the last fire after a moment that is not after another; there has to be one."""
    far_back = _FAR_BACK if schedule.every is None else (schedule.every,)
    for back in far_back:
        fires = takewhile(lambda fire: fire <= until, fires_after(schedule, max(after, until - back)))
        if found := deque(fires, maxlen=1):
            return found[0]
    return next(fires_after(schedule, after))
