"""An authorization server that says itself where its endpoints are (RFC 8414, OpenID Connect Discovery)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cruds import Client, OAuth2
from cruds.exception import InsecureError, OAuthAccessTokenError, OAuthErrorKind, OAuthStateError
from cruds.oauth2 import MetadataCache, ServerMetadata
from cruds.oauth2.client_auth import ClientAuth, Means
from cruds.oauth2.discovery import METADATA_LIFE_S, places, read_metadata
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

from .oauth2_rig import Time, asked, cache, grant, options, store, time

__all__ = ["cache", "options", "store", "time"]

WELL_KNOWN = "/.well-known/oauth-authorization-server"
OIDC = "/.well-known/openid-configuration"


def described(server: ScriptedServer, way: str = "", **more: Any) -> Reply:
    issuer = server.url + way
    return json_reply({"issuer": issuer, "token_endpoint": f"{server.url}/token"} | more)


def read(document: Any, issuer: str = "https://h") -> ServerMetadata | None:
    return read_metadata(json.dumps(document).encode(), issuer=issuer, check=lambda _: None)


# ---- where it is ----


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        ("https://h", ["https://h" + WELL_KNOWN, "https://h" + OIDC]),
        ("https://h/", ["https://h" + WELL_KNOWN, "https://h" + OIDC]),
        (
            "https://h:8443/realms/a",
            [
                "https://h:8443" + WELL_KNOWN + "/realms/a",
                "https://h:8443/realms/a" + OIDC,
                "https://h:8443" + OIDC + "/realms/a",
            ],
        ),
    ],
)
def test_the_path_of_an_issuer_is_inserted_or_comes_first(issuer: str, expected: list[str]) -> None:
    """RFC 8414 3.1 and 5: path insertion, then OpenID Connect's two forms."""
    assert list(places(issuer)) == expected


@pytest.mark.parametrize("issuer", ["https://h?x=1", "https://h#x", "h"])
def test_an_issuer_is_an_address_without_query_and_fragment(issuer: str) -> None:
    """RFC 8414 2: a mistake in the settings, told at once."""
    with pytest.raises(ValueError, match="issuer"):
        OAuth2.discover(issuer, "id", "secret")


def test_nothing_is_asked_before_it_is_needed(server: ScriptedServer, options: dict[str, Any]) -> None:
    """O27."""
    with Client(server.url, auth=OAuth2.discover(server.url, "id", "secret", **options)):
        pass
    assert server.journal == []


def test_the_token_endpoint_is_found_once(server: ScriptedServer, options: dict[str, Any], time: Time) -> None:
    """RFC 8414 3: and kept for all sessions of the process, for an hour."""
    server.route(WELL_KNOWN + "/a", described(server, "/a"))
    server.route("/token", grant("one"), grant("two"), grant("three"))
    auth = OAuth2.discover(server.url + "/a", "id", "secret", "read", **options)
    assert auth.access_token() == "one"
    OAuth2.discover(server.url + "/a", "id", "secret", **(options | {"store": None})).access_token()
    looks = [seen.path for seen in server.journal if "well-known" in seen.path]
    assert looks == [WELL_KNOWN + "/a"]
    assert asked(server)[0] == {"grant_type": "client_credentials", "scope": "read"}
    time.pass_by(METADATA_LIFE_S)
    auth.access_token()
    assert [seen.path for seen in server.journal][-2:] == [WELL_KNOWN + "/a", "/token"]


@pytest.mark.parametrize("absent", [Reply(404), Reply(200, {}, b"<html>"), Reply(401), json_reply([])])
def test_a_place_without_metadata_is_passed_over(
    server: ScriptedServer, options: dict[str, Any], absent: Reply
) -> None:
    """RFC 8414 5: servers that know only OpenID Connect, and those that answer everything with a page."""
    server.route(WELL_KNOWN + "/a", absent)
    server.route("/a" + OIDC, described(server, "/a"))
    server.route("/token", grant("one"))
    assert OAuth2.discover(server.url + "/a", "id", "secret", **options).access_token() == "one"


