"""Connections that keep a deadline and know whether the request left the house.

A socket timeout is per operation, so a server that drips one byte a second holds a thread for ever, in the
status line, in a header, in a chunk size or in the body. These connections ask before every `recv` how much of
the attempt is left. They also note the moment the first byte of a request is handed to the kernel: before it, a
failure is harmless; after it, nobody knows.

The attempt is handed over beside urllib3's pools, as a value of the thread that makes it: one attempt runs on one
thread from its first byte to its last.
"""

from __future__ import annotations

import http.client
import io
import queue
import re
import select
import socket
import threading
from email.parser import Parser
from http.client import HTTPException, HTTPMessage, HTTPResponse, IncompleteRead, LineTooLong
from time import monotonic
from types import FunctionType
from typing import IO, Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_SMALL = 16_384
"""Up to this many bytes, a copy costs less than a packet of its own."""


class Attempt:
    """What is known about one attempt while it runs. Belongs to one thread."""

    __slots__ = ("ends_at", "pause", "sent", "watched")

    def __init__(self, ends_at: float, pause: float | None) -> None:
        self.ends_at = ends_at
        """The monotonic instant at which the attempt must be over; infinity for no limit."""
        self.pause = pause
        """The longest silence between two bytes, in seconds; None for no limit of its own."""
        self.sent = False
        """Whether bytes of the request may have left."""
        self.watched = False
        """Whether a connection of ours carried it; otherwise `sent` says nothing."""

    def patience(self) -> float | None:
        """Return how long the next socket operation may take; None for no limit. Raises TimeoutError at the end."""
        left = self.ends_at - monotonic()
        if left <= 0:
            raise TimeoutError("the deadline of the call has passed")
        if left == float("inf"):
            return self.pause
        return left if self.pause is None else min(left, self.pause)


class _Thread(threading.local):
    attempt: Attempt | None = None


_thread = _Thread()


class attempting:  # noqa: N801  reads as the block it opens; a generator would cost a microsecond each time
    """Let connections of this thread see `attempt` for the length of the block."""

    __slots__ = ("_attempt", "_before")

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def __enter__(self) -> Attempt:
        self._before, _thread.attempt = _thread.attempt, self._attempt
        return self._attempt

    def __exit__(self, *_: object) -> None:
        _thread.attempt = self._before


class _PatientReader(io.RawIOBase):
    """Reads a socket, asking before each `recv` how long it may take. `begun` came from it before."""

    def __init__(self, sock: socket.socket, begun: bytes) -> None:
        self._sock, self._begun = sock, begun
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._begun:
            part, self._begun = self._begun[: len(buffer)], self._begun[len(buffer) :]
            buffer[: len(part)] = part
            return len(part)
        if _thread.attempt is not None:
            self._sock.settimeout(_thread.attempt.patience())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _Reader(io.BufferedReader):
    """Buffers, and takes a head that breaks off for what it is: http.client would read it as a complete one."""

    is_reading_head = False

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if self.is_reading_head and not line.endswith(b"\n") and (size is None or size < 0 or len(line) < size):
            raise IncompleteRead(line)
        return line


class _PatientSocket:
    """The one thing http.client's response wants of a socket: a file to read from."""

    def __init__(self, sock: socket.socket, begun: bytes) -> None:
        self._sock, self._begun = sock, begun

    def makefile(self, *_: Any) -> _Reader:
        return _Reader(_PatientReader(self._sock, self._begun))


_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\r?\n")
_LONGEST_LINE, _MOST_FIELDS = 65_536, 100
"""The limits of http.client."""


def read_fields(stream: IO[bytes]) -> HTTPMessage:
    """Read header fields as `http.client.parse_headers` does, at a third of its cost.

    It hands every head to the parser for e-mail. Here only a head that is not plain goes there: folded lines, lines
    without a colon, blanks before it.
    """
    lines: list[bytes] = []
    while (line := stream.readline(_LONGEST_LINE + 1)) not in {b"\r\n", b"\n", b""}:
        if len(line) > _LONGEST_LINE:
            raise LineTooLong("header line")
        lines.append(line)
        if len(lines) > _MOST_FIELDS:
            raise HTTPException(f"got more than {_MOST_FIELDS} headers")
    fields = [match.groups() for line in lines if (match := _FIELD.fullmatch(line)) is not None]
    if len(fields) < len(lines):
        return Parser(_class=HTTPMessage).parsestr(b"".join(lines).decode("latin-1"))
    message = HTTPMessage()
    for name, value in fields:
        message[name.decode("ascii")] = value.decode("latin-1")
    return message


