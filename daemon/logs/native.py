"""Events as journald's own fields, so that `journalctl CRUDSD_JOB=people` finds them.

The protocol is systemd.io/JOURNAL_NATIVE_PROTOCOL: one datagram an event, a line for each field.
"""

import json
import re
import socket
import struct
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Final

from .library import structlog

SOCKET = "/run/systemd/journal/socket"
PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""Syslog's number of each level; journald's own for what is none of them is 6."""

_PATIENCE_S = 1.0
"""A journal that does not read must not hold up the work for longer."""
_LONGEST_NAME = 64  # journald drops a field with a longer one
_MADE_BY_JOURNALD: Final = {"timestamp", "level"}
_PLAIN = re.compile(r"[^\s\"=]+")


class Journal:
    """A processor that hands an event to journald, and lets it go on to the next one where that cannot be.

    So an event that is too large for a datagram, or meets no journal, is written to the stream and is not lost. Stands
    behind redaction. Threads may share it.
    """

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Raise DropEvent once the event is the journal's; else return it as it is."""
        del logger
        try:
            # A socket for each: journald may be another one by now, and so may this process, after a fork.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.settimeout(_PATIENCE_S)
                channel.sendto(datagram(method, event), SOCKET)
        except OSError:
            return event
        raise structlog.DropEvent


def datagram(method: str, event: Mapping[str, Any]) -> bytes:
    """Return an event as journald takes it: the fields of systemd.journal-fields(7), then CRUDSD_ and each fact."""
    fields = [
        ("MESSAGE", _message(event)),
        ("PRIORITY", str(PRIORITIES.get(method, 6))),
        ("SYSLOG_IDENTIFIER", "crudsd"),
        *((_name(name), _text(value)) for name, value in event.items() if name not in _MADE_BY_JOURNALD),
    ]
    return b"".join(_field(name, text) for name, text in fields)


def _message(event: Mapping[str, Any]) -> str:
    """Return what `journalctl` shows: the event and its facts on one line, then the traceback if there is one."""
    return "\n".join((" ".join(_told(event)), *_trace(event)))


def _told(event: Mapping[str, Any]) -> Iterator[str]:
    yield _printable(str(event["event"]))
    for name, value in event.items():
        if name not in {"event", "exception", "run", *_MADE_BY_JOURNALD}:
            text = _text(value)
            is_plain = _PLAIN.fullmatch(text) and text.isprintable()
            yield f"{_printable(name)}={text if is_plain else json.dumps(text, ensure_ascii=not text.isprintable())}"


def _trace(event: Mapping[str, Any]) -> Iterator[str]:
    if "exception" in event:
        yield from (_printable(line) for line in str(event["exception"]).splitlines())


def _printable(text: str) -> str:
    """Escape what would make journalctl show "blob data" instead of the message."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _name(name: str) -> str:
    return ("CRUDSD_" + re.sub("[^A-Z0-9_]", "_", name.upper()))[:_LONGEST_NAME]


def _text(value: Any) -> str:
    return (
        value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":"))
    )


def _field(name: str, text: str) -> bytes:
    """Return a field; one whose value has several lines in the form that gives its length (64 bits, little endian)."""
    value = text.encode("utf-8", "backslashreplace")
    if b"\n" not in value:
        return name.encode() + b"=" + value + b"\n"
    return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
