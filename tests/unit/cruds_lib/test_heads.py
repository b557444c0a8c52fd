"""Heads are read as the standard library reads them, and leave with their body."""

from __future__ import annotations

import io
import socket
import threading
from http.client import HTTPException, LineTooLong, parse_headers

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cruds import Client
from cruds.wire import read_fields

NAMES = st.text(alphabet="abcXYZ-_019", min_size=1, max_size=8)
VALUES = st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=12)
LINES = st.builds(
    lambda name, blank, value: f"{name}:{blank}{value}\r\n", NAMES, st.sampled_from(["", " ", "\t"]), VALUES
)
ODD = st.sampled_from([" folded: on\r\n", "no colon\r\n", "Bad Name: x\r\n", ": nameless\r\n", "A: 1\n", "From x\r\n"])


@given(st.lists(st.one_of(LINES, ODD), max_size=6))
@example(["Set-Cookie: a=1\r\n", "set-cookie: b=2\r\n"])
@example(["A:\r\n", " x\r\n"])
def test_a_head_is_what_the_standard_library_makes_of_it(lines: list[str]) -> None:
    head = "".join([*lines, "\r\n"]).encode("latin-1")
    ours, theirs = io.BytesIO(head + b"body"), io.BytesIO(head + b"body")
    assert read_fields(ours).items() == parse_headers(theirs).items()
    assert ours.read() == theirs.read() == b"body"


def test_limits_are_the_standard_librarys() -> None:
    with pytest.raises(LineTooLong):
        read_fields(io.BytesIO(b"A: " + b"x" * 65_536 + b"\r\n\r\n"))
    with pytest.raises(HTTPException, match="100 headers"):
        read_fields(io.BytesIO(b"A: 1\r\n" * 101 + b"\r\n"))


@pytest.mark.parametrize("data", [b"x", b"y" * 16_384, b"z" * 100_000])
def test_a_body_arrives_whole_behind_its_head(data: bytes) -> None:
    heads: list[bytes] = []
    bodies: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            first = connection.recv(65_536)
            heads.append(first)
            head, _, body = first.partition(b"\r\n\r\n")
            while len(body) < len(data):
                body += connection.recv(65_536)
            bodies.append(body)
            assert b"Host: 127.0.0.1" in head
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        with Client(f"http://127.0.0.1:{listener.getsockname()[1]}", trust_env=False) as client:
            assert client.create("x", data) == b""
        thread.join(timeout=5)
    assert bodies == [data]
    if len(data) < 1000:
        assert heads[0].endswith(b"\r\n\r\n" + data)
