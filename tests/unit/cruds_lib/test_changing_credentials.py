"""Credentials that are no bearer token and change in use; and those that travel in a query without being seen there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cruds import Client, PageType, Paging, RequestEvent
from cruds.credentials import Credentials, Proof
from cruds.exception import HTTPStatusError, InsecureError, RedirectError
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

OK = json_reply({"ok": True})
KEY = "k3y&of=mine"


class Turning(Credentials):
    """Proofs one after the other; a rejected one is followed by the next."""

    def __init__(self, *proofs: Proof) -> None:
        self.proofs = list(proofs)
        self.param_names = frozenset(name for one in proofs for name in one.params)

    def proof(self) -> Proof:
        return self.proofs[0]

    def renew(self, rejected: Proof) -> bool:
        if self.proofs[0] is rejected and len(self.proofs) > 1:
            del self.proofs[0]
        return self.proofs[0] is not rejected


def in_query(*keys: str) -> Turning:
    return Turning(*(Proof(params={"api_key": key}) for key in keys))


def asked(server: ScriptedServer) -> list[Mapping[str, str]]:
    return [dict(seen.query) for seen in server.journal]


def test_another_proof_is_tried_once_after_a_401(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    server.script(Reply(401), OK, Reply(401))
    client = client_of(server, auth=Turning(Proof({"X-Key": "old"}), Proof({"X-Key": "new"})))

    assert client.read("x") == {"ok": True}
    with pytest.raises(HTTPStatusError):
        client.read("x")

    assert [seen.headers["x-key"] for seen in server.journal] == ["old", "new", "new"]


def test_a_key_in_the_query_goes_along_and_is_not_shown(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    events: list[RequestEvent] = []
    server.script(OK, Reply(500, {}, b"no"), Reply(close=True))
    client = client_of(server, auth=in_query(KEY), on_event=events.append, retries=0)

    answer = client.request("GET", "x?a=1", params={"b": 2})
    errors = []
    for _ in range(2):
        with pytest.raises(Exception, match="x") as caught:
            client.read("x")
        errors.append(caught.value)

    assert asked(server) == [{"a": "1", "b": "2", "api_key": KEY}, {"api_key": KEY}, {"api_key": KEY}]
    assert answer.url == f"{server.url}/x?a=1&b=2"
    shown = repr((events, answer, client, [vars(one) for one in errors], list(map(str, errors))))
    assert "k3y" not in shown


def test_nobody_else_sets_its_parameter(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    server.script(OK)

    answer = client_of(server, auth=in_query(KEY)).request("GET", "x?api_key=theirs&a=1", params={"api_key": "other"})

    assert asked(server) == [{"a": "1", "api_key": KEY}]
    assert answer.url == f"{server.url}/x?a=1"


def test_a_key_that_is_refused_is_replaced_in_the_query(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    server.script(Reply(401), OK)

    client_of(server, auth=in_query("old", "new")).read("x")

    assert asked(server) == [{"api_key": "old"}, {"api_key": "new"}]


@pytest.mark.parametrize("kind", [PageType.LINK, PageType.NEXT_URL])
def test_a_service_that_repeats_the_key_in_its_next_address_does_not_put_it_into_a_token(
    server: ScriptedServer, client_of: Callable[..., Client], kind: PageType
) -> None:
    """Tokens are kept, to take a read up again."""
    following = f"{server.url}/people?page=2&api_key={KEY.replace('&', '%26').replace('=', '%3D')}"
    first = json_reply({"items": [1], "next": following}, headers={"Link": f'<{following}>; rel="next"'})
    server.route("/people", first, json_reply({"items": [2], "next": None}))
    paging = Paging(kind, next="next" if kind is PageType.NEXT_URL else None)

    pages = list(client_of(server, auth=in_query(KEY)).pages("people", paging=paging, records="items"))

    assert asked(server) == [{"api_key": KEY}, {"page": "2", "api_key": KEY}]
    assert "k3y" not in repr([(page.request, page.response.url) for page in pages])


def test_a_redirect_at_home_has_the_key_once(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    server.script(Reply(302, {"Location": "/y?api_key=k3y%26of%3Dmine&a=1"}), OK)

    answer = client_of(server, auth=in_query(KEY)).request("GET", "x")

    assert server.journal[1].query == [("a", "1"), ("api_key", KEY)]
    assert answer.url == f"{server.url}/y?a=1"


def test_a_redirect_elsewhere_does_not_have_it_even_if_the_service_put_it_there(
    server: ScriptedServer, other_server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """Parameters of the same name are the other host's own business; only our value may not go along."""
    location = f"{other_server.url}/y?key=k3y%26of%3Dmine&api_key=theirs&a=1"
    server.script(Reply(302, {"Location": location}))
    other_server.script(OK)

    client_of(server, auth=in_query(KEY)).read("x")

    assert asked(other_server) == [{"api_key": "theirs", "a": "1"}]


def test_a_redirect_that_is_refused_does_not_show_it(
    server: ScriptedServer, other_server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    server.script(Reply(307, {"Location": f"{other_server.url}/y?api_key=k3y%26of%3Dmine"}))

    with pytest.raises(RedirectError) as caught:
        client_of(server, auth=in_query(KEY)).create("x", {})

    assert "k3y" not in str(caught.value) + str(caught.value.location) + caught.value.url
    assert other_server.journal == []


def test_a_key_in_the_query_is_a_credential_too() -> None:
    with pytest.raises(InsecureError):
        Client("http://api.example.com", auth=in_query(KEY))


@pytest.mark.parametrize("headers", [{"X-Key": "a\nb"}, {"X Key": "a"}, {"X-Key": 1}])
def test_a_proof_that_cannot_be_sent_is_refused_and_never_printed(headers: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        Proof(headers)
    assert "s3cret" not in repr(Proof({"X-Key": "s3cret"}, {"a": "s3cret"}))
