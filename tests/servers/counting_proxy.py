"""A reverse proxy of ours in front of a real server. It counts: "the second run wrote nothing" is read here.

It changes nothing that passes, the Host header included, so a server that builds absolute addresses from it
leads its clients back to the proxy. An optional gatekeeper may refuse a request or put in other credentials.
"""

import http.client
import select
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.servers.loopback import LoopbackHandler, LoopbackServer

HOP_BY_HOP = frozenset({"connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "expect"})
READING = frozenset({"GET", "HEAD", "OPTIONS"})
UPSTREAM_S = 60.0


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that came through, with the status its sender got."""

    method: str
    path: str
    """As it stood in the request line, with its query."""
    status: int


class Journal:
    """What passed, in the order of the answers. A request is in it before its sender sees the answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Passed] = []

    def add(self, passed: Passed) -> None:
        """Write one down."""
        with self._lock:
            self._entries.append(passed)

    @property
    def entries(self) -> tuple[Passed, ...]:
        """Everything since the start, or since `forget()`."""
        with self._lock:
            return tuple(self._entries)

    def writes(self) -> list[Passed]:
        """All that is not GET, HEAD or OPTIONS."""
        return [entry for entry in self.entries if entry.method not in READING]

    def by_method(self) -> Counter[str]:
        """How many requests of each method."""
        return Counter(entry.method for entry in self.entries)

    def by_status(self) -> Counter[int]:
        """How many answers of each status."""
        return Counter(entry.status for entry in self.entries)

    def count(self, method: str, path_part: str = "") -> int:
        """How many requests of this method whose path holds this text."""
        return sum(entry.method == method and path_part in entry.path for entry in self.entries)

    def forget(self) -> None:
        """Start again with an empty journal."""
        with self._lock:
            self._entries.clear()


@dataclass(frozen=True, slots=True)
class Admitted:
    """The request may pass, with these credentials instead of its own; None takes them away."""

    authorization: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """The request ends here."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


Gatekeeper: TypeAlias = Callable[[str | None], Admitted | Refused]
"""Decides by the value of the Authorization header."""


class CountingProxy(LoopbackServer):
    """The proxy, in front of `127.0.0.1:upstream_port`; `port=0` takes a free port."""

    def __init__(self, upstream_port: int, *, gatekeeper: Gatekeeper | None = None, port: int = 0) -> None:
        super().__init__(_Handler, port)
        self.upstream_port = upstream_port
        self.gatekeeper = gatekeeper
        self.journal = Journal()


class _Handler(LoopbackHandler):
    server: CountingProxy

    def setup(self) -> None:
        super().setup()
        self.upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream_port, timeout=UPSTREAM_S)

    def finish(self) -> None:
        self.upstream.close()
        super().finish()

    def forward(self) -> None:
        admitted = self.server.gatekeeper(self.headers["Authorization"]) if self.server.gatekeeper else None
        if isinstance(admitted, Refused):
            self._answer_ourselves(admitted)
            return
        try:
            response = self._ask_upstream(admitted)
        except (OSError, http.client.HTTPException) as error:
            self.upstream.close()
            self.close_connection = True  # how much of the request's body was read is anybody's guess
            self._answer_ourselves(Refused(502, body=f"{type(error).__name__}: {error}".encode()))
            return
        self._note(response.status)
        self._pass_on(response)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = forward  # noqa: N815

    def _ask_upstream(self, admitted: Admitted | None) -> http.client.HTTPResponse:
        connection = self.upstream
        if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
            connection.close()  # the server ended it while it was idle; http.client opens another one
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in HOP_BY_HOP and not (admitted and name.lower() == "authorization"):
                connection.putheader(name, value)
        if admitted and admitted.authorization is not None:
            connection.putheader("Authorization", admitted.authorization)
        has_body = "Content-Length" in self.headers or "Transfer-Encoding" in self.headers
        connection.endheaders(
            self.pieces_of_body() if has_body else None, encode_chunked="Transfer-Encoding" in self.headers
        )
        return connection.getresponse()

    def _pass_on(self, response: http.client.HTTPResponse) -> None:
        length = response.headers["Content-Length"]
        has_body = self.command != "HEAD" and response.status not in {204, 304}
        chunked = has_body and length is None
        self.send_response_only(response.status, response.reason)
        for name, value in response.headers.items():
            if name.lower() not in HOP_BY_HOP | {"transfer-encoding"}:
                self.send_header(name, value)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if not has_body:
            response.read()
            return
        try:
            passed = self._pass_on_body(response, chunked=chunked)
        except (OSError, http.client.HTTPException):
            self.upstream.close()
            self.close_connection = True  # the server's answer was cut; so is ours
            return
        # read1() of a body whose length is known stops at its end without finishing the response, and http.client
        # then refuses the next request on this connection.
        response.close()
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
        elif passed < int(length):
            self.close_connection = True

    def _pass_on_body(self, response: http.client.HTTPResponse, *, chunked: bool) -> int:
        passed = 0
        while piece := response.read1(65536):
            passed += len(piece)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            self.wfile.flush()
        return passed

    def _answer_ourselves(self, answer: Refused) -> None:
        if not self.close_connection:
            for _ in self.pieces_of_body():
                pass
        self._note(answer.status)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _note(self, status: int) -> None:
        self.server.journal.add(Passed(self.command, self.path, status))
