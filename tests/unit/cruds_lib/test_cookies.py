"""Cookies: kept if asked for, and told to nobody but who set them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from urllib3 import HTTPHeaderDict

from cruds import AuthABC, Client
from cruds.cookies import MOST_COOKIES, Cookies
from cruds.exception import InsecureError
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

OK = json_reply({"ok": True})
HOME = "https://api.example.com"


def setting(*lines: str, status: int = 200, location: str | None = None) -> Reply:
    head = f"HTTP/1.1 {status} Scripted\r\nContent-Length: 0\r\nConnection: close\r\n"
    head += "" if location is None else f"Location: {location}\r\n"
    return Reply(raw=(head + "".join(f"Set-Cookie: {line}\r\n" for line in lines) + "\r\n").encode())


def told(server: ScriptedServer) -> list[str | None]:
    return [seen.headers.get("cookie") for seen in server.journal]


def test_cookies_are_not_kept_unless_asked_for(server: ScriptedServer, client: Client) -> None:
    """K28: a client of many tenants must not carry the session of one to the next."""
    server.script(setting("sid=1"), OK)
    client.read("x")
    client.read("x")
    assert told(server) == [None, None]
    assert client.cookies is None


def test_a_session_is_kept_and_told_again(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    """K28: session logins and sticky load balancers work."""
    client = client_of(server, cookies=True)
    server.script(setting("sid=1; Path=/; HttpOnly", "route=b"), OK, setting("sid=2; Path=/"), OK)
    for _ in range(4):
        client.read("x")
    assert told(server) == [None, "sid=1; route=b", "sid=1; route=b", "sid=2; route=b"]


def test_a_cookie_is_told_where_its_path_and_its_life_say(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """K28: RFC 6265 section 5.4."""
    client = client_of(server, cookies=True)
    server.script(setting("a=1; Path=/admin", "b=2; Path=/", "c=3; Path=/; Secure"), OK, OK, setting("b=; Max-Age=0"))
    for uri in ("x", "admin/x", "x", "x"):
        client.read(uri)
    server.script(OK)
    client.read("x")
    assert told(server) == [None, "a=1; b=2", "b=2", "b=2", None]


def test_a_cookie_set_on_the_way_is_told_on_the_way(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    """K28: in a redirect, an error, or a 401 that a renewal follows."""

    class Tokens(AuthABC):
        def access_token(self) -> str:
            return "old"

        def is_valid(self) -> bool:
            return True

        def renew(self, rejected_token: str) -> str:
            return "new"

    client = client_of(server, cookies=True, auth=Tokens(), raise_status=False)
    server.script(
        setting("a=1", status=302, location="/y"),
        setting("b=2", status=401),
        setting("c=3", status=404),
        OK,
    )
    client.read("x")
    client.read("x")
    assert told(server) == [None, "a=1", "a=1; b=2", "a=1; b=2; c=3"]


def test_cookies_never_cross_an_origin(
    server: ScriptedServer, other_server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """K28, K29: the same machine on another port is another origin, and what it sets is not kept."""
    client = client_of(server, cookies=True)
    server.script(setting("sid=1; Domain=127.0.0.1"), Reply(302, {"Location": other_server.url + "/x"}, b""), OK)
    other_server.script(setting("sid=evil", "evil=1"))
    for _ in range(3):
        client.read("x")
    assert told(other_server) == [None]
    assert told(server)[2] in {"sid=1", "$Version=1; sid=1"}


def test_each_client_has_its_own_cookies(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    """K28: two sessions at one host stay two."""
    first, second = client_of(server, cookies=True), client_of(server, cookies=True)
    server.script(setting("sid=1"), OK, OK)
    first.read("x")
    second.read("x")
    first.read("x")
    assert told(server) == [None, None, "sid=1"]


def test_the_callers_own_cookie_wins(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    client = client_of(server, cookies=True)
    server.script(setting("sid=1"), OK)
    client.read("x")
    client.read("x", headers={"cookie": "sid=mine"})
    assert told(server) == [None, "sid=mine"]


def test_a_session_can_be_forgotten(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    client = client_of(server, cookies=True)
    server.script(setting("sid=1"), OK)
    client.read("x")
    assert client.cookies is not None
    client.cookies.clear()
    client.read("x")
    assert told(server) == [None, None]


def test_a_session_does_not_travel_in_the_clear() -> None:
    """K08, K28: a session cookie is a credential."""
    with pytest.raises(InsecureError):
        Client("http://api.example.com", cookies=True)
    with Client("http://api.example.com", cookies=True, allow_insecure=True):
        pass


def test_a_cookie_of_another_domain_is_not_kept() -> None:
    """K28: nobody plants a cookie for somebody else."""
    cookies = Cookies(HOME)
    cookies.note(f"{HOME}/x", HTTPHeaderDict({"Set-Cookie": "a=1; Domain=other.example.org"}))
    cookies.note("https://evil.example.org/x", HTTPHeaderDict({"Set-Cookie": "b=1"}))
    cookies.note("http://api.example.com/x", HTTPHeaderDict({"Set-Cookie": "c=1"}))
    assert len(cookies.jar) == 0


@pytest.mark.parametrize("line", ["a=\x01", "a=b\x7f", "=; ;;", "", "a", "=" * 5000, 'a="b'])
def test_no_cookie_breaks_the_next_call(line: str) -> None:
    """K28: what cannot be told again as a header is not kept."""
    cookies = Cookies(HOME)
    cookies.note(f"{HOME}/x", HTTPHeaderDict({"Set-Cookie": line}))
    assert all(header.isprintable() for header in cookies.headers(f"{HOME}/x").values())


def test_a_server_that_sets_cookies_without_end_fills_no_memory() -> None:
    """K24, K28."""
    cookies = Cookies(HOME)
    for number in range(3 * MOST_COOKIES):
        cookies.note(f"{HOME}/x", HTTPHeaderDict({"Set-Cookie": f"c{number}=1"}))
    assert len(cookies.jar) == MOST_COOKIES


def test_many_threads_share_one_jar() -> None:
    cookies = Cookies(HOME)
    failures: list[Exception] = []

    def work(own: int) -> None:
        try:
            for number in range(50):
                cookies.note(f"{HOME}/x", HTTPHeaderDict({"Set-Cookie": f"c{own}-{number % 7}={number}"}))
                cookies.headers(f"{HOME}/x")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(own,)) for own in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(cookies.jar) == 56
