"""Whose session it is, and what it may do: less than asked (RFC 9396, RFC 6749 3.3), and only at its own server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cruds.exception import OAuthAccessTokenError, ReauthorizationRequiredError
from cruds.oauth2 import Grant, Narrowed, Registration, TokenState
from cruds.oauth2.grants import details_text, grant_of, target_pairs
from cruds.oauth2.narrowing import elements, narrowed
from cruds.oauth2.store import MemoryTokenStore
from tests.fakes.scripted import ScriptedServer

from .oauth2_rig import Make, Time, asked, browser, cache, grant, options, refusal, session, store, time

__all__ = ["browser", "cache", "options", "session", "store", "time"]

PAY = {"type": "payment", "amount": {"currency": "EUR", "value": "5"}, "actions": ["read", "start"]}
READ = {"type": "accounts"}


def less(asked_for: Any, given_: Any) -> tuple[Any, ...]:
    return narrowed(
        asked_scope=None, scope=None, asked_details=details_text(asked_for), details=details_text(given_)
    ).authorization_details


# ---- less than was asked ----


def test_authorization_details_are_compared_with_what_was_asked(session: Make, server: ScriptedServer) -> None:
    """RFC 9396 7: the answer says what was granted; what is missing is told, once for each token."""
    told: list[Narrowed] = []
    server.script(grant("one", authorization_details=[READ | {"account": "1"}], scope="a"))
    auth = session(authorization_details=[PAY, READ], scope="a b", on_narrowed=told.append)
    assert (auth.granted_authorization_details, auth.missing_authorization_details) == (None, ())
    auth.access_token()
    auth.access_token()
    assert asked(server)[0]["authorization_details"] == details_text([PAY, READ])
    assert auth.granted_authorization_details == [READ | {"account": "1"}]
    assert auth.missing_authorization_details == (PAY,)
    assert (auth.granted_scope, auth.missing_scope) == ("a", ("b",))
    assert told == [Narrowed(("b",), (PAY,))]


def test_a_grant_as_asked_is_not_told(session: Make, server: ScriptedServer) -> None:
    """RFC 6749 5.1: silence means as asked."""
    told: list[Narrowed] = []
    server.script(grant("one"), grant("two", scope="b a c", authorization_details=[PAY | {"id": 1}]))
    for _ in range(2):
        auth = session(authorization_details=PAY, scope="a b", on_narrowed=told.append, store=None)
        auth.access_token()
        assert auth.missing_scope == auth.missing_authorization_details == ()
    assert told == []


def test_what_was_granted_is_known_after_a_renewal_and_a_restart(
    session: Make, server: ScriptedServer, time: Time
) -> None:
    """RFC 9396 7, RFC 6749 6: a renewal that says nothing is for the same; the store keeps it."""
    server.script(grant("one", refresh_token="r1", scope="a", authorization_details=[READ]), grant("two"))
    session(authorization_details=[PAY, READ], scope="a b").access_token()
    time.pass_by(3600)
    again = session(authorization_details=[PAY, READ], scope="a b")
    assert again.access_token() == "two"
    assert (again.granted_authorization_details, again.missing_scope) == ([READ], ("b",))
    third = session(authorization_details=[PAY, READ], scope="a b")
    assert third.is_valid()
    assert third.missing_authorization_details == (PAY,)


@pytest.mark.parametrize(
    ("asked_for", "given_", "missing"),
    [
        ([PAY], [PAY], 0),
        ([PAY], [PAY | {"extra": 1, "actions": ["start", "read", "more"]}], 0),
        ([PAY], [PAY | {"actions": ["read"]}], 1),
        ([PAY], [PAY | {"amount": {"currency": "EUR", "value": "4"}}], 1),
        ([PAY, READ], [READ], 1),
        ([PAY], [READ], 1),
        ([PAY | {"actions": []}], [PAY], 0),
        ([PAY], None, 0),
        (None, [PAY], 0),
    ],
)
def test_a_detail_is_granted_when_all_of_it_is(asked_for: Any, given_: Any, missing: int) -> None:
    """RFC 9396 7.1: a server may enrich."""
    assert len(less(asked_for, given_)) == missing


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda t: st.lists(t, max_size=3), max_leaves=8
)
DETAILS = st.lists(st.dictionaries(st.text(), JSON, min_size=1), min_size=1, max_size=4)


@given(DETAILS, DETAILS)
def test_more_never_takes_away(asked_for: Any, more: Any) -> None:
    """RFC 9396 7.1, as a law."""
    assert less(asked_for, [*more, *asked_for]) == ()


@pytest.mark.parametrize("text", ["", "{", "null", "7"])
def test_details_that_are_no_list_break_nothing(text: str) -> None:
    assert isinstance(elements(text), list)


@pytest.mark.parametrize("details", ["x", 7, {}, [], None])
def test_an_answer_with_strange_details_is_one_without(session: Make, server: ScriptedServer, details: Any) -> None:
    """O13: the token is good all the same."""
    server.script(grant("one", authorization_details=details))
    auth = session(authorization_details=PAY)
    assert auth.access_token() == "one"
    assert auth.granted_authorization_details is None


# ---- for whom and where ----


def test_targets_go_along_with_every_request_for_a_token(session: Make, server: ScriptedServer, time: Time) -> None:
    """RFC 8707 2.2: `resource` may be repeated; renewals are for the same."""
    server.script(grant("one", refresh_token="r1"), grant("two"))
    auth = session(audience="aud", resource=["https://a.example/x", "urn:b"], extra_params={"tenant": "t"})
    auth.access_token()
    time.pass_by(3600)
    auth.access_token()
    for seen in server.journal:
        assert seen.body.count(b"&resource=") == 2
        assert (seen.form["audience"], seen.form["tenant"]) == ("aud", "t")


@pytest.mark.parametrize("resource", ["a.example", "/path", "https://a#b", "https://a#", ""])
def test_a_resource_is_an_absolute_uri_without_fragment(resource: str) -> None:
    """RFC 8707 2."""
    with pytest.raises(ValueError, match="resource"):
        target_pairs(None, [resource])


@pytest.mark.parametrize("moved", [{"issuer": "https://other.example"}, {"client_id": "other"}])
def test_a_refresh_token_goes_only_to_the_server_and_from_the_client_that_got_it(
    session: Make, server: ScriptedServer, store: MemoryTokenStore, moved: dict[str, str], time: Time
) -> None:
    """RFC 6749 10.4, RFC 9700 4.14: row 12, also in a store that seals nothing."""
    server.script(grant("one", refresh_token="r1"), grant("two"))
    session().access_token()
    kept = store.load("")
    assert kept is not None
    assert (kept.issuer, kept.client_id) == (server.url + "/token", "id")
    assert store.save("", replace(kept, **moved), expected_version=1)  # type: ignore[arg-type]
    auth = session()
    assert not auth.is_valid()
    assert auth.access_token() == "two"
    assert [form["grant_type"] for form in asked(server)] == ["client_credentials"] * 2


def test_a_persons_session_of_another_server_needs_a_person(
    browser: Make, server: ScriptedServer, store: MemoryTokenStore, time: Time
) -> None:
    """Row 12 and O04."""
    state = TokenState("one", "r1", "Bearer", None, time.wall, None, "authorization_code", issuer="https://other")
    assert store.save("", state, expected_version=0)
    with pytest.raises(ReauthorizationRequiredError):
        browser().access_token()
    assert server.journal == []


def test_a_state_of_before_these_were_kept_is_ours(session: Make, store: MemoryTokenStore, time: Time) -> None:
    """A new release is no reason to log in again."""
    state = TokenState("one", "r1", "Bearer", None, time.wall, None, "client_credentials")
    assert store.save("", state, expected_version=0)
    assert session().access_token() == "one"


@pytest.mark.filterwarnings("ignore:the password grant:DeprecationWarning")
def test_another_users_session_is_not_used(session: Make, server: ScriptedServer) -> None:
    """O04: a user name that was changed is another principal."""
    server.script(grant("ada's", refresh_token="r1"), grant("bob's"))
    assert session(username="ada", password="p").access_token() == "ada's"
    assert session(username="bob", password="p").access_token() == "bob's"
    assert [form["grant_type"] for form in asked(server)] == ["password"] * 2


@pytest.mark.parametrize("error", ["access_denied", "consent_required"])
def test_a_client_that_is_denied_has_wrong_settings(session: Make, server: ScriptedServer, error: str) -> None:
    """Row 10: there is no person who could be asked."""
    server.script(refusal(error, 403))
    with pytest.raises(OAuthAccessTokenError, match=error):
        session().access_token()
    assert len(server.journal) == 1


def test_a_server_that_wants_the_person_again_ends_the_session(
    browser: Make, server: ScriptedServer, store: MemoryTokenStore, time: Time
) -> None:
    """OpenID Connect Core 3.1.2.6: as some servers answer a refresh."""
    state = TokenState("one", "r1", "Bearer", time.wall, time.wall, None, "authorization_code")
    assert store.save("", state, expected_version=0)
    server.script(refusal("interaction_required"))
    with pytest.raises(ReauthorizationRequiredError) as caught:
        browser().access_token()
    assert caught.value.error == "interaction_required"


@pytest.mark.parametrize(
    ("name", "given_", "expected"),
    [
        (None, {}, Grant.CLIENT_CREDENTIALS),
        (None, {"username": "u"}, Grant.PASSWORD),
        (None, {"browser": True, "username": "u"}, Grant.AUTHORIZATION_CODE),
        (None, {"device": True}, Grant.DEVICE_CODE),
        ("client_credentials", {"browser": True}, Grant.CLIENT_CREDENTIALS),
        ("device_code", {}, Grant.DEVICE_CODE),
        ("urn:ietf:params:oauth:grant-type:jwt-bearer", {}, Grant.JWT_BEARER),
    ],
)
def test_the_grant_is_what_is_said_or_what_the_settings_are_for(
    name: str | None, given_: dict[str, Any], expected: Grant
) -> None:
    assert grant_of(name, **({"username": None, "browser": False, "device": False} | given_)) is expected


def test_no_request_has_a_parameter_twice_or_an_empty_one() -> None:
    """RFC 6749 3.2, row 1."""
    client = Registration("id", "", scope="", extra=(("x", ""),))
    assert client.login().body == b"grant_type=client_credentials"
