"""Digests of a job: what makes every record a candidate again, or its deletes suspect, when it changes."""

import hashlib
import json
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from .job import Job

REVISED_BY: Final = ("source", "key", "where", "ignore", "map", "target", "for_each")
"""The blocks that decide which documents a job makes and where it puts them. Schedule, mode, guards, compare and
description are left out: they decide when and how much, not what. `ignore` is in, since without a map it decides what a
document holds, and with one what the raw fingerprints are taken of."""


SELECTED_BY: Final = ("source", "key", "where", "for_each")
"""The blocks that decide which records a job sees and under which key. When they change, a record that is gone may
only be gone from our sight. `ignore` is not among them: key and filter may not use an ignored field."""

_BLOCK_DIGITS = 8

_SIZE: Final = {"batch": {"size": True}}
_NO_MEANING: Final[Any] = {
    "target": {"settle": True, "create": _SIZE, "update": _SIZE, "delete": _SIZE},
    "source": {"incremental": {"lookback": True, "settle": True, "order": True}},
    "for_each": {"limit": True},
}
"""Settings in these blocks that decide neither which documents there are nor where they go."""


def job_revision(job: Job) -> str:
    """Return 16 hexadecimal digits that change with the meaning of source, key, where, ignore, map, target or for_each.

    Short and long forms, the order of keys and comments make no difference; neither does a value that is written
    out but is the default, so that a new release with new settings leaves every revision as it was.
    """
    return _digest(job, REVISED_BY)


def job_selection(job: Job) -> str:
    """Return a digest of each block of `REVISED_BY`, in that order, so that two of them tell which one changed.

    Behind them, after an @, stands one of the place where the target keeps its records.
    """
    blocks = ".".join(_digest(job, (block,))[:_BLOCK_DIGITS] for block in REVISED_BY)
    return f"{blocks}@{hashlib.sha256(_place(job).encode()).hexdigest()[:_BLOCK_DIGITS]}"


def has_moved(before: str | None, now: str) -> bool:
    """Say whether two selections are of two places: what one knows of the first's records says nothing of the other's.

    False where nothing is known of before.
    """
    old, new = (selection.partition("@")[2] for selection in (before or "", now))
    return bool(old) and old != new


def changed_blocks(before: str | None, now: str) -> tuple[str, ...]:
    """Return the names of the blocks in which two selections differ, in the order of `REVISED_BY`.

    None when nothing is known of before: nothing has changed. A selection in another form differs in everything.
    """
    if before is None or before == now:
        return ()
    old, new = (selection.partition("@")[0].split(".") for selection in (before, now))
    if len(old) != len(new):
        return REVISED_BY
    return tuple(block for block, one, other in zip(REVISED_BY, old, new, strict=True) if one != other)


def _place(job: Job) -> str:
    """Return where the target's records are: its connection, and the table, file, model or address of creates."""
    target = job.target
    for name in ("table", "path", "model"):
        if (said := getattr(target, name, None)) is not None:
            return f"{target.connection} {name} {said}"
    asked = getattr(target, "create", None) or getattr(target, "list", None) or getattr(target, "lookup", None)
    return f"{target.connection} {getattr(asked, 'uri', asked)}".partition("?")[0]


def _digest(job: Job, blocks: tuple[str, ...]) -> str:
    meaning = job.model_dump(by_alias=True, exclude_defaults=True, include=set(blocks), exclude=_NO_MEANING)
    text = json.dumps(meaning, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    # Tagged: a Decimal in a body is another value than the same digits as text.
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    if isinstance(value, timedelta):
        return {"seconds": value.total_seconds()}
    return {type(value).__name__: str(value)}
