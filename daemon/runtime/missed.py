"""What becomes of fires that were missed: while the service was down, the machine asleep, or the clock set."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from daemon.spec import CatchUp, Schedule

from .triggers import fires_after

MOST = 1_000
"""Of one job's missed fires so many, the latest, may be run; what lies before them is recorded only."""


@dataclass(frozen=True, slots=True)
class Missed:
    """What to do about missed fires. All moments are fire times, in order."""

    due: tuple[datetime, ...] = ()
    """To be run now, one after the other."""
    skipped: datetime | None = None
    """To be recorded as skipped: the latest of those that are not made up for, since one row tells of all."""
    reason: str = ""
    """Why they are not made up for."""


def missed(schedule: Schedule, fires: Sequence[datetime], *, now: datetime) -> Missed:
    """Return which of these fires, given in order, are made up for, and which are only recorded.

    `catch_up: last` runs the latest, `all` each, `none` none; one that is older than `catch_up_window` is not run.
    """
    young = [fire for fire in fires if now - fire <= schedule.catch_up_window]
    match schedule.catch_up:
        case CatchUp.NONE:
            due, why = [], "catch_up is none"
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

    Of those too old to be made up for it is the first alone: a job of each second that was away for a year has
    millions of them.
    """
    begin = until - schedule.catch_up_window
    first = next(fires_after(schedule, after), until)
    if first >= until:
        return ()
    if first >= begin:
        return tuple(_latest(schedule, after, until))
    return (first, *_latest(schedule, begin, until))


def _latest(schedule: Schedule, after: datetime, until: datetime) -> Sequence[datetime]:
    return deque(takewhile(lambda fire: fire < until, fires_after(schedule, after)), maxlen=MOST)
