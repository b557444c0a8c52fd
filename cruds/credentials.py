"""Credentials: what goes along to prove who we are, asked anew for each request."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .exception import OAuthAccessTokenError

_CREDENTIAL = re.compile(
    r"authorization|proxy-authorization|cookie|dpop|(x-)?(.+-)?(api-?key|auth-key|access-key|token|secret|password)",
    re.IGNORECASE,
)
# Header values are visible ASCII, blanks and the upper half of latin-1 (RFC 9110 section 5.5); never a line end.
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class AuthABC(ABC):
    """Something that knows a bearer token. Clients may share one, on any number of threads."""

    is_lazy = False
    """Whether a client that is built does not ask at once for a token."""

    @abstractmethod
    def access_token(self) -> str:
        """Return a token that is good now, getting or renewing it first if that is needed."""

    @abstractmethod
    def is_valid(self) -> bool:
        """Return whether a token is at hand and has not expired. Asks nobody."""

    def renew(self, rejected_token: str) -> str:
        """Return a token other than `rejected_token`, which a server has answered with 401.

        Renews only if that token is still the current one, so that late callers do not throw away a fresh token.
        This default asks `access_token()` again; the same token means that there is nothing better.
        """
        del rejected_token
        return self.access_token()


@dataclass(frozen=True, slots=True, repr=False)
class Proof:
    """What goes along with one request to say who we are. Printing it shows nothing.

    Raises TypeError or ValueError for headers that may not be sent.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    """Parameters of the query; they win over others of their names. No event, error or answer shows them."""

    def __post_init__(self) -> None:
        for name, value in self.headers.items():
            checked_value(name, value)

    def __bool__(self) -> bool:
        return bool(self.headers or self.params)

    def __repr__(self) -> str:
        return f"<Proof {', '.join((*self.headers, *self.params))}>"


NO_PROOF = Proof()


class Credentials(ABC):
    """What a client asks before each request how to say who we are. Clients may share one, on any number of threads.

    Make one of your own for credentials that are no bearer token and change while the client is in use.
    """

    param_names: frozenset[str] = frozenset()
    """The names of all parameters that it puts into queries."""

    @abstractmethod
    def proof(self) -> Proof:
        """Return what is good now. Asked for each request: the same object as before costs nothing more."""

    def renew(self, rejected: Proof) -> bool:
        """Say whether there is something else now than the proof that a server rejected with 401. This default: no."""
        del rejected
        return False


class NoCredentials(Credentials):
    """For hosts that ask for none, and for headers that never change and travel with the client's own."""

    def proof(self) -> Proof:
        """Return nothing."""
        return NO_PROOF


class BearerCredentials(Credentials):
    """A bearer token (RFC 6750 section 2.1) from an auth object."""

    def __init__(self, auth: AuthABC) -> None:
        self._auth = auth
        self._last: tuple[str, Proof] = ("", NO_PROOF)

    def proof(self) -> Proof:
        """Return the Authorization header. Raises `OAuthAccessTokenError` for an empty token: it would name nobody."""
        token = self._auth.access_token()
        if not token:
            raise OAuthAccessTokenError(f"{type(self._auth).__name__}.access_token() gave no token")
        last, proof = self._last
        if token != last:  # checked once for each token, not for each request
            proof = Proof({"Authorization": f"Bearer {token}"})
            self._last = (token, proof)
        return proof

    def renew(self, rejected: Proof) -> bool:
        """Return whether the auth object has another token now."""
        old = rejected.headers["Authorization"].removeprefix("Bearer ")
        return self._auth.renew(old) != old


def static_headers(auth: Any) -> dict[str, str] | None:
    """Return the headers of credentials that never change; None if `auth` is an `AuthABC`, `Credentials` or None.

    A text is a bearer token, a pair is user and password for Basic in UTF-8 (RFC 7617 section 2.1), a mapping is
    headers as they are. Anything else raises TypeError: no request may go out unauthenticated by mistake.
    """
    if auth is None or isinstance(auth, AuthABC | Credentials):
        return None
    if isinstance(auth, str) and auth.strip():
        return {"Authorization": checked_value("Authorization", f"Bearer {auth.strip()}")}
    if isinstance(auth, tuple | list) and len(auth) == 2 and all(isinstance(part, str) for part in auth):
        if ":" in auth[0]:
            raise ValueError("a user name for Basic may hold no colon (RFC 7617 section 2)")
        return {"Authorization": "Basic " + b64encode(":".join(auth).encode()).decode()}
    if isinstance(auth, Mapping) and auth:
        return {name: checked_value(name, value) for name, value in auth.items()}
    raise TypeError(
        f"auth is a {type(auth).__name__}; give a token, a (user, password) pair, a mapping of headers, an AuthABC or "
        "Credentials"
    )


def identify(auth: Any) -> tuple[Mapping[str, str], Credentials]:
    """Return the headers that never change, and whoever is asked for the ones that do."""
    fixed = static_headers(auth)
    if fixed is not None:
        return fixed, NoCredentials()
    if isinstance(auth, Credentials):
        return {}, auth
    if auth is None:
        return {}, NoCredentials()
    # A custom AuthABC is asked when the client is built, as it always was; OAuth2 would go to the network.
    token = "" if auth.is_lazy else auth.access_token()
    return ({"Authorization": f"Bearer {token}"} if token else {}), BearerCredentials(auth)


def is_credential(name: str) -> bool:
    """Whether a header of this name carries a secret."""
    return _CREDENTIAL.fullmatch(name) is not None


def checked_value(name: object, value: object) -> str:
    """Return a header's value. Raises TypeError or ValueError for what may not be sent; the text is not shown."""
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError(f"header {name!r} must be text")
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError(f"header {name!r} holds characters that no header may hold")
    return value


def proven_headers(headers: Mapping[str, str], proof: Mapping[str, str]) -> dict[str, str]:
    """Return headers with a proof that wins over them, whatever the case of the names; both have been checked."""
    names = {name.lower() for name in proof}
    return {**{name: value for name, value in headers.items() if name.lower() not in names}, **proof}


def merged_headers(*layers: Mapping[str, str]) -> dict[str, str]:
    """Return one set of headers, later layers winning, whatever the case of the names."""
    found: dict[str, tuple[str, str]] = {}
    for layer in layers:
        for name, value in layer.items():
            found[name.lower()] = (name, checked_value(name, value))
    return dict(found.values())