def test_metadata_that_is_nowhere_is_a_mistake_in_the_settings(server: ScriptedServer, options: dict[str, Any]) -> None:
    server.script(*[Reply(404)] * 2)
    with pytest.raises(OAuthAccessTokenError, match="no metadata") as caught:
        OAuth2.discover(server.url, "id", "secret", **options).access_token()
    assert (caught.value.kind, caught.value.status) == (OAuthErrorKind.CONFIGURATION, 404)


def test_a_server_in_trouble_may_be_asked_later(server: ScriptedServer, options: dict[str, Any]) -> None:
    """Row 10: temporary; the next place would not know either."""
    server.route(WELL_KNOWN, Reply(500))
    with pytest.raises(OAuthAccessTokenError) as caught:
        OAuth2.discover(server.url, "id", "secret", **options).access_token()
    assert (caught.value.kind, len(server.journal)) == (OAuthErrorKind.TEMPORARY, 1)


def test_metadata_that_was_known_outlasts_a_server_that_is_silent(
    server: ScriptedServer, options: dict[str, Any], time: Time
) -> None:
    server.route(WELL_KNOWN, described(server), Reply(500))
    server.route("/token", grant("one"), grant("two"))
    auth = OAuth2.discover(server.url, "id", "secret", **options)
    auth.access_token()
    time.pass_by(METADATA_LIFE_S)
    assert auth.access_token() == "two"


def test_a_redirect_to_another_server_is_not_followed(
    server: ScriptedServer, other_server: ScriptedServer, options: dict[str, Any]
) -> None:
    """RFC 9700: whoever answers there says where the secret goes."""
    server.route(WELL_KNOWN, Reply(302, {"Location": other_server.url + WELL_KNOWN}))
    with pytest.raises(OAuthAccessTokenError):
        OAuth2.discover(server.url, "id", "secret", **options).access_token()
    assert other_server.journal == []


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_what_came_unverified_is_not_for_others(
    tls_server: ScriptedServer, certificate: Path, options: dict[str, Any]
) -> None:
    """Row 4: the cache knows how the server was reached."""
    tls_server.route(WELL_KNOWN, described(tls_server))
    one = OAuth2.discover(tls_server.url, "id", "secret", verify_ssl=False, **options)
    assert one.server_metadata().token_endpoint == tls_server.url + "/token"
    with pytest.raises(OAuthAccessTokenError, match="no trusted connection"):
        OAuth2.discover(tls_server.url, "id", "secret", **options).server_metadata()
    trusting = OAuth2.discover(tls_server.url, "id", "secret", ca_file=str(certificate), **options)
    assert trusting.server_metadata().issuer == tls_server.url


# ---- what it says ----


@pytest.mark.parametrize("issuer", ["https://h/", "https://H", "https://evil", "http://h"])
def test_metadata_of_another_issuer_is_not_used(issuer: str) -> None:
    """RFC 8414 3.3: equal as texts."""
    with pytest.raises(OAuthAccessTokenError, match="another issuer"):
        read({"issuer": issuer, "token_endpoint": "https://h/t"})


@pytest.mark.parametrize("endpoint", ["http://h.example/token", "https://u:p@h.example/token", "ftp://h/t", "token"])
def test_an_endpoint_to_which_no_secret_may_go_is_refused(
    server: ScriptedServer, options: dict[str, Any], endpoint: str
) -> None:
    """Row 4: https, except on this machine."""
    server.route(WELL_KNOWN, described(server, token_endpoint=endpoint))
    with pytest.raises(OAuthAccessTokenError, match="endpoint that is not used"):
        OAuth2.discover(server.url, "id", "secret", **options).access_token()


def test_an_issuer_is_reached_by_https() -> None:
    """RFC 8414 2, row 4."""
    with pytest.raises(InsecureError):
        OAuth2.discover("http://login.example", "id", "secret")
    with pytest.raises(ValueError, match="token URL or an issuer"):
        OAuth2("", "id", "secret", None)


def test_a_server_without_token_endpoint_is_of_no_use() -> None:
    with pytest.raises(OAuthAccessTokenError, match="no token_endpoint"):
        read({"issuer": "https://h"})


def test_endpoints_that_are_set_hold_whatever_the_server_says(server: ScriptedServer, options: dict[str, Any]) -> None:
    server.route(WELL_KNOWN, described(server, revocation_endpoint=server.url + "/theirs"))
    found = OAuth2.discover(server.url, "id", "s", revocation_url=server.url + "/ours", **options).server_metadata()
    assert found.revocation_endpoint == server.url + "/ours"


