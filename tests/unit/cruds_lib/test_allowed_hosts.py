"""Credentials go home and to the hosts that were allowed, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.util import parse_url

from cruds import Client, PageType, Paging, Response
from cruds.address import Host, origin_of
from cruds.exception import AddressError, InsecureError, PageError, RedirectError
from cruds.exchange import Call
from cruds.links import next_address
from cruds.redirects import follow
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

OK = json_reply({"ok": True})
BY_LINK = Paging(PageType.LINK)
AUTH: dict[str, Any] = {"auth": "t0ken", "headers": {"X-Tenant": "7"}}


def to(status: int, location: str) -> Reply:
    return Reply(status, {"Location": location})


def friend_of(client_of: Callable[..., Client], server: ScriptedServer, *others: ScriptedServer, path: str = "") -> Any:
    return client_of(server, path, allowed_hosts=[other.url for other in others], **AUTH)


def test_a_read_that_is_sent_to_an_allowed_host_takes_everything_along(
    server: ScriptedServer, other_server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    server.script(to(302, f"{other_server.url}/file"))
    other_server.script(OK)

    assert friend_of(client_of, server, other_server).read("x") == {"ok": True}

    (seen,) = other_server.journal
    assert (seen.headers["authorization"], seen.headers["x-tenant"]) == ("Bearer t0ken", "7")


@pytest.mark.parametrize(("status", "method"), [(303, "GET"), (307, "POST"), (308, "POST")])
def test_a_write_follows_to_an_allowed_host_as_it_would_at_home(
    server: ScriptedServer, other_server: ScriptedServer, client_of: Callable[..., Client], status: int, method: str
) -> None:
    server.script(to(status, f"{other_server.url}/x"))
    other_server.script(OK)

    friend_of(client_of, server, other_server).create("x", {"a": 1})

    assert [seen.method for seen in other_server.journal] == [method]


def test_who_left_for_a_stranger_does_not_get_the_credentials_back_on_the_way(
    server: ScriptedServer, other_server: ScriptedServer, client_of: Callable[..., Client], certificate: object
) -> None:
    """A stranger must not be able to make us send the token to wherever it likes among our hosts."""
    from tests.fakes.scripted import serving

    with serving() as stranger:
        server.script(to(302, f"{stranger.url}/a"))
        stranger.script(to(302, f"{other_server.url}/b"))
        other_server.script(OK)

        friend_of(client_of, server, other_server).read("x")

        for elsewhere in (stranger, other_server):
            (seen,) = elsewhere.journal
            assert {"authorization", "x-tenant"}.isdisjoint(seen.headers)


def test_next_addresses_lead_to_an_allowed_host_and_back(
    server: ScriptedServer, other_server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    server.route("/api/people", json_reply([1], headers={"Link": f'<{other_server.url}/shard?page=2>; rel="next"'}))
    other_server.route("/shard", json_reply([2], headers={"Link": '</rest?page=3>; rel="next"'}))
    other_server.route("/rest", json_reply([3], headers={"Link": f'<{server.url}/api/last>; rel="next"'}))
    server.route("/api/last", json_reply([4]))

    pages = friend_of(client_of, server, other_server, path="/api").pages("people", paging=BY_LINK)

    assert [page.records for page in pages] == [(1,), (2,), (3,), (4,)]
    assert {seen.headers["authorization"] for seen in other_server.journal} == {"Bearer t0ken"}


def test_a_next_address_on_another_host_is_refused_as_before(
    server: ScriptedServer, other_server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    server.route("/people", json_reply([1], headers={"Link": f'<{other_server.url}/shard>; rel="next"'}))

    with pytest.raises(PageError, match="next address is not on"):
        list(client_of(server, allowed_hosts=["https://files.example.com"], **AUTH).pages("people", paging=BY_LINK))

    assert other_server.journal == []


def test_the_same_name_on_another_port_or_with_another_scheme_is_another_host(
    server: ScriptedServer, other_server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    client = client_of(server, allowed_hosts=["127.0.0.1", f"http://127.0.0.1:{other_server.port + 1}"], **AUTH)

    with pytest.raises(AddressError, match="credentials do not travel"):
        client.read(f"{other_server.url}/x")

    assert other_server.journal == []


def test_an_absolute_uri_may_be_on_an_allowed_host(
    server: ScriptedServer, other_server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    other_server.script(OK)

    assert friend_of(client_of, server, other_server).read(f"{other_server.url}/ä?b=ö", {"c": 1}) == {"ok": True}

    assert other_server.journal[0].target == "/%C3%A4?b=%C3%B6&c=1"


def test_no_redirect_leads_from_https_to_an_allowed_http(
    tls_server: ScriptedServer, server: ScriptedServer, client_of: Callable[..., Client], certificate: object
) -> None:
    tls_server.script(to(302, f"{server.url}/x"))

    with pytest.raises(RedirectError, match="https to http"):
        client_of(tls_server, ca_file=str(certificate), allowed_hosts=[server.url], **AUTH).read("x")

    assert server.journal == []


def test_credentials_do_not_go_in_the_clear_to_an_allowed_host() -> None:
    with pytest.raises(InsecureError):
        Client("https://api.example.com", auth="t", allowed_hosts=["http://files.example.com"])
    Client("https://api.example.com", auth="t", allowed_hosts=["http://files.example.com"], allow_insecure=True)
    Client("https://api.example.com", auth="t", allowed_hosts=["http://127.0.0.1:1"])


@pytest.mark.parametrize("host", ["https://a.example.com/v1", "https://me:pw@a.example.com", "ftp://a", "a?b"])
def test_what_is_no_host_cannot_be_allowed(host: str) -> None:
    with pytest.raises(AddressError):
        Client("https://api.example.com", allowed_hosts=[host])


SIGNS = [
    "http:",
    "https:",
    "//",
    "/",
    "\\",
    "@",
    ":",
    "?",
    "#",
    ".",
    "..",
    "%2f",
    "%40",
    "%00",
    "\t",
    "\n",
    " ",
    ";",
    "ä",
]
HOSTS = ["api.example.com", "files.example.com", "evil.example", "127.0.0.1", "[::1]", ":443", ":8443", "me:pw", "a"]
PARTS = st.sampled_from([*SIGNS, *HOSTS])
ALLOWED = Host.parse("https://api.example.com/v2", ["https://files.example.com", "http://127.0.0.1:8443"])


@given(st.lists(PARTS, max_size=8).map("".join))
@example("https://files.example.com@evil.example/")
@example("https://evil.example\\@files.example.com/")
@example("https://files.example.com:443:8443/")
@example("//files.example.com/\\evil.example")
@example("https://files.example.com.evil.example/")
def test_no_spelling_of_an_address_leads_credentials_elsewhere(said: str) -> None:
    """What goes out is read by urllib3, and what is judged by the standard library: they must not be told apart."""
    page = "https://files.example.com/people?page=1"
    leads: list[Callable[[], str | None]] = [
        lambda: next_address(said, page, ALLOWED),
        lambda: ALLOWED.join(said),
        lambda: redirected(said),
    ]
    for lead in leads:
        address = None
        with suppress(AddressError, RedirectError, ValueError):
            address = lead()
        if address is not None:
            found = parse_url(address)
            assert origin_of(f"{found.scheme}://{found.netloc}") in ALLOWED.origins
            assert found.auth is None


def redirected(location: str) -> str | None:
    """Where a redirect leads with our credentials; None for one without them."""
    call = Call(
        "GET",
        "https://api.example.com/v2/x",
        {"X-Key": "k"},
        None,
        repeatable=True,
        ends_at=float("inf"),
        trusts=ALLOWED.origins,
    )
    answer = Response(302, {"location": location}, b"", call.url, "GET")
    followed = follow(call, answer, 0)
    return followed.url if followed.is_authenticated or followed.headers else None
