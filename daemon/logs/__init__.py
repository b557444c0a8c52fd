"""Log events, not sentences: structlog to stderr, or to the journal as fields, secrets blotted out before.

INFO tells an operator the story of a run in under ten lines; DEBUG tells a developer; WARNING means somebody should
look this week, ERROR today.
"""

from daemon.redaction import BLOT

from .chain import Format, configure, redact
from .logger import Logger, bound, get_logger, get_settled_logger
from .story import CONTESTED, Attempt, LogObserver, tell_attempt, tell_result

__all__ = [
    "BLOT",
    "CONTESTED",
    "Attempt",
    "Format",
    "LogObserver",
    "Logger",
    "bound",
    "configure",
    "get_logger",
    "get_settled_logger",
    "redact",
    "tell_attempt",
    "tell_result",
]
