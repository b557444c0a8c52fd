"""The wire of the misbehaving server: requests become values here, and answers go wrong here."""

import contextlib
import io
import json
import os
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.misbehaving_faults import Cut, Fault, Listing
from tests.servers.loopback import LoopbackHandler, LoopbackServer


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that arrived, whatever became of it."""

    method: str
    path: str
    """Without the query."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in small letters."""
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Moment(StrEnum):
    """How far a request has come, as its server sees it."""

    ARRIVED = "arrived"
    """Nothing is done yet."""
    APPLIED = "applied"
    """Done, and not answered."""
    FIRST_BYTE = "first byte"
    """One byte of the answer is on its way."""
    ANSWERED = "answered"
    """All of it is."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An honest answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Api(Protocol):
    """What stands behind the wire."""

    clock_skew_s: float

    @property
    def is_watched(self) -> bool:
        """Whether anybody wants to be told how far requests have come."""

    def arrived(self, seen: Seen, target: str) -> Fault:
        """Write a request down; what is to go wrong with it."""

    def carry_out(self, seen: Seen, listing: Listing | None) -> Reply:
        """Do what it asks for."""

    def reached(self, moment: Moment, seen: Seen) -> None:
        """Be told how far a request has come; it goes no further before this returns."""


class LoopbackHttp(LoopbackServer):
    def __init__(self, api: Api) -> None:
        super().__init__(_Handler)
        self.api = api


class _Handler(LoopbackHandler):
    server: LoopbackHttp

    def respond(self) -> None:
        api = self.server.api
        seen = self._seen()
        fault = api.arrived(seen, self.path)
        api.reached(Moment.ARRIVED, seen)
        self.server.stopping.wait(fault.delay_s)
        honest = api.carry_out(seen, fault.listing) if fault.applied else Reply(200)
        api.reached(Moment.APPLIED, seen)
        self.server.stopping.wait(fault.late_s)
        if fault.reset:
            self._reset()
        elif fault.close:
            self.close_connection = True
        else:
            self._send(self._spoiled(honest, fault), fault, seen)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = respond  # noqa: N815

    def date_time_string(self, timestamp: float | None = None) -> str:
        skew = self.server.api.clock_skew_s
        return formatdate((time.time() if timestamp is None else timestamp) + skew, usegmt=True)

    def _seen(self) -> Seen:
        parts = urlsplit(self.path)
        return Seen(
            self.command,
            parts.path,
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            b"".join(self.pieces_of_body()),
        )

    def _spoiled(self, honest: Reply, fault: Fault) -> Reply:
        if fault.status is None:
            changed = {name.lower() for name in fault.headers}
            kept = {name: value for name, value in honest.headers.items() if name.lower() not in changed}
            return Reply(honest.status, honest.body, {**kept, **fault.headers})
        return Reply(fault.status, fault.body or b"", {"Content-Type": "application/json", **fault.headers})

    def _send(self, reply: Reply, fault: Fault, seen: Seen) -> None:
        has_body = self.command != "HEAD" and reply.status not in {204, 304}
        body = reply.body if has_body else b""
        sent = body[: len(body) // 2] if fault.cut else body
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if fault.cut is Cut.CHUNKED:
            self.send_header("Transfer-Encoding", "chunked")
            sent = b"%x\r\n%b\r\n" % (len(sent), sent)
        elif fault.cut is Cut.NO_LENGTH:
            self.send_header("Connection", "close")
        elif reply.status != 204:
            length = len(sent) if fault.cut is Cut.WRONG_LENGTH else len(body if has_body else reply.body)
            self.send_header("Content-Length", str(length))
        self._end_headers(seen)
        self._write(sent, fault)
        self.wfile.flush()
        self.server.api.reached(Moment.ANSWERED, seen)
        if fault.cut not in {None, Cut.WRONG_LENGTH}:
            self.close_connection = True

    def _end_headers(self, seen: Seen) -> None:
        """Send the head of the answer, its first byte alone if somebody watches for it."""
        wire, self.wfile = self.wfile, io.BytesIO()
        self.end_headers()
        head, self.wfile = self.wfile.getvalue(), wire
        self.wfile.write(head[:1])
        if self.server.api.is_watched:
            self.wfile.flush()
            self.server.api.reached(Moment.FIRST_BYTE, seen)
        self.wfile.write(head[1:])

    def _write(self, body: bytes, fault: Fault) -> None:
        size = fault.drip_bytes or max(len(body), 1)
        for start in range(0, len(body), size):
            self.wfile.write(body[start : start + size])
            if fault.drip_bytes:
                self.wfile.flush()
                if self.server.stopping.wait(fault.drip_pause_s):
                    self.close_connection = True
                    return

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Not `close()`: reader and writer hold the descriptor open, and a shutdown would say good-bye politely first.
        with contextlib.suppress(OSError):
            os.close(self.connection.detach())
