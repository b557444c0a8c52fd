"""A person logs in through a browser: address, answer, exchange (RFC 6749 section 4.1, RFC 7636, RFC 9207)."""

from __future__ import annotations

import hashlib
import logging
import string
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cruds import OAuth2
from cruds.exception import OAuthAccessTokenError, OAuthErrorKind, OAuthStateError, ReauthorizationRequiredError
from cruds.oauth2.authorization import PENDING_LIFE_S, PendingLogins, authorization_address, read_redirect
from cruds.oauth2.store import MemoryTokenStore
from tests.fakes.scripted import ScriptedServer

from .oauth2_rig import Make, Time, asked, browser, cache, grant, options, refusal, session, store, time

__all__ = ["browser", "cache", "options", "session", "store", "time"]

BACK = "http://127.0.0.1:7/back?"


def sent(url: str) -> dict[str, str]:
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    assert len(pairs) == len(dict(pairs))  # no parameter twice
    return dict(pairs)


def log_in(auth: OAuth2, **more: str) -> str:
    state = sent(auth.get_authorization_url())["state"]
    code, state = auth.parse_authorization_response(BACK + urlencode({"code": "c-1", "state": state} | more))
    return auth.exchange_code_for_token(code, state)


# ---- the address ----


def test_a_person_is_sent_with_everything_the_server_needs(browser: Make, server: ScriptedServer) -> None:
    """RFC 6749 4.1.1, RFC 7636 4.3, RFC 8707 2.1, RFC 9396 2; nobody is asked for it."""
    auth = browser(scope="a b", authorization_details={"type": "t"}, resource="https://api.example")
    url = auth.get_authorization_url({"prompt": "login"})
    found = sent(url)
    assert url.startswith(server.url + "/authorize?")
    assert len(found.pop("state")) >= 43
    assert len(found.pop("code_challenge")) == 43
    assert found == {
        "response_type": "code",
        "client_id": "id",
        "redirect_uri": "http://127.0.0.1:7/back?x=1",
        "scope": "a b",
        "code_challenge_method": "S256",
        "authorization_details": '[{"type":"t"}]',
        "resource": "https://api.example",
        "prompt": "login",
    }
    assert server.journal == []


def test_a_query_of_the_authorization_url_is_kept(browser: Make) -> None:
    """O21: `&`, not a second question mark."""
    url = browser(authorization_url="https://login.example/a?p=policy").get_authorization_url()
    assert url.count("?") == 1
    assert sent(url)["p"] == "policy"


@pytest.mark.parametrize(
    "name", ["state", "client_id", "redirect_uri", "scope", "response_type", "code_challenge", "code_challenge_method"]
)
def test_nothing_that_is_ours_can_be_replaced(browser: Make, name: str) -> None:
    """O22."""
    with pytest.raises(ValueError, match=name):
        browser().get_authorization_url({name: "theirs"})
    with pytest.raises(ValueError, match=name):
        browser(authorization_url=f"https://login.example/a?{name}=theirs").get_authorization_url()


def test_an_audience_that_is_set_is_not_sent_twice(browser: Make) -> None:
    """RFC 6749 3.1: no parameter twice; one that is not set may be added."""
    assert sent(browser().get_authorization_url({"audience": "x"}))["audience"] == "x"
    with pytest.raises(ValueError, match="audience"):
        browser(audience="y").get_authorization_url({"audience": "x"})


@pytest.mark.parametrize("missing", [{"authorization_url": None}, {"redirect_uri": None}])
def test_a_login_that_is_not_configured_says_so(browser: Make, missing: dict[str, Any]) -> None:
    """The reference: RuntimeError."""
    with pytest.raises(RuntimeError, match="authorization_url and redirect_uri"):
        browser(**missing).get_authorization_url()


