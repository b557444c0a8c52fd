"""What each kind of credentials, each grant and each way to prove a client needs and rules out: RFC 6749 and its kin.

Works on plain trees with whatever is wrong in them. What is ruled out here would be ignored by a token request, and
whoever wrote it would believe that it counts; or it would make a session for another principal than was meant.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

_Path = tuple[str | int, ...]
_Finding = tuple[_Path, str, str | None]

_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "client_credentials": (),
    "password": ("username", "password"),
    "authorization_code": ("redirect_uri", "authorization_url"),
    "device_code": ("device_authorization_url",),
    "jwt_bearer": ("private_key",),
}
"""What a grant cannot do without; the endpoints may also be discovered."""
_DISCOVERED: Final = frozenset({"authorization_url", "device_authorization_url"})
_ONLY_FOR: Final[Mapping[str, str]] = {
    "username": "password",
    "password": "password",
    "authorization_url": "authorization_code",
    "redirect_uri": "authorization_code",
    "device_authorization_url": "device_code",
    "subject": "jwt_bearer",
    "assertion_claims": "jwt_bearer",
}
_WAYS: Final[Mapping[str, str | None]] = {
    "basic": "client_secret",
    "basic_raw": "client_secret",
    "post": "client_secret",
    "none": None,
    "private_key_jwt": "private_key",
    "tls_client_auth": None,
}
"""How a client proves itself, and with which key of the job file."""
RESERVED: Final = frozenset(
    {
        "assertion",
        "audience",
        "authorization_details",
        "client_assertion",
        "client_assertion_type",
        "client_id",
        "client_secret",
        "code",
        "code_verifier",
        "device_code",
        "grant_type",
        "password",
        "redirect_uri",
        "refresh_token",
        "resource",
        "scope",
        "state",
        "token",
        "token_type_hint",
        "username",
    }
)
"""Parameters of a token request that `extra` may not set: each has an owner."""
CLAIMS: Final = frozenset({"iss", "sub", "aud", "jti", "iat", "exp"})
"""Claims of an assertion that `assertion_claims` may not set (RFC 7523 section 3)."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_EXAMPLES: Final[Mapping[str, str]] = {
    "authorization_url": "authorization_url: https://login.example.com/authorize",
    "client_secret": "client_secret: {env: HR_CLIENT_SECRET}",
    "device_authorization_url": "device_authorization_url: https://login.example.com/device",
    "password": "password: {env: HR_PASSWORD}",
    "private_key": "private_key: {file: client-key.pem}",
    "redirect_uri": "redirect_uri: http://127.0.0.1:8765/callback",
    "username": "username: crudsd",
}


