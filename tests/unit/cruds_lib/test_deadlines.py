"""A call ends in time, whatever the server does, and within its memory."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from cruds import AuthABC, Client
from cruds.exception import AnswerLostError, DeadlineError, ResponseTooLargeError
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

SLOW = b"x" * 500
DRIPPING = [
    pytest.param(Reply(200, {}, SLOW, drip=True), id="everything"),
    pytest.param(Reply(200, {}, SLOW, drip=True, chunked=True), id="chunks"),
    pytest.param(Reply(200, {"X-Slow": "y" * 500}, b"", drip=True), id="a header"),
    pytest.param(Reply(hang=True), id="silence"),
]


@pytest.mark.parametrize("reply", DRIPPING)
def test_a_server_that_drips_does_not_hold_a_call_beyond_its_deadline(
    server: ScriptedServer, client: Client, reply: Reply
) -> None:
    """K07: the timeout is for the whole call, not for each byte."""
    server.script(reply)
    began = monotonic()
    with pytest.raises(DeadlineError) as caught:
        client.read("x", timeout=0.3)
    assert 0.25 < monotonic() - began < 2
    assert caught.value.sent


def test_a_dripping_tls_server_is_left_in_time(
    tls_server: ScriptedServer, client_of: Callable[..., Client], certificate: Any
) -> None:
    """K07."""
    tls_server.script(Reply(200, {}, SLOW, drip=True))
    with pytest.raises(DeadlineError):
        client_of(tls_server, ca_file=str(certificate)).read("x", timeout=0.4)


def test_the_deadline_is_over_all_attempts(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    """K07: five attempts of 0.2 s do not fit into half a second."""
    server.route("/x", Reply(hang=True))
    began = monotonic()
    with pytest.raises((DeadlineError, AnswerLostError)):
        client_of(server, read_timeout=0.2, timeout=0.5, backoff_factor=0).read("x")
    assert monotonic() - began < 2
    assert len(server.journal) <= 3


def test_a_connection_that_does_not_open_in_time_sent_nothing(client_of: Callable[..., Client]) -> None:
    """K07: a full backlog neither accepts nor refuses."""
    import socket

    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        full = [socket.socket() for _ in range(4)]
        for one in full:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        with (
            Client(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.3) as client,
            pytest.raises(DeadlineError) as caught,
        ):
            client.create("x", {})
        for one in full:
            one.close()
    assert not caught.value.sent


def test_the_timeout_of_one_call_wins_over_the_clients(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """K21."""
    server.script(Reply(200, {}, b"x" * 20, drip=True))
    assert client_of(server, timeout=0.1).read("x", timeout=None) == b"x" * 20


class SlowToken(AuthABC):
    def access_token(self) -> str:
        threading.Event().wait(0.05)
        return "token"

    def is_valid(self) -> bool:
        return True


def test_a_token_that_took_all_the_time_leaves_none_for_the_request(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """K07: and the error says that nothing was sent."""
    client = client_of(server, auth=SlowToken(), timeout=0.02)
    with pytest.raises(DeadlineError) as caught:
        client.create("x", {})
    assert not caught.value.sent
    assert server.journal == []


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit_is_not_read(
    server: ScriptedServer, client_of: Callable[..., Client], *, chunked: bool
) -> None:
    """K24."""
    server.script(Reply(200, {}, b"x" * 50_000, chunked=chunked))
    with pytest.raises(ResponseTooLargeError) as caught:
        client_of(server, max_response_bytes=10_000).read("x")
    assert caught.value.limit == 10_000


def test_a_small_body_that_grows_on_decompression_is_stopped(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """K24: the limit counts decoded bytes."""
    bomb = gzip.compress(b"\0" * 20_000_000)
    assert len(bomb) < 30_000
    server.script(Reply(200, {"Content-Encoding": "gzip"}, bomb))
    with pytest.raises(ResponseTooLargeError):
        client_of(server, max_response_bytes=1_000_000).read("x")


def test_a_body_of_exactly_the_limit_is_read(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    server.script(Reply(200, {}, b"x" * 1000))
    assert len(client_of(server, max_response_bytes=1000).read("x")) == 1000


def test_a_connection_is_used_again(server: ScriptedServer, client: Client) -> None:
    server.script(*[json_reply({"a": n}) for n in range(3)], Reply(204), json_reply([], 404), json_reply(1))
    for _ in range(4):
        client.read("x")
    client.request("GET", "x", raise_status=False)
    client.request("HEAD", "x")
    assert {seen.connection for seen in server.journal} == {1}