def test_every_login_has_a_state_and_a_verifier_of_its_own(browser: Make, server: ScriptedServer) -> None:
    """O20, RFC 7636 4.1: a verifier for each request, 43 to 128 unreserved characters, proven by its S256 challenge."""
    server.script(grant("one"), grant("two"))
    auth = browser()
    first, second = (sent(auth.get_authorization_url()) for _ in range(2))
    assert first["state"] != second["state"]
    assert first["code_challenge"] != second["code_challenge"]
    assert auth.exchange_code_for_token("c-2", second["state"]) == "one"
    assert auth.exchange_code_for_token("c-1", first["state"]) == "two"
    for form, login in zip(asked(server), (second, first), strict=True):
        verifier = form["code_verifier"]
        assert 43 <= len(verifier) <= 128
        assert set(verifier) <= set(string.ascii_letters + string.digits + "-._~")
        digest = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        assert digest == login["code_challenge"]


# ---- the answer ----


def test_code_and_state_are_read_from_the_redirect(browser: Make) -> None:
    assert browser().parse_authorization_response(BACK + "state=s%2B1&code=a%20b&session_state=z") == ("a b", "s+1")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        BACK,
        BACK + "code=c",
        BACK + "state=s",
        BACK + "code=&state=s",
        BACK + "code=a&code=b&state=s",
        "http://[/?code=c&state=s",
        "http://127.0.0.1/back#code=c&state=s",
    ],
)
def test_an_address_that_is_no_answer_is_refused(browser: Make, url: str) -> None:
    """The reference: RuntimeError. RFC 6749 3.1: a parameter twice is a mistake or an attack."""
    with pytest.raises(RuntimeError, match="redirect URL"):
        browser().parse_authorization_response(url)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("access_denied", OAuthErrorKind.REAUTHORIZE),
        ("login_required", OAuthErrorKind.REAUTHORIZE),
        ("temporarily_unavailable", OAuthErrorKind.TEMPORARY),
        ("unauthorized_client", OAuthErrorKind.CONFIGURATION),
    ],
)
def test_a_refusal_in_the_redirect_keeps_its_words(browser: Make, error: str, kind: OAuthErrorKind) -> None:
    """RFC 6749 4.1.2.1; and the login that it ends is over."""
    auth = browser()
    state = sent(auth.get_authorization_url())["state"]
    said = {"error": error, "error_description": "No\x1b[31m", "error_uri": "https://h/e", "state": state}
    with pytest.raises(OAuthAccessTokenError, match=error) as caught:
        auth.parse_authorization_response(BACK + urlencode(said))
    found = caught.value
    assert (found.error, found.error_uri, found.kind) == (error, "https://h/e", kind)
    assert "\x1b" not in str(found)
    with pytest.raises(OAuthStateError):
        auth.exchange_code_for_token("c", state)


@pytest.mark.parametrize("iss", ["https://evil.example", "", "https://login.example/"])
def test_an_answer_of_another_server_is_refused(browser: Make, iss: str) -> None:
    """RFC 9207 2.4: compared as text when the issuer is known; also in a refusal."""
    auth = browser(issuer="https://login.example")
    for more in ({"code": "c"}, {"error": "access_denied"}):
        state = sent(auth.get_authorization_url())["state"]
        with pytest.raises(OAuthStateError, match="iss"):
            auth.parse_authorization_response(BACK + urlencode({"state": state, "iss": iss} | more))
        with pytest.raises(OAuthStateError, match="unknown"):
            auth.exchange_code_for_token("c", state)


def test_an_issuer_that_is_right_or_not_known_is_no_obstacle(browser: Make) -> None:
    """RFC 9207 2.4."""
    ours = browser(issuer="https://login.example").parse_authorization_response
    assert ours(BACK + "code=c&state=s&iss=https%3A%2F%2Flogin.example") == ("c", "s")
    assert ours(BACK + "code=c&state=s") == ("c", "s")
    assert browser().parse_authorization_response(BACK + "code=c&state=s&iss=https%3A%2F%2Fany") == ("c", "s")


