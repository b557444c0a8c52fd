"""Large answers come piece by piece, in time and within their limit; what came last can be looked at."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from time import monotonic

import pytest

from cruds import AuthABC, CallOptions, Client, Response
from cruds.exception import (
    AnswerLostError,
    ConnectError,
    DeadlineError,
    HTTPStatusError,
    OAuthAccessTokenError,
    ResponseTooLargeError,
)
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

BIG = bytes(range(256)) * 4_000
OK = json_reply({"ok": True})


@pytest.mark.parametrize("chunked", [False, True])
def test_a_stream_gives_the_whole_body_in_pieces(server: ScriptedServer, client: Client, *, chunked: bool) -> None:
    """K24: without holding it whole."""
    server.script(Reply(200, {"X-Rows": "7"}, BIG, chunked=chunked))
    with client.stream("GET", "x", params={"all": True}) as stream:
        pieces = list(stream)
        assert (stream.status, stream.headers["x-rows"], stream.response.body) == (200, "7", b"")
    assert b"".join(pieces) == BIG
    assert len(pieces) > 1
    assert all(pieces)
    assert server.journal[0].query == [("all", "true")]


def test_a_stream_is_decompressed_as_it_comes(server: ScriptedServer, client: Client) -> None:
    server.script(Reply(200, {"Content-Encoding": "gzip"}, gzip.compress(BIG)))
    with client.stream("GET", "x") as stream:
        assert b"".join(stream) == BIG


def test_a_stream_begins_before_the_answer_is_complete(server: ScriptedServer, client: Client) -> None:
    """K24: the rest of this body never comes."""
    server.script(Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"))
    with client.stream("GET", "x") as stream:
        assert next(iter(stream)) == b"abc"
        with pytest.raises(AnswerLostError):
            list(stream)


def test_a_stream_keeps_the_deadline_of_the_call(server: ScriptedServer, client: Client) -> None:
    """K07: a dripping body does not hold a stream for ever."""
    server.script(Reply(200, {}, b"x" * 500, drip=True))
    began = monotonic()
    with pytest.raises(DeadlineError) as caught, client.stream("GET", "x", timeout=1.5) as stream:
        list(stream)
    assert monotonic() - began < 4
    assert caught.value.sent


def test_a_slow_reader_has_no_more_time_than_the_call(server: ScriptedServer, client: Client) -> None:
    """K07: the deadline counts until the last piece."""
    server.script(Reply(200, {}, BIG))
    with client.stream("GET", "x", timeout=0.2) as stream:
        pieces = iter(stream)
        next(pieces)
        threading.Event().wait(0.25)
        with pytest.raises(DeadlineError):
            list(pieces)


@pytest.mark.parametrize("client_limit", [True, False])
def test_a_stream_keeps_the_size_limit(
    server: ScriptedServer, client_of: Callable[..., Client], *, client_limit: bool
) -> None:
    """K24: the client's, or the call's own; decoded bytes count."""
    server.script(Reply(200, {"Content-Encoding": "gzip"}, gzip.compress(b"\0" * 5_000_000)))
    client = client_of(server, max_response_bytes=100_000 if client_limit else None)
    options = CallOptions() if client_limit else CallOptions(max_bytes=100_000)
    got: list[bytes] = []
    with client.stream("GET", "x", **options) as stream, pytest.raises(ResponseTooLargeError) as caught:
        got.extend(stream)
    assert len(b"".join(got)) <= 100_000
    assert caught.value.limit == 100_000


def test_a_call_may_have_a_limit_of_its_own(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    """K24: smaller or larger than the client's."""
    server.script(Reply(200, {}, b"x" * 2000), Reply(200, {}, b"x" * 2000))
    client = client_of(server, max_response_bytes=1000)
    assert len(client.read("x", max_bytes=None)) == 2000
    with pytest.raises(ResponseTooLargeError):
        client.read("x", max_bytes=500)


def test_a_stream_that_was_read_gives_its_connection_back(server: ScriptedServer, client: Client) -> None:
    server.script(Reply(200, {}, BIG), OK)
    with client.stream("GET", "x") as stream:
        list(stream)
    client.read("x")
    assert {seen.connection for seen in server.journal} == {1}


def test_a_stream_that_is_left_early_spoils_no_later_call(server: ScriptedServer, client: Client) -> None:
    """The rest of its body must not be read as the next answer."""
    server.script(Reply(200, {}, BIG), OK)
    with client.stream("GET", "x") as stream:
        next(iter(stream))
    assert client.read("x") == {"ok": True}
    assert [seen.connection for seen in server.journal] == [1, 2]


