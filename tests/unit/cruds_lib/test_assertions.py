"""Clients that sign or bring a certificate (RFC 7523, RFC 8705), and service accounts."""

from __future__ import annotations

import json
import ssl
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from cruds import OAuth2
from cruds.exception import OAuthAccessTokenError, OAuthErrorKind
from cruds.oauth2 import SigningKey
from tests.fakes.scripted import Reply, ScriptedServer, json_reply, serving

from .oauth2_rig import Make, Time, asked, cache, grant, options, refusal, session, store, time

__all__ = ["cache", "options", "session", "store", "time"]

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def pem(key: Any, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> str:
    encoded: bytes = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return encoded.decode()


def b64(data: bytes | int) -> str:
    octets = data if isinstance(data, bytes) else data.to_bytes((data.bit_length() + 7) // 8, "big")
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def jwk_of(key: Any, **more: str) -> dict[str, str]:
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        public = numbers.public_numbers
        found = {"kty": "RSA", "n": b64(public.n), "e": b64(public.e), "d": b64(numbers.d)}
        return found | {"p": b64(numbers.p), "q": b64(numbers.q)} | more
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {"kty": "EC", "crv": f"P-{key.curve.key_size}", "d": b64(key.private_numbers().private_value)} | more
    return {"kty": "OKP", "crv": "Ed25519", "d": b64(key.private_bytes_raw())} | more


def opened(token: str, key: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a token whose signature was checked with the public half of the key."""
    content, _, signature = token.rpartition(".")
    header, claims = (json.loads(urlsafe_b64decode(part + "==")) for part in content.split("."))
    signed, data = urlsafe_b64decode(signature + "=="), content.encode()
    if isinstance(key, ed25519.Ed25519PrivateKey):
        key.public_key().verify(signed, data)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        half = len(signed) // 2
        assert half == (key.curve.key_size + 7) // 8
        der = encode_dss_signature(*(int.from_bytes(part, "big") for part in (signed[:half], signed[half:])))
        digest = {"ES256": hashes.SHA256(), "ES384": hashes.SHA384(), "ES512": hashes.SHA512()}[header["alg"]]
        key.public_key().verify(der, data, ec.ECDSA(digest))
    elif header["alg"] == "PS256":
        salted = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        key.public_key().verify(signed, data, salted, hashes.SHA256())
    else:
        key.public_key().verify(signed, data, padding.PKCS1v15(), hashes.SHA256())
    return header, claims


# ---- keys ----


@pytest.mark.parametrize(
    ("key", "given", "algorithm"),
    [
        (RSA, pem(RSA), "RS256"),
        (RSA, pem(RSA, serialization.PrivateFormat.TraditionalOpenSSL).encode(), "RS256"),
        (RSA, jwk_of(RSA), "RS256"),
        (RSA, jwk_of(RSA, alg="PS256"), "PS256"),
        (RSA, {name: value for name, value in jwk_of(RSA).items() if name not in "pq"}, "RS256"),
        (EC, pem(EC), "ES256"),
        (EC, json.dumps(jwk_of(EC)), "ES256"),
        (ED, pem(ED), "EdDSA"),
        (ED, "\n" + json.dumps(jwk_of(ED)), "EdDSA"),
    ],
    ids=["pem", "pkcs1", "jwk", "jwk-ps", "jwk-without-primes", "ec-pem", "ec-jwk-text", "ed-pem", "ed-jwk-text"],
)
def test_a_key_signs_with_its_own_algorithm(key: Any, given: Any, algorithm: str) -> None:
    """RFC 7518 3, RFC 8037 3.1: what is signed can be verified with the public half."""
    signing = SigningKey(given)
    header, claims = opened(signing.sign({"a": "ä"}, signing.choose(None)), key)
    assert (header, claims) == ({"alg": algorithm, "typ": "JWT"}, {"a": "ä"})


@pytest.mark.parametrize(("curve", "algorithm"), [(ec.SECP384R1(), "ES384"), (ec.SECP521R1(), "ES512")])
def test_larger_curves_sign_too(curve: ec.EllipticCurve, algorithm: str) -> None:
    """RFC 7518 3.4: both halves have the width of the curve."""
    key = ec.generate_private_key(curve)
    for given in (pem(key), jwk_of(key)):
        assert opened(SigningKey(given).sign({}, algorithm), key)[0]["alg"] == algorithm


@pytest.mark.parametrize(
    ("key", "supported", "algorithm"),
    [(RSA, ["PS256", "ES256"], "PS256"), (RSA, ["RS256", "PS256"], "RS256"), (ED, ["Ed25519"], "Ed25519")],
)
def test_the_algorithm_is_one_that_the_server_takes(key: Any, supported: list[str], algorithm: str) -> None:
    """RFC 8414 2: token_endpoint_auth_signing_alg_values_supported."""
    assert SigningKey(jwk_of(key)).choose(supported) == algorithm


@pytest.mark.parametrize(
    "bad",
    [
        "canary-key",
        "{canary-key",
        b"-----BEGIN PRIVATE KEY-----\ncanary-key\n-----END PRIVATE KEY-----\n",
        {"kty": "oct", "k": "canary-key"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "EC", "crv": "secp256k1", "d": "canary-key"},
        {"kty": "EC", "crv": "P-256", "d": ""},
        {"kty": "OKP", "crv": "X25519", "d": "canary-key"},
        {"kty": "OKP", "crv": "Ed25519", "d": 7},
        jwk_of(EC, alg="RS256"),
        pem(x25519.X25519PrivateKey.generate()),
        pem(rsa.generate_private_key(65537, 1024)),
        pem(ec.generate_private_key(ec.SECP256K1())),
    ],
)
def test_what_cannot_sign_is_refused_when_it_is_set_and_not_shown(bad: Any) -> None:
    """C05; RFC 7518 3.3: RSA keys have 2048 bits."""
    with pytest.raises(ValueError, match=r"key|RSA") as caught:
        OAuth2("https://h/t", "id", None, None, private_key=bad)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_key_is_not_shown() -> None:
    """C05."""
    jwk = jwk_of(ED, kid="k-1")
    assert jwk["d"] not in repr(SigningKey(jwk))
    assert "k-1" in repr(SigningKey(jwk))


# ---- private_key_jwt ----


def test_an_assertion_says_who_asks_whom_and_for_how_long(session: Make, server: ScriptedServer, time: Time) -> None:
    """RFC 7523 3: iss and sub are the client, aud, unique jti, at most 60 s, kid."""
    server.script(grant("one"))
    session(private_key=pem(EC), private_key_id="k-1", issuer="https://login.example").access_token()
    form = asked(server)[0]
    header, claims = opened(form.pop("client_assertion"), EC)
    now = int(time.wall.timestamp())
    assert header == {"alg": "ES256", "typ": "JWT", "kid": "k-1"}
    assert len(claims.pop("jti")) >= 16
    assert claims == {"iss": "id", "sub": "id", "aud": "https://login.example", "iat": now, "exp": now + 60}
    assert form == {"grant_type": "client_credentials", "client_id": "id", "client_assertion_type": TYPE}
    assert "authorization" not in server.journal[0].headers


@pytest.mark.parametrize(
    ("options", "audience"),
    [
        ({}, "{url}/token"),
        ({"issuer": "https://i.example"}, "https://i.example"),
        ({"issuer": "https://i.example", "assertion_audience": "token_url"}, "{url}/token"),
        ({"assertion_audience": "account.example"}, "account.example"),
    ],
)
def test_the_audience_is_the_issuer_or_what_is_set(
    session: Make, server: ScriptedServer, options: dict[str, str], audience: str
) -> None:
    """RFC 7523 3: the issuer by the newer advice, the token URL by option."""
    server.script(grant("one"))
    session(private_key=jwk_of(ED, kid="k-9"), **options).access_token()
    header, claims = opened(asked(server)[0]["client_assertion"], ED)
    assert (header["kid"], claims["aud"]) == ("k-9", audience.format(url=server.url))


def test_each_try_has_an_assertion_of_its_own(session: Make, server: ScriptedServer, time: Time) -> None:
    """RFC 7523 3: a jti is good once; repetitions and renewals too."""
    server.script(Reply(503), Reply(close=True), grant("one", refresh_token="r1"), Reply(502), grant("two"))
    auth = session(private_key=pem(ED))
    auth.access_token()
    time.pass_by(3600)
    assert auth.access_token() == "two"
    forms = asked(server)
    found = [opened(form["client_assertion"], ED)[1] for form in forms]
    assert len({claims["jti"] for claims in found}) == len(forms) == 5
    assert [claims["exp"] - claims["iat"] for claims in found] == [60] * 5
    assert found[4]["iat"] - found[0]["iat"] == 3600


def test_every_endpoint_is_shown_an_assertion(session: Make, server: ScriptedServer) -> None:
    """RFC 7009 2.1, RFC 8628 3.1: authenticated as at the token endpoint."""
    server.route("/token", grant("one"))
    server.route("/revoke", Reply(200))
    server.route("/device", Reply(503))
    auth = session(private_key=pem(EC), revocation_url=server.url + "/revoke")
    auth.access_token()
    auth.revoke()
    with pytest.raises(OAuthAccessTokenError):
        session(private_key=pem(EC), device_authorization_url=server.url + "/device").start_device_login()
    found = [opened(seen.form["client_assertion"], EC)[1]["jti"] for seen in server.journal]
    assert len(set(found)) == len(found) >= 6


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_auth": "private_key_jwt"},
        {"client_auth": "tls_client_auth"},
        {"grant": "jwt_bearer"},
        {"grant": "password"},
        {"grant": "implicit"},
        {"grant": "refresh_token"},
        {"subject": "ada"},
        {"assertion_claims": {"x": 1}},
    ],
)
def test_settings_that_need_others_say_which(session: Make, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"private_key|client_cert|username|one of|jwt_bearer"):
        session(**wrong)


def test_a_server_that_takes_no_algorithm_of_the_key_is_a_mistake_in_the_settings(
    server: ScriptedServer, options: dict[str, Any]
) -> None:
    said = {"issuer": server.url, "token_endpoint": server.url + "/token"}
    said["token_endpoint_auth_signing_alg_values_supported"] = ["RS256"]  # type: ignore[assignment]
    server.route("/.well-known/oauth-authorization-server", json_reply(said))
    auth = OAuth2.discover(server.url, "id", private_key=pem(EC), **options)
    with pytest.raises(OAuthAccessTokenError, match="signs with ES256; the server takes RS256") as caught:
        auth.access_token()
    assert caught.value.kind is OAuthErrorKind.CONFIGURATION


# ---- service accounts ----


def test_a_service_account_asks_with_an_assertion(session: Make, server: ScriptedServer, time: Time) -> None:
    """RFC 7523 2.1: for a subject, with more claims as Google wants them, and no second proof of the client."""
    server.script(grant("one"), grant("two"))
    auth = session(
        client_secret=None,
        grant="jwt_bearer",
        private_key=pem(RSA),
        subject="ada@example.com",
        assertion_claims={"scope": "calendar", "iss": "not ours to replace"},
    )
    assert auth.access_token() == "one"
    time.pass_by(3600)
    assert auth.access_token() == "two"
    forms = asked(server)
    found = [opened(form.pop("assertion"), RSA)[1] for form in forms]
    assert forms == [{"grant_type": JWT_BEARER}] * 2
    assert found[0]["jti"] != found[1]["jti"]
    assert {name: found[0][name] for name in ("iss", "sub", "aud", "scope")} == {
        "iss": "id",
        "sub": "ada@example.com",
        "aud": server.url + "/token",
        "scope": "calendar",
    }


def test_a_service_account_may_also_prove_its_client(session: Make, server: ScriptedServer) -> None:
    """RFC 7523 2.1 with 2.2: by its secret when there is one, by the same key when that is said."""
    server.script(grant("one"), grant("two"))
    common: dict[str, Any] = {"grant": JWT_BEARER, "private_key": pem(ED), "store": None, "scope": "a"}
    session(**common).access_token()
    session(client_secret=None, client_auth="private_key_jwt", **common).access_token()
    first, second = asked(server)
    assert server.journal[0].headers["authorization"].startswith("Basic ")
    assert (first["scope"], opened(first["assertion"], ED)[1]["sub"]) == ("a", "id")
    assert opened(second["client_assertion"], ED)[1]["jti"] != opened(second["assertion"], ED)[1]["jti"]


def test_another_subjects_session_is_not_used(session: Make, server: ScriptedServer) -> None:
    """O04: in one store, under one profile."""
    server.script(grant("for ada"), grant("for bob"), grant("for itself"))
    common: dict[str, Any] = {"grant": "jwt_bearer", "private_key": pem(ED), "client_secret": None}
    assert session(subject="ada", **common).access_token() == "for ada"
    assert session(subject="bob", **common).access_token() == "for bob"
    assert session(**common).access_token() == "for itself"


def test_a_service_account_that_is_refused_has_no_other_way(session: Make, server: ScriptedServer) -> None:
    """RFC 7523 3.1: invalid_grant."""
    server.script(refusal("invalid_grant"))
    with pytest.raises(OAuthAccessTokenError, match="invalid_grant"):
        session(client_secret=None, grant="jwt_bearer", private_key=pem(ED)).access_token()
    assert len(server.journal) == 1


# ---- mutual TLS ----


@pytest.fixture
def mutual_server(certificate: Path) -> Iterator[ScriptedServer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate)
    with serving(context) as one:
        yield one


def test_a_certificate_is_the_proof_and_the_id_stands_in_the_form(
    mutual_server: ScriptedServer, certificate: Path, options: dict[str, Any]
) -> None:
    """RFC 8705 2: client_id, and no secret, even if one is there."""
    mutual_server.script(grant("one"), grant("two"))
    url, tls = mutual_server.url + "/token", {"ca_file": str(certificate), "client_cert": str(certificate)}
    assert OAuth2(url, "id", None, None, **tls, **options).access_token() == "one"  # type: ignore[arg-type]
    more = options | {"store": None, "client_auth": "tls_client_auth"}
    assert OAuth2(url, "id", "secret", None, **tls, **more).access_token() == "two"  # type: ignore[arg-type]
    assert asked(mutual_server) == [{"grant_type": "client_credentials", "client_id": "id"}] * 2
    assert "authorization" not in mutual_server.journal[1].headers


def test_a_client_with_a_certificate_goes_to_the_endpoints_for_it(
    tls_server: ScriptedServer, mutual_server: ScriptedServer, certificate: Path, options: dict[str, Any]
) -> None:
    """RFC 8705 5: mtls_endpoint_aliases; a client without one stays with the others."""
    aliases = {"token_endpoint": mutual_server.url + "/mtls-token"}
    said = {
        "issuer": tls_server.url,
        "token_endpoint": tls_server.url + "/token",
        "token_endpoint_auth_methods_supported": ["tls_client_auth", "client_secret_basic"],
        "mtls_endpoint_aliases": aliases,
    }
    tls_server.route("/.well-known/oauth-authorization-server", json_reply(said))
    tls_server.route("/token", grant("plain"))
    mutual_server.route("/mtls-token", grant("bound"))
    with_it = options | {"ca_file": str(certificate), "client_cert": str(certificate)}
    without = options | {"ca_file": str(certificate), "store": None}
    assert OAuth2.discover(tls_server.url, "id", **with_it).access_token() == "bound"
    assert OAuth2.discover(tls_server.url, "id", "secret", **without).access_token() == "plain"
    assert asked(mutual_server, "/mtls-token") == [{"grant_type": "client_credentials", "client_id": "id"}]
