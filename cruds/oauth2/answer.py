"""What a token endpoint answers: a token, or an error with a name (RFC 6749 sections 5.1 and 5.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cruds.exception import OAuthAccessTokenError, OAuthErrorKind

_TEMPORARY = frozenset({"temporarily_unavailable", "server_error", "slow_down", "authorization_pending"})
_GONE = frozenset({"invalid_grant", "login_required", "interaction_required", "consent_required"})
_DECLINED = frozenset({"access_denied", "expired_token"})
"""Said of a login that a person was to make; said to a client alone, its settings are wrong."""
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
    authorization_details: str | None = None
    """As JSON (RFC 9396 section 7); None if the answer holds none."""


@dataclass(frozen=True, slots=True)
class Granted:
    """A checked answer, and when it was asked for."""

    answer: TokenAnswer
    grant: str
    """What was asked with, as the wire names it; a renewal is `refresh_token`."""
    asked_at: datetime
    """Aware, UTC: before the request that brought the answer was sent."""
    took_s: float
    """Seconds from then to the answer, retries included."""


def read_answer(status: int, headers: Mapping[str, str], body: bytes, *, retry_after: float | None) -> TokenAnswer:
    """Return the token in an answer. Raises `OAuthAccessTokenError` for everything else, whatever its status."""
    document = document_of(body)
    is_refusal = "error" in document or not 200 <= status < 300
    if is_refusal or not isinstance(document.get("access_token"), str) or not document["access_token"].strip():
        raise read_refusal(status, headers, document, retry_after)
    if not (document["access_token"].isascii() and document["access_token"].isprintable()):  # RFC 6749 appendix A.12
        raise OAuthAccessTokenError("the token endpoint gave an access_token that no header can hold", status=status)
    kind = document.get("token_type", "Bearer")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise OAuthAccessTokenError(f"the token endpoint gave a token of type {kind!r:.50}, not Bearer", status=status)
    return TokenAnswer(
        access_token=document["access_token"],
        token_type=kind,
        refresh_token=_text(document, "refresh_token"),
        expires_in=seconds_of(document.get("expires_in")),
        scope=_text(document, "scope"),
        authorization_details=_json(document.get("authorization_details")),
    )


def refused(error: str, description: str | None, uri: str | None) -> OAuthAccessTokenError:
    """Return the error that an authorization answer names (RFC 6749 section 4.1.2.1)."""
    return OAuthAccessTokenError(
        f"the authorization server answered with {shown(error)}{_told(description)}",
        error=error,
        error_description=description,
        error_uri=uri,
        kind=OAuthErrorKind.REAUTHORIZE if error in _DECLINED else _kind(0, error),
    )


def shown(text: str) -> str:
    """Return foreign text as it may stand in a message: printable, and not long."""
    return "".join(filter(str.isprintable, text))[:_SHOWN]


def document_of(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; empty if there is none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def read_refusal(
    status: int,
    headers: Mapping[str, str],
    document: Mapping[str, Any],
    retry_after: float | None,
    *,
    missing: str = "no access_token",
    by: str = "token endpoint",
) -> OAuthAccessTokenError:
    """Return the error in an answer that is none of what was asked for (RFC 6749 section 5.2)."""
    error = _text(document, "error")
    description = _text(document, "error_description")
    if error is None and not document:
        what = f"{headers.get('content-type') or 'no content type'}, which holds no JSON object"
    else:
        what = shown(error or missing)
    return OAuthAccessTokenError(
        f"the {by} answered with status code {status} and {what}{_told(description)}",
        error=error,
        error_description=description,
        error_uri=_text(document, "error_uri"),
        status=status,
        kind=_kind(status, error),
        retry_after=retry_after,
    )


def _kind(status: int, error: str | None) -> OAuthErrorKind:
    if error in _GONE:
        return OAuthErrorKind.REAUTHORIZE
    if error in _TEMPORARY or status == 429 or status >= 500:
        return OAuthErrorKind.TEMPORARY
    return OAuthErrorKind.CONFIGURATION


def _told(description: str | None) -> str:
    return f": {shown(description)}" if description else ""


def _json(value: Any) -> str | None:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, list) and value else None


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    return value if isinstance(value, str) and value else None


def seconds_of(value: Any) -> float | None:
    """Return what `expires_in` says, which is advice: a number, or digits in a text; anything else is no advice."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        return None
    return float(min(value, _LONGEST_S))
