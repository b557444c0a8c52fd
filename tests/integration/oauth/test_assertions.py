"""A client that signs who it is: no secret on the wire, and nothing that could be sent twice."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cruds.exception import OAuthAccessTokenError, OAuthErrorKind
from tests.integration.oauth.world import World
from tests.servers.exchange import ask
from tests.servers.oidc import FORM, private_jwk
from tests.servers.rewriting_proxy import lost, status

pytestmark = [
    pytest.mark.servers,
    pytest.mark.parametrize("client_id", ["cc-rs256", "cc-es256", "cc-eddsa"]),
]


def parts(assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a signed assertion."""
    header, claims, _ = (urlsafe_b64decode(part + "==") for part in assertion.split("."))
    return json.loads(header), json.loads(claims)


def test_the_assertion_says_what_the_standard_asks_for(world: World, client_id: str) -> None:
    world.auth(client_id, issuer=world.oidc.issuer).access_token()

    [asked] = world.token_requests()
    header, claims = parts(asked.form["client_assertion"])
    algorithm = world.oidc.clients[client_id].alg
    assert header == {"alg": algorithm, "typ": "JWT", "kid": f"key-{algorithm}"}
    assert claims["iss"] == claims["sub"] == client_id
    assert claims["aud"] == world.oidc.issuer
    assert 0 < claims["exp"] - claims["iat"] <= 60
    assert asked.authorization is None
    assert "client_secret" not in asked.form


@pytest.mark.parametrize("fault", [status(503), lost], ids=["503", "the answer lost"])
def test_each_try_brings_an_assertion_of_its_own(world: World, client_id: str, fault: Any) -> None:
    world.proxy.next("/token", fault)

    assert world.reads(world.auth(client_id, stop=world.hurried))

    jtis = [parts(asked.form["client_assertion"])[1]["jti"] for asked in world.token_requests()]
    assert len(jtis) == len(set(jtis)) == 2


def test_an_assertion_that_is_replayed_is_what_this_server_refuses(world: World, client_id: str) -> None:
    world.auth(client_id).access_token()
    [asked] = world.token_requests()

    replayed = ask("POST", f"{world.proxy.url}/token", body=urlencode(asked.form).encode(), headers=FORM)

    assert (replayed.status, replayed.json()["error"]) == (401, "invalid_client")


def test_the_token_endpoint_may_be_the_audience_for_servers_that_want_it(world: World, client_id: str) -> None:
    auth = world.auth(client_id, issuer=world.oidc.issuer, assertion_audience="token_url")

    assert world.reads(auth)

    [asked] = world.token_requests()
    assert parts(asked.form["client_assertion"])[1]["aud"] == f"{world.proxy.url}/token"


@pytest.mark.parametrize("form", [dict, json.dumps], ids=["a mapping", "text"])
def test_the_key_may_be_a_jwk_that_names_itself(world: World, client_id: str, form: Callable[[Any], Any]) -> None:
    algorithm = world.oidc.clients[client_id].alg
    auth = world.auth(client_id, private_key=form(private_jwk(algorithm)), private_key_id=None)

    assert world.reads(auth)

    [asked] = world.token_requests()
    assert parts(asked.form["client_assertion"])[0]["kid"] == f"key-{algorithm}"


def test_a_key_that_is_not_registered_is_an_error_of_configuration_said_once(world: World, client_id: str) -> None:
    strange = ec.generate_private_key(ec.SECP256R1())
    pem = strange.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    with pytest.raises(OAuthAccessTokenError) as caught:
        world.auth(client_id, private_key=pem).access_token()

    assert (caught.value.error, caught.value.kind) == ("invalid_client", OAuthErrorKind.CONFIGURATION)
    assert len(world.token_requests()) == 1


def test_a_renewal_after_a_revocation_signs_anew(world: World, client_id: str) -> None:
    auth = world.auth(client_id)
    world.oidc.evict(auth.access_token())

    assert world.reads(auth)

    jtis = [parts(asked.form["client_assertion"])[1]["jti"] for asked in world.token_requests()]
    assert len(set(jtis)) == 2
