"""What a token endpoint answers: a token, or an error with a name (RFC 6749 sections 5.1 and 5.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cruds.exception import OAuthAccessTokenError, OAuthErrorKind

_TEMPORARY = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
_LONGEST_S = 10 * 365 * 86_400
"""A token that says it lives longer than ten years is good until it is rejected; dates end somewhere."""
_SHOWN = 200
"""How much of a server's description goes into an error's text."""


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """A token as it was granted, checked. Printing it shows none."""

    access_token: str = field(repr=False)
    token_type: str
    refresh_token: str | None = field(repr=False)
    expires_in: float | None
    """Seconds; None if the answer gave none, or none that makes sense."""
    scope: str | None


def read_answer(status: int, headers: Mapping[str, str], body: bytes, *, retry_after: float | None) -> TokenAnswer:
    """Return the token in an answer. Raises `OAuthAccessTokenError` for everything else, whatever its status."""
    document = _document(body)
    is_refusal = "error" in document or not 200 <= status < 300
    if is_refusal or not isinstance(document.get("access_token"), str) or not document["access_token"].strip():
        raise _refusal(status, headers.get("content-type") or "no content type", document, retry_after)
    kind = document.get("token_type", "Bearer")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise OAuthAccessTokenError(f"the token endpoint gave a token of type {kind!r:.50}, not Bearer", status=status)
    return TokenAnswer(
        access_token=document["access_token"],
        token_type=kind,
        refresh_token=_text(document, "refresh_token"),
        expires_in=_seconds(document.get("expires_in")),
        scope=_text(document, "scope"),
    )


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _refusal(
    status: int, content_type: str, document: Mapping[str, Any], retry_after: float | None
) -> OAuthAccessTokenError:
    error = _text(document, "error")
    description = _text(document, "error_description")
    if error is None and not document:
        what = f"{content_type}, which holds no JSON object"
    else:
        what = error or "no access_token"
    told = f": {''.join(filter(str.isprintable, description))[:_SHOWN]}" if description else ""
    return OAuthAccessTokenError(
        f"the token endpoint answered with status code {status} and {what}{told}",
        error=error,
        error_description=description,
        error_uri=_text(document, "error_uri"),
        status=status,
        kind=_kind(status, error),
        retry_after=retry_after,
    )


def _kind(status: int, error: str | None) -> OAuthErrorKind:
    if error == "invalid_grant":
        return OAuthErrorKind.REAUTHORIZE
    if error in _TEMPORARY or status == 429 or status >= 500:
        return OAuthErrorKind.TEMPORARY
    return OAuthErrorKind.CONFIGURATION


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    return value if isinstance(value, str) and value else None


def _seconds(value: Any) -> float | None:
    """Read `expires_in`, which is advice: a number, or digits in a text; anything else is no advice."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        return None
    return float(min(value, _LONGEST_S))
