"""Base URLs and token endpoints: no credentials in them, none over plain http."""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

_Finding = tuple[tuple[str | int, ...], str, str | None]


def address_problems(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield what is wrong with the addresses of all connections: path, message, cure."""
    connections = tree.get("connections")
    for name, connection in connections.items() if isinstance(connections, dict) else ():
        if not isinstance(connection, dict):
            continue
        yield from _folder(("connections", name, "url"), connection)
        auth = connection.get("auth")
        has_auth = isinstance(auth, dict) and auth.get("type") != "none"
        secret = has_auth and connection.get("allow_insecure") is not True
        host = connection.get("host")
        if isinstance(host, str) and host:
            whole = host if "://" in host else f"https://{host}"
            yield from _address(("connections", name, "host"), whole, secret=secret, base=True)
        others = connection.get("allowed_hosts")
        for number, other in enumerate(others if isinstance(others, list) else ()):
            if isinstance(other, str):
                yield from _origin(("connections", name, "allowed_hosts", number), other, secret=secret)
        if isinstance(auth, dict) and auth.get("type") == "oauth2":
            for key in _ENDPOINTS:
                yield from _endpoint(("connections", name, "auth", key), auth.get(key), secret=secret)


def _folder(path: tuple[str | int, ...], connection: Mapping[str, Any]) -> Iterator[_Finding]:
    url = connection.get("url")
    if connection.get("type") != "files" or not isinstance(url, str) or "://" not in url:
        return
    parts = _split(url)
    if parts is None or parts.password is not None:
        cure = "refer to the whole address (example: url: {env: FOLDER_URL}), or give the password under options"
        yield path, "a password does not belong in an address", cure


_ENDPOINTS = ("url", "issuer", "authorization_url", "device_authorization_url", "revocation_url", "redirect_uri")


def _endpoint(path: tuple[str | int, ...], text: Any, *, secret: bool) -> Iterator[_Finding]:
    """Judge an address of an authorization server, or the one that people come back to."""
    if not isinstance(text, str):
        return
    parts = _split(text)
    if path[-1] == "redirect_uri" and parts is not None and parts.scheme not in {"", "http", "https"}:
        return  # an application's own scheme (RFC 8252 section 7.1)
    found = list(_address(path, text, secret=secret, base=False))
    if not found and parts is not None and parts.fragment:
        found.append((path, "this address may have no #", "leave out what stands behind it"))
    if not found and path[-1] == "issuer" and parts is not None and parts.query:
        found.append((path, "an issuer has no ? (RFC 8414 section 2)", "leave out what stands behind it"))
    yield from found


def _origin(path: tuple[str | int, ...], text: str, *, secret: bool) -> Iterator[_Finding]:
    """Judge a host beside the base URL: scheme, name and port, and nothing else."""
    whole = text if "://" in text else f"https://{text}"
    parts = _split(whole)
    if "*" in whole:
        yield path, "each host is written out; there is no *", "example: https://files.example.com"
    elif parts is not None and parts.path.strip("/"):
        yield path, "a host has no path here: all of it is allowed", f"write {parts.scheme}://{parts.netloc}"
    else:
        yield from _address(path, whole, secret=secret, base=True)


def _address(path: tuple[str | int, ...], text: str, *, secret: bool, base: bool) -> Iterator[_Finding]:
    parts = _split(text)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        yield path, "not an http address", "write it as https://host/path"
    elif parts.username is not None or parts.password is not None:
        cure = "remove them; use auth: {type: basic, username: …, password: {env: NAME}}"
        yield path, "credentials do not belong in an address", cure
    elif base and (parts.query or parts.fragment):
        yield path, "a base address has no ? and no #", "put parameters under params of each request"
    elif secret and parts.scheme == "http" and not is_loopback(parts.hostname):
        yield path, "credentials would travel unencrypted", "use https, or say allow_insecure: true"


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for what is no port
    except ValueError:
        return None
    return parts


def is_loopback(host: str) -> bool:
    """Say whether a host name or address is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
