"""How a client proves who it is to the authorization server (RFC 6749 section 2.3, RFC 7523, RFC 8705)."""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote_plus

from cruds.exception import OAuthAccessTokenError

from .keys import SigningKey

ASSERTION_LIFE_S = 60
"""A signed assertion is good for one request that is on its way; servers allow for clocks a little apart."""
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class ClientAuth(StrEnum):
    """How the client names itself to the authorization server; one way in each request."""

    BASIC = "basic"
    """In the Authorization header, id and secret form-encoded first (RFC 6749 section 2.3.1)."""
    BASIC_RAW = "basic_raw"
    """The same without encoding: wrong, and what servers understand that do not decode."""
    POST = "post"
    """In the form, for servers that do not read the header."""
    NONE = "none"
    """By its id alone: a public client."""
    PRIVATE_KEY_JWT = "private_key_jwt"
    """With a signed assertion, a new one for each try (RFC 7523 section 2.2)."""
    TLS = "tls_client_auth"
    """With the certificate of the connection, self-signed or not (RFC 8705 section 2)."""


_WIRE_NAMES = {
    ClientAuth.PRIVATE_KEY_JWT: {"private_key_jwt"},
    ClientAuth.BASIC: {"client_secret_basic"},
    ClientAuth.POST: {"client_secret_post"},
    ClientAuth.TLS: {"tls_client_auth", "self_signed_tls_client_auth"},
}
"""The names in `token_endpoint_auth_methods_supported`, the best way first."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Writes assertions: short-lived statements about who we are, each one different (RFC 7523 section 3)."""

    key: SigningKey
    clock: Callable[[], datetime]
    nonce: Callable[[], str] = field(default=lambda: secrets.token_urlsafe(16))
    algorithms: frozenset[str] | None = None
    """What the server takes; None: it did not say."""

    def assertion(self, *, issuer: str, subject: str, audience: str, claims: Mapping[str, Any] | None = None) -> str:
        """Return a new signed assertion. `claims` are more of them; none of ours can be replaced."""
        now = int(self.clock().timestamp())
        ours = {
            "iss": issuer,
            "sub": subject,
            "aud": audience,
            "jti": self.nonce(),
            "iat": now,
            "exp": now + ASSERTION_LIFE_S,
        }
        try:
            algorithm = self.key.choose(self.algorithms)
        except ValueError as error:
            raise OAuthAccessTokenError(str(error)) from error
        return self.key.sign({**(claims or {}), **ours}, algorithm)


@dataclass(frozen=True, slots=True)
class Means:
    """What this client could prove itself with."""

    has_key: bool
    has_secret: bool
    has_certificate: bool

    def choose(self, supported: Collection[str] | None) -> ClientAuth:
        """Return the best way that both sides know (RFC 8414: `token_endpoint_auth_methods_supported`).

        None: the server did not say. A client that has nothing is a public one, whatever the server lists: few
        list `none`. Raises `OAuthAccessTokenError` when the server takes nothing of what is here.
        """
        mine = [way for way in _WIRE_NAMES if self._has(way)]
        if not mine:
            return ClientAuth.NONE
        if supported is None:
            return mine[0]
        for way in mine:
            if not _WIRE_NAMES[way].isdisjoint(supported):
                return way
        if self.has_certificate and not (self.has_key or self.has_secret):
            return ClientAuth.NONE  # the certificate is for the connection only
        raise OAuthAccessTokenError(
            f"the server authenticates clients by {', '.join(sorted(supported)) or 'nothing'}; "
            f"what is given here is good for {', '.join(mine)}"
        )

    def _has(self, way: ClientAuth) -> bool:
        if way is ClientAuth.PRIVATE_KEY_JWT:
            return self.has_key
        return self.has_certificate if way is ClientAuth.TLS else self.has_secret


def basic_header(client_id: str, secret: str | None, *, encoded: bool) -> str:
    """Return the value of the Authorization header (RFC 6749 section 2.3.1)."""
    names = (client_id, secret or "")
    pair = ":".join(map(quote_plus, names) if encoded else names)
    return f"Basic {b64encode(pair.encode()).decode()}"


def assertion_pairs(client_id: str, assertion: str) -> list[tuple[str, str]]:
    """Return the parameters of a client that signs (RFC 7523 section 2.2)."""
    return [("client_id", client_id), ("client_assertion_type", _ASSERTION_TYPE), ("client_assertion", assertion)]
