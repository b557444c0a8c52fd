"""Log events, not sentences: structlog to stderr, pretty on a terminal, JSON otherwise, secrets blotted out last.

INFO tells an operator the story of a run in under ten lines; DEBUG tells a developer; WARNING means somebody should
look this week, ERROR today.
"""

import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, Literal, Protocol, TextIO

import structlog

from .sync.certificate import Certificate
from .sync.change import Outcome
from .sync.events import (
    ChangesSettled,
    Event,
    FieldContested,
    Judged,
    PageDone,
    PhaseBegan,
    Pinned,
    ReadAgain,
    ReadEnded,
    ReadRestarted,
    ReadResumed,
    Resolved,
    TargetListed,
    TriedAgain,
)
from .sync.outcome import Ending, Result

Format = Literal["auto", "console", "json", "journald"]

_SECRET_NAME = re.compile(r"(?i)authorization|cookie|secret|password|passwd|token|api[_-]?key|credential")
_SECRET_TEXT = re.compile(
    r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"
    r"|\b(access_token|refresh_token|id_token|client_secret|client_assertion|password|code_verifier)=[^&\s\"']+"
)
_QUERY = re.compile(r"(?<=[\w/%.~-])\?([^\s\"'<>]+)")
_VALUE = re.compile(r"(=[^&;#]*)|^[^=&]*$")
_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
BLOT = "[redacted]"
CONTESTED = "does not converge: the target sets it back, so it is written no more; a plan of the job shows an example"


class Logger(Protocol):
    """What the program needs of a logger."""

    def debug(self, event: str, **facts: Any) -> Any:
        """Tell a developer."""

    def info(self, event: str, **facts: Any) -> Any:
        """Tell the operator the story."""

    def warning(self, event: str, **facts: Any) -> Any:
        """Somebody should look this week."""

    def error(self, event: str, **facts: Any) -> Any:
        """Somebody should look today."""


def configure(*, format: Format = "auto", level: str = "info", stream: TextIO | None = None) -> None:  # noqa: A002
    """Set up logging for this process; the standard library's loggers go through the same chain.

    `auto` is pretty on a terminal, JSON with journald priorities under systemd, plain JSON elsewhere.
    """
    out = stream or sys.stderr
    chosen = _chosen(format, out)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    render: list[Any] = [structlog.dev.ConsoleRenderer(colors=_coloured(out))]
    if chosen != "console":
        render = [structlog.processors.JSONRenderer(default=str)]
    if chosen == "journald":
        render.append(_with_priority)
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        # Line and line end in one write: the standard library's handler shares the stream, and has another lock.
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared[:-1],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING) if number > logging.DEBUG else logging.DEBUG)


def get_logger() -> Logger:
    """Return a logger; what is bound by `bound` goes with each event."""
    logger: Logger = structlog.get_logger()
    return logger


@contextmanager
def bound(**facts: Any) -> Iterator[None]:
    """Bind facts (job, run) to every event of this thread while the block lasts."""
    with structlog.contextvars.bound_contextvars(**facts):
        yield


def redact(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blot out what is secret by its name or looks secret in a text. The last processor before rendering."""
    del logger, method
    for name, value in event.items():
        if not isinstance(value, (int, float, bool, type(None))):
            event[name] = BLOT if _SECRET_NAME.search(name) else _legible(str(value))
    return event


def _legible(text: str) -> str:
    """Return a text without what looks like a credential, and with the names only of an address's query."""
    return _QUERY.sub(_names_only, _SECRET_TEXT.sub(BLOT, text))


def _names_only(query: re.Match[str]) -> str:
    return "?" + _VALUE.sub("=…", query[1])


class LogObserver:
    """Tells the log about a run, briefly."""

    def __init__(self, log: Logger) -> None:
        self._log = log

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


def _chosen(asked: Format, out: TextIO) -> str:
    if asked != "auto":
        return asked
    if out.isatty():
        return "console"
    return "journald" if _is_journal(out) else "json"


def _is_journal(out: TextIO) -> bool:
    """Say whether this stream is the journal's: JOURNAL_STREAM holds its device and inode (sd_journal(3))."""
    try:
        status = os.fstat(out.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _coloured(out: TextIO) -> bool:
    return out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _with_priority(logger: Any, method: str, line: str) -> str:
    """Prefix the line with its priority, which journald strips off (sd-daemon(3))."""
    del logger
    return f"<{_PRIORITIES.get(method, 6)}>{line}"
