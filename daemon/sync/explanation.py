"""Everything known about one record: what each side holds, what is remembered, and what the next run would do."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from daemon.errors import Exit
from daemon.values import Document, Record

from .certificate import Certificate
from .change import Change, Link, Reject
from .forecast import Forecast
from .mapping import Tried
from .ports import TargetRecord


class Seen(StrEnum):
    """What a system says of a record when it is asked. The word is the one in JSON."""

    FOUND = "found"
    ABSENT = "absent"
    """It was looked for everywhere, and is not there."""
    UNKNOWN = "unknown"
    """The system could not be asked, or its answer broke off before the record was met."""
    NOT_ASKED = "not_asked"
    """Nobody wanted to know, or the job declares no way to ask."""


@dataclass(frozen=True, slots=True)
class InSource:
    """The record as the source has it now."""

    asked: str
    """The system and the request, for people: `hr: GET employees`."""
    seen: Seen
    page: int | None = None
    """Where it was met first, from 1."""
    part: str = ""
    """The part of the source that gave it, or could not be read; empty where the source is one part."""
    record: Record | None = None
    """The first record with the key; None where it is absent or no JSON object."""
    times: int = 0
    """Records with this key that were met before the reading stopped."""
    let_in: bool | None = None
    """Whether `where` lets it in; None where that cannot be told."""
    where: str | None = None
    """The job's filter; None where it has none."""
    pages: int = 0
    """Pages that were read."""
    records: int = 0
    """Records that were read."""
    certificate: Certificate | None = None
    """What the read proves; None unless it went to its end."""
    trouble: str = ""
    """Why the source could not be read, or the record not be used; empty when all is well."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """The document that the record makes."""

    document: Document | None
    """None where it cannot be made."""
    fields: tuple[Tried, ...]
    """In the job file's order."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What earlier runs left behind."""

    link: Link
    document: Document | None
    """The last document sent; None where it is not remembered."""
    same_raw: bool | None
    """Whether the source's record has the same bytes under the same job; None where there is none to compare."""
    same_document: bool | None
    """Whether the mapped document equals what the target was last known to hold; None where one is not known."""


@dataclass(frozen=True, slots=True)
class InTarget:
    """The record as the target has it now."""

    asked: str
    """The system and the way it was asked, for people; only the system where it was not."""
    seen: Seen
    records: tuple[TargetRecord, ...] = ()
    """Several are an ambiguity."""
    differing: tuple[str, ...] | None = None
    """Fields of the wanted document that the target holds otherwise; None where one of both is not known."""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class KeptReject:
    """A reject that is kept. Moments are aware, in UTC."""

    reject: Reject
    attempts: int
    """How many runs tried it, as it is now, in vain."""
    first_at: datetime
    last_at: datetime
    run: str
    """The latest run that met it."""
    rests_until: datetime | None
    """Until when it is left alone if nothing changes; None for one that the next run tries or that nobody does."""


@dataclass(frozen=True, slots=True)
class PastChange:
    """A change of an earlier run."""

    run: str
    at: datetime
    """When its fate was settled, or it was planned; aware, in UTC."""
    change: Change
    status: int | None
    """The HTTP status that decided its fate; None where there was none."""


@dataclass(frozen=True, slots=True)
class History:
    """The changes of one key over past runs."""

    changes: tuple[PastChange, ...]
    """Newest first."""
    runs: int
    """Runs of the job that were looked at, the latest ones."""
    since: datetime | None
    """When the oldest of them was made; None where there was no run."""
    whole: bool
    """Whether there are no runs before these."""
    under_way: str | None
    """The job's run that is not over; None when there is none."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A request as it would leave, without credentials."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str
    """JSON text; empty without a body."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known about one record of one job."""

    job: str
    key: str
    """Canonical, where the key is known; else as it was asked for."""
    revision_changed: bool
    """Whether the job file's job is another one than at its last run."""
    source: InSource
    mapped: Mapped | None
    """None where there is no record to map."""
    remembered: Remembered | None
    target: InTarget
    reject: KeptReject | None
    unresolved: tuple[Change, ...]
    """Changes of this key whose answer was lost, oldest first."""
    history: History
    forecast: Forecast
    requests: tuple[Sending, ...]
    request_trouble: str
    """Why the requests cannot be shown; empty when they can, or none would be sent."""
    hints: tuple[str, ...]
    """What else the operator should know to understand the decision."""
    exit: Exit
    """How the command ends."""
    near: tuple[str, ...] = ()
    """Remembered keys like the one asked for, as people see them; only where nothing is known of it."""

    @property
    def is_known(self) -> bool:
        """Whether anything at all is known of this key, or may be where a system could not be asked."""
        told = self.remembered or self.reject or self.unresolved or self.history.changes
        return bool(told) or self.source.seen is Seen.FOUND or self.target.seen is Seen.FOUND
