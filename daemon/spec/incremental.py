"""What a job file says of reading only what changed: by which field, from where, and when everything is read again."""

import re
from datetime import datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

from cronsim import CronSim
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from .expressions import check_expression
from .schedule import cron_fields
from .types import Duration, Strict, Whole

_PATH = re.compile(r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*")
_BETWEEN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\s*-\s*([01]\d|2[0-3]):([0-5]\d)")


class CursorType(StrEnum):
    """What kind of value a cursor is. The word in the job file is the value."""

    TIMESTAMP = "timestamp"
    """A moment: a text, or a number of seconds or less since 1970."""
    NUMBER = "number"
    """A number that grows with each change."""
    TOKEN = "token"  # noqa: S105 - a kind of cursor
    """A word of the API's own, which its answer gives for the next read."""
    ETAG = "etag"
    """The ETag of the whole list: the source says that nothing changed (304), or gives everything."""


def _field(value: Any) -> Any:
    if isinstance(value, str):
        check_expression(cursor_expression(value))
    return value


def cursor_expression(field: str) -> str:
    """Return the field as an expression over `record`; plain names with dots mean a field of the record."""
    if not _PATH.fullmatch(field):
        return field
    names = field.removeprefix("record.").split(".")
    return "record" + "".join(f"['{name}']" for name in names)


CursorField: TypeAlias = Annotated[str, BeforeValidator(_field)]
"""A field of the record, its names from the outside in with dots between them, or an expression over `record`."""

CursorValue: TypeAlias = Annotated[str | int | Decimal, Field(union_mode="left_to_right")]


class Incremental(Strict):
    """Only what changed since the last run is read. The templates of the read know `cursor.start` and `cursor.end`."""

    type: CursorType = Field(
        default=CursorType.TIMESTAMP,
        description="timestamp, number, token or etag. Default: token where `next` is given, else timestamp.",
    )
    field: CursorField | None = Field(
        default=None,
        description="Field of the record that grows with each change, or an expression (example: updated_at).",
    )
    start: CursorValue | None = Field(
        default=None,
        description="Where the first run and every full read begin. Default: at the beginning; cursor.start is null.",
    )
    lookback: Duration | Whole = Field(
        default=timedelta(0),
        description="So much is read again in each run, for what was stored late. A duration; for numbers a number. "
        "Default: 0s.",
    )
    settle: Duration = Field(
        default=timedelta(0),
        description="The cursor stays so far behind the server's clock, for what is not stored yet. Default: 0s.",
    )
    order: Literal["none", "ascending"] = Field(
        default="none",
        description="ascending: the source gives its records by this field, so that the cursor may move on the way.",
    )
    timezone: str | None = Field(
        default=None, description="IANA name of the zone of moments that name no offset (example: Europe/Berlin)."
    )
    unit: Literal["s", "ms", "us", "ns"] = Field(
        default="s", description="What moments count that are numbers, since 1970. Default: s."
    )
    next: str | None = Field(
        default=None,
        description="Where an answer has the token for the next read: header:NAME or a JMESPath into the body.",
    )
    next_on: Literal["first", "last"] | None = Field(
        default=None,
        description="Which page's token counts. Default: first for a header, which stands for the list as it was when "
        "the read began, and last for the body.",
    )

    @model_validator(mode="before")
    @classmethod
    def _type_by_next(cls, value: Any) -> Any:
        if isinstance(value, dict) and "type" not in value and value.get("next") is not None:
            return {**value, "type": "token"}
        return value

    @model_validator(mode="after")
    def _makes_sense(self) -> "Incremental":
        trouble = self._trouble()
        if trouble:
            raise ValueError(trouble)
        return self

    def _trouble(self) -> str:
        if not self.is_measured:
            return self._trouble_of_words()
        if self.next is not None or self.next_on is not None:
            return "next is for tokens; a timestamp or a number comes from the field"
        if self.field is None:
            return "say which field grows with each change (example: field: updated_at)"
        is_duration = isinstance(self.lookback, timedelta)
        if self.type is CursorType.NUMBER and ((is_duration and self.lookback) or self.settle):
            return "numbers have no clock: lookback is a number (example: lookback: 100), and there is no settle"
        if self.type is CursorType.TIMESTAMP and not is_duration:
            return "lookback is a length of time (example: lookback: 5m)"
        return ""

    def _trouble_of_words(self) -> str:
        if self.type is CursorType.ETAG:
            is_plain = not (self.model_fields_set - {"type"})
            return "" if is_plain else "an etag has no other settings: everything comes, or nothing has changed"
        if self.next is None:
            return "a token comes from the answer: say where, with next (example: next: header:ETag)"
        if self.field is not None or self.order != "none" or self.lookback or self.settle:
            return "a token has no field, order, lookback or settle; leave them out"
        return ""

    @property
    def expression(self) -> str | None:
        """The field as an expression over `record`; None for a token."""
        return None if self.field is None else cursor_expression(self.field)

    @property
    def is_first(self) -> bool:
        """Whether the first page's token counts, not the last one's."""
        if self.next_on is not None:
            return self.next_on == "first"
        return self.answered is not None and self.answered.lower().startswith("header:")

    @property
    def answered(self) -> str | None:
        """Where an answer has the token for the next read; None for values of records."""
        return "header:ETag" if self.type is CursorType.ETAG else self.next

    @property
    def is_measured(self) -> bool:
        """Whether its values can be compared, one further than the other."""
        return self.type in {CursorType.TIMESTAMP, CursorType.NUMBER}


class Between(Strict):
    """A time of the day."""

    begins: time
    ends: time

    def holds(self, moment: time) -> bool:
        """Say whether a time of the day lies in it; it may go past midnight."""
        if self.begins <= self.ends:
            return self.begins <= moment < self.ends
        return moment >= self.begins or moment < self.ends


def _between(value: Any) -> Any:
    match = _BETWEEN.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError('two times of the day (example: "02:00-04:00")')
    first, second, third, fourth = map(int, match.groups())
    return Between(begins=time(first, second), ends=time(third, fourth))


Window: TypeAlias = Annotated[
    Between,
    BeforeValidator(_between),
    WithJsonSchema({"type": "string", "pattern": f"^{_BETWEEN.pattern}$", "examples": ["02:00-04:00"]}),
]


class Reconcile(Strict):
    """When an incremental job reads everything again, so that nothing stays missed, and what is gone may be deleted."""

    every: Duration | None = Field(default=None, description="So long after the full read before (example: 24h).")
    cron: str | None = Field(default=None, description="Due at these times, in `timezone` (example: 0 2 * * sun).")
    between: Window | None = Field(
        default=None, description='Only in runs that begin at this time of the day (example: "02:00-04:00").'
    )
    timezone: str = Field(
        default="UTC", description="IANA name of the zone `cron` and `between` are read in. Default: UTC."
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> "Reconcile":
        if (self.every is None) == (self.cron is None):
            raise ValueError("give exactly one of every and cron (example: every: 24h)")
        return self

    def is_due(self, last: datetime | None, now: datetime) -> bool:
        """Say whether a run that begins now is to read everything; `last` is when the last such read began.

        With `between`, `every` counts from the beginning of that read's window: a read that began at 02:10 is due again
        at 02:00 of the next day, and does not move on a little each day until it falls out of its window.
        """
        zone = ZoneInfo(self.timezone)
        here = now.astimezone(zone)
        if self.between is not None and not self.between.holds(here.time()):
            return False
        if last is None:
            return True
        if self.cron is not None:
            return next(CronSim(cron_fields(self.cron), last.astimezone(zone))) <= here
        since = last if self.between is None else self._window_before(last.astimezone(zone), self.between)
        return here >= since + (self.every or timedelta(0))

    def _window_before(self, moment: datetime, between: Between) -> datetime:
        begin = moment.replace(hour=between.begins.hour, minute=between.begins.minute, second=0, microsecond=0)
        return begin if begin <= moment else begin - timedelta(days=1)
