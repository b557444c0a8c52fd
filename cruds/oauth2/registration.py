"""One client as its authorization server knows it, and every request that it makes there.

RFC 6749 sections 4 and 6, RFC 7523 (signed assertions), RFC 8628 (devices), RFC 7009 (revocation).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from .client_auth import ClientAuth, Means, Signer, assertion_pairs, basic_header
from .discovery import ServerMetadata
from .grants import PERSONAL, Grant, TokenRequest
from .token import TokenState


@dataclass(frozen=True, slots=True)
class Registration:
    """What this client is, and what it asks for. Printing it shows no secret."""

    client_id: str
    client_secret: str | None = field(repr=False)
    client_auth: ClientAuth = ClientAuth.BASIC
    means: Means | None = None
    """What the client has; the way is chosen when the server is known. None: `client_auth` holds."""
    scope: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    asks_by: Grant | None = None
    """The grant; None: password if there is a user name, client credentials if not."""
    authorization_details: str | None = None
    """As JSON (RFC 9396)."""
    targets: tuple[tuple[str, str], ...] = ()
    """`audience` and `resource` parameters (RFC 8707), sent on renewals too."""
    extra: tuple[tuple[str, str], ...] = ()
    issuer: str | None = None
    """Whom the tokens are from: the issuer, or the token URL where none is known."""
    signer: Signer | None = field(default=None, repr=False)
    """For `private_key_jwt`, and for the jwt-bearer grant."""
    assertion_audience: str = "issuer"
    """The `aud` of assertions: `issuer` (the token URL where none is known), `token_url`, or a text as it is."""
    assertion_claims: tuple[tuple[str, Any], ...] = ()
    """More claims in the assertion of the jwt-bearer grant."""
    subject: str | None = None
    """For whom a jwt-bearer assertion asks; None: for the client itself."""

    @property
    def grant(self) -> Grant:
        """The grant that makes this client's sessions. Another principal's session is never taken for it."""
        if self.asks_by is not None:
            return self.asks_by
        return Grant.CLIENT_CREDENTIALS if self.username is None else Grant.PASSWORD

    @property
    def is_interactive(self) -> bool:
        """Whether a person makes the sessions; this client never makes one by itself."""
        return self.grant in PERSONAL

    def must_be_personal(self) -> None:
        """Raise RuntimeError if a login by a person would not make this client's session."""
        if not self.is_interactive:
            raise RuntimeError(
                "this session is not made by a person: authorization_url and redirect_uri are needed for a login "
                "through a browser, a device_authorization_url or grant='device_code' for one on another device"
            )

    @property
    def principal(self) -> str | None:
        """Whom a session is for, as far as the request says it; None: it does not."""
        if self.grant is Grant.JWT_BEARER:
            return self.subject or self.client_id
        return self.username if self.grant is Grant.PASSWORD else None

    def identified(self, way: str | None, *, has_certificate: bool, may_have_one: bool) -> Registration:
        """Return the same client with the way it proves itself; None: to be chosen when the server is known.

        A certificate may also be hidden in an SSLContext; it is used then if it is asked for. Raises ValueError for
        settings that cannot work together.
        """
        # The key of a service account signs what it asks for; that it also signs for the client is said, not guessed.
        has_key = self.signer is not None and self.grant is not Grant.JWT_BEARER
        means = Means(has_key=has_key, has_secret=bool(self.client_secret), has_certificate=has_certificate)
        new = replace(self, client_auth=ClientAuth(way or "none"), means=None if way else means)
        new._check(may_have_one)
        return new

    def _check(self, has_certificate: bool) -> None:  # noqa: FBT001
        way, grant = self.client_auth, self.grant
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together; one of them is missing")
        if self.signer is None and grant is Grant.JWT_BEARER:
            raise ValueError("the grant jwt_bearer needs a private_key")
        if self.signer is None and way is ClientAuth.PRIVATE_KEY_JWT:
            raise ValueError("client_auth private_key_jwt needs a private_key")
        if way is ClientAuth.TLS and not has_certificate:
            raise ValueError("client_auth tls_client_auth needs a client_cert")
        if grant is Grant.PASSWORD and self.username is None:
            raise ValueError("the grant password needs username and password")
        if grant is not Grant.JWT_BEARER and (self.subject or self.assertion_claims):
            raise ValueError("subject and assertion_claims are for the grant jwt_bearer")

    def at(self, server: ServerMetadata) -> Registration:
        """Return the same client as this server takes it. Raises `OAuthAccessTokenError` if it does not."""
        way, audience, signer = self.client_auth, self.assertion_audience, self.signer
        if self.means is not None:
            way = self.means.choose(server.token_endpoint_auth_methods_supported)
        if audience == "issuer":
            audience = server.issuer or server.token_endpoint or ""
        elif audience == "token_url":
            audience = server.token_endpoint or ""
        if signer is not None:
            signer = replace(signer, algorithms=server.token_endpoint_auth_signing_alg_values_supported)
        return replace(self, client_auth=way, means=None, assertion_audience=audience, signer=signer)

    def owns(self, state: TokenState) -> bool:
        """Whether a kept session is this client's own: same issuer, client and principal, made by such a grant.

        What a state does not say (an older one, or one of a store of its own making) is taken for ours.
        """
        is_ours = state.grant in PERSONAL if self.is_interactive else state.grant == self.grant
        said = ((state.issuer, self.issuer), (state.client_id, self.client_id), (state.subject, self.principal))
        return is_ours and all(theirs is None or theirs == ours for theirs, ours in said)

    def login(self) -> TokenRequest:
        """Return the request for a new session without a person (RFC 6749 sections 4.3 and 4.4, RFC 7523 2.1)."""
        form: list[tuple[str, str | None]] = [("grant_type", self.grant)]
        if self.grant is Grant.PASSWORD:
            form += [("username", self.username), ("password", self.password)]
        if self.grant is Grant.JWT_BEARER:
            form.append(("assertion", self._assertion(self.principal, dict(self.assertion_claims))))
        form += [("scope", self.scope), ("authorization_details", self.authorization_details)]
        return self._request(self.grant, form)

    def refresh(self, state: TokenState) -> TokenRequest:
        """Return the request to renew a session (section 6), authenticated like the first one.

        The scope is the one that was granted: asking for more is refused.
        """
        form = [
            ("grant_type", Grant.REFRESH_TOKEN),
            ("refresh_token", state.refresh_token),
            ("scope", state.scope or self.scope),
        ]
        return self._request(Grant.REFRESH_TOKEN, form)

    def asked_of_person(self) -> list[tuple[str, str | None]]:
        """Return what the authorization URL says of this client (RFC 6749 section 4.1.1)."""
        ours = [("client_id", self.client_id), ("scope", self.scope)]
        return [*ours, ("authorization_details", self.authorization_details), *self.targets]

    def exchange(self, code: str, *, verifier: str, redirect_uri: str) -> TokenRequest:
        """Return the request that gives a code for a token (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""
        form = [
            ("grant_type", Grant.AUTHORIZATION_CODE),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ]
        return self._request(Grant.AUTHORIZATION_CODE, form)

    def device_authorization(self) -> TokenRequest:
        """Return the request for a device code (RFC 8628 section 3.1)."""
        form = [("scope", self.scope), ("authorization_details", self.authorization_details)]
        return self._request(Grant.DEVICE_CODE, form)

    def poll(self, device_code: str) -> TokenRequest:
        """Return the request that asks whether the person has agreed (RFC 8628 section 3.4)."""
        return self._request(Grant.DEVICE_CODE, [("grant_type", Grant.DEVICE_CODE), ("device_code", device_code)])

    def revocation(self, token: str, *, hint: str) -> TokenRequest:
        """Return the request to revoke a token (RFC 7009 section 2.1); targets have no place in it."""
        return self._written(Grant.REFRESH_TOKEN, [("token", token), ("token_type_hint", hint)])

    def _request(self, grant: Grant, form: Iterable[tuple[str, str | None]]) -> TokenRequest:
        return self._written(grant, (*form, *self.targets, *self.extra))

    def _written(self, grant: Grant, form: Iterable[tuple[str, str | None]]) -> TokenRequest:
        pairs = [(name, value) for name, value in form if value]
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        if self.client_auth in {ClientAuth.BASIC, ClientAuth.BASIC_RAW}:
            is_encoded = self.client_auth is ClientAuth.BASIC
            headers["Authorization"] = basic_header(self.client_id, self.client_secret, encoded=is_encoded)
        elif self.client_auth is ClientAuth.PRIVATE_KEY_JWT:
            pairs += assertion_pairs(self.client_id, self._assertion(self.client_id, {}))
        elif self.client_auth is not ClientAuth.NONE or grant is not Grant.JWT_BEARER:
            # An assertion names its client itself (RFC 7521 section 4.1), and some servers take no second name.
            pairs.append(("client_id", self.client_id))
            if self.client_auth is ClientAuth.POST and self.client_secret:
                pairs.append(("client_secret", self.client_secret))
        return TokenRequest(urlencode(pairs).encode(), headers, grant)

    def _assertion(self, subject: str | None, claims: Mapping[str, Any]) -> str:
        if self.signer is None:
            raise ValueError("private_key is missing")
        return self.signer.assertion(
            issuer=self.client_id, subject=subject or self.client_id, audience=self.assertion_audience, claims=claims
        )