# The standard library's own code, which finds our reader where it looks for its own. Should it look elsewhere one
# day, it uses its own again, and is right and slower.
_begin = FunctionType(HTTPResponse.begin.__code__, {**vars(http.client), "parse_headers": read_fields}, "begin")


class PatientResponse(HTTPResponse):
    """An answer as http.client reads it, in time; of which `begun` was read before."""

    def __init__(self, sock: socket.socket, *args: Any, begun: bytes = b"", **options: Any) -> None:
        super().__init__(_PatientSocket(sock, begun), *args, **options)  # type: ignore[arg-type]  # it only calls makefile

    def begin(self) -> None:
        """Read the head."""
        reader = self.fp
        if isinstance(reader, _Reader):
            reader.is_reading_head = True
            _begin(self)
            reader.is_reading_head = False


class _Noting:
    """Mixed into a connection: marks the attempt as sent when the request itself, not a CONNECT, goes out."""

    _is_connecting = False
    _held: bytes | None = None
    """The head of a request whose body is to leave with it, in one packet where it fits; empty before it is written."""
    _watched: tuple[Any, select.poll] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the other side has neither closed it nor said anything unasked. Asked before each use."""
        sock = getattr(self, "sock", None)
        if sock is None:
            return False
        if self._watched is None or self._watched[0] is not sock:
            self._watched = (sock, select.poll())
            self._watched[1].register(sock, select.POLLIN)
        return not self._watched[1].poll(0)

    def connect(self) -> None:
        self._is_connecting = True
        try:
            super().connect()  # type: ignore[misc]  # the connection class comes after this one
        finally:
            self._is_connecting = False

    def request(self, *args: Any, **options: Any) -> None:
        if _thread.attempt is not None:
            _thread.attempt.watched = True
        body = options.get("body")
        self._held = b"" if isinstance(body, bytes) and 0 < len(body) <= _SMALL else None
        super().request(*args, **options)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        attempt = _thread.attempt
        if getattr(self, "sock", None) is None:
            self.connect()
        if self._held is not None and not self._is_connecting:
            if not self._held:
                self._held = data
                return
            data, self._held = self._held + data, None
        if attempt is not None and not self._is_connecting:
            attempt.sent = True
        super().send(data)  # type: ignore[misc]


class _PlainConnection(_Noting, HTTPConnection):
    response_class = PatientResponse


class _TLSConnection(_Noting, HTTPSConnection):
    response_class = PatientResponse

    def connect(self) -> None:
        # The handshake comes before `request`, and a failure in it must be known to be ours.
        if _thread.attempt is not None:
            _thread.attempt.watched = True
        super().connect()


class _Stack:
    """What pools keep connections in, the last one on top: as `queue.LifoQueue`, but nobody ever waits for it."""

    def __init__(self, maxsize: int) -> None:
        self._items: list[Any] = []
        self._most = maxsize

    def put(self, item: Any, block: bool = True) -> None:  # noqa: FBT001, ARG002  the queue's own
        if len(self._items) >= self._most:
            raise queue.Full
        self._items.append(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT001, ARG002
        try:
            return self._items.pop()
        except IndexError:
            raise queue.Empty from None

    def qsize(self) -> int:
        return len(self._items)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection
    QueueCls = _Stack  # type: ignore[assignment]  # it is used for nothing else


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection
    QueueCls = _Stack  # type: ignore[assignment]  # it is used for nothing else


POOLS: dict[str, type[HTTPConnectionPool]] = {"http": _PlainPool, "https": _TLSPool}
"""What a urllib3 PoolManager needs as `pool_classes_by_scheme` to use these connections."""
