"""What `crudsd key` says, as lines and as JSON."""

import pwd
from collections.abc import Iterator
from typing import Any

from daemon.report import json
from daemon.report.shown import count
from daemon.runtime.key_desk import KeyCheck
from daemon.runtime.resealing import Resealed
from daemon.runtime.sealed_records import UnreadableError
from daemon.vault.key_file import Guard


def check(found: KeyCheck) -> Iterator[str]:
    """Yield what is known about the key, its faults, and what to do next."""
    if found.source is not None:
        guard = "" if found.guard is None else f" (mode {found.guard.mode:04o}, owner {_owner(found.guard)})"
        yield f"The key comes from {found.source}{guard}."
    for key in found.keys:
        sealed = "" if key.records is None else f"; {count(key.records, 'record')} sealed with it"
        yield f"  {key.id}  {'seals and opens' if key.seals else 'only opens'}{sealed}"
    if found.records is None and found.keys:
        yield f"State database {found.location}: nothing to look into."
    elif found.records is not None:
        opened = "" if found.faults else "; all of them open"
        yield f"State database {found.location}: {count(found.records, 'sealed record')}{opened}."
    for warning in found.warnings:
        yield f"! {warning}"
    for fault in found.faults:
        yield f"✗ {fault}"
    yield from _next(found)


def _next(found: KeyCheck) -> Iterator[str]:
    older = [key for key in found.keys if not key.seals]
    if found.faults or not older or found.records is None:
        return
    if any(key.records for key in older):
        yield "Next: crudsd key rotate re-seals what the older keys have sealed."
    else:
        yield f"Next: {', '.join(f'crudsd key retire {key.id}' for key in older)}; nothing here needs it any more."


def check_json(found: KeyCheck) -> bytes:
    """Return the same as one JSON object."""
    source, guard = found.source, found.guard
    return json.document(
        {
            "good": not found.faults,
            "source": None if source is None else source.kind.value,
            "file": None if source is None or source.path is None else str(source.path),
            "mode": None if guard is None else f"{guard.mode:04o}",
            "owner": None if guard is None else _owner(guard),
            "keys": [{"id": key.id, "seals": key.seals, "records": key.records} for key in found.keys],
            "state": found.location,
            "records": found.records,
            "faults": list(found.faults),
            "warnings": list(found.warnings),
        }
    )


def rotated(done: Resealed) -> Iterator[str]:
    """Yield what was re-sealed, what was given up, and what is left."""
    total = done.resealed + done.already
    yield (
        f"{count(total, 'record')} sealed with {done.key}: {done.resealed} re-sealed now, "
        f"{done.already} {'was' if done.already == 1 else 'were'} already."
    )
    for error in done.dropped:
        yield f"- {error.row} was given up: {error.reason}"
    for error in done.left:
        yield f"✗ {error}"
    if done.left:
        yield f"{count(len(done.left), 'record')} left as {'it was' if len(done.left) == 1 else 'they were'}."


def rotated_json(done: Resealed) -> bytes:
    """Return the same as one JSON object."""
    return json.document(
        {
            "key": done.key,
            "resealed": done.resealed,
            "already": done.already,
            "dropped": [_record(error) for error in done.dropped],
            "left": [_record(error) for error in done.left],
        }
    )


def _record(error: UnreadableError) -> dict[str, Any]:
    return {"kind": error.row.holding.value, "name": error.row.name, "reason": error.reason, "cure": error.cure}


def _owner(guard: Guard) -> str:
    try:
        return pwd.getpwuid(guard.user).pw_name
    except KeyError:
        return str(guard.user)
