"""Where a browser comes back to after a login: a tiny HTTP server on this machine's loopback (RFC 8252 section 7.3).

It hears some connections at a time, since browsers open some that they never use, and answers one request at a time.
What it reads of each is bounded in bytes and in seconds. It keeps no thread: whoever waits for the answer drives it.
"""

import contextlib
import re
import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, urlsplit

from daemon.endpoints.login import LoginError

from .login_page import Page

LOOPBACK = "127.0.0.1"
_NAMES = frozenset({LOOPBACK, "localhost"})
_MOST_BYTES = 16_384
"""Of one request, line and headers: what browsers send with the longest codes that are known, twice over."""
_MOST_CONNECTIONS = 32
_PATIENCE_S = 10.0
"""How long one connection may take for its request."""
_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) (/[!-~]*) HTTP/1\.[01]")


@dataclass(frozen=True, slots=True)
class Arrived:
    """A person's answer: the address they came back to. It holds a code, so it is neither printed nor logged."""

    address: str = field(repr=False)
    reply: Callable[[Page], None] = field(repr=False)
    """Shows them how it ended. Does nothing where there is no browser that waits."""
    by_hand: bool = False
    """Whether the person pasted it."""


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    ends_at: float
    got: bytes = field(default=b"", repr=False)
    is_answered: bool = False


def can_listen(redirect_uri: str) -> bool:
    """Whether a browser that is sent there comes back to this machine, over http, with nothing but the answer."""
    parts = urlsplit(redirect_uri)
    return parts.scheme == "http" and parts.hostname in _NAMES and not (parts.query or parts.username or parts.fragment)


def with_port(redirect_uri: str) -> str:
    """Return an address for which `can_listen` holds with a port: its own, or a free one where it has none, or 0."""
    with LoginListener(redirect_uri) as listener:
        return listener.redirect_uri


class LoginListener:
    """Listens on 127.0.0.1 from its making until it is closed. Belongs to one thread.

    `redirect_uri` is one for which `can_listen` holds; without a port, or with port 0, a free one is taken. Raises
    LoginError when its port is taken.
    """

    def __init__(self, redirect_uri: str) -> None:
        parts = urlsplit(redirect_uri)
        self._listening = socket.socket()
        try:
            self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listening.bind((LOOPBACK, parts.port or 0))
            self._listening.listen()
        except OSError as error:
            self._listening.close()
            raise LoginError(
                f"{LOOPBACK}:{parts.port} cannot be listened on: {error.strerror}. End what uses that port (another "
                "login?), or log in with --paste"
            ) from error
        self._listening.setblocking(False)
        port = self._listening.getsockname()[1]
        self.redirect_uri = redirect_uri if parts.port else _with_port(parts, port)
        """With the port that is listened on."""
        self._authority = f"{parts.hostname}:{port}"
        self._path = parts.path or "/"
        self._connections: dict[int, _Connection] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for one in self._connections.values():
            one.socket.close()
        self._connections.clear()
        self._listening.close()

    def watch(self, selector: selectors.BaseSelector) -> None:
        """Have a selector watch everything that is listened to now; anew before each wait."""
        for one in list(self._connections.values()):
            if one.ends_at <= monotonic():
                self._drop(one)
        selector.register(self._listening, selectors.EVENT_READ, self._accept)
        for one in self._connections.values():
            selector.register(one.socket, selectors.EVENT_READ, lambda one=one: self._hear(one))

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # gone again before it was its turn
            new, _ = self._listening.accept()
            new.setblocking(False)
            if len(self._connections) == _MOST_CONNECTIONS:
                self._drop(next(iter(self._connections.values())))  # the oldest has had its time
            self._connections[new.fileno()] = _Connection(new, monotonic() + _PATIENCE_S)

    def _hear(self, one: _Connection) -> Arrived | None:
        """Read what came; return the answer of a login, once it is whole."""
        try:
            piece = one.socket.recv(_MOST_BYTES)
        except OSError:
            piece = b""
        if not piece:
            self._drop(one)
            return None
        if one.is_answered:  # read on until the browser closes, or it would not get to see the answer
            return None
        one.got += piece
        head, is_whole, _ = one.got.partition(b"\r\n\r\n")
        if len(head) > _MOST_BYTES:
            self._answer(one, Page.TOO_LONG)
        elif is_whole:
            found = judged(head, self._authority, self._path)
            if not isinstance(found, Page):
                return Arrived(f"http://{self._authority}{found}", partial(self._answer, one))
            self._answer(one, found)
        return None

    def _answer(self, one: _Connection, page: Page) -> None:
        one.is_answered = True
        one.ends_at = monotonic() + _PATIENCE_S
        with contextlib.suppress(OSError):  # the browser has gone; the terminal tells the same
            one.socket.settimeout(_PATIENCE_S)
            one.socket.sendall(page.response())
            one.socket.shutdown(socket.SHUT_WR)
            one.socket.setblocking(False)

    def _drop(self, one: _Connection) -> None:
        self._connections.pop(one.socket.fileno(), None)
        one.socket.close()


def _with_port(parts: SplitResult, port: int) -> str:
    return parts._replace(netloc=f"{parts.hostname}:{port}").geturl()


def judged(head: bytes, authority: str, path: str) -> Page | str:
    """Return the target of a request that may end a login, path and query, or the page that tells why it does not.

    `head` is the request line with all headers. Only GET for this path, under this very Host: else any web page could
    come in under a name of its own.
    """
    first, *lines = head.split(b"\r\n")
    request = _REQUEST_LINE.fullmatch(first)
    if request is None:
        return Page.NO_REQUEST
    named = [value.strip() for name, _, value in (line.partition(b":") for line in lines) if name.lower() == b"host"]
    if named != [authority.encode("ascii")]:
        return Page.FOREIGN
    target = request[2].decode("ascii")
    asked, _, query = target.partition("?")
    if asked != path:
        return Page.NOTHING_HERE
    if request[1] != b"GET":
        return Page.NOT_GET
    return target if query else Page.OTHER