def test_a_stream_goes_on_where_it_was_and_ends_with_its_block(server: ScriptedServer, client: Client) -> None:
    """A closed stream is an error and not an empty body."""
    server.script(Reply(200, {}, BIG))
    with client.stream("GET", "x") as stream:
        both = next(iter(stream)) + next(iter(stream))
    assert both == BIG[: len(both)]
    with pytest.raises(ValueError, match="closed"):
        list(stream)


def test_a_stream_lets_its_thread_make_other_calls(server: ScriptedServer, client: Client) -> None:
    """The deadline of one call is not that of the other."""
    server.route("/api/big", Reply(200, {}, BIG))
    server.route("/api/x", OK)
    with client.stream("GET", "big") as stream:
        pieces = []
        for piece in stream:
            pieces.append(piece)
            client.read("x", timeout=5)
    assert b"".join(pieces) == BIG


def test_a_stream_is_asked_for_again_before_its_first_byte(server: ScriptedServer, client: Client) -> None:
    """K01: a read that fails before its body is repeated like any other, redirects included."""
    server.script(Reply(close=True), Reply(503), Reply(302, {"Location": "/api/y"}), Reply(200, {}, b"rows"))
    with client.stream("GET", "x") as stream:
        assert b"".join(stream) == b"rows"
        assert stream.response.attempts == 4
        assert stream.response.url.endswith("/api/y")


def test_a_stream_that_breaks_off_is_no_end(server: ScriptedServer, client: Client) -> None:
    """K02: what came is not complete, and the error knows the call."""
    server.script(Reply(503), Reply(200, {}, BIG, cut=300_000))
    with pytest.raises(AnswerLostError) as caught, client.stream("GET", "x") as stream:
        list(stream)
    assert (caught.value.attempts, caught.value.sent) == (2, True)
    assert caught.value.last_response is not None
    assert caught.value.last_response.status == 200


