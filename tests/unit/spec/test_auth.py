"""What each grant, and each way to prove a client, needs and rules out: told at its place, with what to do."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cruds.oauth2.grants import RESERVED as LIBRARY_RESERVED
from daemon.spec import Problem, SpecError, load
from daemon.spec.auth_rules import RESERVED
from tests.unit.spec.files import GOOD, write

URL = "https://login.example.com/token"
ISSUER = "https://login.example.com"
BASE = {"type": "oauth2", "url": URL, "client_id": "crudsd", "client_secret": {"env": "SECRET"}}
KEY = {"file": "key.pem"}


def problems(tmp_path: Path, auth: dict[str, Any], **connection: Any) -> dict[str, str]:
    """The problems of one connection by their place below it, each with its cure."""
    tree = yaml.safe_load(GOOD)
    tree["connections"]["hr"] |= {"auth": {key: value for key, value in auth.items() if value is not None}}
    tree["connections"]["hr"] |= connection
    try:
        load(write(tmp_path, yaml.safe_dump(tree)))
        told: tuple[Problem, ...] = ()
    except SpecError as error:
        told = error.problems
    found = {one.path.removeprefix("connections.hr."): f"{one.message}; {one.cure}" for one in told}
    assert len(found) == len(told), "one place is told twice"
    assert all(one.cure for one in told)
    return found


GOOD_ONES: dict[str, dict[str, Any]] = {
    "client credentials": {},
    "of an issuer": {"url": None, "issuer": ISSUER},
    "a public client that says so": {"client_secret": None, "client_auth": "none"},
    "a signed assertion": {"client_secret": None, "private_key": KEY},
    "password": {"grant": "password", "username": "me", "password": {"env": "P"}},
    "password of a public client": {
        "grant": "password",
        "username": {"env": "U"},
        "password": {"env": "P"},
        "client_secret": None,
    },
    "authorization code": {
        "grant": "authorization_code",
        "authorization_url": "https://login.example.com/authorize?tenant=1",
        "redirect_uri": "http://127.0.0.1:8765/callback",
    },
    "authorization code, discovered": {
        "grant": "authorization_code",
        "url": None,
        "issuer": ISSUER,
        "redirect_uri": "com.example.app:/callback",
    },
    "device code": {"grant": "device_code", "device_authorization_url": "https://login.example.com/device"},
    "device code, discovered": {"grant": "device_code", "url": None, "issuer": ISSUER, "client_secret": None},
    "jwt bearer": {
        "grant": "jwt_bearer",
        "client_secret": None,
        "private_key": KEY,
        "private_key_id": "1",
        "subject": "someone@example.com",
        "assertion_claims": {"scope": "a"},
        "assertion_audience": "token_url",
    },
    "jwt bearer of a client with a secret": {"grant": "jwt_bearer", "private_key": KEY, "client_auth": "post"},
    "all wishes": {
        "scope": ["a", "b"],
        "audience": "https://api.example.com",
        "resource": ["https://api.example.com", "urn:x:y"],
        "authorization_details": [{"type": "people", "actions": ["read"]}],
        "extra": {"tenant": "7"},
        "default_expires_in": "1h",
        "revocation_url": "https://login.example.com/revoke",
    },
}


@pytest.mark.parametrize("auth", GOOD_ONES.values(), ids=GOOD_ONES.keys())
def test_each_grant_can_be_declared(auth: dict[str, Any], tmp_path: Path) -> None:
    assert problems(tmp_path, BASE | auth) == {}


def test_a_certificate_proves_a_client_too(tmp_path: Path) -> None:
    papers = {"cert_file": "client.crt", "key_file": "client.key"}

    assert problems(tmp_path, BASE | {"client_secret": None}, tls=papers) == {}
    assert problems(tmp_path, BASE | {"client_secret": None, "client_auth": "tls_client_auth"}, tls=papers) == {}


BAD_ONES: dict[str, tuple[dict[str, Any], str, str]] = {
    "no server": ({"url": None}, "auth", "say where tokens come from: url .* or issuer"),
    "an empty client": ({"client_id": ""}, "auth.client_id", "client_id is empty"),
    "no proof": ({"client_secret": None}, "auth.type", "client_secret is missing.*client_auth: none"),
    "no user": ({"grant": "password"}, "auth.grant", "needs username and password; add `username: .*`password: {env"),
    "half a user": ({"grant": "password", "username": "me"}, "auth.grant", "needs password; add"),
    "a user of another grant": ({"username": "me"}, "auth.username", "for the grant password, and this is client_cred"),
    "a password of another grant": (
        {"grant": "jwt_bearer", "private_key": KEY, "password": {"env": "P"}},
        "auth.password",
        "say grant: password, or remove password",
    ),
    "a browser and the default grant": (
        {"authorization_url": "https://login.example.com/authorize"},
        "auth.authorization_url",
        "is for the grant authorization_code, and this is client_credentials",
    ),
    "a code and nowhere to come back to": (
        {"grant": "authorization_code", "authorization_url": "https://login.example.com/authorize"},
        "auth.grant",
        "needs redirect_uri; add `redirect_uri: http://127.0.0.1:",
    ),
    "a code and nowhere to ask": (
        {"grant": "authorization_code", "redirect_uri": "http://127.0.0.1:1/"},
        "auth.grant",
        "needs authorization_url; add",
    ),
    "an issuer that is not asked": (
        {"grant": "device_code", "issuer": ISSUER},
        "auth.grant",
        "needs device_authorization_url; .* or leave url out, and the issuer is asked",
    ),
    "no key to sign with": ({"grant": "jwt_bearer"}, "auth.grant", "needs private_key; add `private_key: {file"),
    "a way without its key": (
        {"client_secret": None, "client_auth": "private_key_jwt"},
        "auth.client_auth",
        "client_auth: private_key_jwt needs private_key; add",
    ),
    "a way without its secret": (
        {"client_secret": None, "client_auth": "post"},
        "auth.client_auth",
        "client_auth: post needs client_secret; add",
    ),
    "a way without its certificate": (
        {"client_secret": None, "client_auth": "tls_client_auth"},
        "auth.client_auth",
        r"needs tls.cert_file; add `tls: \{cert_file",
    ),
    "a secret that nobody sends": ({"client_auth": "none"}, "auth.client_secret", "not used with client_auth: none"),
    "a key that nobody uses": (
        {"client_auth": "basic", "private_key": KEY},
        "auth.private_key",
        "not used with client_auth: basic; say client_auth: private_key_jwt",
    ),
    "a key's name without a key": ({"private_key_id": "1"}, "auth.private_key_id", "there is no private_key; add"),
    "claims of another grant": (
        {"assertion_claims": {"scope": "a"}},
        "auth.assertion_claims",
        "is for the grant jwt_bearer",
    ),
    "a subject of another grant": ({"subject": "me"}, "auth.subject", "is for the grant jwt_bearer"),
    "a claim that is ours": (
        {"grant": "jwt_bearer", "private_key": KEY, "assertion_claims": {"sub": "me"}},
        "auth.assertion_claims.sub",
        "may not set sub; .* sub is set by subject",
    ),
    "a parameter that is ours": ({"extra": {"scope": "a"}}, "auth.extra.scope", "extra may not set scope"),
    "a resource with a fragment": (
        {"resource": ["https://a.example.com", "https://a.example.com#b"]},
        "auth.resource[1]",
        "without a fragment",
    ),
    "a resource that is relative": ({"resource": "/people"}, "auth.resource", "absolute address"),
    "details of no type": ({"authorization_details": {"actions": []}}, "auth.authorization_details", "has a type"),
    "http": ({"url": "http://login.example.com/token"}, "auth.url", "unencrypted; .*allow_insecure: true"),
    "an http issuer": ({"url": None, "issuer": "http://login.example.com"}, "auth.issuer", "unencrypted"),
    "an http revocation": ({"revocation_url": "http://login.example.com/r"}, "auth.revocation_url", "unencrypted"),
    "no address": ({"url": "login"}, "auth.url", "not an http address"),
    "a fragment": ({"url": f"{URL}#a"}, "auth.url", "may have no #"),
    "an issuer with a query": ({"url": None, "issuer": f"{ISSUER}?a=b"}, "auth.issuer", "an issuer has no ?"),
}


@pytest.mark.parametrize(("auth", "place", "said"), BAD_ONES.values(), ids=BAD_ONES.keys())
def test_what_does_not_fit_is_told_where_it_stands(auth: dict[str, Any], place: str, said: str, tmp_path: Path) -> None:
    found = problems(tmp_path, BASE | auth)

    assert list(found) == [place]
    (text,) = found.values()
    assert re.search(said, text), text


def test_http_is_for_this_machine_or_for_those_who_say_so(tmp_path: Path) -> None:
    assert problems(tmp_path, BASE | {"url": "http://127.0.0.1:1/token"}) == {}
    assert problems(tmp_path, BASE | {"url": "http://login.example.com/t"}, allow_insecure=True) == {}


def test_what_extra_may_not_set_is_what_the_library_refuses() -> None:
    assert RESERVED == LIBRARY_RESERVED


@pytest.mark.parametrize(
    ("auth", "place"),
    [
        ({"type": "basic", "username": "a:b", "password": {"env": "P"}}, "auth.username"),
        ({"type": "header", "name": "X Api Key", "value": {"env": "P"}}, "auth.name"),
        ({"type": "query", "name": " ", "value": {"env": "P"}}, "auth.name"),
    ],
)
def test_other_kinds_are_looked_at_too(auth: dict[str, Any], place: str, tmp_path: Path) -> None:
    assert list(problems(tmp_path, auth)) == [place]


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("*.example.com", r"there is no \*"),
        ("https://files.example.com/v1", "write https://files.example.com"),
        ("http://files.example.com", "unencrypted"),
        ("ftp://files.example.com", "not an http address"),
        ("https://me:pw@files.example.com", "credentials do not belong"),
    ],
)
def test_a_host_that_cannot_be_allowed_is_told(host: str, said: str, tmp_path: Path) -> None:
    found = problems(tmp_path, BASE, allowed_hosts=["files.example.com", host])

    assert list(found) == ["allowed_hosts[1]"]
    assert re.search(said, found["allowed_hosts[1]"])


@pytest.mark.parametrize("then", ["skip", "reject", "success", "exists", "gone"])
def test_a_rule_of_a_connection_is_good_for_all_its_requests(then: str, tmp_path: Path) -> None:
    rules = [{"status": 403, "then": "refresh_auth"}, {"status": 403, "then": then}]

    found = problems(tmp_path, BASE, on_response=rules)

    assert list(found) == ["on_response[1].then"]
    assert "known here: fail, refresh_auth, retry" in found["on_response[1].then"]


def test_a_rule_of_a_connection_knows_the_answer_only(tmp_path: Path) -> None:
    rules = [{"when": "record.id == response.status", "then": "fail"}]

    assert list(problems(tmp_path, BASE, on_response=rules)) == ["on_response[0].when"]


def test_the_password_grant_is_warned_of(tmp_path: Path) -> None:
    auth = "{type: oauth2, grant: password, url: 'https://a/t', client_id: a, username: b, password: {env: P}}"
    text = GOOD.replace("{host: https://hr.example.com}", f"{{host: a.b, auth: {auth}}}")

    (warning,) = load(write(tmp_path, text)).warnings

    assert "crudsd.yaml:3:" in warning
    assert "connection hr uses the grant password" in warning
    assert "RFC 9700" in warning
    assert load(write(tmp_path)).warnings == ()


PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "job-file.md").read_text(encoding="utf-8")
CONNECTIONS = PAGE.partition("## A connection")[2].partition("## A job")[0]
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", CONNECTIONS, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_each_example_of_the_reference_page_is_valid(block: str, tmp_path: Path) -> None:
    told = {"host": "https://hr.example.com", **yaml.safe_load(block)}
    tree = {**yaml.safe_load(GOOD), "connections": {"hr": told}}

    assert load(write(tmp_path, json.dumps(tree))).spec.connections


def test_the_reference_page_has_an_example_of_each_grant() -> None:
    examples = [block for block in BLOCKS if block.startswith("auth:")]

    grants = {yaml.safe_load(block)["auth"].get("grant", "client_credentials") for block in examples}

    assert grants == {"client_credentials", "password", "authorization_code", "device_code", "jwt_bearer"}
