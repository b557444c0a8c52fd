"""What a caller orders about an answer, before its status counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cruds import AuthABC, Client, EventKind, RequestEvent
from cruds.exception import HTTPStatusError
from cruds.response import Response
from cruds.ruling import Ruling
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

OK = json_reply({"ok": True})
BUSY = json_reply({"busy": True})


class Tokens(AuthABC):
    """Gives another token each time it is asked to renew."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = list(tokens)

    def access_token(self) -> str:
        return self._tokens[0]

    def is_valid(self) -> bool:
        return True

    def renew(self, rejected_token: str) -> str:
        if len(self._tokens) > 1 and rejected_token == self._tokens[0]:
            self._tokens.pop(0)
        return self._tokens[0]


def busy(response: Response) -> Ruling | None:
    return Ruling.RETRY if b"busy" in response.body else None


def test_an_answer_is_repeated_when_the_caller_says_so_whatever_its_method_and_status(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    server.script(BUSY, json_reply({"busy": True}, 400), OK)

    assert client_of(server).create("x", {"a": 1}, judge=busy) == {"ok": True}
    assert [seen.body for seen in server.journal] == [b'{"a":1}'] * 3


def test_it_is_repeated_as_often_as_the_client_repeats_and_then_it_is_the_answer(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    server.script(*[BUSY] * 9)

    assert client_of(server, retries=2).create("x", {}, judge=busy) == {"busy": True}
    assert len(server.journal) == 3


def test_a_wish_to_wait_longer_than_the_client_does_ends_the_call(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    server.script(Reply(200, {"Retry-After": "999", "Content-Type": "application/json"}, b'{"busy": true}'), OK)

    assert client_of(server, max_retry_wait=10.0).create("x", {}, judge=busy) == {"busy": True}
    assert len(server.journal) == 1


@pytest.mark.parametrize("status", [503, 429, 401])
def test_a_final_answer_is_neither_repeated_nor_taken_for_a_refused_token(
    server: ScriptedServer, client_of: Callable[..., Client], status: int
) -> None:
    server.script(Reply(status), OK)

    with pytest.raises(HTTPStatusError):
        client_of(server, auth=Tokens("one", "two")).read("x", judge=lambda response: Ruling.FINAL)
    assert len(server.journal) == 1


def test_a_token_is_renewed_once_for_an_answer_that_is_no_401(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    events: list[RequestEvent] = []
    server.script(Reply(400), Reply(400))
    client = client_of(server, auth=Tokens("one", "two", "three"), on_event=events.append)

    with pytest.raises(HTTPStatusError):
        client.create("x", {}, judge=lambda response: Ruling.RENEW)

    assert [seen.headers["authorization"] for seen in server.journal] == ["Bearer one", "Bearer two"]
    assert [event.kind for event in events] == [EventKind.RENEWAL, EventKind.ANSWER]


def test_a_token_that_cannot_be_renewed_ends_the_call(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    server.script(Reply(400), OK)

    with pytest.raises(HTTPStatusError):
        client_of(server, auth="fixed").create("x", {}, judge=lambda response: Ruling.RENEW)
    assert len(server.journal) == 1


def test_a_redirect_that_is_followed_is_nobodys_to_judge(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    judged: list[int] = []
    server.script(Reply(307, {"Location": "/y"}), OK)

    client_of(server).read("x", judge=lambda response: judged.append(response.status))

    assert judged == [200]


def test_without_an_order_the_status_counts(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    server.script(Reply(503), OK)

    assert client_of(server).read("x", judge=lambda response: None) == {"ok": True}