def test_a_status_to_retry_among_the_successes_leaves_no_body_open(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    server.script(Reply(202, {}, b"not yet"), Reply(200, {}, b"done"))
    with client_of(server, retry_status_codes=[202]).stream("GET", "x") as stream:
        assert b"".join(stream) == b"done"


def test_an_error_of_a_stream_has_its_body(server: ScriptedServer, client: Client) -> None:
    """K03: raised, or given like a body when nobody wants it raised."""
    server.script(json_reply({"why": "gone"}, 404), json_reply({"why": "gone"}, 404))
    with pytest.raises(HTTPStatusError) as caught, client.stream("GET", "x"):
        pass
    assert caught.value.body == b'{"why": "gone"}'
    with client.stream("GET", "x", raise_status=False) as stream:
        assert (stream.status, b"".join(stream)) == (404, b'{"why": "gone"}')


def test_a_write_may_be_answered_with_a_stream(server: ScriptedServer, client: Client) -> None:
    """An export is often asked for with a POST; it is not asked for twice."""
    server.script(Reply(200, {}, b"a,b\n"), Reply(close=True))
    with client.stream("POST", "export", data={"columns": ["a"]}) as stream:
        assert b"".join(stream) == b"a,b\n"
    assert server.journal[0].body == b'{"columns":["a"]}'
    with pytest.raises(AnswerLostError), client.stream("POST", "export", data={}):
        pass
    assert len(server.journal) == 2


def test_a_stream_that_is_printed_shows_no_query(server: ScriptedServer, client: Client) -> None:
    """K23."""
    server.script(Reply(200, {}, b"x"))
    with client.stream("GET", "x?token=secret") as stream:
        assert "secret" not in repr(stream)


# ---- what came last ------------------------------------------------------------------------------------------


def last(client: Client) -> Response | None:
    return client.last_response


def last_status(client: Client) -> int | None:
    response = client.last_response
    return None if response is None else response.status


def test_the_last_answer_can_be_looked_at_after_a_verb(server: ScriptedServer, client: Client) -> None:
    """K14: Location, ETag, limits and request ids are in reach of who uses the four verbs."""
    assert last(client) is None
    server.script(json_reply({"id": 1}, 201, {"Location": "/api/x/1", "X-RateLimit-Remaining": "3"}), OK)
    client.create("x", {})
    response = last(client)
    assert response is not None
    assert (response.status, response.headers["location"]) == (201, "/api/x/1")
    assert response.headers["x-ratelimit-remaining"] == "3"


def test_the_last_answer_is_known_when_it_was_raised_and_forgotten_when_there_was_none(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """K14: it never belongs to the call before."""
    client = client_of(server, retries=0)
    server.script(json_reply({"why": "no"}, 422), Reply(302, {}, b"page"), Reply(close=True, before=server.refuse))
    with pytest.raises(HTTPStatusError):
        client.read("x")
    assert last_status(client) == 422
    with pytest.raises(Exception, match="Location"):
        client.read("x")
    assert last_status(client) == 302
    with pytest.raises(AnswerLostError):
        client.read("x")
    assert last(client) is None
    with pytest.raises(ConnectError):
        client.read("x")
    assert last(client) is None


class Refused(AuthABC):
    """Gives a token once."""

    given = False

    def access_token(self) -> str:
        if self.given:
            raise OAuthAccessTokenError("no more")
        self.given = True
        return "token"

    def is_valid(self) -> bool:
        return False


def test_the_last_answer_is_forgotten_when_no_token_could_be_had(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """K14."""
    auth = Refused()
    client = client_of(server, auth=auth)
    auth.given = False
    server.script(OK)
    client.read("x")
    assert last_status(client) == 200
    with pytest.raises(OAuthAccessTokenError):
        client.read("x")
    assert last(client) is None


def test_each_thread_has_its_own_last_answer(server: ScriptedServer, client: Client) -> None:
    """K14: a shared client mixes nothing up."""
    server.route("/api/a", json_reply("a"))
    server.route("/api/b", json_reply("b"))
    client.read("a")
    seen: list[Response | None] = []

    def other() -> None:
        seen.append(last(client))
        client.read("b")
        seen.append(last(client))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen[0] is None
    assert seen[1] is not None
    assert seen[1].data() == "b"
    mine = last(client)
    assert mine is not None
    assert mine.data() == "a"


def test_a_verb_may_return_its_answer_beside_the_value(server: ScriptedServer, client: Client) -> None:
    """K14."""
    server.route("/api/x", json_reply({"id": 1}, headers={"ETag": '"7"'}))
    for value, response in (
        client.read("x", with_response=True),
        client.create("x", {}, with_response=True),
        client.update("x", {}, with_response=True),
        client.delete("x", with_response=True),
    ):
        assert value == {"id": 1}
        assert response.headers["etag"] == '"7"'


@pytest.mark.parametrize("verb", ["read", "request", "stream", "download"])
def test_a_misspelt_option_is_refused(client: Client, verb: str) -> None:
    """K21: `timout=3` must not mean no timeout."""
    calls: dict[str, Callable[[], object]] = {
        "read": lambda: client.read("x", timout=3),  # type: ignore[call-arg]
        "request": lambda: client.request("GET", "x", timout=3),  # type: ignore[call-arg]
        "stream": lambda: client.stream("GET", "x", timout=3).__enter__(),  # type: ignore[call-arg]
        "download": lambda: client.download("x", timout=3),  # type: ignore[call-arg]
    }
    with pytest.raises(TypeError, match=r"'timout'.* timeout"):
        calls[verb]()


def test_head_asks_for_headers_only(server: ScriptedServer, client: Client) -> None:
    """K21."""
    server.script(Reply(200, {"X-Total-Count": "12"}, b"never sent"), OK)
    response = client.request("HEAD", "x", params={"q": "a"})
    assert (response.status, response.headers["x-total-count"], response.body) == (200, "12", b"")
    assert response.data() is None
    assert (server.journal[0].method, server.journal[0].query) == ("HEAD", [("q", "a")])
    client.read("x")
    assert {seen.connection for seen in server.journal} == {1}


@pytest.mark.parametrize("method", ["DELETE", "GET"])
def test_a_delete_and_a_read_may_have_a_body(server: ScriptedServer, client: Client, method: str) -> None:
    """K21: services delete in bulk, and search, with a body."""
    server.script(OK)
    call = client.delete if method == "DELETE" else client.read
    call("x", params={"soft": True}, data={"ids": [1, 2]})
    seen = server.journal[0]
    assert (seen.method, seen.body, seen.query) == (method, b'{"ids":[1,2]}', [("soft", "true")])
    assert seen.headers["content-type"] == "application/json"
