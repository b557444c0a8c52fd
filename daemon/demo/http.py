"""A small HTTP/1.1 JSON server on loopback: requests become values, values become answers, and all are counted."""

import contextlib
import json
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Self, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from daemon.values import Json

WRITING_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})

NO_ANSWER = 0
"""The status that a journal notes for a request that was carried out and never answered."""


class BadRequestError(Exception):
    """The request cannot be understood; its text goes back to the client with status 400."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, whole."""

    method: str
    path: str
    """Without the query, still percent-encoded."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in small letters."""
    body: bytes

    def document(self) -> dict[str, Json]:
        """Return the body's JSON object. Raises BadRequestError for anything else."""
        try:
            document = json.loads(self.body)
        except ValueError as error:
            raise BadRequestError("the body is not JSON") from error
        if not isinstance(document, dict):
            raise BadRequestError("the body is not a JSON object")
        return document

    def number(self, name: str, default: int) -> int:
        """Return a query value that is a number from 1, or the default without it. Raises BadRequestError."""
        text = self.query.get(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
            raise BadRequestError(f"{name} is a number from 1")
        return int(text)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    body: Json = None
    """None: an answer without a body."""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_lost: bool = False
    """The request was carried out, and the connection breaks before the answer."""


Answer: TypeAlias = Callable[[Request], Reply]
"""What stands behind a server. Called from many threads at once."""


class Journal:
    """Counts the requests that arrived. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, int]] = Counter()

    def note(self, method: str, status: int) -> None:
        """Count one request with what was answered; NO_ANSWER for none."""
        with self._lock:
            self._counts[method, status] += 1

    def count(self, *, method: str | None = None, status: int | None = None) -> int:
        """Return how many requests had this method and this status, each None standing for any."""
        with self._lock:
            return sum(
                number
                for (had_method, had_status), number in self._counts.items()
                if method in {None, had_method} and status in {None, had_status}
            )

    @property
    def writes(self) -> int:
        """Writing requests that arrived, whatever became of them."""
        return sum(self.count(method=method) for method in WRITING_METHODS)


class Server(ThreadingHTTPServer):
    """Serves on 127.0.0.1 within a `with` block, whose end closes every open connection."""

    daemon_threads = False
    """So that closing waits for the handlers, and no thread outlives its server."""
    request_queue_size = 128

    def __init__(self, answer: Answer, *, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answer = answer
        self.journal = Journal()
        self.port: int = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, name=f"demo-{self.port}", daemon=True
        )

    def server_bind(self) -> None:
        """Bind without asking the resolver for this machine's name, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def opened(self, connection: socket.socket) -> None:
        """Remember a connection, to end it when the server closes."""
        with self._open_lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        """Forget it."""
        with self._open_lock:
            self._open.discard(connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """Show an error of ours; a client that went away is its own business."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # typeshed's private alias

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        with self._open_lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Keep-alive, silent, and one write for each answer.

    Without the buffer the head and the body are two writes, and Nagle's algorithm makes the second one wait 40 ms.
    """

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "crudsd-demo"
    sys_version = ""
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 120

    def setup(self) -> None:
        """Take note of a connection that opens."""
        self.server.opened(self.request)
        super().setup()

    def finish(self) -> None:
        """Take note of its end."""
        try:
            super().finish()
        finally:
            self.server.closed(self.request)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the framework's name
        """Say nothing: the journal is the log."""

    def respond(self) -> None:
        """Answer one request."""
        try:
            reply = self.server.answer(self._request())
        except BadRequestError as error:
            reply = Reply(400, {"error": str(error)})
        self.server.journal.note(self.command, NO_ANSWER if reply.is_lost else reply.status)
        if reply.is_lost:
            self.close_connection = True
        else:
            self._send(reply)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond  # noqa: N815 - the framework's names

    def _request(self) -> Request:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            self.close_connection = True  # where this request ends is not known, so neither is where the next begins
            raise BadRequestError("a body needs a Content-Length")
        parts = urlsplit(self.path)
        return Request(
            method=self.command,
            path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(length)),
        )

    def _send(self, reply: Reply) -> None:
        body = b"" if reply.body is None else json.dumps(reply.body, ensure_ascii=False).encode()
        self.send_response(reply.status)
        if body:
            self.send_header("Content-Type", "application/json; charset=utf-8")
        if reply.status != 204:
            self.send_header("Content-Length", str(len(body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
