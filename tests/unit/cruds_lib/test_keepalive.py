"""What is asked on a connection that is open already is asked and answered as on a new one."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from cruds import Client
from cruds.exception import AnswerLostError, DeadlineError, RequestError, ResponseTooLargeError
from cruds.framing import unchunked
from cruds.keepalive import Fields
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

OK = json_reply({"ok": True})
PACKED = gzip.compress(b'{"a":1}')


def packed(body: bytes, encoding: bytes = b"gzip") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s" % (encoding, len(body), body)


ANSWERS = {
    "plain": b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}',
    "without a reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nab",
    "nothing": b"HTTP/1.1 204 No Content\r\n\r\n",
    "nothing, with a length": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 70\r\n\r\n",
    "until it closes": b"HTTP/1.1 200 OK\r\n\r\nall of it",
    "an older server": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab",
    "the last of its connection": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nT: 1\r\n\r\n",
    "packed": packed(PACKED),
    "packed in two pieces": packed(PACKED + PACKED),
    "packed, with zeros behind it": packed(PACKED + b"\0" * 9),
    "nothing, packed": packed(b""),
    "packed, by its old name": packed(PACKED, b"x-gzip"),
    "packed otherwise": packed(zlib.compress(b"ab"), b"deflate"),
    "packed, in chunks": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(PACKED), PACKED),
    "chunks without trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "chunks and nothing in them": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a long body in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n30d40\r\n%s\r\n0\r\n\r\n"
    % (b"x" * 200_000),
    "go on first": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nab",
    "plain line ends": b"HTTP/1.1 200 OK\nContent-Length: 2\nX: y\n\nab",
    "a folded field": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nab",
    "fields twice": b"HTTP/1.1 200 OK\r\nX:  a \r\nx:b\r\nContent-Length: 2\r\n\r\nab",
    "not ASCII": b"HTTP/1.1 200 OK\r\nX: \xe9\r\nContent-Length: 2\r\n\r\nab",
    "one length twice": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    "a refusal": b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
    "a large body": b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000,
    "many fields": b"HTTP/1.1 200 OK\r\n"
    + b"".join(b"X%d: y\r\n" % n for n in range(95))
    + b"Content-Length: 0\r\n\r\n",
}
BROKEN = {
    "nothing at all": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
    "another protocol": b"220 mail.example ready\r\n",
    "no status": b"HTTP/1.1 yes\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "too many fields": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 120 + b"Content-Length: 0\r\n\r\n",
    "a field without an end": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    "not packed": packed(b"{}"),
    "packed and broken": packed(PACKED[:-8] + b"12345678"),
    "packed, and half of it": packed(PACKED[:-9]),
    "no size of a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nab\r\n",
    "a chunk that goes on": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab",
}

EVERY: dict[str, bytes] = ANSWERS | BROKEN


def told(server: ScriptedServer, client: Client, raw: bytes, *, open_first: bool) -> Any:
    """Return what a call comes to, as the first or as the second request of its connection."""
    if open_first:
        server.script(OK)
        client.read("x")
    server.script(Reply(raw=raw))
    before = len(server.journal)
    try:
        answer = client.request("POST", "x", data={"a": 1}, raise_status=False)
    except RequestError as error:
        came: Any = (type(error), str(error), error.sent)
    else:
        came = (answer.status, {name.lower(): answer.headers[name] for name in answer.headers}, answer.body)
    seen = server.journal[before:]
    assert [one.connection for one in seen] == [server.journal[0].connection]
    return came, [(one.method, one.target, one.body, sorted(one.headers.items())) for one in seen]


@pytest.mark.parametrize("raw", EVERY.values(), ids=list(EVERY))
def test_an_answer_means_the_same_on_a_connection_that_is_open(
    server: ScriptedServer, other_server: ScriptedServer, client_of: Callable[..., Client], raw: bytes
) -> None:
    """K02: what is not plain, and what is broken, is judged as it always was."""
    fresh = told(server, client_of(server, user_agent="us"), raw, open_first=False)
    kept = told(other_server, client_of(other_server, user_agent="us"), raw, open_first=True)
    assert str(kept).replace(str(other_server.port), str(server.port)) == str(fresh)


@pytest.mark.parametrize("headers", [{}, {"Host": "another.example"}, {"Expect": "100-continue"}])
@pytest.mark.parametrize("data", [None, b"", b"ab", {"a": "ü"}])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_request_is_the_same_on_a_connection_that_is_open(
    server: ScriptedServer, client: Client, method: str, data: Any, headers: dict[str, str]
) -> None:
    server.script(OK, OK)
    for _ in range(2):
        client.request(method, "x%2fy?a=b c", data=data, headers=headers)
    first, second = (
        (one.method, one.target, one.body, sorted(one.headers.items()), one.connection) for one in server.journal
    )
    assert first == second


def test_what_a_server_says_beyond_its_answer_is_not_taken_for_the_next_one(
    server: ScriptedServer, client: Client
) -> None:
    more = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"
    server.script(OK, Reply(raw=more), OK)
    client.read("x")
    assert client.read("x") == b"1"
    assert client.read("x") == {"ok": True}
    assert [seen.connection for seen in server.journal] == [1, 1, 2]


def test_a_connection_that_the_server_closed_meanwhile_carries_no_request(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """K02: a create on it would be in doubt."""
    client = client_of(server, retries=0)
    server.script(Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), OK)
    client.read("x")
    server._threads[1].join(timeout=5)
    assert client.create("x", {}) == {"ok": True}


def test_a_deadline_and_a_limit_hold_on_a_connection_that_is_open(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """K07, K24."""
    client = client_of(server, retries=0)
    server.script(OK, Reply(200, {}, b"x" * 500, drip=True), OK, Reply(200, {}, b"x" * 50_000), OK, Reply(hang=True))
    client.read("x")
    with pytest.raises(DeadlineError) as late:
        client.create("x", {}, timeout=0.2)
    client.read("x")
    with pytest.raises(ResponseTooLargeError):
        client.read("x", max_bytes=10_000)
    assert client.read("x") == {"ok": True}
    assert late.value.sent
    with pytest.raises(DeadlineError):
        client.read("x", timeout=0.2)


def test_a_short_body_that_grows_is_stopped_on_a_connection_that_is_open(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """K24: the limit counts decoded bytes, and a packed body may be longer than what is in it."""
    client = client_of(server, max_response_bytes=1_000)
    server.script(OK, Reply(200, {"Content-Encoding": "gzip"}, gzip.compress(b"0" * 1_000_000)))
    client.read("x")
    with pytest.raises(ResponseTooLargeError):
        client.read("x")
    noise = bytes(range(256)) * 4
    packed_noise = Reply(200, {"Content-Encoding": "gzip"}, gzip.compress(noise[:1_000], 0))
    server.script(OK, packed_noise)
    client.read("x")
    assert client.read("x") == noise[:1_000]
    server.script(packed_noise)
    assert client_of(server, max_response_bytes=1_000).read("x") == noise[:1_000]


def test_an_answer_that_comes_in_pieces_is_put_together(server: ScriptedServer, client: Client) -> None:
    server.script(OK, Reply(200, {}, b"x" * 20, drip=True, chunked=True), Reply(200, {}, b"y" * 20, drip=True))
    client.read("x")
    assert (client.read("x"), client.read("x")) == (b"x" * 20, b"y" * 20)
    assert {seen.connection for seen in server.journal} == {1}


def test_chunks_are_whole_at_their_end_and_not_before() -> None:
    raw = b"head2\r\nab\r\n0a;x=y\r\n0123456789\r\n0\r\n\r\n"
    assert unchunked(raw + b"more", 4) == (b"ab0123456789", len(raw))
    assert [unchunked(raw[:end], 4) for end in range(4, len(raw))] == [None] * (len(raw) - 4)


def test_silence_on_a_connection_that_is_open_is_a_lost_answer(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """K02."""
    client = client_of(server, retries=0, read_timeout=0.2)
    server.script(OK, Reply(hang=True))
    client.read("x")
    with pytest.raises(AnswerLostError) as caught:
        client.create("x", {})
    assert caught.value.sent


def test_a_connection_over_tls_is_used_again(
    tls_server: ScriptedServer, client_of: Callable[..., Client], certificate: Any
) -> None:
    tls_server.script(*[OK] * 3)
    client = client_of(tls_server, ca_file=str(certificate))
    assert [client.create("x", {"a": 1}) for _ in range(3)] == [{"ok": True}] * 3
    assert {seen.connection for seen in tls_server.journal} == {1}


def test_cookies_are_taken_from_an_answer_on_an_open_connection(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    client = client_of(server, cookies=True)
    server.script(
        OK, Reply(raw=b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n"), OK
    )
    for _ in range(3):
        client.read("x")
    assert server.journal[2].headers["cookie"] == "a=1; b=2"


def test_fields_are_found_in_any_case_and_joined() -> None:
    fields = Fields([("A-b", "1"), ("C", "2"), ("a-B", "3")])
    assert (fields["a-b"], fields.get("c"), fields.get("d", "no"), "C" in fields, "d" in fields) == (
        "1, 3",
        "2",
        "no",
        True,
        False,
    )
    assert (dict(fields), len(fields), fields.getlist("A-B")) == ({"A-b": "1, 3", "C": "2"}, 2, ["1", "3"])
