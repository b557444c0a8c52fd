"""The stable JSON forms. Keys are only ever added; docs/reference/cli.md lists them.

Everything is bytes of UTF-8, since numbers keep their digits that way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

import msgspec

from daemon.sync.canonical import readable
from daemon.sync.certificate import Certificate
from daemon.sync.change import Change, Fate, Kind, Reject
from daemon.sync.contest import Contested
from daemon.sync.key_change import KeyChange, by_change
from daemon.sync.outcome import EXITS, Result
from daemon.sync.pin import Digests, as_text
from daemon.values import MISSING, Json

from .cures import Told, cures
from .subjects import Finish, KeptReject, PastRun, Plan

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def document(json: Json) -> bytes:
    """Return any JSON value, indented, with a line end."""
    return msgspec.json.format(_ENCODER.encode(json), indent=2) + b"\n"


def plan(subject: Plan, rejects: Sequence[Reject] = (), *, limit: int | None = None) -> Iterator[bytes]:
    """Yield the pieces of one JSON object, its changes one a line, so that a plan of any length fits into memory.

    `limit` is how many changes are given, None for all; `total_changes` counts them all.
    """
    head = _ENCODER.encode(plan_head(subject, rejects))
    yield msgspec.json.format(head, indent=2).removesuffix(b"\n}") + b',\n  "changes": ['
    separator = b"\n    "
    key_changes = by_change(subject.result.key_changes)
    for one in islice(subject.changes, limit):
        yield separator + _ENCODER.encode(change(one, key_change=key_changes.get((one.kind, one.key))))
        separator = b",\n    "
    yield b"\n  ]\n}\n"


def plan_head(subject: Plan, rejects: Sequence[Reject]) -> dict[str, Any]:
    """Return what there is to say of a plan but its changes."""
    return {
        "job": subject.job,
        "summary": {str(kind): subject.tally.get((kind, Fate.PLANNED), 0) for kind in Kind},
        "total_changes": sum(subject.tally.values()),
        "unresolved": subject.unresolved,
        "held_run": subject.held_run,
        **_result(subject.result, rejects, Told(subject.job, subject.held_run, is_plan=True)),
    }


def line(json: Json) -> bytes:
    """Return any JSON value on one line, with a line end."""
    return _ENCODER.encode(json) + b"\n"


def finish(subject: Finish, rejects: Sequence[Reject] = ()) -> bytes:
    """Return the end of a run."""
    told = {"job": subject.job, "run": subject.run, "took_s": round(subject.took_s, 3), "resume_at": subject.resume_at}
    return document({**told, **_result(subject.result, rejects, Told(subject.job, subject.run))})


def approved(job: str, run: str, digests: Digests) -> bytes:
    """Return what was approved."""
    return document({"job": job, "run": run, "digests": as_text(digests)})


def runs(rows: Sequence[PastRun]) -> bytes:
    """Return past runs, in the order given."""
    return document({"runs": [_run(row) for row in rows]})


def rejects(rows: Sequence[KeptReject], total: int) -> bytes:
    """Return kept rejects, in the order given, and how many there are in all."""
    return document({"total": total, "rejects": [kept(row) for row in rows]})


def kept_reject(row: KeptReject) -> bytes:
    """Return one kept reject."""
    return document(kept(row))


def change(subject: Change, *, key_change: KeyChange | None = None) -> dict[str, Any]:
    """Return one change. `before` is null where nothing is known of it, `key_change` where it looks like none."""
    return {
        "seq": subject.seq,
        "kind": subject.kind,
        "key": readable(subject.key),
        "target_id": subject.target_id,
        "fate": subject.fate,
        "reason": subject.reason,
        "fields": subject.fields,
        "before": subject.before,
        "document": subject.document,
        "key_change": key_change and {"from": readable(key_change.before), "to": readable(key_change.after)},
    }


def _result(result: Result, rejects: Sequence[Reject], told: Told) -> dict[str, Any]:
    return {
        "ending": result.ending,
        "exit_code": EXITS[result.ending],
        "error": result.error,
        "wait_s": result.wait_s,
        "reach": result.reach,
        "since": result.since,
        "doubted": result.doubted,
        "counts": asdict(result.counts),
        "certificate": certificate(result.certificate),
        "verdicts": [asdict(verdict) for verdict in result.verdicts],
        "rejects": [_reject(reject) for reject in rejects],
        "contests": [_contested(one) for one in result.contests],
        "withheld": as_text(result.withheld),
        "cures": list(cures(told, result)),
    }


def _reject(reject: Reject) -> dict[str, Any]:
    return {
        "key": readable(reject.key),
        "reason": reject.reason,
        "status": reject.status,
        "excerpt": reject.excerpt,
        "kind": reject.kind,
        "retry": reject.retry,
    }


def kept(row: KeptReject) -> dict[str, Any]:
    """Return one kept reject as an object."""
    return {
        **_reject(row.reject),
        "attempts": row.attempts,
        "first_at": row.first_at,
        "last_at": row.last_at,
        "run": row.run,
        "rests_until": row.rests_until,
    }


def _contested(subject: Contested) -> dict[str, Any]:
    told = {
        "field": subject.field,
        "records": subject.records,
        "key": readable(subject.key),
        "wanted": subject.wanted,
    }
    return told if subject.found is MISSING else {**told, "found": subject.found}


def certificate(subject: Certificate) -> dict[str, Any]:
    """Return what a read proves."""
    end = subject.end
    return {
        "issued": subject.issued,
        "text": str(subject),
        "doubts": subject.doubts,
        "readings": subject.readings,
        "ended_by": end.reason if end else None,
        "pages": end.pages if end else None,
        "records": end.records if end else None,
        "total": end.total if end else None,
        "parts": subject.parts,
        "parts_apart": subject.parts_apart,
        "apart": subject.apart,
    }


def _run(row: PastRun) -> dict[str, Any]:
    return {
        "id": row.id,
        "job": row.job,
        "trigger": row.trigger,
        "fire_time": row.fire_time,
        "phase": row.phase,
        "ending": row.ending,
        "error": row.error,
        "reach": row.reach,
        "counts": asdict(row.counts),
        "certificate": certificate(row.certificate) if row.certificate else None,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "resume_at": row.resume_at,
    }