def auth_problems(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield what is wrong with the credentials of all connections: path, message, cure."""
    connections = tree.get("connections")
    for name, connection in connections.items() if isinstance(connections, dict) else ():
        auth = connection.get("auth") if isinstance(connection, dict) else None
        if not isinstance(auth, dict):
            continue
        tls = connection.get("tls")
        has_certificate = isinstance(tls, dict) and tls.get("cert_file") is not None
        for path, message, cure in _of_kind(auth, has_certificate=has_certificate):
            yield ("connections", name, "auth", *path), message, cure


def _of_kind(auth: Mapping[str, Any], *, has_certificate: bool) -> Iterator[_Finding]:
    match auth.get("type"):
        case "oauth2":
            yield from _grant(auth)
            yield from _proof(auth, has_certificate=has_certificate)
            yield from _wishes(auth)
        case "basic" if ":" in _text(auth.get("username")):
            cure = "write the name alone; the password goes into password: {env: NAME}"
            yield ("username",), "a user name for Basic may hold no colon (RFC 7617 section 2)", cure
        case "header" if isinstance(auth.get("name"), str) and not _HEADER_NAME.fullmatch(auth["name"]):
            yield ("name",), "not the name of a header", "example: X-Api-Key"
        case "query" if isinstance(auth.get("name"), str) and not auth["name"].strip():
            yield ("name",), "not the name of a query parameter", "example: api_key"


def _grant(auth: Mapping[str, Any]) -> Iterator[_Finding]:
    grant = auth.get("grant", "client_credentials")
    if grant not in _NEEDS:
        return  # told already: the model knows the names
    place: _Path = ("grant",) if "grant" in auth else ("type",)
    is_discovered = _has(auth, "issuer") and not _has(auth, "url")
    missing = [
        key for key in _NEEDS[grant] if not _has(auth, key) and not (is_discovered and key in _DISCOVERED)
    ]  # fmt: skip
    if missing:
        cure = f"add {' and '.join(f'`{_EXAMPLES[key]}`' for key in missing)}"
        if _has(auth, "issuer") and not _DISCOVERED.isdisjoint(missing):
            cure += "; or leave url out, and the issuer is asked for its endpoints"
        yield place, f"the grant {grant} needs {' and '.join(missing)}", cure
    for key, only in _ONLY_FOR.items():
        if _has(auth, key) and grant != only:
            yield (key,), f"{key} is for the grant {only}, and this is {grant}", f"say grant: {only}, or remove {key}"


def _proof(auth: Mapping[str, Any], *, has_certificate: bool) -> Iterator[_Finding]:
    way, grant = auth.get("client_auth"), auth.get("grant", "client_credentials")
    has_key, has_secret = _has(auth, "private_key"), _has(auth, "client_secret")
    if way is None:
        if grant == "client_credentials" and not (has_key or has_secret or has_certificate):
            cure = f"add `{_EXAMPLES['client_secret']}`; or say client_auth: none if the server asks for no proof"
            place: _Path = ("grant",) if "grant" in auth else ("type",)
            yield place, "client_secret is missing: nothing proves who the client is", cure
    elif way in _WAYS:
        yield from _way(auth, way, has_certificate=has_certificate)
    if has_key and way not in {None, "private_key_jwt"} and grant != "jwt_bearer":
        cure = "say client_auth: private_key_jwt, or remove private_key"
        yield ("private_key",), f"private_key is not used with client_auth: {way}", cure
    for key in ("private_key_id", "assertion_audience"):
        if _has(auth, key) and not has_key:
            yield (key,), f"{key} is for assertions, and there is no private_key", f"add `{_EXAMPLES['private_key']}`"


def _way(auth: Mapping[str, Any], way: str, *, has_certificate: bool) -> Iterator[_Finding]:
    needed = _WAYS[way]
    if needed is not None and not _has(auth, needed):
        yield ("client_auth",), f"client_auth: {way} needs {needed}", f"add `{_EXAMPLES[needed]}`"
    if way == "tls_client_auth" and not has_certificate:
        cure = "add `tls: {cert_file: client.pem}` to the connection"
        yield ("client_auth",), "client_auth: tls_client_auth needs tls.cert_file", cure
    if needed != "client_secret" and _has(auth, "client_secret"):
        message = f"client_secret is not used with client_auth: {way}"
        yield ("client_secret",), message, "remove one of the two"


def _wishes(auth: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield what is wrong with what is asked for."""
    if auth.get("client_id") == "":
        yield ("client_id",), "client_id is empty", "write the id that the server gave (example: crudsd)"
    resource = auth.get("resource")
    for number, one in enumerate(resource if isinstance(resource, list) else [resource]):
        if isinstance(one, str) and ("#" in one or not urlsplit(one).scheme):
            path: _Path = ("resource", number) if isinstance(resource, list) else ("resource",)
            message = "a resource is an absolute address without a fragment (RFC 8707 section 2)"
            yield path, message, "example: https://api.example.com"
    yield from _taken(auth, "extra", RESERVED, "write it as a key of its own, or leave it to crudsd")
    yield from _taken(
        auth, "assertion_claims", CLAIMS, "leave it out; sub is set by subject, aud by assertion_audience"
    )
    details = auth.get("authorization_details")
    for number, one in enumerate(details if isinstance(details, list) else [details] if details else []):
        if not (isinstance(one, dict) and isinstance(one.get("type"), str)):
            path = ("authorization_details", number) if isinstance(details, list) else ("authorization_details",)
            yield path, "each of them has a type (RFC 9396 section 2)", "example: {type: people, actions: [read]}"


def _taken(auth: Mapping[str, Any], key: str, owned: frozenset[str], cure: str) -> Iterator[_Finding]:
    given = auth.get(key)
    for name in given if isinstance(given, dict) else ():
        if name in owned:
            yield (key, name), f"{key} may not set {name}", cure


def _has(auth: Mapping[str, Any], key: str) -> bool:
    return auth.get(key) not in (None, {}, [], "")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
