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


def aligned(cells: Sequence[tuple[str, ...]], *, numbers_from: int | None = None) -> Iterator[str]:
    """Yield rows of cells as lines whose columns stand below each other; from a column on they are flush right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    split = len(widths) if numbers_from is None else numbers_from
    for row in cells:
        texts = [cell.ljust(width) for cell, width in zip(row[:split], widths, strict=False)]
        figures = [cell.rjust(width) for cell, width in zip(row[split:], widths[split:], strict=True)]
        yield "  ".join([*texts, *figures]).rstrip()


def runs(rows: Sequence[PastRun]) -> Iterator[str]:
    """Yield a table of runs in the order given, below each its error and when it goes on; or that there are none."""
    if not rows:
        yield "No runs yet."
        return
    for number, line in enumerate(aligned([_HEAD, *map(_cells, rows)], numbers_from=_NUMBERS_FROM)):
        yield line
        error = rows[number - 1].error if number else ""
        if error:
            yield f"    ✗ {shown.plain(error)}"
        resume_at = rows[number - 1].resume_at if number else None
        if resume_at is not None:
            yield f"    goes on at {_moment(resume_at)} UTC"


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
