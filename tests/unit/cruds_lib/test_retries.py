"""When a request is sent again, and when it must not be."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cruds import Client, EventKind, RequestEvent, RetryPolicy
from cruds.exception import (
    AnswerLostError,
    ClientStoppedError,
    ConnectError,
    HTTPStatusError,
    RateLimitedError,
)
from cruds.retries import RetryBudget, retry_after_of
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

from .conftest import Waits

OK = json_reply({"ok": True})
LOST = [
    pytest.param(Reply(close=True), id="closed"),
    pytest.param(Reply(reset=True), id="reset"),
    pytest.param(Reply(200, {}, b"0123456789", cut=4), id="truncated"),
    pytest.param(Reply(200, {}, b"0123456789" * 9, cut=40, chunked=True), id="truncated chunks"),
    pytest.param(Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Le"), id="half a header"),
    pytest.param(Reply(raw=b"SSH-2.0-OpenSSH\r\n\r\n"), id="not http"),
    pytest.param(Reply(hang=True), id="silence"),
]
WRITES: list[Callable[[Client], Any]] = [
    lambda client: client.create("x", {"a": 1}),
    lambda client: client.update("x", {"a": 1}),
]


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize("reply", LOST)
@pytest.mark.parametrize("write", WRITES, ids=["POST", "PATCH"])
def test_a_create_is_never_repeated_after_a_lost_answer(
    server: ScriptedServer, client_of: Callable[..., Client], reply: Reply, write: Callable[[Client], Any]
) -> None:
    """K02: the record may exist by now."""
    client = client_of(server, read_timeout=0.2)
    server.script(reply, OK)
    with pytest.raises(AnswerLostError) as caught:
        write(client)
    assert len(server.journal) == 1
    assert caught.value.sent
    assert caught.value.attempts == 1


@pytest.mark.parametrize("reply", LOST)
def test_a_read_is_repeated_after_a_lost_answer(
    server: ScriptedServer, client_of: Callable[..., Client], reply: Reply
) -> None:
    client = client_of(server, read_timeout=0.2)
    server.script(reply, OK)
    assert client.read("x") == {"ok": True}


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
@pytest.mark.parametrize("write", WRITES, ids=["POST", "PATCH"])
def test_a_create_is_never_repeated_after_an_error_that_may_follow_the_deed(
    server: ScriptedServer, client: Client, status: int, write: Callable[[Client], Any]
) -> None:
    """K01."""
    server.script(Reply(status), OK)
    with pytest.raises(HTTPStatusError, match=f"status code {status}"):
        write(client)
    assert len(server.journal) == 1


@pytest.mark.parametrize(
    "refusal",
    [Reply(429), Reply(429, {"Retry-After": "3"}), Reply(503, {"Retry-After": "3"}), Reply(425)],
    ids=["429", "429+", "503+", "425"],
)
def test_a_create_that_was_surely_not_processed_is_repeated(
    server: ScriptedServer, client: Client, refusal: Reply
) -> None:
    """K01."""
    server.script(refusal, OK)
    assert client.create("x", {}) == {"ok": True}
    assert len(server.journal) == 2


def test_a_create_is_repeated_while_nothing_reached_the_server(waits: Waits) -> None:
    """K01: a refused connection is harmless."""
    with (
        Client(f"http://127.0.0.1:{unused_port()}", stop=waits, random=lambda: 1.0) as client,
        pytest.raises(ConnectError) as caught,
    ):
        client.create("x", {})
    assert caught.value.attempts == 5
    assert not caught.value.sent


def test_a_name_that_is_not_found_is_a_connect_error(waits: Waits) -> None:
    with Client("https://nowhere.invalid", retries=0, stop=waits) as client, pytest.raises(ConnectError):
        client.create("x", {})


@pytest.mark.parametrize("options", [{"idempotency_key": ("Idempotency-Key", "k1")}, {"repeatable": True}])
def test_a_write_that_is_harmless_to_repeat_is_repeated(
    server: ScriptedServer, client: Client, options: dict[str, Any]
) -> None:
    """K01, K02: an idempotency key, or the caller's word."""
    server.script(Reply(close=True), Reply(502), OK)
    assert client.create("x", {}, **options) == {"ok": True}
    keys = {seen.headers.get("idempotency-key") for seen in server.journal}
    assert keys == {"k1" if "idempotency_key" in options else None}


def test_the_caller_can_forbid_repeating(server: ScriptedServer, client: Client) -> None:
    server.script(Reply(502), OK)
    with pytest.raises(HTTPStatusError):
        client.update("x", {}, replace=True, repeatable=False)