def test_a_server_that_promised_to_name_itself_must() -> None:
    """RFC 9207 2.4: left out, the answer may be another server's."""
    dropped: list[str | None] = []
    with pytest.raises(OAuthStateError):
        read_redirect(BACK + "code=c&state=s", issuer="https://l", must_name_issuer=True, drop=dropped.append)
    assert dropped == ["s"]


@given(st.text(max_size=40))
def test_no_redirect_breaks_the_reader(query: str) -> None:
    """Two strings, or one of the documented errors."""
    try:
        read_redirect(BACK + query, issuer=None, must_name_issuer=False, drop=lambda _: None)
    except (RuntimeError, OAuthAccessTokenError):
        return


# ---- the exchange ----


def test_a_code_becomes_a_session(
    browser: Make, server: ScriptedServer, store: MemoryTokenStore, options: dict[str, Any]
) -> None:
    """RFC 6749 4.1.3, RFC 7636 4.5: the redirect_uri as it was, the verifier, the client authenticated."""
    server.script(grant("one", refresh_token="r1", scope="a"))
    auth = browser(scope="a b", resource="https://api.example")
    assert log_in(auth) == "one"
    form = asked(server)[0]
    assert form.pop("code_verifier")
    assert form == {
        "grant_type": "authorization_code",
        "code": "c-1",
        "redirect_uri": "http://127.0.0.1:7/back?x=1",
        "resource": "https://api.example",
    }
    assert server.journal[0].headers["authorization"].startswith("Basic ")
    assert (auth.access_token(), auth.is_valid(), auth.granted_scope) == ("one", True, "a")
    kept = store.load("")
    assert kept is not None
    assert (kept.grant, kept.refresh_token, kept.client_id) == ("authorization_code", "r1", "id")


def test_a_public_client_sends_its_id_and_no_secret(browser: Make, server: ScriptedServer) -> None:
    """RFC 6749 3.2.1."""
    server.script(grant("one"))
    log_in(browser(client_secret=None))
    assert asked(server)[0]["client_id"] == "id"
    assert "authorization" not in server.journal[0].headers


def test_a_persons_session_is_renewed_and_then_a_person_is_needed(
    browser: Make, server: ScriptedServer, time: Time
) -> None:
    """O04: never by the client's own credentials."""
    server.script(grant("one", refresh_token="r1"), grant("two"), refusal("invalid_grant"))
    auth = browser()
    log_in(auth)
    time.pass_by(3600)
    assert auth.access_token() == "two"
    time.pass_by(3600)
    with pytest.raises(ReauthorizationRequiredError):
        auth.access_token()
    assert [form["grant_type"] for form in asked(server)] == ["authorization_code", "refresh_token", "refresh_token"]


def test_a_new_login_takes_the_place_of_the_old_session(
    browser: Make, server: ScriptedServer, store: MemoryTokenStore
) -> None:
    """Another person may have logged in: nothing of the old session is kept."""
    server.script(grant("one", refresh_token="r1", scope="a"), grant("two"))
    auth = browser()
    log_in(auth)
    assert log_in(auth) == "two"
    kept = store.load("")
    assert kept is not None
    assert (kept.access_token, kept.refresh_token, kept.scope, kept.version) == ("two", None, None, 2)


def test_a_session_that_is_over_can_be_made_again(browser: Make, server: ScriptedServer, time: Time) -> None:
    server.script(grant("one", refresh_token="r1"), refusal("invalid_grant"), grant("two", refresh_token="r1"))
    auth = browser()
    log_in(auth)
    time.pass_by(3600)
    with pytest.raises(ReauthorizationRequiredError):
        auth.access_token()
    assert log_in(auth) == "two"


def test_a_state_is_good_once(browser: Make, server: ScriptedServer) -> None:
    """O23: RFC 6749 10.12."""
    server.script(grant("one"))
    auth = browser()
    state = sent(auth.get_authorization_url())["state"]
    auth.exchange_code_for_token("c", state)
    with pytest.raises(OAuthStateError):
        auth.exchange_code_for_token("c", state)
    assert len(server.journal) == 1


