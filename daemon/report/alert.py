"""An alert as people and programs get it. The shape is stable: keys are only ever added (docs/reference/alerts.md).

No value is ever null, so that a template does not fail on the day it is needed: a text is empty where there is nothing
to say. Nothing secret is in it.
"""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from daemon.redaction import redact_text
from daemon.spec import AlertEvent
from daemon.sync.certificate import Certificate
from daemon.sync.counts import Counts
from daemon.sync.outcome import Ending, Result, Verdict
from daemon.sync.pin import Digests

from .cures import Told, cures

LONGEST = 2_000
"""Characters of a reason or a cure: an alert is to be read, and has to fit where it goes."""


@dataclass(frozen=True, slots=True)
class ToldRun:
    """What an alert says of a run."""

    id: str
    trigger: str
    ending: Ending | None
    counts: Counts
    verdicts: tuple[Verdict, ...]
    error: str
    started_at: datetime | None
    ended_at: datetime | None
    digests: Digests


@dataclass(frozen=True, slots=True)
class Alerted:
    """What is to be told."""

    event: AlertEvent
    job: str
    id: str
    """The same however often it is told."""
    at: datetime
    host: str
    version: str
    cause: str = ""
    """guard, paused or login, for what is held."""
    run: ToldRun | None = None
    reason: str = ""
    cure: str = ""
    failures: int = 0
    last_good_at: datetime | None = None
    is_test: bool = False


def alert(subject: Alerted) -> dict[str, Any]:
    """Return the alert as an object for JSON and templates, without what is secret."""
    run = subject.run
    reason, cure = _brief(subject.reason or _reason(subject)), _brief(subject.cure or _cure(subject))
    return {
        "event": str(subject.event),
        "id": subject.id,
        "job": subject.job,
        "summary": _brief(_summary(subject, reason)),
        "cause": subject.cause,
        "reason": reason,
        "cure": cure,
        "failures": subject.failures,
        "run": run.id if run else "",
        "trigger": run.trigger if run else "",
        "ending": str(run.ending) if run and run.ending else "",
        "counts": asdict(run.counts if run else Counts()),
        "started_at": _moment(run.started_at if run else None),
        "ended_at": _moment(run.ended_at if run else None),
        "last_good_at": _moment(subject.last_good_at),
        "at": _moment(subject.at),
        "host": subject.host,
        "version": subject.version,
        "test": subject.is_test,
    }


def sample(event: AlertEvent, *, job: str, at: datetime, host: str, version: str) -> dict[str, Any]:
    """Return an alert of an event that has not happened, to try a destination or a template with."""
    ending = {AlertEvent.FAILURE: Ending.FAILED, AlertEvent.HOLD: Ending.HELD}.get(event, Ending.DONE)
    run = ToldRun("test", "manual", ending, Counts(), (), "", at, at, {})
    return alert(
        Alerted(
            event,
            job,
            id=f"{job}:{event}:test",
            at=at,
            host=host,
            version=version,
            cause="guard" if event is AlertEvent.HOLD else "",
            run=run,
            reason="this is a test; nothing has happened",
            cure="nothing is to be done",
            failures=1 if event is AlertEvent.FAILURE else 0,
            last_good_at=at,
            is_test=True,
        )
    )


def _summary(subject: Alerted, reason: str) -> str:
    job, begin = subject.job, "TEST: " if subject.is_test else ""
    match subject.event:
        case AlertEvent.FAILURE:
            times = f" {subject.failures} times in a row" if subject.failures > 1 else ""
            said = f"{job} failed{times}: {reason}"
        case AlertEvent.RECOVERY:
            said = f"{job} is well again"
        case AlertEvent.HOLD:
            said = f"{job} waits for a person: {reason}"
        case AlertEvent.LATE:
            said = f"{job} is late: {reason}"
        case _:
            said = f"{job}: {subject.event}"
    return f"{begin}{said}"


def _reason(subject: Alerted) -> str:
    run = subject.run
    if subject.event is AlertEvent.LATE:
        last = subject.last_good_at
        return f"its last good run ended at {last:%Y-%m-%d %H:%M:%S} UTC" if last else "it had no good run yet"
    if run is None:
        return ""
    tripped = "; ".join(verdict.message for verdict in run.verdicts if verdict.tripped)
    return (tripped or run.error) if subject.event is AlertEvent.HOLD else run.error


def _cure(subject: Alerted) -> str:
    run, job = subject.run, subject.job
    match subject.event:
        case AlertEvent.RECOVERY | AlertEvent.GOOD | AlertEvent.START:
            return ""
        case AlertEvent.LATE:
            return f"crudsd schedule {job} says when it starts next, crudsd runs {job} how its last runs ended"
    if run is None:
        return ""
    result = Result(
        run.ending or Ending.FAILED, run.counts, Certificate(end=None), run.verdicts, run.error, withheld=run.digests
    )
    found = " ".join(cures(Told(job, run.id), result))
    return found or f"the reason says what to change; crudsd runs {job} shows the last runs"


def _brief(text: str) -> str:
    done = redact_text(" ".join(text.split()))
    return done if len(done) <= LONGEST else f"{done[: LONGEST - 1]}…"


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
