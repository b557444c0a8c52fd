"""Every test is watched: whatever it logs, at any level, and whatever it prints is searched for canaries.

Every logger is at DEBUG. What would show a canary goes through the daemon's redaction, as it would in the daemon, and
must have lost it there; stdout and stderr must hold none at all. A test that shows one fails, whatever it proves.
"""

import logging
import traceback
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final, NoReturn

import pytest
import structlog

from daemon import logs
from daemon.redaction import KNOWN
from tests.canaries import seen_in

_LEAKS: Final[list[str]] = []
"""What the test that is under way has shown."""


class _Handler(logging.Handler):
    """Takes what the standard library's loggers are told."""

    def emit(self, record: logging.LogRecord) -> None:
        facts = {"event": record.getMessage(), "logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            facts["exception"] = "".join(traceback.format_exception(record.exc_info[1]))
        _judge(facts)


_HANDLER = _Handler()


def _taken(logger: Any, method: str, event: Any) -> NoReturn:
    """Take what our own log is told."""
    if error := event.pop("exc_info", None):
        event["exception"] = "".join(traceback.format_exception(error)) if isinstance(error, BaseException) else error
    _judge(event)
    raise structlog.DropEvent


def _judge(facts: dict[str, Any]) -> None:
    if seen_in(repr(facts)):  # seldom: everything else costs one search
        told = str(logs.redact(None, "debug", facts))
        _LEAKS.extend(f"the log, after redaction: {told}" for _ in seen_in(told)[:1])


def over_logs() -> None:
    """Take all that is logged from here on. For a test whose own set-up of the log nobody reads."""
    root = logging.getLogger()
    root.handlers[:] = [one for one in root.handlers if one is not _HANDLER and not _is_daemons(one)] + [_HANDLER]
    root.setLevel(logging.DEBUG)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _taken],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        cache_logger_on_first_use=False,
    )


def _is_daemons(handler: logging.Handler) -> bool:
    return isinstance(handler.formatter, structlog.stdlib.ProcessorFormatter)


def look(text: str | bytes, *, where: str) -> None:
    """Search what a process, or a capture that a test reads itself, has said."""
    _LEAKS.extend(f"{where}: {seen}" for seen in seen_in(text))


@pytest.fixture(autouse=True)
def _watched() -> Iterator[None]:
    """Begin each test with nothing known, nothing shown, and everything logged."""
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    _LEAKS.clear()
    KNOWN.forget()
    over_logs()
    yield
    root.handlers[:], root.level = handlers, level
    structlog.configure(**config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that has shown a canary, at its very end."""
    report = yield
    if call.when == "teardown" and report.passed:
        for title, text in report.sections:
            if not title.startswith("Captured log"):
                look(text, where=title)
        if _LEAKS:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} shows secrets:\n" + "\n".join(dict.fromkeys(_LEAKS))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """See also what tests take out of the capture for themselves."""
    read: Callable[[Any], Any] = pytest.CaptureFixture.readouterr

    def seen(self: Any) -> Any:
        captured = read(self)
        for text in captured:
            look(text, where="captured output")
        return captured

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytest.CaptureFixture, "readouterr", seen)
        return (yield)
