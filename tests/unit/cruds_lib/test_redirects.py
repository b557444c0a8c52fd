"""Redirects: reads follow, writes do not guess, credentials stay at home."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cruds import Client
from cruds.exception import AnswerLostError, RedirectError
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

OK = json_reply({"ok": True})


def to(status: int, location: str) -> Reply:
    return Reply(status, {"Location": location})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_read_follows_and_is_not_counted_as_a_retry(
    server: ScriptedServer, client_of: Callable[..., Client], status: int
) -> None:
    """K15: redirects have nothing to do with retries."""
    server.script(to(status, "../moved?page=1#part"), OK)
    response = client_of(server, "/api", retries=0).request("GET", "x")
    assert response.data() == {"ok": True}
    assert [seen.target for seen in server.journal] == ["/api/x", "/moved?page=1"]
    assert response.url == f"{server.url}/moved?page=1"


@pytest.mark.parametrize("status", [301, 302])
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_a_write_that_is_moved_is_not_sent_again(
    server: ScriptedServer, client: Client, status: int, method: str
) -> None:
    """K34."""
    server.script(to(status, "/api/y?secret=1"), OK)
    with pytest.raises(RedirectError, match=f"status code {status}") as caught:
        client.request(method, "x", data={"a": 1})
    assert len(server.journal) == 1
    assert caught.value.location == f"{server.url}/api/y"


def test_a_write_that_says_see_other_is_answered_by_a_read(server: ScriptedServer, client: Client) -> None:
    """K34: RFC 9110 section 15.4.4."""
    server.script(to(303, "/api/x/1"), OK)
    assert client.create("x", {"a": 1}) == {"ok": True}
    second = server.journal[1]
    assert (second.method, second.body) == ("GET", b"")
    assert "content-type" not in second.headers


@pytest.mark.parametrize("status", [307, 308])
def test_a_write_is_sent_on_as_it_is_when_the_server_says_so(
    server: ScriptedServer, client: Client, status: int
) -> None:
    server.script(to(status, "/api/y"), OK)
    client.create("x", {"a": 1})
    assert [(seen.method, seen.path, seen.body) for seen in server.journal] == [
        ("POST", "/api/x", b'{"a":1}'),
        ("POST", "/api/y", b'{"a":1}'),
    ]


@pytest.mark.parametrize("broken", [Reply(404), Reply(close=True), Reply(302)])
def test_a_write_whose_result_cannot_be_read_is_not_reported_as_refused(
    server: ScriptedServer, client_of: Callable[..., Client], broken: Reply
) -> None:
    """K02, K34: after a 303 the deed is done; a 404 of the second request is not its answer."""
    server.script(to(303, "/x/1"), broken)
    with pytest.raises(AnswerLostError) as caught:
        client_of(server, retries=0).create("x", {"a": 1})
    assert caught.value.method == "POST"
    assert caught.value.sent


@pytest.mark.fact(14)
@pytest.mark.parametrize("status", [303, 307, 308])
def test_a_write_does_not_follow_to_another_origin(
    server: ScriptedServer, other_server: ScriptedServer, client: Client, status: int
) -> None:
    """K29."""
    server.script(to(status, other_server.url + "/x"))
    with pytest.raises(RedirectError):
        client.create("x", {"a": 1})
    assert other_server.journal == []


@pytest.mark.edge(21)
@pytest.mark.fact(14)
@pytest.mark.parametrize("auth", ["token", ("user", "pass"), {"X-Company": "secret"}])
def test_a_read_that_leaves_the_origin_takes_no_credentials_along(
    server: ScriptedServer, other_server: ScriptedServer, client_of: Callable[..., Client], auth: object
) -> None:
    """K29: not the token, not an API-key header of any name, not a cookie."""
    server.script(to(302, other_server.url + "/file"))
    other_server.script(OK)
    client_of(server, auth=auth, headers={"X-Tenant": "t1"}).read("x", headers={"Cookie": "session=1"})
    assert set(other_server.journal[0].headers) == {"host", "accept", "accept-encoding", "user-agent"}


def test_a_loop_is_left(server: ScriptedServer, client: Client) -> None:
    """K15."""
    server.route("/api/x", to(302, "/api/x"))
    with pytest.raises(RedirectError, match="in a row"):
        client.read("x")
    assert len(server.journal) == 6


@pytest.mark.parametrize(
    "headers", [{}, *({"Location": place} for place in ("mailto:a@b.c", "http://h:99999/", "http://[h/", "//["))]
)
def test_a_redirect_to_nowhere_is_an_error(server: ScriptedServer, client: Client, headers: dict[str, str]) -> None:
    """K15: 3xx is not success."""
    server.script(Reply(302, headers, b"page"))
    with pytest.raises(RedirectError) as caught:
        client.read("x")
    assert caught.value.last_response is not None
    assert caught.value.last_response.body == b"page"


@pytest.mark.edge(21)
def test_no_redirect_leads_from_https_to_http(
    tls_server: ScriptedServer, server: ScriptedServer, client_of: Callable[..., Client], certificate: object
) -> None:
    """K29."""
    tls_server.script(to(302, server.url + "/x"))
    with pytest.raises(RedirectError, match="https to http"):
        client_of(tls_server, ca_file=str(certificate)).read("x")
    assert server.journal == []


def test_a_redirect_is_returned_when_nobody_wants_it_raised(server: ScriptedServer, client: Client) -> None:
    """K05, K15."""
    server.script(to(302, "/y"), to(302, "/y"))
    assert client.request("POST", "x", raise_status=False).status == 302
    client.status_ignore = {302}
    assert client.request("POST", "x").status == 302


def test_not_modified_is_an_answer(server: ScriptedServer, client: Client) -> None:
    server.script(Reply(304, {"ETag": '"1"'}))
    response = client.request("GET", "x", headers={"If-None-Match": '"1"'})
    assert (response.status, response.headers["etag"], response.body) == (304, '"1"', b"")
