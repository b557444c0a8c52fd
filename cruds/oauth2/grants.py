"""What is asked of a token endpoint: grants and client authentication as values (RFC 6749 sections 2.3, 4, 6)."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import quote_plus, urlencode

from .token import TokenState


class Grant(StrEnum):
    """How a token is earned. The value is what the wire and the store hold."""

    CLIENT_CREDENTIALS = "client_credentials"
    PASSWORD = "password"  # noqa: S105  the name of the grant
    AUTHORIZATION_CODE = "authorization_code"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105


class ClientAuth(StrEnum):
    """How the client names itself at the token endpoint (RFC 6749 section 2.3.1)."""

    BASIC = "basic"
    """In the Authorization header, id and secret form-encoded first."""
    BASIC_RAW = "basic_raw"
    """The same without encoding: wrong, and what servers understand that do not decode."""
    POST = "post"
    """In the form, for servers that do not read the header."""
    NONE = "none"
    """By its id alone: a public client."""


RESERVED = frozenset(
    {
        "grant_type",
        "client_id",
        "client_secret",
        "refresh_token",
        "username",
        "password",
        "scope",
        "code",
        "code_verifier",
        "redirect_uri",
        "state",
        "audience",
        "resource",
        "authorization_details",
        "client_assertion",
        "client_assertion_type",
    }
)
"""Parameters that `extra_params` may not set: each has an owner here."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A POST to the token endpoint. Its form is never logged."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    grant: Grant
    """What this request asks with; a refresh is `refresh_token`."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What this client is, and what it asks for. Printing it shows no secret."""

    client_id: str
    client_secret: str | None = field(repr=False)
    client_auth: ClientAuth = ClientAuth.BASIC
    scope: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    is_interactive: bool = False
    """A person logs in through a browser; this client never makes a session by itself."""
    authorization_details: str | None = None
    """As JSON (RFC 9396)."""
    targets: tuple[tuple[str, str], ...] = ()
    """`audience` and `resource` parameters (RFC 8707), sent on renewals too."""
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def grant(self) -> Grant:
        """The grant that makes this client's sessions. Another principal's session is never taken for it."""
        if self.is_interactive:
            return Grant.AUTHORIZATION_CODE
        return Grant.CLIENT_CREDENTIALS if self.username is None else Grant.PASSWORD

    def login(self) -> TokenRequest:
        """Return the request for a new session by client credentials or password (sections 4.4 and 4.3)."""
        form: list[tuple[str, str | None]] = [("grant_type", self.grant)]
        if self.grant is Grant.PASSWORD:
            form += [("username", self.username), ("password", self.password)]
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

    def _request(self, grant: Grant, form: Iterable[tuple[str, str | None]]) -> TokenRequest:
        pairs = [(name, value) for name, value in (*form, *self.targets, *self.extra) if value]
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        if self.client_auth in {ClientAuth.BASIC, ClientAuth.BASIC_RAW}:
            names = (self.client_id, self.client_secret or "")
            pair = ":".join(map(quote_plus, names) if self.client_auth is ClientAuth.BASIC else names)
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        else:
            pairs.append(("client_id", self.client_id))
            if self.client_auth is ClientAuth.POST:
                pairs.append(("client_secret", self.client_secret or ""))
        return TokenRequest(urlencode(pairs).encode(), headers, grant)


def scope_text(scope: str | Iterable[str] | None) -> str | None:
    """Return a scope as the wire has it (section 3.3): blank-separated, None if there is none."""
    words = scope.split() if isinstance(scope, str) else list(scope or ())
    return " ".join(words) or None


def details_text(details: Any) -> str | None:
    """Return authorization details as a JSON list (RFC 9396 section 2); one object becomes a list of one."""
    if not details:
        return None
    if isinstance(details, str):
        return details
    return json.dumps([details] if isinstance(details, Mapping) else list(details), separators=(",", ":"))


def target_pairs(audience: str | None, resource: str | Iterable[str] | None) -> tuple[tuple[str, str], ...]:
    """Return `audience` and each `resource` as parameters. A resource has no fragment (RFC 8707 section 2)."""
    resources = (resource,) if isinstance(resource, str) else tuple(resource or ())
    if any("#" in one or ":" not in one for one in resources):
        raise ValueError("a resource is an absolute URI without a fragment")
    return (*((("audience", audience),) if audience else ()), *(("resource", one) for one in resources))


def extra_pairs(extra: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Return further parameters. Raises ValueError for a name that has an owner."""
    taken = RESERVED & (extra or {}).keys()
    if taken:
        raise ValueError(f"extra_params may not set {', '.join(sorted(taken))}")
    return tuple((extra or {}).items())
