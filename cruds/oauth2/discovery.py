"""What an authorization server says of itself, and where it says it (RFC 8414, OpenID Connect Discovery 1.0)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from cruds.exception import OAuthAccessTokenError

from .answer import document_of, shown

METADATA_LIFE_S = 3600.0
"""Endpoints hardly ever move; an hour bounds how long a server's change goes unnoticed."""
_STALE_LIFE_S = 60.0
"""When a server does not answer, how long the metadata that was known is used before it is asked again."""
ENDPOINTS = ("token_endpoint", "authorization_endpoint", "device_authorization_endpoint", "revocation_endpoint")


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """What is known of an authorization server, named as in RFC 8414 section 2. None: not known."""

    issuer: str | None = None
    token_endpoint: str | None = None
    authorization_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    revocation_endpoint: str | None = None
    token_endpoint_auth_methods_supported: frozenset[str] | None = None
    token_endpoint_auth_signing_alg_values_supported: frozenset[str] | None = None
    authorization_response_iss_parameter_supported: bool = False
    """Whether every authorization answer names its issuer (RFC 9207 section 3)."""
    mtls_endpoint_aliases: tuple[tuple[str, str], ...] = ()
    """Endpoints, by their names here, for clients with a certificate (RFC 8705 section 5)."""

    def with_certificate(self) -> ServerMetadata:
        """Return what holds for a client that brings a certificate."""
        return self.overridden(dict(self.mtls_endpoint_aliases))

    def overridden(self, endpoints: Mapping[str, str | None]) -> ServerMetadata:
        """Return the same with these endpoints, where they are not None."""
        return replace(self, **{name: url for name, url in endpoints.items() if url is not None})  # type: ignore[arg-type]


def places(issuer: str) -> tuple[str, ...]:
    """Return where an issuer's metadata may be, in the order to look (RFC 8414 sections 3.1 and 5).

    Raises ValueError for an issuer with a query or fragment (section 2).
    """
    parts = urlsplit(issuer)
    if parts.query or parts.fragment or not parts.netloc:
        raise ValueError("an issuer is an address without query and fragment")
    origin, way = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    found = (
        f"{origin}/.well-known/oauth-authorization-server{way}",
        f"{origin}{way}/.well-known/openid-configuration",
        f"{origin}/.well-known/openid-configuration{way}",
    )
    return tuple(dict.fromkeys(found))


def read_metadata(body: bytes, *, issuer: str, check: Callable[[str], object]) -> ServerMetadata | None:
    """Return the metadata in an answer; None if it is none, as pages for unknown addresses are.

    `check` raises for an endpoint that must not be used. Raises `OAuthAccessTokenError` if it is of another issuer
    (RFC 8414 section 3.3): whoever answers there may be an impostor.
    """
    document = document_of(body)
    named = document.get("issuer")
    if not isinstance(named, str):
        return None
    if named != issuer:
        raise OAuthAccessTokenError(f"the metadata at {issuer} is of another issuer, {shown(named)}; set that one")
    endpoints = _endpoints(document, check)
    if "token_endpoint" not in endpoints:
        raise OAuthAccessTokenError(f"the metadata of {issuer} names no token_endpoint")
    aliases = document.get("mtls_endpoint_aliases")
    return ServerMetadata(
        issuer=issuer,
        token_endpoint_auth_methods_supported=_names(document, "token_endpoint_auth_methods_supported"),
        token_endpoint_auth_signing_alg_values_supported=_names(
            document, "token_endpoint_auth_signing_alg_values_supported"
        ),
        authorization_response_iss_parameter_supported=document.get("authorization_response_iss_parameter_supported")
        is True,
        mtls_endpoint_aliases=tuple(_endpoints(aliases, check).items()) if isinstance(aliases, dict) else (),
    ).overridden(endpoints)


def _endpoints(document: Mapping[str, Any], check: Callable[[str], object]) -> dict[str, str]:
    found = {name: document[name] for name in ENDPOINTS if isinstance(document.get(name), str)}
    for address in found.values():
        check(address)
    return found


def _names(document: Mapping[str, Any], name: str) -> frozenset[str] | None:
    value = document.get(name)
    return frozenset(one for one in value if isinstance(one, str)) if isinstance(value, list) else None


class MetadataCache:
    """Metadata that was found, for a time. Safe to share between threads.

    The key holds how the server was reached: what came over an unverified connection is not for anybody else.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept: dict[Hashable, tuple[ServerMetadata, float]] = {}

    def get(self, key: Hashable, find: Callable[[], ServerMetadata]) -> ServerMetadata:
        """Return what is kept, or find it. Old metadata is better than none while the server does not answer."""
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and self._monotonic() < kept[1]:
            return kept[0]
        try:
            found, life = find(), METADATA_LIFE_S
        except OAuthAccessTokenError as error:
            if kept is None or error.kind != "temporary":
                raise
            found, life = kept[0], _STALE_LIFE_S
        with self._lock:
            self._kept[key] = (found, self._monotonic() + life)
        return found

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._kept.clear()
