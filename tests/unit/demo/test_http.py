"""The demo's server base: keep-alive without stalls, bad requests, a clean end."""

import socket
import threading
import time

import pytest

from daemon.demo.http import Reply, Request, Server
from tests.unit.demo.conftest import Caller


def echo(request: Request) -> Reply:
    return Reply(200, {"path": request.path, "query": dict(request.query), "body": request.body.decode()})


def test_a_connection_is_kept_and_no_answer_waits_for_a_delayed_ack() -> None:
    with Server(echo) as server:
        call = Caller(server)
        call("GET", "/first")
        mine = call.connection.sock
        began = time.monotonic()
        for _ in range(50):
            assert call("POST", "/x?a=1&b=", {"k": "ö"}).body["query"] == {"a": "1", "b": ""}
        took_s = time.monotonic() - began
        assert call.connection.sock is mine
        call.connection.close()
    assert took_s < 50 * 0.04


def test_closing_ends_open_connections_and_their_threads() -> None:
    before = threading.active_count()
    with Server(echo) as server:
        call = Caller(server)
        call("GET", "/")
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert threading.active_count() == before
    assert call.connection.sock.recv(1) == b""
    call.connection.close()


@pytest.mark.parametrize("header", ["Content-Length: x", "Content-Length: -1", "Transfer-Encoding: chunked"])
def test_a_request_whose_end_is_not_known_is_refused_and_the_connection_closed(header: str) -> None:
    with Server(echo) as server, socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_server_listens_on_loopback_only() -> None:
    with Server(echo) as server:
        assert server.socket.getsockname()[0] == "127.0.0.1"
