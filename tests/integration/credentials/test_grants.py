"""Every grant that works without a person, from a job file, against a certified server or one of ours."""

import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from daemon.app import open_app
from tests.fakes.scripted import json_reply
from tests.integration.credentials.office import Office, OidcOffice, token, went_well
from tests.integration.harness import ignore
from tests.servers.oidc import pem, private_jwk, private_key

API = "https://api.example.test/"


@pytest.mark.servers
@pytest.mark.parametrize(
    ("client_id", "auth"),
    [
        ("cc-basic", "client_auth: basic"),
        ("cc-basic", ""),
        ("cc-post", "client_auth: post"),
        ("cc-basic", "{url: null, issuer: ISSUER}"),
        ("cc-post", "{url: null, issuer: ISSUER, client_auth: post}"),
    ],
)
def test_a_client_with_a_secret_is_let_in(guarded: OidcOffice, client_id: str, auth: str) -> None:
    assert guarded.oidc is not None

    assert went_well(guarded.run(guarded.connection(client_id, auth.replace("ISSUER", guarded.oidc.issuer))))

    assert guarded.written() == ["1"]
    assert guarded.told()["client_id"] == client_id


@pytest.mark.servers
@pytest.mark.parametrize("form", ["PEM", "JWK"])
@pytest.mark.parametrize("client_id", ["cc-rs256", "cc-es256", "cc-eddsa"])
def test_a_client_that_signs_is_let_in(guarded: OidcOffice, client_id: str, form: str) -> None:
    assert guarded.oidc is not None
    algorithm = guarded.oidc.clients[client_id].alg
    guarded.write("client.key", pem(algorithm) if form == "PEM" else json.dumps(private_jwk(algorithm)))
    named = f", private_key_id: key-{algorithm}" if form == "PEM" else ""

    auth = f"{{client_auth: private_key_jwt, private_key: {{file: client.key}}{named}}}"
    assert went_well(guarded.run(guarded.connection(client_id, auth)))

    (asked,) = guarded.asked()
    assert "client_assertion" in asked.form
    assert guarded.told()["client_id"] == client_id


@pytest.mark.servers
def test_what_is_asked_for_reaches_the_server(guarded: OidcOffice) -> None:
    auth = f"""
    scope: [people.read, people.write]
    resource: {API}
    audience: people-api
    authorization_details: {{type: people, actions: [read]}}
    extra: {{tenant: acme & sons}}
    """

    assert went_well(guarded.run(guarded.connection("cc-basic", auth)))

    (asked,) = guarded.asked()
    told = guarded.told()
    assert (asked.form["tenant"], asked.form["audience"]) == ("acme & sons", "people-api")
    assert (told["aud"], told["scope"]) == (API, "people.read people.write")
    assert told["authorization_details"] == [{"type": "people", "actions": ["read"]}]


@pytest.mark.servers
def test_a_token_that_is_revoked_in_the_middle_of_a_run_is_renewed_once(guarded: OidcOffice) -> None:
    assert guarded.oidc is not None
    oidc = guarded.oidc

    def revoke() -> None:
        oidc.evict(guarded.presented[-1])

    page = {"Content-Type": "application/json"}
    first = json_reply({"people": [{"id": "1"}], "next": "2"})
    revoking = type(first)(200, page, first.body, before=revoke)
    guarded.api.route("/people", revoking, json_reply({"people": [{"id": "2"}], "next": None}))

    paging = {"type": "cursor", "param": "cursor", "next": "next"}
    assert went_well(guarded.run(guarded.connection("cc-basic"), paginate=paging))

    assert sorted(guarded.written()) == ["1", "2"]
    assert len(guarded.asked()) == 2
    assert len(set(guarded.presented)) == 2
    assert len(guarded.presented) == 3, "the second page was asked for with the old token, and once with the new"


@pytest.mark.servers
def test_a_second_run_uses_the_token_of_the_first(guarded: OidcOffice) -> None:
    desk = guarded.desk(guarded.connection("cc-basic"))

    assert went_well(desk.run())
    assert went_well(desk.run())

    assert len(guarded.asked()) == 1
    assert len(set(guarded.presented)) == 1


# ---- grants that the certified server does not know ---------------------------------------------------------------


def test_the_password_grant_works_and_is_warned_of(office: Office) -> None:
    office.api.route("/token", token())
    office.secrets["PASSWORD"] = "pa55 wörd"
    auth = f"""
    host: {office.api.url}
    auth:
      type: oauth2
      grant: password
      url: {office.api.url}/token
      client_id: me
      client_auth: none
      username: ada
      password: {{env: PASSWORD}}
    """
    desk = office.desk(auth)

    with open_app(desk.settings) as app:
        warnings = app.warnings
        assert went_well(app.run("people", observe=ignore))

    asked = next(seen for seen in office.api.journal if seen.path == "/token")
    assert asked.form == {"grant_type": "password", "username": "ada", "password": "pa55 wörd", "client_id": "me"}
    assert office.written() == ["1"]
    assert ["RFC 9700" in one for one in warnings] == [True]


def test_an_assertion_of_a_service_account_buys_a_token(office: Office) -> None:
    office.api.route("/token", token())
    office.write("service.key", pem("ES256"))
    auth = f"""
    host: {office.api.url}
    auth:
      type: oauth2
      grant: jwt_bearer
      url: {office.api.url}/token
      client_id: robot@example.test
      private_key: {{file: service.key}}
      private_key_id: k1
      subject: ada@example.test
      assertion_audience: token_url
      assertion_claims: {{scope: people.read}}
    """

    assert went_well(office.run(auth))

    asked = next(seen for seen in office.api.journal if seen.path == "/token")
    assert set(asked.form) == {"grant_type", "assertion"}
    header, claims = verified(asked.form["assertion"])
    assert header == {"alg": "ES256", "typ": "JWT", "kid": "k1"}
    assert (claims["iss"], claims["sub"]) == ("robot@example.test", "ada@example.test")
    assert (claims["aud"], claims["scope"]) == (f"{office.api.url}/token", "people.read")
    assert office.api.journal[-1].headers["authorization"] == "Bearer t0ken-of-a-test"


def verified(assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of an assertion, whose signature is that of the key."""
    content, _, signature = assertion.rpartition(".")
    raw = urlsafe_b64decode(signature + "==")
    halves = (int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key = private_key("ES256")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    key.public_key().verify(encode_dss_signature(*halves), content.encode(), ec.ECDSA(SHA256()))
    header, claims = (json.loads(urlsafe_b64decode(part + "==")) for part in content.split("."))
    return header, claims
