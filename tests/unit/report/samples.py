"""Changes, plans and ends of runs for the tests of what is said about them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from daemon.report.causes import Causes
from daemon.sync.certificate import Certificate, End
from daemon.sync.change import Change, Fate, Kind, Reject
from daemon.sync.counts import Counts
from daemon.sync.cursor import Reach
from daemon.sync.outcome import Ending, Phase, Result, Verdict

COMPLETE = Certificate(End("no next cursor", pages=3, records=412, total=412))
BROKEN = Certificate(None, ("the read broke off: HTTP 502 from hr",))
GUARD = Verdict("updates", tripped=False, message="1 of 411 known records would be updated, the limit is 50 %")


@dataclass(frozen=True)
class Planned:
    job: str
    result: Result
    changes: Iterable[Change]
    tally: Mapping[tuple[Kind, Fate], int]
    unresolved: int = 0
    held_run: str | None = None


@dataclass(frozen=True)
class Finished:
    result: Result
    job: str = "people-to-helpdesk"
    run: str = "01KAN5"
    took_s: float = 3.25
    resume_at: datetime | None = None


@dataclass(frozen=True)
class Row:
    id: str = "01KAN5"
    job: str = "people"
    trigger: str = "schedule"
    fire_time: datetime | None = None
    phase: Phase = Phase.OVER
    ending: Ending | None = Ending.DONE
    counts: Counts = field(default_factory=Counts)
    certificate: Certificate | None = COMPLETE
    reach: Reach | None = None
    error: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    resume_at: datetime | None = None


def result(ending: Ending = Ending.DONE, **more: Any) -> Result:
    usual: dict[str, Any] = {"counts": Counts(), "certificate": COMPLETE, "verdicts": (), "error": ""}
    return Result(ending=ending, **{**usual, **more})


def planned(result: Result, *changes: Change) -> Planned:
    return Planned("people-to-helpdesk", result, changes, Counter((one.kind, one.fate) for one in changes))


def caused(*rejects: Reject) -> Causes:
    causes = Causes()
    for reject in rejects:
        causes.add(reject)
    return causes


def create(key: str, **document: Any) -> Change:
    return _change(Kind.CREATE, key, document=document, fields=tuple(sorted(document)))


def update(key: str, before: Mapping[str, Any] | None, **document: Any) -> Change:
    return _change(Kind.UPDATE, key, document=document, before=before, fields=tuple(sorted(document)), target_id="u1")


def delete(key: str) -> Change:
    return _change(Kind.DELETE, key, target_id="u2")


def withheld(change: Change) -> Change:
    return replace(change, fate=Fate.WITHHELD, reason="too many")


def _change(kind: Kind, key: str, **more: Any) -> Change:
    usual: dict[str, Any] = {
        "seq": 1,
        "target_id": None,
        "version": None,
        "document": None,
        "before": None,
        "fields": (),
        "fingerprint": b"",
        "raw": b"",
        "owned": True,
        "idempotency_key": "r-1",
    }
    return Change(kind=kind, key=key, **{**usual, **more})
