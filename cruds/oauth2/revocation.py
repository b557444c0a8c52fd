"""Giving tokens back (RFC 7009)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cruds.exception import OAuthErrorKind

from .answer import document_of, read_refusal
from .token import TokenState


def tokens_to_revoke(state: TokenState) -> Iterator[tuple[str, str]]:
    """Yield token and hint, the refresh token first: with it goes the grant (RFC 7009 section 2.1)."""
    if state.refresh_token:
        yield state.refresh_token, "refresh_token"
    yield state.access_token, "access_token"


def check_revoked(status: int, headers: Mapping[str, str], body: bytes, *, retry_after: float | None) -> None:
    """Return if the token is gone, was never known, or is of a type that the server does not revoke.

    Raises `OAuthAccessTokenError`; for 503 its kind is temporary and the token is still good (section 2.2.1).
    """
    document = document_of(body)
    if 200 <= status < 300 or document.get("error") == "unsupported_token_type":
        return
    error = read_refusal(status, headers, document, retry_after, missing="no reason", by="revocation endpoint")
    if error.kind is OAuthErrorKind.REAUTHORIZE:  # invalid_grant and the like: nothing is left to revoke
        return
    raise error
