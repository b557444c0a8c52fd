"""A loopback HTTP server that does what a script says, good or bad, and keeps a journal of what it was asked.

Replies are used up in order, whichever connection asks; `server.route(path, *replies)` gives a path a script of its
own whose last reply repeats. A request beyond the script is answered with 599, which no client takes for success.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

DRIP_S = 0.01


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    connection: int
    """Counted from 1: requests with the same number came over one connection."""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=bool(self.body)))


@dataclass(frozen=True)
class Reply:
    """One answer, and how it goes wrong."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang: bool = False
    """Say nothing until the server is closed."""
    close: bool = False
    """Close the connection instead of answering."""
    reset: bool = False
    """Reset the connection instead of answering."""
    cut: int | None = None
    """Send only so many bytes of the body, then close; the headers promise all of it."""
    drip: bool = False
    """Send the answer byte by byte, one every `DRIP_S`."""
    chunked: bool = False
    raw: bytes | None = None
    """Send exactly this and close."""
    before: Callable[[], None] | None = None
    """Called before the answer is sent."""


def json_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer in JSON."""
    return Reply(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(value).encode())


class ScriptedServer:
    """One server on a free loopback port."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.journal: list[Seen] = []
        self._replies: list[Reply] = []
        self._routes: dict[str, list[Reply]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._context = context
        self._connections = 0
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self._start(self._accept)

    def script(self, *replies: Reply) -> None:
        """Add answers for whatever is asked next."""
        with self._lock:
            self._replies.extend(replies)

    def route(self, path: str, *replies: Reply) -> None:
        """Give one path its own answers; the last one repeats."""
        with self._lock:
            self._routes[path] = list(replies)

    def refuse(self) -> None:
        """Take no more connections; those that are open go on."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def close(self) -> None:
        """Stop, and wait for every thread."""
        self._closing.set()
        self.refuse()
        with self._lock:
            still_open = list(self._open)
        for connection in still_open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=5)

    def _start(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections += 1
            self._start(self._serve, connection, self._connections)

    def _serve(self, plain: socket.socket, number: int) -> None:
        connection = plain
        with suppress(OSError, ValueError):
            try:
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._context is not None:
                    connection = self._context.wrap_socket(plain, server_side=True)
                with self._lock:
                    self._open.add(connection)
                with connection.makefile("rb") as stream:
                    while (seen := _request(stream, number)) is not None:
                        if not self._answer(connection, seen):
                            break
            finally:
                with self._lock:
                    self._open.discard(connection)
                connection.close()

    def _next(self, seen: Seen) -> Reply:
        with self._lock:
            self.journal.append(seen)
            own = self._routes.get(seen.path)
            if own:
                return own.pop(0) if len(own) > 1 else own[0]
            return self._replies.pop(0) if self._replies else Reply(599, {}, b"beyond the script")

    def _answer(self, connection: socket.socket, seen: Seen) -> bool:
        """Send a reply; False when the connection is over."""
        reply = self._next(seen)
        if reply.before is not None:
            reply.before()
        if reply.hang:
            self._closing.wait()
        if reply.hang or reply.close:
            return False
        if reply.reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if reply.raw is not None:
            connection.sendall(reply.raw)
            return False
        self._send(connection, _message(reply, is_head=seen.method == "HEAD"), drip=reply.drip)
        return reply.cut is None

    def _send(self, connection: socket.socket, message: bytes, *, drip: bool) -> None:
        if not drip:
            connection.sendall(message)
            return
        for byte in message:
            if self._closing.wait(DRIP_S):
                return
            connection.sendall(bytes([byte]))


def _request(stream: Any, number: int) -> Seen | None:
    line = stream.readline().decode("latin-1").split()
    if len(line) != 3:
        return None
    headers: dict[str, str] = {}
    while (text := stream.readline().decode("latin-1").strip()) != "":
        name, _, value = text.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", "0")))
    return Seen(line[0], line[1], headers, body, number)


def _message(reply: Reply, *, is_head: bool) -> bytes:
    has_body = not is_head and reply.status not in {204, 304} and reply.status >= 200
    headers = dict(reply.headers)
    body = reply.body if reply.cut is None else reply.body[: reply.cut]
    if reply.chunked:
        headers["Transfer-Encoding"] = "chunked"
        parts = [body[at : at + 7] for at in range(0, len(body), 7)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
        body += b"" if reply.cut is not None else b"0\r\n\r\n"
    elif has_body:
        headers["Content-Length"] = str(len(reply.body))
    head = f"HTTP/1.1 {reply.status} Scripted\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return head.encode("latin-1") + b"\r\n" + (body if has_body else b"")


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """Run a server for the length of the block."""
    server = ScriptedServer(context)
    try:
        yield server
    finally:
        server.close()