def test_a_state_of_a_failed_exchange_is_used_up_too(browser: Make, server: ScriptedServer) -> None:
    """O23, O31: an answer without a token is an error and leaves no session."""
    server.script(refusal("invalid_grant"), grant("x", access_token=""))
    auth = browser()
    for _ in range(2):
        state = sent(auth.get_authorization_url())["state"]
        with pytest.raises(OAuthAccessTokenError):
            auth.exchange_code_for_token("c", state)
        with pytest.raises(OAuthStateError):
            auth.exchange_code_for_token("c", state)
    assert not auth.is_valid()


def test_a_state_grows_old(browser: Make, time: Time) -> None:
    """O23: ten minutes; the reference's RuntimeError."""
    auth = browser()
    state = sent(auth.get_authorization_url())["state"]
    time.pass_by(PENDING_LIFE_S)
    with pytest.raises(RuntimeError, match="too old"):
        auth.exchange_code_for_token("c", state)


@pytest.mark.parametrize("state", ["", "strange", "ä€"])
def test_a_strange_state_ends_no_other_login(browser: Make, server: ScriptedServer, state: str) -> None:
    """O23: RFC 6749 10.12."""
    server.script(grant("one"))
    auth = browser()
    ours = sent(auth.get_authorization_url())["state"]
    with pytest.raises(OAuthStateError):
        auth.exchange_code_for_token("c", state)
    assert auth.exchange_code_for_token("c", ours) == "one"


def test_a_failed_login_keeps_the_session_that_there_was(browser: Make, server: ScriptedServer) -> None:
    """O13."""
    server.script(grant("one"), refusal("invalid_grant"))
    auth = browser()
    log_in(auth)
    with pytest.raises(OAuthAccessTokenError):
        log_in(auth)
    assert auth.access_token() == "one"


def test_logging_out_ends_the_logins_under_way(browser: Make, server: ScriptedServer) -> None:
    """O33: and nobody is logged in again by himself."""
    server.script(grant("one"))
    auth = browser()
    state = sent(auth.get_authorization_url())["state"]
    log_in(auth)
    auth.clear_state()
    with pytest.raises(OAuthStateError):
        auth.exchange_code_for_token("c", state)
    with pytest.raises(ReauthorizationRequiredError):
        auth.access_token()


def test_logins_that_nobody_finishes_do_not_fill_the_memory(time: Time) -> None:
    logins = PendingLogins(state_length=16, monotonic=time.monotonic)
    first, *_, last = [logins.begin("http://127.0.0.1/") for _ in range(1001)]
    assert logins.take(last.state) == last
    with pytest.raises(OAuthStateError):
        logins.take(first.state)


def test_neither_logs_nor_texts_hold_state_code_or_verifier(
    browser: Make, server: ScriptedServer, caplog: pytest.LogCaptureFixture, time: Time
) -> None:
    """Section 3.4 and O23."""
    caplog.set_level(logging.DEBUG)
    server.script(refusal("invalid_grant"))
    auth = browser()
    state = sent(auth.get_authorization_url())["state"]
    with pytest.raises(OAuthAccessTokenError) as caught:
        auth.exchange_code_for_token("canary-code", state)
    pending = PendingLogins(state_length=16, monotonic=time.monotonic).begin("http://127.0.0.1/")
    shown = caplog.text + str(caught.value) + repr(caught.value) + repr(auth) + repr(pending)
    for secret in (state, "canary-code", asked(server)[0]["code_verifier"], pending.state, pending.verifier):
        assert secret not in shown


@given(st.dictionaries(st.sampled_from(["prompt", "audience", "ui_locales"]), st.text()), st.sampled_from(["", "?p=1"]))
def test_every_additional_parameter_arrives_as_it_was(additional: dict[str, str], query: str) -> None:
    """O21, O22."""
    pending = PendingLogins(state_length=16, monotonic=lambda: 0.0).begin("http://127.0.0.1/")
    found = sent(authorization_address("https://h/a" + query, pending, [("client_id", "id")], additional))
    assert {name: found[name] for name in additional} == additional
