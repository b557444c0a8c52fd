"""oidc-provider on loopback, a certified OAuth 2 server, and gates that only its living tokens open."""

import contextlib
import json
import shutil
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.servers.counting_proxy import Admitted, CountingProxy, Gatekeeper, Journal, Refused
from tests.servers.exchange import Answer, ask, oauth_basic
from tests.servers.install import HERE, OIDC, find_node
from tests.servers.process import NotInstalledError, free_port, require, running

BASIC = "client_secret_basic"
POST = "client_secret_post"
JWT = "private_key_jwt"
PUBLIC = "none"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

MACHINE = ("client_credentials",)
PERSON = ("authorization_code", "refresh_token")
LOOPBACK = "http://127.0.0.1/callback"
DEVICE = ("urn:ietf:params:oauth:grant-type:device_code", "refresh_token")
CALLBACK = "https://app.example.test/callback"
"""Where the server sends people back to. Nobody listens there: the address is all a test needs."""


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """A client that the server knows, and how long what it gets is good."""

    id: str
    secret: str
    method: str = BASIC
    lives_s: int = 600
    grants: tuple[str, ...] = MACHINE
    code_lives_s: int = 60
    """Its authorization codes and device codes."""
    rotates: bool = True
    """Whether its refresh tokens are good once."""
    alg: str = ""
    """With `private_key_jwt`: RS256, ES256 or EdDSA."""
    redirect: str = CALLBACK
    """Where it has people sent back to. On loopback the server takes any port (RFC 8252 section 7.3)."""


CLIENTS = {
    client.id: client
    for client in (
        # No letter outside ASCII: RFC 6749 allows none in a secret, and this server refuses them.
        OAuthClient("cc-basic", "canary-s:e%c+r t&=/~"),
        OAuthClient("cc-post", "canary-plain-but-long-enough", POST),
        OAuthClient("cc-5s", "canary-short-lived", lives_s=5),
        OAuthClient("cc-33s", "canary-middling-lived", lives_s=33),
        OAuthClient("cc-600s", "canary-long-lived"),
        OAuthClient("cc-rs256", "", JWT, alg="RS256"),
        OAuthClient("cc-es256", "", JWT, alg="ES256"),
        OAuthClient("cc-eddsa", "", JWT, alg="EdDSA"),
        OAuthClient("person", "canary-p:e%r+son", grants=PERSON),
        OAuthClient("person-5s", "canary-in-a-hurry", lives_s=5, grants=PERSON),
        OAuthClient("person-public", "", PUBLIC, grants=PERSON),
        OAuthClient("person-once", "canary-never-renewed", grants=PERSON[:1]),
        OAuthClient("person-fixed", "canary-not-rotated", grants=PERSON, rotates=False),
        OAuthClient("native", "", PUBLIC, grants=PERSON, redirect=LOOPBACK),
        OAuthClient("native-5s", "", PUBLIC, lives_s=5, grants=PERSON, redirect=LOOPBACK),
        OAuthClient("native-once", "", PUBLIC, lives_s=5, grants=PERSON[:1], redirect=LOOPBACK),
        OAuthClient("device", "", PUBLIC, grants=DEVICE),
        OAuthClient("device-brief", "", PUBLIC, grants=DEVICE, code_lives_s=2),
        OAuthClient("gate", "canary-introspects"),
    )
}


@cache
def private_key(alg: str) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey:
    """The key of all clients that sign with this algorithm; made at first use."""
    if alg == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if alg == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(alg: str) -> str:
    """The same as a client keeps it."""
    return private_key(alg).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def jwk(alg: str) -> dict[str, str]:
    """Its public half as it is registered at the server (RFC 7517)."""
    key = private_key(alg)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        members = {"kty": "OKP", "crv": "Ed25519", "x": _base64url(key.public_key().public_bytes_raw())}
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        members = {"kty": "EC", "crv": "P-256", "x": _number(point.x, 32), "y": _number(point.y, 32)}
    else:
        public = key.public_key().public_numbers()
        members = {"kty": "RSA", "n": _number(public.n, 256), "e": _number(public.e, 3)}
    return {**members, "kid": f"key-{alg}", "use": "sig", "alg": alg}


def private_jwk(alg: str) -> dict[str, str]:
    """Both halves, for a client that keeps its key so."""
    key = private_key(alg)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        secret = _base64url(key.private_bytes_raw())
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        secret = _number(key.private_numbers().private_value, 32)
    else:
        secret = _number(key.private_numbers().d, 256)
    return {**jwk(alg), "d": secret}


