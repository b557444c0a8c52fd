"""Grants and the parameters of token requests as values (RFC 6749 section 4, RFC 8707, RFC 9396)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit


class Grant(StrEnum):
    """How a token is earned. The value is what the wire and the store hold."""

    CLIENT_CREDENTIALS = "client_credentials"
    PASSWORD = "password"  # noqa: S105  the name of the grant
    AUTHORIZATION_CODE = "authorization_code"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105
    DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
    JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


PERSONAL = frozenset({Grant.AUTHORIZATION_CODE, Grant.DEVICE_CODE})
"""Grants that need a person: no session is ever made by these without one."""

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
        "device_code",
        "assertion",
        "redirect_uri",
        "state",
        "audience",
        "resource",
        "authorization_details",
        "client_assertion",
        "client_assertion_type",
        "token",
        "token_type_hint",
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


def grant_of(name: str | None, *, username: str | None, browser: bool, device: bool) -> Grant:
    """Return the grant that is named (`jwt_bearer`, or as the wire has it); None: the one that what is given is for.

    Raises ValueError for an unknown name.
    """
    if name is not None:
        wanted = name if name in set(Grant) else name.upper()
        for grant in Grant:
            if wanted in {grant.value, grant.name} and grant is not Grant.REFRESH_TOKEN:
                return grant
        known = ", ".join(grant.name.lower() for grant in Grant if grant is not Grant.REFRESH_TOKEN)
        raise ValueError(f"grant {name!r} is not one of {known}")
    if browser:
        return Grant.AUTHORIZATION_CODE
    if device:
        return Grant.DEVICE_CODE
    return Grant.CLIENT_CREDENTIALS if username is None else Grant.PASSWORD


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
    if any("#" in one or not urlsplit(one).scheme for one in resources):
        raise ValueError("a resource is an absolute URI without a fragment")
    return (*((("audience", audience),) if audience else ()), *(("resource", one) for one in resources))


def extra_pairs(extra: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Return further parameters. Raises ValueError for a name that has an owner."""
    taken = RESERVED & (extra or {}).keys()
    if taken:
        raise ValueError(f"extra_params may not set {', '.join(sorted(taken))}")
    return tuple((extra or {}).items())