def test_put_and_delete_are_repeated(server: ScriptedServer, client: Client) -> None:
    server.script(Reply(close=True), OK, Reply(500), OK)
    assert client.update("x", {}, replace=True) == {"ok": True}
    assert client.delete("x") == {"ok": True}


def test_a_lost_answer_is_not_hidden_by_a_later_refused_connection(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """K02: 'nothing reached the server' must be true of the whole call, not of its last attempt."""
    client = client_of(server, retries=1)
    server.script(Reply(close=True, before=server.refuse))
    with pytest.raises(AnswerLostError) as caught:
        client.create("x", {}, idempotency_key=("Idempotency-Key", "k"))
    assert caught.value.sent
    assert caught.value.attempts == 2
    assert isinstance(caught.value.__cause__, ConnectError)


@pytest.mark.parametrize("gone", [404, 410])
@pytest.mark.parametrize("lost", [Reply(close=True), Reply(502)], ids=["lost", "502"])
def test_a_repeated_delete_that_finds_nothing_has_succeeded(
    server: ScriptedServer, client: Client, lost: Reply, gone: int
) -> None:
    """K33."""
    server.script(lost, json_reply({"error": "not found"}, gone))
    assert client.delete("x") == b""


@pytest.mark.parametrize("before", [[], [Reply(429)]], ids=["first", "after 429"])
def test_a_delete_of_nothing_is_an_error_when_no_attempt_can_have_done_it(
    server: ScriptedServer, client: Client, before: list[Reply]
) -> None:
    """K33: only an ambiguous attempt explains a 404."""
    server.script(*before, Reply(404))
    with pytest.raises(HTTPStatusError, match="status code 404"):
        client.delete("x")


def test_the_last_answer_is_raised_whole_when_the_retries_are_used_up(server: ScriptedServer, client: Client) -> None:
    """K03."""
    server.route("/api/x", json_reply({"why": "busy"}, 503, {"X-Request-Id": "r5"}))
    with pytest.raises(HTTPStatusError) as caught:
        client.read("x")
    error = caught.value
    assert (error.status, error.attempts, error.request_id) == (503, 5, "r5")
    assert error.body == b'{"why": "busy"}'
    assert error.last_response is not None


def test_an_error_after_an_answer_keeps_that_answer(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    """K03: a 503, then silence: the 503 is still known."""
    server.script(Reply(503, {}, b"busy"), Reply(close=True))
    with pytest.raises(AnswerLostError) as caught:
        client_of(server, retries=1).read("x")
    assert caught.value.last_response is not None
    assert caught.value.last_response.body == b"busy"


def test_after_the_last_retry_the_answer_is_returned_if_nobody_wants_it_raised(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """K05: the retry statuses are no exception."""
    server.route("/x", json_reply({"why": "busy"}, 503))
    client = client_of(server, raise_status=False, retries=2)
    response = client.request("GET", "x")
    assert (response.status, response.attempts, response.data()) == (503, 3, {"why": "busy"})


def test_ignored_statuses_are_returned(server: ScriptedServer, client: Client) -> None:
    """K05."""
    server.route("/api/x", json_reply({"why": "gone"}, 503))
    server.route("/api/y", json_reply({"why": "none"}, 404))
    client.status_ignore = {404, 503}
    assert client.read("x") == {"why": "gone"}
    assert client.read("y") == {"why": "none"}
    with pytest.raises(HTTPStatusError):
        client.request("GET", "z")


@pytest.mark.suffering(13)
def test_a_wait_the_server_asks_for_is_kept(server: ScriptedServer, client: Client, waits: Waits) -> None:
    """K22."""
    server.script(Reply(429, {"Retry-After": "17"}), OK)
    client.read("x")
    assert waits.waits == [17.0]


@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_longer_than_the_cap_is_the_schedulers(
    server: ScriptedServer, client_of: Callable[..., Client], waits: Waits, status: int
) -> None:
    """K22: it is told, not slept."""
    server.script(Reply(status, {"Retry-After": "3600"}), OK)
    with pytest.raises(RateLimitedError) as caught:
        client_of(server).read("x")
    assert caught.value.retry_after == 3600
    assert waits.waits == []


def test_a_wait_beyond_the_deadline_is_not_begun(
    server: ScriptedServer, client_of: Callable[..., Client], waits: Waits
) -> None:
    """K07, K22."""
    server.script(Reply(503, {"Retry-After": "60"}), OK)
    with pytest.raises(RateLimitedError) as caught:
        client_of(server, timeout=30).read("x")
    assert caught.value.retry_after == 60
    assert waits.waits == []


def test_waits_of_our_own_double_and_carry_full_jitter(
    server: ScriptedServer, client_of: Callable[..., Client], waits: Waits
) -> None:
    """K22."""
    server.script(*[Reply(502)] * 4, OK)
    client_of(server, backoff_factor=2, random=iter([1.0, 0.5, 0.25, 0.0]).__next__).read("x")
    assert waits.waits == [2.0, 2.0, 2.0]  # 2, 4/2, 8/4, and 16*0 is no wait at all


@given(st.integers(1, 400), st.floats(0, 1), st.floats(0, 100))
def test_no_wait_is_negative_or_endless(retry: int, luck: float, factor: float) -> None:
    assert 0 <= RetryPolicy(backoff_factor=factor).backoff(retry, lambda: luck) <= 60


NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.edge(49)
@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "Sun, 22 Nov 2026 12:01:00 GMT"}, 60.0),
        ({"retry-after": "Sunday, 22-Nov-26 12:01:00 GMT"}, 60.0),
        ({"retry-after": "Sun Nov 22 12:01:00 2026"}, 60.0),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Sun, 22 Nov 2026 09:00:30 GMT", "date": "Sun, 22 Nov 2026 09:00:00 GMT"}, 30.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[str, str], wait: float | None) -> None:
    """K22: RFC 9110 sections 10.2.3 and 5.6.7; a date counts from the server's own clock."""
    assert retry_after_of(headers, lambda: NOW) == wait


@given(st.text())
def test_no_retry_after_breaks_the_reader(text: str) -> None:
    wait = retry_after_of({"retry-after": text}, lambda: NOW)
    assert wait is None or wait >= 0


def test_an_empty_budget_ends_calls_at_their_first_failure() -> None:
    """K22: an outage is not hammered."""
    budget = RetryBudget(capacity=2, refill=0.5)
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    budget.earn()
    assert not budget.spend()
    budget.earn()
    assert budget.spend()


def test_an_outage_costs_one_request_a_call_in_the_end(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """K22."""
    server.route("/x", Reply(close=True))
    client = client_of(server)
    for _ in range(30):
        with pytest.raises(AnswerLostError):
            client.read("x")
    before = len(server.journal)
    with pytest.raises(AnswerLostError):
        client.read("x")
    assert len(server.journal) - before == 1


def test_a_stop_ends_the_waiting(server: ScriptedServer, client: Client, waits: Waits) -> None:
    waits.stops_after = 1
    server.script(Reply(503), OK)
    with pytest.raises(ClientStoppedError) as caught:
        client.read("x")
    assert len(server.journal) == 1
    assert not caught.value.sent


def test_a_stop_says_whether_a_write_may_have_been_done(server: ScriptedServer, client: Client, waits: Waits) -> None:
    waits.stops_after = 1
    server.script(Reply(502), OK)
    with pytest.raises(ClientStoppedError) as caught:
        client.update("x", {}, replace=True)
    assert caught.value.sent


def test_nothing_is_sent_after_a_stop(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(ClientStoppedError):
        client_of(server, stop=stop).read("x")
    assert server.journal == []


def test_the_hook_is_told_of_each_attempt_and_of_no_query(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """K23: facts for logs, without secrets."""
    events: list[RequestEvent] = []
    server.script(Reply(close=True), Reply(503, {"Retry-After": "4"}), OK)
    client_of(server, on_event=events.append).read("x?token=secret", {"key": "secret"})
    assert [(one.kind, one.status, one.attempt, one.wait_s, one.error) for one in events] == [
        (EventKind.RETRY, None, 1, 0.9, "AnswerLostError"),
        (EventKind.RETRY, 503, 2, 4.0, None),
        (EventKind.ANSWER, 200, 3, None, None),
    ]
    assert "secret" not in repr(events)


def test_the_hook_is_told_of_the_failure_that_is_raised(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    events: list[RequestEvent] = []
    server.script(Reply(close=True))
    with pytest.raises(AnswerLostError):
        client_of(server, on_event=events.append).create("x", {})
    assert [(one.kind, one.method, one.error) for one in events] == [(EventKind.FAILURE, "POST", "AnswerLostError")]


def test_a_policy_is_a_value() -> None:
    assert RetryPolicy() == RetryPolicy(retries=4)
    assert hash(RetryPolicy()) == hash(RetryPolicy())
