"""When a job runs by itself: the words of the job file, and cron lines in the one form that cronsim reads.

Cron means what Debian's cron means by it: 0 and 7 are Sunday, the two day fields are OR, names and steps, ranges that
go past their end (`22-2`, `fri-mon`) and the words @hourly to @yearly. What cron has no meaning for is refused.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from .grammar import suggestion
from .types import Duration, Name, Strict, Whole

_WORDS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final[tuple[tuple[range, Mapping[str, int]], ...]] = (
    (range(60), {}),
    (range(24), {}),
    (range(1, 32), {}),
    (range(1, 13), {name: number for number, name in enumerate(_MONTHS, start=1)}),
    (range(7), {name: number for number, name in enumerate(_DAYS)}),
)
"""What each field counts, and by which names."""
_RANGE = re.compile(r"(?P<first>\w+)-(?P<last>\w+)(?:/(?P<step>\d+))?")
_EXAMPLE = 'example: "*/15 6-20 * * mon-fri"'

_Finding: TypeAlias = tuple[tuple[str | int, ...], str, str | None]
"""Where, what, and the cure."""


def _moments(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _moment(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("a moment is a date and a time (example: 2026-12-24T03:00)")  # noqa: TRY004 - pydantic's
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        found = None
    if found is None or "T" not in value.upper().replace(" ", "T"):
        raise ValueError("a moment is a date and a time (example: 2026-12-24T03:00)")
    return found


_MOMENT: Final = {"type": "string", "format": "date-time", "examples": ["2026-12-24T03:00"]}

Moments: TypeAlias = Annotated[
    list[Annotated[datetime, BeforeValidator(_moment)]],
    Field(min_length=1, max_length=1_000),
    BeforeValidator(_moments),
    WithJsonSchema({"anyOf": [_MOMENT, {"type": "array", "items": _MOMENT, "minItems": 1, "maxItems": 1_000}]}),
]
"""Moments of the calendar; one of them may stand without its brackets."""


def _a_second_or_more(every: timedelta) -> timedelta:
    if every < timedelta(seconds=1):
        raise ValueError("must be at least 1s")
    return every


class CatchUp(StrEnum):
    """What becomes of fires that were missed. The word in the job file is the value."""

    NONE = "none"
    """They are recorded, and nothing runs."""
    LAST = "last"
    """One run makes up for all."""
    ALL = "all"
    """Each is run, one after the other."""


class Overlap(StrEnum):
    """What becomes of a fire that meets a run that is not over. The word in the job file is the value."""

    SKIP = "skip"
    """It is recorded, and nothing runs."""
    QUEUE = "queue"
    """It runs when that run is over; one fire waits at most."""
    CANCEL = "cancel"
    """That run is asked to stop, and this one takes up its work."""


class Schedule(Strict):
    """When the job runs by itself. Exactly one of cron, every, at and after."""

    cron: str | None = Field(
        default=None,
        description="Five fields with cron's own meaning, or @daily and its like (example: */15 6-20 * * 1-5).",
    )
    every: Annotated[Duration, AfterValidator(_a_second_or_more)] | None = Field(
        default=None, description="A fixed distance, 1s or more (example: 15m)."
    )
    at: Moments | None = Field(
        default=None, description="One moment or a list of them, in `timezone` unless they name their own offset."
    )
    after: Name | None = Field(default=None, description="Run each time this job has ended well.")
    timezone: str = Field(default="UTC", description="IANA name of the zone `cron` and `at` are read in. Default: UTC.")
    jitter: Duration | None = Field(default=None, description="Spread starts over this time, the same for each run.")
    overlap: Overlap = Field(
        default=Overlap.SKIP,
        description="What becomes of a fire that meets a run that is not over: skip, queue or cancel. Default: skip.",
    )
    catch_up: CatchUp = Field(
        default=CatchUp.LAST, description="What becomes of fires that were missed: none, last or all. Default: last."
    )
    catch_up_window: Duration = Field(
        default=timedelta(days=1), description="Fires that were missed longer ago are not made up for. Default: 1d."
    )
    pause_after: Whole | None = Field(
        default=None, ge=1, description="The job is paused after so many failures in a row. Default: never."
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> "Schedule":
        if sum(kind is not None for kind in (self.cron, self.every, self.at, self.after)) != 1:
            raise ValueError("give exactly one of cron, every, at, after (example: every: 15m)")
        return self

    @property
    def fields(self) -> str:
        """The cron line as five fields that cronsim reads; empty for another kind of schedule."""
        return "" if self.cron is None else cron_fields(self.cron)

    @property
    def moments(self) -> tuple[datetime, ...]:
        """The moments of `at` in UTC, in order and each once; none for another kind of schedule.

        A time that a clock change leaves out is as much later as the change; of one that comes twice, the first counts.
        """
        zone = ZoneInfo(self.timezone)
        found = (moment if moment.tzinfo else moment.replace(tzinfo=zone) for moment in self.at or ())
        return tuple(sorted({moment.astimezone(UTC) for moment in found}))


def cron_fields(cron: str) -> str:
    """Return a cron line as five fields without words, or ranges that go past their end. Raises ValueError."""
    line = _WORDS.get(cron.strip().lower(), cron)
    if line.startswith("@"):
        known = ", ".join(_WORDS)
        raise ValueError(f"'{cron}' is not known here; known are {known}")
    fields = line.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"cron has five fields, this has {len(fields)}")
    whole = " ".join(_unwound(text, *kind) for text, kind in zip(fields, _FIELDS, strict=True))
    try:
        next(CronSim(whole, datetime(2026, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        reason = str(error)
        raise ValueError(f"not a cron schedule: {reason[:1].lower()}{reason[1:]}") from None
    except StopIteration:
        raise ValueError("not a cron schedule: there is no such day") from None
    return whole


def _unwound(text: str, numbers: range, names: Mapping[str, int]) -> str:
    """Return a field with each range that goes past its end written out."""
    return ",".join(_listed(part, numbers, names) for part in text.split(","))


def _listed(part: str, numbers: range, names: Mapping[str, int]) -> str:
    match = _RANGE.fullmatch(part)
    first = _number(match["first"], names) if match else None
    last = _number(match["last"], names) if match else None
    if match is None or first is None or last is None or not {first, last} <= set(numbers) or first <= last:
        return part  # for cronsim to read, or to refuse
    step = int(match["step"] or 1)
    if step == 0:
        raise ValueError(f"not a cron schedule: '{part}' has a step of 0")
    around = [*range(first, numbers.stop), *range(numbers.start, last + 1)]
    return ",".join(map(str, sorted(around[::step])))


def _number(text: str, names: Mapping[str, int]) -> int | None:
    return int(text) if text.isdecimal() else names.get(text.lower())


def time_problems(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield schedules that no calendar knows: path, message, cure."""
    for path, schedule in _schedules(tree):
        cron, zone = schedule.get("cron"), schedule.get("timezone")
        if isinstance(cron, str):
            try:
                cron_fields(cron)
            except ValueError as error:
                yield (*path, "cron"), str(error), _EXAMPLE
        if isinstance(zone, str) and not is_zone(zone):
            meant = suggestion(zone, available_timezones())
            cure = f"did you mean '{meant}'?" if meant else "example: Europe/Berlin"
            yield (*path, "timezone"), f"unknown time zone '{zone}'", cure


def _schedules(tree: Mapping[str, Any]) -> Iterable[tuple[tuple[str, ...], Mapping[str, Any]]]:
    jobs = tree.get("jobs")
    for name, job in jobs.items() if isinstance(jobs, dict) else ():
        schedule = job.get("schedule") if isinstance(job, dict) else None
        if isinstance(schedule, dict):
            yield ("jobs", name, "schedule"), schedule


def is_zone(name: str) -> bool:
    """Say whether there is a time zone of this name."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
