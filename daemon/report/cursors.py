"""How far a job has read: lines, or JSON."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol

from daemon.sync.cursor import Cursor, WholeRead

from . import shown
from .json import document
from .table import aligned


class Standing(Protocol):
    """How far a job has read."""

    @property
    def job(self) -> str:
        """The job's name."""

    @property
    def cursors(self) -> Sequence[Cursor]:
        """By part, as many as were asked for."""

    @property
    def total(self) -> int:
        """How many there are."""

    @property
    def whole(self) -> WholeRead | None:
        """The last full read."""

    @property
    def revision(self) -> str:
        """The job's revision now."""

    @property
    def now(self) -> datetime:
        """When it was looked at."""


def lines(subject: Standing) -> Iterator[str]:
    """Yield one line a part, the last full read, and what the next run does where that is not plain."""
    if not subject.cursors:
        yield f"{subject.job} has no cursor yet; its next run reads from the start."
    else:
        rows = [
            (shown.plain(one.part) or "-", shown.value(one.value), _age(one.moved_at, subject.now), _note(one, subject))
            for one in subject.cursors
        ]
        yield from aligned([("PART", "CURSOR", "MOVED", ""), *rows])
    if subject.total > len(subject.cursors):
        more = subject.total - len(subject.cursors)
        yield f"… and {shown.count(more, 'more part')} (--limit {subject.total} shows all)"
    whole = subject.whole
    last = f"{_age(whole.began_at, subject.now)}, run {whole.run}" if whole is not None else "never"
    yield f"Last full read: {last}"


def _note(one: Cursor, subject: Standing) -> str:
    if one.revision != subject.revision:
        return "of the job before it was edited; the next run reads everything"
    return "the source does not keep its declared order" if one.is_disordered else ""


def _age(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "-"
    return f"{shown.duration(max((now - moment).total_seconds(), 0.0))} ago"


def as_json(subject: Standing) -> bytes:
    """Return the same as one JSON object."""
    whole = subject.whole
    return document(
        {
            "job": subject.job,
            "total": subject.total,
            "cursors": [_row(one, subject) for one in subject.cursors],
            "last_full_read": whole and {"began_at": whole.began_at, "run": whole.run},
        }
    )


def _row(one: Cursor, subject: Standing) -> dict[str, Any]:
    return {
        "part": one.part,
        "value": one.value,
        "moved_at": one.moved_at,
        "run": one.run,
        "is_disordered": one.is_disordered,
        "is_current": one.revision == subject.revision,
    }
