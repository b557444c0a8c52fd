"""The chain that every event goes through, ours and other libraries' alike; what is secret is taken out last."""

import contextlib
import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal, TextIO

from daemon.redaction import redact_text
from daemon.redaction.redact import redact_named

from .library import structlog
from .native import PRIORITIES, Journal

Format = Literal["auto", "text", "json", "journald"]

_OURS: Final = {"level", "timestamp"}
"""Made by the chain itself."""


def configure(*, format: Format = "auto", level: str = "info", stream: TextIO | None = None) -> None:  # noqa: A002
    """Set up logging for this process; the standard library's loggers go through the same chain.

    `auto` is text on a terminal and JSON elsewhere. JSON has journald's priorities where the stream is the journal's.
    `journald` hands events to the journal as fields, and writes JSON to the stream where it does not take one.
    """
    out = stream or sys.stderr
    chosen = format
    if chosen == "auto":
        chosen = "text" if out.isatty() else "json"
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    # Plain tracebacks: the pretty ones show the values of local variables.
    pretty = structlog.dev.ConsoleRenderer(colors=_coloured(out), exception_formatter=structlog.dev.plain_traceback)
    render: list[Any] = [pretty]
    if chosen != "text":
        render = [structlog.processors.JSONRenderer(default=str)]
        if _is_journal(out):
            render.append(_with_priority)
    if chosen == "journald":
        render.insert(0, Journal())
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        # Line and line end in one write: the standard library's handler shares the stream, and has another lock.
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared[:-1],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING) if number > logging.DEBUG else logging.DEBUG)
    logging.captureWarnings(False)  # a test, or whoever called us, may have put the way of before back
    logging.captureWarnings(True)


def redact(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out what is secret, wherever it stands. The last processor before rendering; it never raises."""
    del logger, method
    told: dict[str, Any] = {
        name if name in _OURS else redact_text(str(name)): value if name in _OURS else redact_named(str(name), value)
        for name, value in event.items()
    }
    told["event"] = str(told.get("event", ""))
    return told


class _Handler(logging.StreamHandler[TextIO]):
    """Of the standard library's loggers."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write an event to the stream, unless the journal took it."""
        with contextlib.suppress(structlog.DropEvent):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Say that an event was lost. The library would print its text and arguments to stderr, as they are."""
        try:
            kind = getattr(sys.exception(), "__class__", Exception).__name__
            structlog.get_logger().error("log.lost", logger=record.name, reason=kind)
        except Exception:  # noqa: BLE001, S110 - there is nobody left to tell
            pass


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
    return f"<{PRIORITIES.get(method, 6)}>{line}"
