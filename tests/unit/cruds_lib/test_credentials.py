"""Who we are, in each request, and nothing of it on paper."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest

from cruds import AuthABC, Client, EventKind, RequestEvent
from cruds.exception import HTTPStatusError, OAuthAccessTokenError
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

OK = json_reply({"ok": True})


class Tokens(AuthABC):
    """Gives one token after the other; a renewal moves on to the next."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.asked = 0
        self.rejected: list[str] = []

    def access_token(self) -> str:
        self.asked += 1
        return self.tokens[0]

    def is_valid(self) -> bool:
        return True

    def renew(self, rejected_token: str) -> str:
        self.rejected.append(rejected_token)
        if len(self.tokens) > 1 and self.tokens[0] == rejected_token:
            self.tokens.pop(0)
        return self.tokens[0]


class Compatible(AuthABC):
    """As programs write it today: two methods."""

    def __init__(self) -> None:
        self.calls = 0

    def access_token(self) -> str:
        self.calls += 1
        return f"token-{self.calls}"

    def is_valid(self) -> bool:
        return self.calls > 0


def sent(server: ScriptedServer) -> list[str | None]:
    return [seen.headers.get("authorization") for seen in server.journal]


def test_a_text_is_a_bearer_token(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    server.script(OK)
    client_of(server, auth="abc").read("x")
    assert sent(server) == ["Bearer abc"]


def test_a_pair_is_basic_in_utf8(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    """K25: RFC 7617 section 2.1."""
    server.script(OK)
    client_of(server, auth=("jürgen", "пароль:x")).read("x")
    header = sent(server)[0]
    assert header is not None
    assert b64decode(header.removeprefix("Basic ")).decode() == "jürgen:пароль:x"


def test_a_mapping_is_headers(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    server.script(OK)
    client_of(server, auth={"X-Api-Key": "k"}).read("x")
    assert server.journal[0].headers["x-api-key"] == "k"


@pytest.mark.parametrize("auth", [42, "", " ", (), ("a",), ("a", "b", "c"), ("a", 1), {}, object(), b"token", True])
def test_an_unknown_shape_of_auth_is_refused(auth: object) -> None:
    """K16: no request goes out unauthenticated by mistake."""
    with pytest.raises(TypeError, match="auth is a"):
        Client("https://h.example", auth=auth)


@pytest.mark.parametrize("auth", ["a\r\nX: y", {"X-Key": "a\nb"}, {"X Key": "a"}, "tökén\u2603", ("a:b", "c")])
def test_credentials_that_cannot_be_a_header_are_refused_unseen(auth: object) -> None:
    """K25: nothing is smuggled into the request, and the text does not show the secret."""
    with pytest.raises(ValueError, match=r"header|colon") as caught:
        Client("https://h.example", auth=auth)
    assert "k\u00e9n" not in str(caught.value)


def test_the_header_is_computed_for_each_request(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    """O05, O32: a token that changes is sent as it is now, also when it was valid from the start."""
    auth = Tokens("one")
    client = client_of(server, auth=auth)
    server.script(OK, OK)
    client.read("x")
    auth.tokens = ["two"]
    client.read("x")
    assert sent(server) == ["Bearer one", "Bearer two"]


def test_two_clients_share_one_auth_object(
    server: ScriptedServer, other_server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """O06: both send the token, before and after a renewal by one of them."""
    auth = Tokens("old", "new")
    first, second = client_of(server, auth=auth), client_of(other_server, auth=auth)
    server.script(Reply(401), OK)
    other_server.script(OK, OK)
    second.read("x")
    first.read("x")
    second.read("x")
    assert sent(server) == ["Bearer old", "Bearer new"]
    assert sent(other_server) == ["Bearer old", "Bearer new"]


def test_a_custom_auth_object_is_asked_when_the_client_is_built() -> None:
    """The API reference's promise, kept."""
    auth = Compatible()
    with Client("https://h.example", auth=auth) as client:
        assert auth.calls == 1
        assert client.request_headers["Authorization"] == "Bearer token-1"


@pytest.mark.parametrize("write", [False, True])
def test_a_rejected_token_is_renewed_once_and_the_request_repeated(
    server: ScriptedServer, client_of: Callable[..., Client], *, write: bool
) -> None:
    """O07: a 401 means not processed, so a create is repeated too; retries=0 has nothing to do with it."""
    auth = Tokens("old", "new")
    events: list[RequestEvent] = []
    client = client_of(server, auth=auth, retries=0, on_event=events.append)
    server.script(Reply(401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}), OK)
    assert (client.create("x", {"a": 1}) if write else client.read("x")) == {"ok": True}
    assert sent(server) == ["Bearer old", "Bearer new"]
    assert auth.rejected == ["old"]
    assert [one.kind for one in events] == [EventKind.RENEWAL, EventKind.ANSWER]


def test_a_second_rejection_is_raised(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    """O07: once, not for ever."""
    server.route("/x", Reply(401))
    with pytest.raises(HTTPStatusError, match="status code 401"):
        client_of(server, auth=Tokens("a", "b", "c")).read("x")
    assert len(server.journal) == 2


def test_a_rejection_is_raised_when_there_is_no_other_token(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """O07."""
    server.route("/x", Reply(401))
    for auth in (Tokens("only"), "static", None):
        with pytest.raises(HTTPStatusError, match="status code 401"):
            client_of(server, auth=auth).read("x")
    assert len(server.journal) == 3


@pytest.mark.parametrize("status", [401, 403])
def test_too_little_scope_is_not_mended_by_another_token(
    server: ScriptedServer, client_of: Callable[..., Client], status: int
) -> None:
    """RFC 6750 section 3.1."""
    auth = Tokens("a", "b")
    server.script(Reply(status, {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}))
    with pytest.raises(HTTPStatusError):
        client_of(server, auth=auth).read("x")
    assert auth.rejected == []


def test_an_auth_object_of_two_methods_gets_its_second_chance(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """O07: the default renewal asks again."""
    server.script(Reply(401), OK)
    client_of(server, auth=Compatible()).read("x")
    first, second = sent(server)
    assert first != second


def test_an_empty_bearer_is_never_sent(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    """O08."""
    client = client_of(server, auth=Tokens(""))
    with pytest.raises(OAuthAccessTokenError, match="no token"):
        client.read("x")
    assert server.journal == []


def test_headers_of_a_call_win_whatever_their_case(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    """K21."""
    server.script(OK, OK)
    client = client_of(server, auth=Tokens("a"), headers={"X-Tenant": "1"})
    client.request_headers["X-More"] = "2"
    client.read("x", headers={"x-tenant": "9", "authorization": "Digest z"})
    client.read("x")
    first, second = (seen.headers for seen in server.journal)
    assert (first["x-tenant"], first["x-more"], first["authorization"]) == ("9", "2", "Digest z")
    assert (second["x-tenant"], second["authorization"]) == ("1", "Bearer a")


@pytest.mark.parametrize("headers", [{"X-A": "b\r\nX-Evil: 1"}, {"X A": "b"}, {"X-A": "\u2603"}])
def test_a_header_cannot_smuggle_another(client: Client, headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="header"):
        client.read("x", headers=headers)


@pytest.mark.parametrize("auth", ["topsecret", ("me", "topsecret"), {"X-Key": "topsecret"}, Tokens("topsecret")])
def test_a_client_that_is_printed_shows_no_secret(auth: Any) -> None:
    """C05."""
    with Client("https://h.example/v1", auth=auth) as client:
        assert repr(client) == "<Client https://h.example/v1>"
