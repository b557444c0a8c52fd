"""Every attempt passes the gate, whatever it is made for, and has left it before anything is waited for."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from cruds import AuthABC, Client, Response, RetryPolicy
from cruds.credentials import identify
from cruds.exception import AnswerLostError, ConnectError, CrudsError, GateClosedError
from cruds.exchange import Call, Exchange
from cruds.retries import RetryBudget
from cruds.transport import Transport
from tests.fakes.scripted import Reply, ScriptedServer, json_reply
from tests.unit.cruds_lib.conftest import Waits


class Counting:
    """A gate that writes down who came and how it went, and closes when it is told to."""

    def __init__(self) -> None:
        self.passed: list[tuple[str, str]] = []
        self.outcomes: list[int | str | None] = []
        self.inside = 0
        self.closes_at: int | None = None

    def __call__(self, method: str, url: str) -> Callable[[Response | None, CrudsError | None], None]:
        if len(self.passed) == self.closes_at:
            raise GateClosedError("closed", wait_s=60.0, method=method, url=url)
        self.passed.append((method, url))
        self.inside += 1
        return self._leave

    def _leave(self, answer: Response | None, error: CrudsError | None) -> None:
        self.inside -= 1
        self.outcomes.append(answer.status if answer is not None else type(error).__name__ if error else None)


class Renewing(AuthABC):
    """Credentials of which the first is bad."""

    def __init__(self, gate: Counting) -> None:
        self._gate, self._token = gate, "bad"

    def is_valid(self) -> bool:
        return True

    def access_token(self) -> str:
        return self._token

    def renew(self, rejected_token: str) -> str:
        assert self._gate.inside == 0, "nobody waits for a token inside the gate"
        self._token = "good"
        return self._token


@pytest.fixture
def gate() -> Counting:
    return Counting()


def test_repeats_redirects_and_renewals_pass_each(
    server: ScriptedServer, client_of: Callable[..., Client], gate: Counting
) -> None:
    server.script(
        Reply(503),
        Reply(reset=True),
        Reply(401),
        Reply(307, {"Location": "/there?token=secret"}),
        json_reply([1]),
    )

    assert client_of(server, gate=gate, auth=Renewing(gate)).read("here", {"q": "secret"}) == [1]

    assert len(gate.passed) == len(server.journal) == 5
    assert gate.outcomes == [503, "AnswerLostError", 401, 307, 200]
    assert gate.passed == [("GET", f"{server.url}/here")] * 4 + [("GET", f"{server.url}/there")]
    assert gate.inside == 0


def test_nobody_is_inside_while_a_call_waits(
    server: ScriptedServer, client_of: Callable[..., Client], gate: Counting
) -> None:
    class Looking(Waits):
        def wait(self, timeout: float | None = None) -> bool:
            assert gate.inside == 0
            return super().wait(timeout)

    waits = Looking()
    server.script(Reply(503), json_reply(1))

    assert client_of(server, gate=gate, stop=waits).read("x") == 1
    assert len(waits.waits) == 1


def test_a_closed_gate_ends_the_call_and_says_when_it_opens(
    server: ScriptedServer, client_of: Callable[..., Client], gate: Counting
) -> None:
    gate.closes_at = 0

    with pytest.raises(GateClosedError) as caught:
        client_of(server, gate=gate).create("x", {}, {"q": "secret"})

    assert (caught.value.wait_s, caught.value.sent, caught.value.attempts) == (60.0, False, 0)
    assert server.journal == []
    assert "secret" not in str(caught.value)


def test_a_gate_that_closes_before_a_repeat_does_not_hide_that_a_write_may_be_done(
    server: ScriptedServer, client_of: Callable[..., Client], gate: Counting
) -> None:
    server.script(Reply(reset=True))
    gate.closes_at = 1

    with pytest.raises(GateClosedError) as caught:
        client_of(server, gate=gate).update("x", {}, replace=True)

    assert (caught.value.sent, caught.value.attempts) == (True, 1)


def test_time_at_the_gate_is_not_the_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate takes longer than the call may, each time; an attempt behind it still has its own time."""
    now, left = 1000.0, []
    monkeypatch.setattr("cruds.exchange.monotonic", lambda: now)

    def slow(method: str, url: str) -> Callable[[Response | None, CrudsError | None], None]:
        nonlocal now
        now += 100.0
        return lambda answer, error: None

    class Answering:
        def send(self, call: Call, headers: object) -> Response:
            left.append(call.ends_at - now)
            return Response(503 if len(left) == 1 else 200, {}, b"", call.url, call.method)

    exchange = Exchange(
        cast("Transport", Answering()),
        RetryPolicy(),
        identify(None)[1],
        stop=Waits(),
        on_event=None,
        random=lambda: 1.0,
        budget=RetryBudget(),
        gate=slow,
    )
    call = Call("GET", "https://h.example/x", {}, None, repeatable=True, ends_at=now + 60.0)

    assert exchange.run(call).status == 200
    assert left == [60.0, 60.0]


def test_whatever_ends_an_attempt_it_leaves_the_gate(
    client_of: Callable[..., Client], server: ScriptedServer, gate: Counting
) -> None:
    class Broken(AuthABC):
        is_lazy = True

        def access_token(self) -> str:
            raise KeyError("a bug")

        def is_valid(self) -> bool:
            return False

    server.refuse()
    with pytest.raises(ConnectError):
        client_of(server, gate=gate, retries=0).read("x")
    with pytest.raises(KeyError):
        client_of(server, gate=gate, auth=Broken()).read("x")

    assert gate.outcomes == ["ConnectError", None]
    assert gate.inside == 0


def test_a_lost_answer_is_told_to_the_gate(
    server: ScriptedServer, client_of: Callable[..., Client], gate: Counting
) -> None:
    server.script(Reply(close=True))

    with pytest.raises(AnswerLostError):
        client_of(server, gate=gate).create("x", {})

    assert gate.outcomes == ["AnswerLostError"]
