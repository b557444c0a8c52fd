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
        auth = connection.get("auth")
        has_auth = isinstance(auth, dict) and auth.get("type") != "none"
        secret = has_auth and connection.get("allow_insecure") is not True
        host = connection.get("host")
        if isinstance(host, str) and host:
            whole = host if "://" in host else f"https://{host}"
            yield from _address(("connections", name, "host"), whole, secret=secret, base=True)
        url = auth.get("url") if isinstance(auth, dict) else None
        if isinstance(url, str):
            yield from _address(("connections", name, "auth", "url"), url, secret=secret, base=False)


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