@pytest.mark.parametrize(
    ("supported", "given", "way"),
    [
        (None, {}, ClientAuth.BASIC),
        (["client_secret_post", "client_secret_basic"], {}, ClientAuth.BASIC),
        (["client_secret_post"], {}, ClientAuth.POST),
        (["client_secret_post"], {"has_key": True}, ClientAuth.POST),
        (["private_key_jwt", "client_secret_basic"], {"has_key": True}, ClientAuth.PRIVATE_KEY_JWT),
        (["self_signed_tls_client_auth"], {"has_secret": False, "has_certificate": True}, ClientAuth.TLS),
        (["client_secret_basic"], {"has_secret": False, "has_certificate": True}, ClientAuth.NONE),
        (["client_secret_basic"], {"has_secret": False}, ClientAuth.NONE),
    ],
)
def test_the_client_proves_itself_as_the_server_takes_it(
    supported: list[str] | None, given: dict[str, bool], way: ClientAuth
) -> None:
    """RFC 8414 2: token_endpoint_auth_methods_supported."""
    means = {"has_key": False, "has_secret": True, "has_certificate": False} | given
    assert Means(**means).choose(supported) is way


def test_a_server_that_takes_nothing_of_what_is_given_is_named(server: ScriptedServer, options: dict[str, Any]) -> None:
    server.route(WELL_KNOWN, described(server, token_endpoint_auth_methods_supported=["private_key_jwt"]))
    with pytest.raises(OAuthAccessTokenError, match="by private_key_jwt; what is given here is good for basic, post"):
        OAuth2.discover(server.url, "id", "secret", **options).access_token()
    assert asked(server) == []


@pytest.mark.parametrize(("way", "in_form"), [(None, True), ("basic", False)])
def test_a_way_that_is_set_is_not_chosen_again(
    server: ScriptedServer, options: dict[str, Any], way: str | None, in_form: bool
) -> None:
    """RFC 6749 2.3: one way in each request."""
    server.route(WELL_KNOWN, described(server, token_endpoint_auth_methods_supported=["client_secret_post"]))
    server.route("/token", grant("one"))
    OAuth2.discover(server.url, "id", "secret", client_auth=way, **options).access_token()
    assert ("client_secret" in asked(server)[0]) is in_form
    assert ("authorization" in server.journal[-1].headers) is not in_form


def test_a_login_finds_its_endpoints_too(server: ScriptedServer, options: dict[str, Any]) -> None:
    """RFC 9207 2.4: a server that promises to name itself has to."""
    more: dict[str, Any] = {
        "authorization_endpoint": server.url + "/a",
        "authorization_response_iss_parameter_supported": True,
    }
    server.route(WELL_KNOWN, described(server, **more))
    auth = OAuth2.discover(server.url, "id", None, redirect_uri="http://127.0.0.1/b", **options)
    assert auth.get_authorization_url().startswith(server.url + "/a?")
    with pytest.raises(OAuthStateError):
        auth.parse_authorization_response("http://127.0.0.1/b?code=c&state=s")
    good = f"http://127.0.0.1/b?code=c&state=s&iss={server.url}"
    assert auth.parse_authorization_response(good) == ("c", "s")


@given(st.recursive(st.none() | st.booleans() | st.text(), lambda t: st.lists(t) | st.dictionaries(st.text(), t)))
def test_no_metadata_breaks_the_reader(value: Any) -> None:
    known = ("token_endpoint_auth_methods_supported", "mtls_endpoint_aliases", "authorization_endpoint")
    document = {"issuer": "https://h", "token_endpoint": "https://h/t"} | dict.fromkeys(known, value)
    found = read(document)
    assert found is not None
    assert read(value) is None or isinstance(value, dict)


def test_a_cache_forgets_when_it_is_told_to(time: Time) -> None:
    cache, calls = MetadataCache(time.monotonic), list[int]()

    def find() -> ServerMetadata:
        calls.append(1)
        return ServerMetadata("https://h", "https://h/t")

    for _ in range(2):
        cache.get("k", find)
    cache.clear()
    cache.get("k", find)
    assert len(calls) == 2
