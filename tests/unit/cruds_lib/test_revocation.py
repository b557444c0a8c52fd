"""Giving tokens back (RFC 7009)."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from cruds import OAuth2
from cruds.exception import OAuthAccessTokenError, OAuthErrorKind, ReauthorizationRequiredError
from cruds.oauth2.store import MemoryTokenStore, TokenState
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

from .oauth2_rig import Make, Time, asked, browser, cache, grant, options, refusal, session, store, time

__all__ = ["browser", "cache", "options", "session", "store", "time"]

GONE = Reply(200)


@pytest.fixture
def logged_in(session: Make, server: ScriptedServer) -> OAuth2:
    """A session with both tokens, that can be revoked."""
    server.route("/token", grant("one", refresh_token="r1"), grant("two"))
    auth = session(revocation_url=server.url + "/revoke", audience="https://api.example", extra_params={"x": "y"})
    auth.access_token()
    return auth


def test_the_refresh_token_goes_first(logged_in: OAuth2, server: ScriptedServer, store: MemoryTokenStore) -> None:
    """RFC 7009 2.1: with it the grant ends; the client authenticates as ever, and nothing else is in the form."""
    server.route("/revoke", GONE)
    logged_in.revoke()
    assert asked(server, "/revoke") == [
        {"token": "r1", "token_type_hint": "refresh_token"},
        {"token": "one", "token_type_hint": "access_token"},
    ]
    assert all(seen.headers["authorization"].startswith("Basic ") for seen in server.journal)
    assert store.load("") is None
    assert not logged_in.is_valid()


def test_a_client_of_its_own_may_log_in_again(logged_in: OAuth2, server: ScriptedServer) -> None:
    """O33: the old tokens are gone, the credentials are not."""
    server.route("/revoke", GONE)
    logged_in.revoke()
    assert logged_in.access_token() == "two"
    assert asked(server)[1]["grant_type"] == "client_credentials"


def test_a_persons_session_is_over_when_it_is_revoked(
    browser: Make, server: ScriptedServer, store: MemoryTokenStore, time: Time
) -> None:
    """O33: and does not begin again by itself."""
    state = TokenState("one", "r1", "Bearer", None, time.wall, None, "authorization_code")
    assert store.save("", state, expected_version=0)
    server.route("/revoke", GONE)
    auth = browser(revocation_url=server.url + "/revoke")
    assert auth.access_token() == "one"
    auth.revoke()
    with pytest.raises(ReauthorizationRequiredError):
        auth.access_token()
    assert asked(server) == []


def test_a_server_that_is_busy_is_asked_again_later(
    logged_in: OAuth2, server: ScriptedServer, store: MemoryTokenStore
) -> None:
    """RFC 7009 2.2.1: 503 means that the token still lives, so it is kept; and so that it can be revoked later."""
    server.route("/revoke", *[Reply(503, {"Retry-After": "60"})] * 2, GONE)
    for _ in range(2):
        with pytest.raises(OAuthAccessTokenError, match="revocation endpoint") as caught:
            logged_in.revoke()
        assert (caught.value.kind, caught.value.status) == (OAuthErrorKind.TEMPORARY, 503)
        assert caught.value.retry_after == 60
        assert store.load("") is not None
    logged_in.revoke()
    assert store.load("") is None


@pytest.mark.parametrize("answer", [refusal("unsupported_token_type"), refusal("invalid_grant"), json_reply({}), GONE])
def test_a_token_that_is_not_revoked_or_not_known_is_no_obstacle(
    logged_in: OAuth2, server: ScriptedServer, store: MemoryTokenStore, answer: Reply
) -> None:
    """RFC 7009 2.2, 2.2.1: an invalid token is an answer of 200; many revoke no access tokens."""
    server.route("/revoke", GONE, answer)
    logged_in.revoke()
    assert store.load("") is None


@pytest.mark.parametrize("answer", [refusal("invalid_client", 401), Reply(404), Reply(302, {"Location": "/x"})])
def test_a_refusal_keeps_the_session(
    logged_in: OAuth2, server: ScriptedServer, store: MemoryTokenStore, answer: Reply
) -> None:
    server.route("/revoke", answer)
    with pytest.raises(OAuthAccessTokenError) as caught:
        logged_in.revoke()
    assert caught.value.kind is OAuthErrorKind.CONFIGURATION
    assert (store.load("") is not None, logged_in.is_valid()) == (True, True)


def test_without_tokens_there_is_nothing_to_revoke(session: Make, server: ScriptedServer) -> None:
    session(revocation_url=server.url + "/revoke").revoke()
    session().revoke()
    assert server.journal == []


def test_without_an_endpoint_nothing_is_forgotten(session: Make, server: ScriptedServer) -> None:
    """A logout that cannot be done is not pretended; `clear_state` is there for that."""
    server.script(grant("one"))
    auth = session()
    auth.access_token()
    with pytest.raises(RuntimeError, match="revocation_endpoint"):
        auth.revoke()
    assert auth.is_valid()


def test_anothers_tokens_are_not_sent_anywhere(
    logged_in: OAuth2, server: ScriptedServer, store: MemoryTokenStore
) -> None:
    """RFC 9700 4.14, row 12: they belong to another server."""
    kept = store.load("")
    assert kept is not None
    store.save("", replace(kept, issuer="https://other.example"), expected_version=1)
    logged_in.revoke()
    assert asked(server, "/revoke") == []
    assert store.load("") is None


def test_an_error_of_the_endpoint_shows_no_token(logged_in: OAuth2, server: ScriptedServer) -> None:
    """Section 3.4."""
    server.route("/revoke", Reply(500, {}, b"r1 is no good"))
    with pytest.raises(OAuthAccessTokenError) as caught:
        logged_in.revoke()
    assert "r1" not in str(caught.value) + repr(caught.value)


def test_a_renewal_under_way_does_not_outlive_the_logout(
    session: Make, server: ScriptedServer, store: MemoryTokenStore
) -> None:
    """Section 3.3: whoever holds the right to renew is waited for, so that the newest tokens are the ones revoked."""
    server.route("/token", grant("one", refresh_token="r1"))
    server.route("/revoke", GONE)
    auth = session(revocation_url=server.url + "/revoke")
    auth.access_token()
    kept = store.load("")
    assert kept is not None
    right = store.lease("", seconds=60)
    assert right.__enter__()

    newer = replace(kept, access_token="two", refresh_token="r2")

    class Renewing(threading.Event):
        """The other process finishes while we wait."""

        def wait(self, timeout: float | None = None) -> bool:
            if store.save("", newer, expected_version=1):
                right.__exit__(None, None, None)
            return False

    session(revocation_url=server.url + "/revoke", stop=Renewing()).revoke()
    assert [form["token"] for form in asked(server, "/revoke")] == ["r2", "two"]
