"""A request on a connection that is open: written in one piece, and its answer read in as few.

urllib3 opens connections, with all that TLS and proxies ask for, keeps them, and makes the first request on each. For
those that follow little of it is needed, and it is 20 times as dear as the exchange itself. What is plain is done here:
a body that is there whole; an answer whose length stands in its head or that is short and in chunks, as it is or in
gzip. An answer that is anything else is handed over to urllib3 as it began, and a request that is anything else never
comes here.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from http.client import IncompleteRead
from typing import TYPE_CHECKING, Any, NamedTuple

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPHeaderDict, HTTPResponse

from .address import bare
from .exception import AnswerLostError, BodyError, ResponseTooLargeError
from .framing import OddError, unchunked
from .inflate import inflate, longest
from .wire import Attempt, PatientResponse

if TYPE_CHECKING:
    from .exchange import Call

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_WITHOUT_BODY = frozenset({"GET", "DELETE"})
"""Of those, the ones that say nothing of a length when they have no body."""
_TARGET = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-F]{2})*")
"""What is sent as it is; urllib3 changes anything else."""
_OURS = frozenset({"accept-encoding", "user-agent"})
"""Without them, others would be made up."""
_ODD = frozenset({"host", "content-length", "transfer-encoding", "expect", "connection", "upgrade", "te", "trailer"})
"""Headers by which a request is not plain."""
_HEAD = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n"
)
_FOLD = re.compile(r"[ \t]*\r\n[ \t]+")
_END = re.compile(rb"\n\r?\n")
_LONGEST_HEAD, _MOST_FIELDS = 65_536, 100
_CHUNK = 65_536
_LARGE_CHUNK = 1_048_576
UNREADABLE = "the content encoding of the answer does not decode"
_SHORT = 65_536
_EMPTY = frozenset({204, 304})
"""The statuses whose answers have no body, whatever their heads say."""
_GRAIN_S = 0.01
"""A socket whose timeout is longer by no more than this is not told: each time costs a call to the kernel."""


class Fields(Mapping[str, str]):
    """The header fields of an answer: names are found in any case, what is sent several times is joined with `, `."""

    __slots__ = ("_found", "_pairs")

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs
        self._found: dict[str, str] = {}
        for name, value in pairs:
            known = name.lower()
            self._found[known] = f"{self._found[known]}, {value}" if known in self._found else value

    def __getitem__(self, name: str) -> str:
        return self._found[name.lower()]

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or the default where there is none."""
        return self._found.get(name.lower(), default)

    def getlist(self, name: str) -> list[str]:
        """Return each value of a field by itself."""
        wanted = name.lower()
        return [value for one, value in self._pairs if one.lower() == wanted]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._found

    def __iter__(self) -> Iterator[str]:
        names: dict[str, str] = {}
        for name, _ in self._pairs:
            names.setdefault(name.lower(), name)
        return iter(names.values())

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return f"<Fields {', '.join(self)}>"


class Whole(NamedTuple):
    """An answer that was plain, and is read."""

    status: int
    headers: Fields
    body: bytes


def plain_request(call: Call, headers: Mapping[str, str], target: str, netloc: str) -> bytes | None:
    """Return a request as it goes out, all of it; None when it is not plain."""
    method, body = call.method, call.body
    names = {name.lower() for name in headers}
    is_odd = method not in _METHODS or not names >= _OURS or not names.isdisjoint(_ODD)
    if is_odd or call.receive is not None or _TARGET.fullmatch(target) is None:
        return None
    length = "" if body is None and method in _WITHOUT_BODY else f"Content-Length: {len(body or b'')}\r\n"
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    head = f"{method} {target} HTTP/1.1\r\nHost: {netloc}\r\n{length}{fields}\r\n".encode("latin-1")
    return head if body is None else head + body


def exchange(pool: HTTPConnectionPool, request: bytes, call: Call, attempt: Attempt) -> Whole | BaseHTTPResponse | None:
    """Make one request on an open connection of a pool; None, and nothing was sent, when it has none.

    Raises what sockets raise, TimeoutError at the end of the attempt, HTTPException for what is no answer, and
    ResponseTooLargeError.
    """
    connection: Any = pool._get_conn()
    if connection.sock is None:
        pool._put_conn(connection)
        return None
    try:
        line = _Line(connection.sock, attempt)
        line.send(request)
        answer = line.answer(call)
        if answer is None:
            return _handed_over(pool, connection, line.got, call.method)
        if line.goes_on:
            connection.close()  # what it says beyond its answer belongs to no request of ours
    except BaseException:
        connection.close()
        pool._put_conn(None)
        raise
    pool._put_conn(connection)
    return answer


class _Head(NamedTuple):
    """The head of an answer that is plain so far."""

    status: int
    fields: Fields
    at: int
    """Where its body begins."""
    length: int | None
    """None for chunks."""


