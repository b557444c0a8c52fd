"""The runs of the past as a table that `awk` could read and a tired person can."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from . import shown
from .subjects import PastRun

_HEAD = (
    "RUN",
    "JOB",
    "STARTED (UTC)",
    "TOOK",
    "ENDING",
    "SEEN",
    "CREATED",
    "UPDATED",
    "DELETED",
    "REJECTED",
    "WITHHELD",
)
_NUMBERS_FROM = 5
"""The column from which on figures are set flush right."""


def runs(rows: Sequence[PastRun]) -> Iterator[str]:
    """Yield a table of runs in the order given, below each its error and when it goes on; or that there are none."""
    if not rows:
        yield "No runs yet."
        return
    cells = [_HEAD, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for number, line in enumerate(cells):
        yield "  ".join(map(_set, line, widths, range(len(line)))).rstrip()
        error = rows[number - 1].error if number else ""
        if error:
            yield f"    ✗ {shown.plain(error)}"
        resume_at = rows[number - 1].resume_at if number else None
        if resume_at is not None:
            yield f"    goes on at {_moment(resume_at)} UTC"


def _set(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column >= _NUMBERS_FROM else cell.ljust(width)


def _cells(row: PastRun) -> tuple[str, ...]:
    counts = row.counts
    figures = (
        counts.seen,
        counts.created,
        counts.updated,
        counts.deleted,
        counts.rejected + counts.deletes_rejected,
        counts.withheld + counts.deletes_withheld,
    )
    ending = str(row.ending) if row.ending is not None else f"({row.phase})"
    return (row.id, row.job, _moment(row.started_at), _took(row), ending, *map(str, figures))


def _moment(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S") if moment else "-"


def _took(row: PastRun) -> str:
    if row.started_at is None or row.ended_at is None:
        return "-"
    return shown.duration((row.ended_at - row.started_at).total_seconds())
