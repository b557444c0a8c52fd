"""Where a browser comes back to: what it lets in, what it turns away and with which words, and what bounds it."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.endpoints.login import LoginError
from daemon.runtime import login_listener
from daemon.runtime.login_answers import Answers, Pasted
from daemon.runtime.login_listener import Arrived, LoginListener, can_listen, judged, with_port
from daemon.runtime.login_page import Page

NEVER = threading.Event()
GOOD = "/callback?code=c-1&state=s-1"


class Browser:
    """A connection that stays open, as browsers keep them."""

    def __init__(self, listener: LoginListener) -> None:
        self.authority = listener.redirect_uri.split("/")[2]
        self._socket = socket.create_connection(
            (login_listener.LOOPBACK, int(self.authority.split(":")[1])), timeout=10
        )

    def send(self, request: bytes) -> "Browser":
        self._socket.sendall(request)
        return self

    def get(self, target: str = GOOD, *, method: str = "GET", host: str = "") -> "Browser":
        return self.send(f"{method} {target} HTTP/1.1\r\nHost: {host or self.authority}\r\nX: y\r\n\r\n".encode())

    def read(self) -> str:
        """All that is answered, to the end of the connection."""
        pieces = []
        with suppress(ConnectionResetError):
            while piece := self._socket.recv(65_536):
                pieces.append(piece)
        return b"".join(pieces).decode()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[LoginListener]:
    with LoginListener("http://127.0.0.1/callback") as listener:
        yield listener


@pytest.fixture
def browsers(listener: LoginListener) -> Iterator[list[Browser]]:
    with ExitStack() as stack:
        made = [Browser(listener) for _ in range(3)]
        for one in made:
            stack.callback(one.close)
        yield made


def wait(listener: LoginListener | None, pasted: Pasted | None = None, *, seconds: float = 10.0) -> Arrived | None:
    return Answers(listener, pasted).next(ends_at=monotonic() + seconds, stop=NEVER)


# ---- what comes in ----


def test_the_address_that_a_browser_comes_back_to_arrives_whole_and_is_answered(
    listener: LoginListener, browsers: list[Browser]
) -> None:
    browsers[0].get()

    arrived = wait(listener)

    assert arrived is not None
    assert arrived.address == f"{listener.redirect_uri}?code=c-1&state=s-1"
    arrived.reply(Page.DONE)
    assert "You may close this window" in browsers[0].read()


def test_connections_that_never_say_anything_keep_nobody_out(listener: LoginListener, browsers: list[Browser]) -> None:
    browsers[2].get()

    assert wait(listener) is not None


def test_a_request_may_come_in_pieces(listener: LoginListener, browsers: list[Browser]) -> None:
    whole = f"GET {GOOD} HTTP/1.1\r\nHost: {browsers[0].authority}\r\n\r\n".encode()
    browsers[0].send(whole[:9])
    assert wait(listener, seconds=0.05) is None

    browsers[0].send(whole[9:])

    assert wait(listener) is not None


def test_more_connections_than_are_heard_at_a_time_push_out_the_silent_ones(listener: LoginListener) -> None:
    with ExitStack() as stack:
        silent = [Browser(listener) for _ in range(40)]
        for one in silent:
            stack.callback(one.close)
        last = Browser(listener)
        stack.callback(last.close)
        last.get()

        assert wait(listener) is not None
        assert silent[0].read() == ""


def test_a_connection_that_dawdles_is_closed(
    listener: LoginListener, browsers: list[Browser], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_listener, "_PATIENCE_S", 0.0)
    browsers[0].send(b"GET /callb")

    wait(listener, seconds=0.3)

    assert browsers[0].read() == ""


def test_two_answers_come_one_after_the_other(listener: LoginListener, browsers: list[Browser]) -> None:
    browsers[0].get("/callback?code=1&state=a")
    browsers[1].get("/callback?code=2&state=b")

    first = wait(listener)
    assert first is not None
    first.reply(Page.OTHER)
    second = wait(listener)
    assert second is not None
    second.reply(Page.DONE)

    assert first.address.endswith("?code=1&state=a")
    assert "earlier login" in browsers[0].read()
    assert "Logged in" in browsers[1].read()


def test_a_browser_that_has_gone_when_it_is_answered_breaks_nothing(
    listener: LoginListener, browsers: list[Browser]
) -> None:
    browsers[0].get()
    arrived = wait(listener)
    browsers[0].close()

    assert arrived is not None
    arrived.reply(Page.DONE)
    browsers[1].get()
    assert wait(listener) is not None


# ---- what is turned away ----


@pytest.mark.parametrize(
    ("request_", "page"),
    [
        (b"GET /favicon.ico HTTP/1.1\r\nHost: {host}\r\n\r\n", Page.NOTHING_HERE),
        (b"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n", Page.NOTHING_HERE),
        (b"GET /callback/../callback?code=1 HTTP/1.1\r\nHost: {host}\r\n\r\n", Page.NOTHING_HERE),
        (b"GET /callback HTTP/1.1\r\nHost: {host}\r\n\r\n", Page.OTHER),
        (b"HEAD /callback?code=1&state=2 HTTP/1.1\r\nHost: {host}\r\n\r\n", Page.NOT_GET),
        (b"POST /callback?code=1&state=2 HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n", Page.NOT_GET),
        (b"GET /callback?code=1 HTTP/1.1\r\nHost: evil.example.com\r\n\r\n", Page.FOREIGN),
        (b"GET /callback?code=1 HTTP/1.1\r\nHost: localhost\r\n\r\n", Page.FOREIGN),
        (b"GET /callback?code=1 HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n", Page.FOREIGN),
        (b"GET /callback?code=1 HTTP/1.1\r\n\r\n", Page.FOREIGN),
        (b"GET http://{host}/callback?code=1 HTTP/1.1\r\nHost: {host}\r\n\r\n", Page.NO_REQUEST),
        (b"GET /callback?code=\xff HTTP/1.1\r\nHost: {host}\r\n\r\n", Page.NO_REQUEST),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", Page.NO_REQUEST),
        (b"\r\n\r\n", Page.NO_REQUEST),
        (b"GET /callback?code=" + b"1" * 20_000 + b" HTTP/1.1\r\nHost: {host}\r\n\r\n", Page.TOO_LONG),
        (b"GET /callback?code=1 HTTP/1.1\r\nX: " + b"1" * 40_000, Page.TOO_LONG),
    ],
)
def test_what_ends_no_login_is_turned_away_and_the_right_answer_still_arrives(
    listener: LoginListener, browsers: list[Browser], request_: bytes, page: Page
) -> None:
    browsers[0].send(request_.replace(b"{host}", browsers[0].authority.encode()))
    browsers[1].get()

    arrived = wait(listener)

    assert arrived is not None
    assert arrived.address.endswith(GOOD)
    assert browsers[0].read() == page.response().decode()


@given(st.binary(max_size=400))
def test_no_bytes_are_taken_for_an_answer_but_a_get_for_the_path_under_the_name(head: bytes) -> None:
    found = judged(head, "127.0.0.1:8765", "/callback")

    assert isinstance(found, Page) or found.startswith("/callback?")


@pytest.mark.parametrize("page", Page)
def test_a_page_tells_nothing_but_its_own_words_and_is_kept_by_nobody(page: Page) -> None:
    head, _, body = page.response().partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")

    assert lines[0] == f"HTTP/1.1 {page.status.value} {page.status.phrase}"
    assert {"Cache-Control: no-store", "Referrer-Policy: no-referrer", f"Content-Length: {len(body)}"} <= set(lines)
    assert not [word for word in (b"<script", b"<link", b"<img", b"<style", b"href", b"src") if word in body.lower()]
    assert (b"%" in body, b"{" in body) == (False, False)


# ---- where it listens ----


def test_it_listens_on_loopback_alone(listener: LoginListener) -> None:
    host, port = listener._listening.getsockname()

    assert host == "127.0.0.1"
    assert listener.redirect_uri == f"http://127.0.0.1:{port}/callback"


def test_a_port_of_the_file_is_used_and_the_address_is_kept_as_it_is_written() -> None:
    asked = with_port("http://localhost/Back")

    with LoginListener(asked) as listener:
        assert listener.redirect_uri == asked


@pytest.mark.parametrize("address", ["http://127.0.0.1/cb", "http://127.0.0.1:0/cb", "http://localhost:0/cb"])
def test_without_a_port_a_free_one_is_taken(address: str) -> None:
    port = int(with_port(address).split(":")[2].split("/")[0])

    assert port > 1023


def test_a_port_that_is_taken_is_told_with_a_way_out(listener: LoginListener) -> None:
    with pytest.raises(LoginError, match=r"127\.0\.0\.1:\d+ cannot be listened on.*--paste"):
        LoginListener(listener.redirect_uri)


@pytest.mark.parametrize(
    "address",
    [
        "https://127.0.0.1/cb",
        "https://app.example.test/cb",
        "http://app.example.test/cb",
        "http://127.0.0.1.example.test/cb",
        "http://127.0.0.1/cb?fixed=1",
        "http://me@127.0.0.1/cb",
        "http://[::1]/cb",
        "com.example.app:/cb",
    ],
)
def test_it_never_listens_for_a_browser_that_ends_elsewhere(address: str) -> None:
    assert not can_listen(address)


# ---- what is pasted, and the end of waiting ----


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def test_a_pasted_line_arrives_without_blanks_and_has_no_browser_to_answer(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"\n   http://127.0.0.1/cb?code=1 \r\nmore\n")
    pasted = Pasted(pipe[0])

    first, second = wait(None, pasted), wait(None, pasted)

    assert first is not None
    assert second is not None
    assert (first.address, second.address, first.by_hand) == ("http://127.0.0.1/cb?code=1", "more", True)
    first.reply(Page.DONE)


def test_a_line_without_an_end_counts_when_the_paster_leaves(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"http://127.0.0.1/cb?code=1")
    os.close(pipe[1])

    arrived = wait(None, Pasted(pipe[0]))

    assert arrived is not None
    assert arrived.address.endswith("code=1")


def test_when_nobody_can_paste_any_more_only_the_listener_is_waited_for(
    pipe: tuple[int, int], listener: LoginListener, browsers: list[Browser]
) -> None:
    os.close(pipe[1])
    pasted = Pasted(pipe[0])
    browsers[0].get()

    assert wait(listener, pasted) is not None
    assert wait(None, pasted) is None


def test_a_file_on_stdin_is_nobody_who_pastes(tmp_path: object) -> None:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    try:
        assert wait(None, Pasted(descriptor)) is None
    finally:
        os.close(descriptor)


def test_a_pasted_line_of_any_length_is_bounded(pipe: tuple[int, int]) -> None:
    pasted = Pasted(pipe[0])
    for _ in range(3):
        os.write(pipe[1], b"x" * 60_000)
        assert wait(None, pasted, seconds=0.05) is None

    assert len(pasted._got) <= 65_536


def test_an_answer_is_not_printed(listener: LoginListener, browsers: list[Browser]) -> None:
    browsers[0].get()

    assert "c-1" not in repr(wait(listener))


def test_waiting_ends_when_it_is_asked_to(listener: LoginListener) -> None:
    stop = threading.Event()
    stop.set()

    assert Answers(listener, None).next(ends_at=monotonic() + 60, stop=stop) is None