class _Line:
    """A socket whose operations keep the limits of an attempt, and what came from it."""

    def __init__(self, sock: socket.socket, attempt: Attempt) -> None:
        self._sock, self._attempt = sock, attempt
        self._patience = attempt.patience()
        sock.settimeout(self._patience)
        self.got = b""
        """What came, for whoever goes on with it."""
        self.goes_on = False
        """Whether more came than the answer."""

    def send(self, request: bytes) -> None:
        self._attempt.watched = self._attempt.sent = True
        try:
            self._sock.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            return  # whoever does not read all of it may have answered before

    def answer(self, call: Call) -> Whole | None:
        """Return the answer; None for one that is not plain."""
        self._read_head()
        head = _plain(self.got)
        if head is None:
            return None
        is_packed = "content-encoding" in head.fields
        try:
            if head.length is None:
                body = self._chunks(head.at)
            else:
                check_length(head.length, call, is_packed=is_packed)
                body = self._rest(head.at, head.length)
        except OddError:
            return None
        body = unpacked(body, call) if is_packed else body
        check_length(len(body), call)
        return Whole(head.status, head.fields, body)

    def _read_head(self) -> None:
        """Read until the head is whole, or until there is no use in going on."""
        got = part = self._part(_CHUNK)
        while part and _END.search(got) is None and got.startswith(b"HTTP/"[: len(got)]) and len(got) < _LONGEST_HEAD:
            part = self._part(_CHUNK)
            got += part
        self.got = got

    def _chunks(self, at: int) -> bytes:
        """Read a body in chunks, if it is short: for a long one it does not matter who puts it together."""
        while (found := unchunked(self.got, at)) is None:
            part = self._part(_CHUNK) if len(self.got) < _SHORT else b""
            if not part:
                raise OddError("long, or cut")
            self.got += part
        body, end = found
        self.goes_on = len(self.got) > end
        return body

    def _rest(self, at: int, length: int) -> bytes:
        """Read a body of so many bytes, of which some are there already."""
        begun, missing = self.got[at:], length - (len(self.got) - at)
        self.goes_on = missing < 0
        if missing <= 0:
            return begun[:length]
        parts = [self.got]
        while missing > 0:
            part = self._part(min(missing, _LARGE_CHUNK))
            if not part:
                raise IncompleteRead(b"", missing)
            parts.append(part)
            missing -= len(part)
        self.got = b"".join(parts)
        return self.got[at:]

    def _part(self, most: int) -> bytes:
        patience = self._attempt.patience()
        if patience is not None and (self._patience is None or patience < self._patience - _GRAIN_S):
            self._patience = patience
            self._sock.settimeout(patience)
        return self._sock.recv(most)


def _plain(begun: bytes) -> _Head | None:
    """Return the head of what began like this; None for an answer that is not plain."""
    head = _HEAD.match(begun)
    if head is None:
        return None
    lines = head[2].decode("latin-1").split("\r\n")[:-1]
    fields = Fields([(name, value.strip(" \t")) for name, _, value in (line.partition(":") for line in lines)])
    if len(lines) > _MOST_FIELDS or not _is_usual(fields):
        return None
    status = int(head[1])
    if "transfer-encoding" in fields:
        return None if status in _EMPTY or "content-length" in fields else _Head(status, fields, head.end(), None)
    length = "0" if status in _EMPTY else fields.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 16):
        return None
    return _Head(status, fields, head.end(), int(length))


def _is_usual(fields: Fields) -> bool:
    """Whether its body can be read here, and its connection stays open."""
    known = (("transfer-encoding", "chunked"), ("content-encoding", "gzip"), ("connection", "keep-alive"))
    return all(fields.get(name, usual).lower() == usual for name, usual in known)


def check_length(length: int, call: Call, *, is_packed: bool = False) -> None:
    """Raise ResponseTooLargeError for so many bytes; the limit is of what is in them where they are packed."""
    most = call.max_bytes
    if most is not None and length > (longest(most) if is_packed else most):
        raise ResponseTooLargeError(limit=most, method=call.method, url=bare(call.url), sent=True)


def unpacked(body: bytes, call: Call) -> bytes:
    """Return what came as gzip.

    Raises AnswerLostError where it breaks off, BodyError for what is no gzip, and ResponseTooLargeError.
    """
    try:
        found = inflate(body, most=call.max_bytes)
    except EOFError as error:
        said = f"the answer did not arrive ({error})"
        raise AnswerLostError(said, method=call.method, url=bare(call.url), sent=True) from error
    except ValueError as error:
        raise BodyError(UNREADABLE, method=call.method, url=bare(call.url), sent=True) from error
    check_length(len(found), call)
    return found


def _handed_over(pool: HTTPConnectionPool, connection: Any, begun: bytes, method: str) -> BaseHTTPResponse:
    """Return urllib3's answer for what began like this; it gives the connection back when it is read."""
    answer = PatientResponse(connection.sock, begun=begun, method=method)
    try:
        answer.begin()
        if answer.will_close:
            connection.close()  # the answer has a hold on the socket until it is read
        return HTTPResponse(
            body=answer,
            headers=HTTPHeaderDict([(name, _FOLD.sub(" ", value)) for name, value in answer.msg.items()]),
            status=answer.status,
            version=answer.version,
            reason=answer.reason,
            preload_content=False,
            original_response=answer,
            request_method=method,
            pool=pool,
            connection=connection,
        )
    except BaseException:
        answer.close()
        raise
