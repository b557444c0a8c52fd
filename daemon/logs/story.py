"""What the log tells of a run and of its requests, and how briefly."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from daemon.sync.certificate import Certificate
from daemon.sync.change import Outcome
from daemon.sync.events import (
    ChangesSettled,
    CursorDoubted,
    CursorMoved,
    Event,
    FieldContested,
    Judged,
    PageDone,
    PartFailed,
    PhaseBegan,
    Pinned,
    ReadAgain,
    ReadEnded,
    ReadRestarted,
    ReadResumed,
    Resolved,
    SpanBegan,
    TargetListed,
    TriedAgain,
)
from daemon.sync.outcome import Ending, Result

from .logger import Logger

PARTS_TOLD = 3
"""Failing parts that are told above DEBUG; the certificate names some more, and their number."""

CONTESTED = "does not converge: the target sets it back, so it is written no more; a plan of the job shows an example"


class LogObserver:
    """Tells the log about a run, briefly."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._failing = 0
        """Parts that could not be read, so far."""

    def __call__(self, event: Event) -> None:
        """Log one event of a run."""
        match event:
            case Pinned():
                self._log.info("run.pinned", by=event.name)
            case PhaseBegan() | PageDone():
                self._went_on(event)
            case TargetListed():
                self._log.info("target.listed", records=event.records)
            case ReadEnded() | Judged() | FieldContested():
                self._may_warn(event)
            case ChangesSettled():
                self._changes("change.settled", event.outcomes)
            case Resolved():
                # DEBUG: there may be as many as the process that died had under way.
                self._changes("change.resolved", (event.outcome,))
            case _:
                self._once_more(event)

    def _once_more(self, event: Event) -> None:
        match event:
            case ReadResumed():
                self._log.info("read.resumed", page=event.page, seen=event.counts.seen)
            case ReadAgain():
                self._log.info("read.again", reading=event.reading, reason=event.reason)
            case ReadRestarted():
                self._log.warning("read.restarted", reason=event.reason)
            case TriedAgain():
                self._log.debug("changes.tried_again", changes=event.changes)
            case SpanBegan() | CursorMoved() | CursorDoubted():
                self._cursor(event)
            case PartFailed():
                self._part_failed(event)

    def _part_failed(self, event: PartFailed) -> None:
        """Tell of a part: the first ones aloud, since what all have in common is no more news after them."""
        self._failing += 1
        tell = self._log.warning if self._failing <= PARTS_TOLD else self._log.debug
        tell("part.gone" if event.is_gone else "part.failed", part=event.part, reason=event.reason)

    def _cursor(self, event: SpanBegan | CursorMoved | CursorDoubted) -> None:
        """Tell of a cursor: INFO for a source in one part; of many parts each is for a developer."""
        match event:
            case SpanBegan():
                span = event.span
                tell = self._log.debug if span.part else self._log.info
                tell("read.began", part=span.part, reach=str(span.reach), start=span.start, end=span.end)
            case CursorMoved():
                for cursor in event.cursors:
                    tell = self._log.debug if cursor.part else self._log.info
                    tell("cursor.moved", part=cursor.part, to=cursor.value)
            case CursorDoubted():
                self._log.warning("cursor.doubted", part=event.part, doubt=str(event.doubt), message=str(event))

    def _went_on(self, event: PhaseBegan | PageDone) -> None:
        if isinstance(event, PhaseBegan):
            self._log.debug("phase.began", phase=str(event.phase))
        else:
            self._log.debug("page.done", page=event.number, seen=event.counts.seen)

    def _changes(self, name: str, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self._log.debug(name, kind=str(outcome.change.kind), fate=str(outcome.fate))

    def _may_warn(self, event: ReadEnded | Judged | FieldContested) -> None:
        match event:
            case ReadEnded():
                self._read_ended(event.certificate)
            case Judged():
                self._judged(event)
            case FieldContested():
                # No values: a log goes where a plan does not.
                field, records = event.contested.field, event.contested.records
                self._log.warning("field.contested", field=field, records=records, message=CONTESTED)

    def _judged(self, event: Judged) -> None:
        tell = self._log.warning if event.verdict.tripped else self._log.debug
        tell("guard.tripped" if event.verdict.tripped else "guard.passed", **_verdict(event))

    def _read_ended(self, certificate: Certificate) -> None:
        tell = self._log.info if certificate.issued else self._log.warning
        tell("read.ended", certificate=str(certificate))


def tell_result(
    log: Logger, result: Result, *, took_s: float, resume_at: datetime | None = None, cures: Iterable[str] = ()
) -> None:
    """Log the end of a run with its counts, when one that is waiting goes on, and what a person may do."""
    counts = result.counts
    figures = {
        name: getattr(counts, name)
        for name in ("seen", "created", "updated", "deleted", "unchanged", "skipped", "rejected", "withheld")
    }
    if counts.deletes_withheld:
        figures["deletes_withheld"] = counts.deletes_withheld
    if counts.resting:
        figures["resting"] = counts.resting
    tell = {Ending.FAILED: log.error, Ending.DONE: log.info, Ending.INTERRUPTED: log.info}.get(
        result.ending, log.warning
    )
    more = {"error": result.error} if result.error else {}
    if resume_at is not None:
        more["resume_at"] = resume_at.isoformat(timespec="seconds")
    if cure := " ".join(cures):
        more["cure"] = cure
    tell("run.ended", ending=str(result.ending), took_s=round(took_s, 2), **figures, **more)


class Attempt(Protocol):
    """One HTTP attempt, as the library tells of it."""

    @property
    def kind(self) -> str:
        """How it ended: answer, retry, renewal, redirect, failure."""

    @property
    def method(self) -> str:
        """The HTTP method."""

    @property
    def url(self) -> str:
        """The address without its query."""

    @property
    def status(self) -> int | None:
        """The answer's status; None without an answer."""

    @property
    def attempt(self) -> int:
        """Counted from 1 within the call."""


def tell_attempt(log: Logger, connection: str, attempt: Attempt) -> None:
    """Tell a developer of one HTTP attempt: no query, header or body."""
    log.debug(
        "request.attempted",
        result=str(attempt.kind),
        connection=connection,
        method=attempt.method,
        url=attempt.url,
        status=attempt.status,
        attempt=attempt.attempt,
    )


def _verdict(event: Judged) -> dict[str, str]:
    return {"guard": event.verdict.guard, "message": event.verdict.message}