def _number(value: int, length: int) -> str:
    return _base64url(value.to_bytes(length))


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class Oidc:
    """A running oidc-provider; `issuer` leads through the counting proxy, `port` past it."""

    clients = CLIENTS

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        node = find_node()
        if node is None:
            raise NotInstalledError("there is no Node.js: run `make servers`")
        packages = require(OIDC / "installed-from").parent / "node_modules"
        # Modules are looked for beside the script, so both come into one folder.
        script = Path(shutil.copy(HERE / "oidc_provider" / "server.mjs", self._folder))
        (self._folder / "node_modules").symlink_to(packages)
        port, stats_port = free_port(), free_port()
        self._direct = f"http://127.0.0.1:{port}"
        self._stats_url = f"http://127.0.0.1:{stats_port}/"
        self.port = port
        with contextlib.ExitStack() as stack:
            self.proxy = stack.enter_context(CountingProxy(port))
            env = {
                "PORT": str(port),
                "STATS_PORT": str(stats_port),
                "ISSUER": self.proxy.url,
                "CLIENTS": json.dumps([_registered(client) for client in CLIENTS.values()]),
            }
            stack.enter_context(
                running([node.program, script], folder=self._folder, ready_url=self._stats_url, env=env)
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def issuer(self) -> str:
        """The server's name and root, through the counting proxy."""
        return self.proxy.url

    @property
    def token_url(self) -> str:
        """The token endpoint."""
        return f"{self.issuer}/token"

    @property
    def journal(self) -> Journal:
        """What passed through the proxy; introspection by the gates and the helpers below are not in it."""
        return self.proxy.journal

    def stats(self) -> Counter[str]:
        """How many tokens each client got since the server started; refused requests under the empty name."""
        stats = ask("GET", self._stats_url).expect(200).json()
        return Counter({**stats["issued"], "": stats["refused"]})

    def families_revoked(self) -> int:
        """How many sessions of people the server ended since it started, for a replay or because it was asked to."""
        count: int = ask("GET", self._stats_url).expect(200).json()["families_revoked"]
        return count

    def token(self, client_id: str, scope: str = "people.read") -> str:
        """A fresh token for a client, got without the counting proxy."""
        answer = self._form("/token", CLIENTS[client_id], grant_type="client_credentials", scope=scope)
        token: str = answer.expect(200).json()["access_token"]
        return token

    def revoke(self, token: str, client_id: str) -> None:
        """End a token before its time. If a person gave it, their whole session ends: this server is strict."""
        self._form("/token/revocation", CLIENTS[client_id], token=token).expect(200)

    def evict(self, access_token: str) -> None:
        """End an access token alone, as a server does that has lost its memory; the session can be renewed."""
        ask("DELETE", f"{self._stats_url}{access_token}").expect(200)

    def refresh(self, refresh_token: str, client_id: str) -> Answer:
        """Use up a refresh token behind its owner's back."""
        return self.ask_token(client_id, grant_type="refresh_token", refresh_token=refresh_token)

    def ask_token(self, client_id: str, **form: str) -> Answer:
        """What the token endpoint says to a client's request, asked without the counting proxy."""
        return self._form("/token", CLIENTS[client_id], **form)

    def introspect(self, token: str) -> dict[str, Any]:
        """All that the server tells of a token."""
        told: dict[str, Any] = self._form("/token/introspection", CLIENTS["gate"], token=token).expect(200).json()
        return told

    def is_active(self, token: str) -> bool:
        """What introspection says of a token."""
        return self.introspect(token)["active"] is True

    @contextlib.contextmanager
    def gate(self, upstream_port: int, *, authorization: str | None = None) -> Iterator[CountingProxy]:
        """A proxy before `127.0.0.1:upstream_port` that asks for a living token of this server.

        The upstream is given `authorization` instead. `url` has no path; `journal` shows the 401s too.
        """
        with CountingProxy(upstream_port, gatekeeper=self._gatekeeper(authorization)) as gate:
            yield gate

    def _gatekeeper(self, authorization: str | None) -> Gatekeeper:
        def decide(presented: str | None) -> Admitted | Refused:
            scheme, _, token = (presented or "").partition(" ")
            if scheme.lower() != "bearer":
                return Refused(401, {"WWW-Authenticate": 'Bearer realm="gate"'})  # RFC 6750, 3.1: no error code
            if self.is_active(token):
                return Admitted(authorization)
            return Refused(401, {"WWW-Authenticate": 'Bearer realm="gate", error="invalid_token"'})

        return decide

    def _form(self, path: str, client: OAuthClient, **fields: str) -> Answer:
        headers = dict(FORM)
        if client.method == POST:
            fields |= {"client_id": client.id, "client_secret": client.secret}
        elif client.method == PUBLIC:
            fields |= {"client_id": client.id}
        else:
            headers["Authorization"] = oauth_basic(client.id, client.secret)
        return ask("POST", f"{self._direct}{path}", body=urlencode(fields).encode(), headers=headers)


def _registered(client: OAuthClient) -> dict[str, Any]:
    return asdict(client) | ({"jwk": jwk(client.alg)} if client.alg else {})
