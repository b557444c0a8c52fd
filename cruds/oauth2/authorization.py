"""A person agrees in a browser: the address to send them to, and the answer they come back with.

RFC 6749 section 4.1 with PKCE (RFC 7636), a `state` that is good once, and the issuer's name in the answer (RFC 9207).
"""

from __future__ import annotations

import hmac
import secrets
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import parse_qsl, urlencode, urlsplit

from cruds.exception import OAuthStateError

from .answer import refused

PENDING_LIFE_S = 600.0
"""How long a person has to agree: what authorization servers give a login page, and no more for a thief."""
_MOST_PENDING = 1000
"""A login page that is asked for without end must not fill the memory; the oldest go first."""
_SHORTEST_STATE = 16
"""Bytes: 128 bits, which nobody guesses (RFC 6749 section 10.10)."""
_VERIFIER_BYTES = 64
"""86 characters; RFC 7636 section 4.1 allows 43 to 128."""
_OURS = frozenset(
    {
        "response_type",
        "client_id",
        "client_secret",
        "redirect_uri",
        "scope",
        "state",
        "code_challenge",
        "code_challenge_method",
        "authorization_details",
    }
)


@dataclass(frozen=True, slots=True)
class Pending:
    """A login that a person has been sent to and not come back from."""

    state: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_uri: str
    """To be repeated in the exchange as it was (RFC 6749 section 4.1.3)."""
    ends_at: float
    """On the monotonic clock."""


class PendingLogins:
    """Logins under way, each found once by its state. Safe to share between threads. In memory only."""

    def __init__(self, *, state_length: int, monotonic: Callable[[], float]) -> None:
        if state_length < _SHORTEST_STATE:
            raise ValueError(f"state_length is at least {_SHORTEST_STATE}; a shorter one can be guessed")
        self._state_length, self._monotonic = state_length, monotonic
        self._lock = threading.Lock()
        self._pending: list[Pending] = []

    def begin(self, redirect_uri: str) -> Pending:
        """Return a new one, with a state and a PKCE verifier of its own."""
        new = Pending(
            secrets.token_urlsafe(self._state_length),
            secrets.token_urlsafe(_VERIFIER_BYTES),
            redirect_uri,
            self._monotonic() + PENDING_LIFE_S,
        )
        with self._lock:
            self._pending = [*self._pending, new][-_MOST_PENDING:]
        return new

    def take(self, state: str) -> Pending:
        """Return the login of this state and forget it. Raises `OAuthStateError` if it is unknown, used or too old."""
        with self._lock:
            # Every one is compared to its end, so that the time it takes tells nothing.
            found = [one for one in self._pending if hmac.compare_digest(one.state.encode(), state.encode())]
            self._pending = [one for one in self._pending if one not in found and one.ends_at > self._monotonic()]
        if not found or found[0].ends_at <= self._monotonic():
            raise OAuthStateError("the state of this login is unknown, used or too old: begin the login again")
        return found[0]

    def drop(self, state: str | None) -> None:
        """Forget the login of this state, if there is one."""
        if state:
            try:
                self.take(state)
            except OAuthStateError:
                return

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._pending = []


@dataclass(frozen=True, slots=True)
class AuthorizationAnswer:
    """What a person came back with. Printing it shows nothing."""

    code: str = field(repr=False)
    state: str = field(repr=False)


def authorization_address(
    endpoint: str, pending: Pending, asked: Iterable[tuple[str, str | None]], additional: Mapping[str, str]
) -> str:
    """Return where to send the person. `asked` are the client's own parameters.

    Raises ValueError for an additional parameter that has an owner, and for an endpoint whose own query holds one.
    """
    challenge = urlsafe_b64encode(sha256(pending.verifier.encode()).digest()).rstrip(b"=").decode()
    ours = [("response_type", "code"), *((name, value) for name, value in asked if value)]
    ours += [("redirect_uri", pending.redirect_uri), ("state", pending.state)]
    ours += [("code_challenge", challenge), ("code_challenge_method", "S256")]
    own_query = urlsplit(endpoint).query
    owned = _OURS | {name for name, _ in ours}
    named = [*additional, *(name for name, _ in parse_qsl(own_query, keep_blank_values=True))]
    taken = owned.intersection(named)
    if taken or len(set(named)) < len(named):
        which = ", ".join(sorted(taken)) or "a name twice"
        raise ValueError(f"additional_params and the query of authorization_url may not hold {which}")
    return f"{endpoint}{'&' if own_query else '?'}{urlencode([*ours, *additional.items()])}"


def read_redirect(
    redirect_url: str, *, issuer: str | None, must_name_issuer: bool, drop: Callable[[str | None], None]
) -> AuthorizationAnswer:
    """Return what an authorization server sent a person back with.

    `drop` is told the state of a login that has failed. Raises RuntimeError for an address that is no such answer,
    `OAuthStateError` for one of another server (RFC 9207 section 2.4), and `OAuthAccessTokenError` for a refusal.
    """
    found = _parameters(redirect_url)
    state = found.get("state")
    named = found.get("iss")
    is_strange = issuer is not None and (must_name_issuer if named is None else named != issuer)
    if is_strange:
        drop(state)
        raise OAuthStateError("the redirect URL is not from the authorization server that was asked (iss)")
    if "error" in found:
        drop(state)
        raise refused(found["error"], found.get("error_description"), found.get("error_uri"))
    if not found.get("code") or not state:
        drop(state)
        raise RuntimeError("the redirect URL holds no code and state")
    return AuthorizationAnswer(found["code"], state)


def _parameters(redirect_url: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(urlsplit(redirect_url).query, keep_blank_values=True)
    except ValueError:
        raise RuntimeError("the redirect URL is no address") from None  # the cause may quote the code
    found = dict(pairs)
    if not pairs or len(found) < len(pairs):  # RFC 6749 section 3.1: no parameter twice
        raise RuntimeError("the redirect URL has no parameters, or one of them twice")
    return found
