"""OAuth 2.0 without a socket: what is asked, what an answer means, how long a token is good."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cruds.exception import OAuthAccessTokenError, OAuthErrorKind
from cruds.oauth2 import ClientAuth, Registration, SigningKey, TokenRequest, TokenState, leeway, read_answer
from cruds.oauth2.client_auth import Signer
from cruds.oauth2.grants import details_text, extra_pairs, scope_text, target_pairs
from cruds.oauth2.token import Live

JSON = {"content-type": "application/json"}
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STATE = TokenState("access", "refresh", "Bearer", NOW + timedelta(hours=1), NOW, None, "password", 1)


def form(request: TokenRequest) -> list[tuple[str, str]]:
    return parse_qsl(request.body.decode(), keep_blank_values=True)


def answer(body: Any, status: int = 200) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_answer(status, JSON, content, retry_after=None)


# ---- what is asked ----


def test_client_credentials_are_asked_for_by_the_book() -> None:
    """RFC 6749 section 4.4.2."""
    request = Registration("id", "secret", scope="a b").login()
    assert form(request) == [("grant_type", "client_credentials"), ("scope", "a b")]
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"


@given(st.text(min_size=1), st.text())
def test_basic_credentials_are_form_encoded_first(client_id: str, secret: str) -> None:
    """O19: RFC 6749 section 2.3.1; decoding gives back any id and secret."""
    header = Registration(client_id, secret).login().headers["Authorization"]
    name, _, word = b64decode(header.removeprefix("Basic ")).decode("ascii").partition(":")
    assert (unquote_plus(name), unquote_plus(word)) == (client_id, secret)


def test_the_client_may_name_itself_in_the_form_or_without_a_secret() -> None:
    """O19: one method for each request."""
    posted = Registration("id", "s:ä", client_auth=ClientAuth.POST).login()
    assert form(posted)[-2:] == [("client_id", "id"), ("client_secret", "s:ä")]
    assert "Authorization" not in posted.headers
    public = Registration("id", None, client_auth=ClientAuth.NONE).login()
    assert form(public) == [("grant_type", "client_credentials"), ("client_id", "id")]
    raw = Registration("i+d", "s%", client_auth=ClientAuth.BASIC_RAW).login()
    assert b64decode(raw.headers["Authorization"].removeprefix("Basic ")) == b"i+d:s%"


@pytest.mark.parametrize("kind", list(ClientAuth))
def test_a_refresh_is_authenticated_like_the_first_grant(kind: ClientAuth) -> None:
    """O02."""
    signer = Signer(SigningKey({"kty": "OKP", "crv": "Ed25519", "d": "A" * 43}), clock=lambda: NOW)
    client = Registration("id", "secret", client_auth=kind, username="u", password="p", signer=signer)
    first, second = client.login(), client.refresh(STATE)
    names = {"client_id", "client_secret"}
    assert [one for one in form(first) if one[0] in names] == [one for one in form(second) if one[0] in names]
    assert first.headers == second.headers
    assert dict(form(second))["refresh_token"] == "refresh"


def test_a_refresh_asks_for_what_was_granted_and_not_for_more() -> None:
    """RFC 6749 section 6."""
    client = Registration("id", "secret", scope="read write")
    assert dict(form(client.refresh(replace(STATE, scope="read"))))["scope"] == "read"
    assert dict(form(client.refresh(STATE)))["scope"] == "read write"


@pytest.mark.parametrize(
    ("scope", "text"), [(None, None), ("", None), ([], None), (["a", "b"], "a b"), (" a  b ", "a b")]
)
def test_a_scope_that_is_not_set_is_not_sent(scope: Any, text: str | None) -> None:
    """O24."""
    assert scope_text(scope) == text
    assert ("scope" in dict(form(Registration("id", "s", scope=scope_text(scope)).login()))) is (text is not None)


def test_authorization_details_are_a_json_list() -> None:
    """O25: RFC 9396 section 2, for one object too."""
    assert details_text({"type": "a"}) == '[{"type":"a"}]'
    assert details_text([{"type": "a"}]) == '[{"type":"a"}]'
    assert details_text('[{"type":"a"}]') == '[{"type":"a"}]'
    assert details_text(None) is None


def test_audience_resource_and_more_go_along_with_renewals() -> None:
    """RFC 8707: a renewal is for the same target."""
    client = Registration(
        "id", "s", targets=target_pairs("aud", ["https://a", "https://b"]), extra=extra_pairs({"tenant": "t"})
    )
    expected = [("audience", "aud"), ("resource", "https://a"), ("resource", "https://b"), ("tenant", "t")]
    assert form(client.login())[1:] == expected
    assert form(client.refresh(STATE))[2:] == expected


@pytest.mark.parametrize("name", ["grant_type", "client_id", "scope", "refresh_token", "password", "audience"])
def test_extra_parameters_replace_nothing(name: str) -> None:
    """O22."""
    with pytest.raises(ValueError, match=name):
        extra_pairs({name: "x"})


def test_a_resource_is_an_absolute_uri() -> None:
    with pytest.raises(ValueError, match="resource"):
        target_pairs(None, "https://a#b")


def test_nothing_that_is_printed_shows_a_secret() -> None:
    """C05."""
    client = Registration("id", "topsecret", username="u", password="topsecret")
    shown = (
        repr(client) + repr(client.login()) + repr(answer({"access_token": "topsecret", "refresh_token": "topsecret"}))
    )
    assert "topsecret" not in shown
    assert "topsecret" not in repr(Live("topsecret", 1, 2))


# ---- what an answer means ----


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
def test_bearer_is_bearer_in_any_case(kind: str) -> None:
    """O01."""
    assert answer({"access_token": "t", "token_type": kind}).access_token == "t"


@pytest.mark.parametrize("kind", ["mac", "DPoP", "", 7, None])
def test_another_type_of_token_is_refused_by_name(kind: object) -> None:
    """O01."""
    with pytest.raises(OAuthAccessTokenError, match="not Bearer"):
        answer({"access_token": "t", "token_type": kind})


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (3600, 3600.0),
        (3600.5, 3600.5),
        ("3600", 3600.0),
        (0, 0.0),
        (10**30, 315_360_000.0),
        (None, None),
        ("", None),
        ("soon", None),
        (-5, None),
        (True, None),
        ([1], None),
        ("9" * 50, None),
    ],
)
def test_the_life_of_a_token_is_advice_in_many_spellings(said: object, seconds: float | None) -> None:
    """O09."""
    assert answer({"access_token": "t", "expires_in": said}).expires_in == seconds


@pytest.mark.parametrize("status", [200, 201, 299])
def test_every_2xx_may_hold_a_token(status: int) -> None:
    """O30."""
    assert answer({"access_token": "t"}, status).access_token == "t"


@pytest.mark.parametrize(
    "body",
    [
        {"error": "bad_verification_code", "access_token": "t"},
        {},
        {"access_token": ""},
        {"access_token": " "},
        {"access_token": "t\n"},
        {"access_token": "t\r\nX-Admin: 1"},
        {"access_token": "tökén"},
        {"access_token": None},
        {"access_token": 7},
        {"access_token": ["t"]},
        [],
        "text",
        None,
        b"<html>",
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_an_answer_without_a_token_is_a_failure_whatever_its_status(body: Any) -> None:
    """O11, O12, O30, O31."""
    with pytest.raises(OAuthAccessTokenError) as caught:
        answer(body)
    assert caught.value.status == 200


def test_an_error_keeps_its_code_and_words() -> None:
    """O10: RFC 6749 section 5.2."""
    said = {"error": "invalid_client", "error_description": "Unknown\nclient", "error_uri": "https://h/e"}
    with pytest.raises(OAuthAccessTokenError, match="invalid_client") as caught:
        answer(said, 401)
    error = caught.value
    assert (error.error, error.error_description, error.error_uri, error.status) == (*said.values(), 401)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_client", OAuthErrorKind.CONFIGURATION),
        (400, "unauthorized_client", OAuthErrorKind.CONFIGURATION),
        (400, "invalid_scope", OAuthErrorKind.CONFIGURATION),
        (400, "unsupported_grant_type", OAuthErrorKind.CONFIGURATION),
        (400, "invalid_grant", OAuthErrorKind.REAUTHORIZE),
        (400, "temporarily_unavailable", OAuthErrorKind.TEMPORARY),
        (429, None, OAuthErrorKind.TEMPORARY),
        (503, None, OAuthErrorKind.TEMPORARY),
        (403, None, OAuthErrorKind.CONFIGURATION),
        (302, None, OAuthErrorKind.CONFIGURATION),
    ],
)
def test_an_error_says_what_helps(status: int, code: str | None, kind: OAuthErrorKind) -> None:
    """O10, standards row 10."""
    with pytest.raises(OAuthAccessTokenError) as caught:
        answer({"error": code} if code else b"<html>", status)
    assert caught.value.kind is kind


def test_a_page_that_is_not_json_is_named_by_its_type() -> None:
    """O11."""
    with pytest.raises(OAuthAccessTokenError, match=r"403 and text/html"):
        read_answer(403, {"content-type": "text/html"}, b"<html>proxy</html>", retry_after=None)


@given(st.binary(max_size=80), st.integers(100, 599))
def test_no_answer_breaks_the_reader(body: bytes, status: int) -> None:
    """O11, O12: a token, or the one error."""
    headers: Mapping[str, str] = {}
    with pytest.raises(OAuthAccessTokenError):
        read_answer(status, headers, body, retry_after=None)


# ---- how long it is good ----


@given(st.floats(0, 10**8), st.floats(0, 30))
def test_a_token_is_renewed_before_its_end_and_not_long_before(life: float, round_trip: float) -> None:
    """O08: at least a second and the round trip, at most a tenth or 30 s, and half of a very short life."""
    early = leeway(life, round_trip)
    assert 0 <= early <= life / 2
    if life >= 2 * (1 + round_trip):
        assert early >= 1 + round_trip
        assert early <= max(1 + round_trip, min(30, life / 10))


def test_the_leeway_of_an_hour_is_half_a_minute() -> None:
    """O08."""
    assert (leeway(3600, 0.2), leeway(100, 0.2), leeway(5, 0.2), leeway(1, 0.2)) == (30.0, 10.0, 1.2, 0.5)


def test_a_token_of_unknown_life_is_used_until_it_is_rejected() -> None:
    """O09."""
    live = Live.granted(replace(STATE, expires_at=None), now=5.0, took_s=1.0)
    assert live.renew_at == live.dies_at == float("inf")


def test_the_life_is_counted_from_before_the_request() -> None:
    """Section 3.3: the server began to count before its answer arrived."""
    assert Live.granted(STATE, now=1000.0, took_s=4.0).dies_at == 1000 - 4 + 3600


@pytest.mark.parametrize(
    ("set_by", "left"),
    [
        (timedelta(minutes=30), 1800.0),
        (timedelta(hours=2), -3600.0),
        (timedelta(minutes=-4), 3600.0),
        (timedelta(hours=-3), 0.0),
    ],
    ids=["later", "over", "a little back", "a lot back"],
)
def test_a_clock_that_was_set_back_does_not_make_an_old_token_young(set_by: timedelta, left: float) -> None:
    """O15."""
    assert STATE.life_left(NOW + set_by) == left
