"""Addresses: where a uri leads, and that it never leads away from the host."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from .exception import AddressError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PORTS = {"http": 80, "https": 443}
# What may stand in a path (RFC 3986 section 3.3), and `%`, so that what is encoded stays as it is.
_IN_PATH = "/:@!$&'()*+,;=~-._%"
_IN_QUERY = _IN_PATH + "?"
_PLAIN = re.compile(r"[A-Za-z0-9/_.~-]+")
"""What is the same in any encoding."""
_TOLD = re.compile(r"[^?#@]*")
"""What may be shown as it is."""
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Host:
    """Where a client talks to: an origin (RFC 6454 section 4), the path below which every uri lies, and its friends."""

    origin: str
    """`scheme://host` or `scheme://host:port`; a default port is left out."""
    base: str
    """The path, without a slash at its end; empty for the root."""
    allowed: frozenset[str] = frozenset()
    """Other origins of the same API: absolute uris, next addresses and redirects may lead there."""

    @classmethod
    def parse(cls, text: str, allowed_hosts: Iterable[str] = ()) -> Host:
        """Read a host setting, and those of other hosts, which have no path. No scheme means https.

        Raises `AddressError` for anything but http(s) addresses.
        """
        host = cls._parse_one(text)
        others = [cls._parse_one(other) for other in allowed_hosts]
        for other in others:
            if other.base:
                raise _refused(other.origin + other.base, "an allowed host has no path: all of it is allowed")
        return cls(host.origin, host.base, frozenset(other.origin for other in others))

    @classmethod
    def _parse_one(cls, text: str) -> Host:
        address = text.strip()
        if not _SCHEME.match(address):
            address = f"https://{address}"
        parts = urlsplit(address)
        if parts.username is not None or parts.password is not None:
            raise _refused(parts.hostname or "", "a host may not hold credentials: hand them in as auth")
        if parts.query or parts.fragment:
            raise _refused(bare(address), "a host may have no query and no fragment")
        return cls(origin_of(address), _encoded(parts.path, _IN_PATH).rstrip("/"))

    @property
    def is_plain(self) -> bool:
        """Whether requests may travel in the clear: http, and not to this machine itself."""
        return any(map(_is_plain, self.origins))

    @property
    def origins(self) -> frozenset[str]:
        """All origins where our credentials belong."""
        return self.allowed | {self.origin}

    def owns(self, address: str) -> bool:
        """Whether our credentials belong to where an absolute address leads."""
        try:
            return origin_of(address) in self.origins and "@" not in urlsplit(address).netloc
        except AddressError:
            return False

    def join(self, uri: str, params: Mapping[Any, Any] | None = None) -> str:
        """Return the full address of `uri` with `params` merged into its query.

        A relative uri lies below the base path, also if it begins with a slash. An absolute one must be on this
        very origin, or an allowed one. Raises `AddressError` for another origin, a `..` segment, a fragment or
        userinfo: a value put into a uri unencoded looks like this; `path()` encodes it.
        """
        way = uri.lstrip("/")
        if not params and _PLAIN.fullmatch(way) and ".." not in way:  # most uris, and nothing in them to look at
            return f"{self.origin}{self.base}/{way}"
        if "#" in uri:
            raise _refused(bare(uri), "a uri has no fragment; encode the value with cruds.path()")
        if _SCHEME.match(uri):
            return self._own(uri, params)
        text, mark, query = uri.partition("?")
        path = text.lstrip("/")
        if any(map(_climbs, re.split(r"[/\\]|%2[fF]|%5[cC]", path))):
            raise _refused(bare(uri), "a uri may not climb with `..`; encode the value with cruds.path()")
        below = f"{self.base}/{_encoded(path, _IN_PATH)}" if path else (self.base or "/")
        return f"{self.origin}{below}{merged(query if mark else '', params)}"

    def _own(self, uri: str, params: Mapping[Any, Any] | None) -> str:
        origin, parts = origin_of(uri), urlsplit(uri)
        if not self.owns(uri):
            raise _refused(bare(uri), f"the address is not on {self.origin}, and credentials do not travel")
        return f"{origin}{_encoded(parts.path, _IN_PATH) or '/'}{merged(parts.query, params)}"


def origin_of(address: str) -> str:
    """Return scheme, host and port of an absolute http(s) address, in one canonical form.

    Raises `AddressError` for what is none, and for what others may read as another host than we do: with a
    backslash before the @ it is the host behind it to some, and the one in front of it to others.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
        host = _ascii_name(parts.hostname or "")
    except ValueError as error:
        raise _refused(bare(address), "not an address") from error
    if host is None:
        raise _refused(bare(address), "programs read this host name as different hosts; write it in ASCII (xn--…)")
    scheme = parts.scheme.lower()
    is_odd = any(c.isspace() or c in "\\%" for c in host + parts.netloc) or not set(address).isdisjoint("\t\r\n")
    if scheme not in _PORTS or not host or is_odd:
        raise _refused(bare(address), "not an http or https address")
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" + (f":{port}" if port is not None and port != _PORTS[scheme] else "")


def _ascii_name(host: str) -> str | None:
    """Return a host name as the network has it; None for one that IDNA 2003, which this is, changes into another.

    ß, ς and joiners are letters of their own to IDNA 2008: whoever follows that would talk to somebody else.
    """
    if host.isascii():
        return host
    name = host.encode("idna")
    return name.decode() if name.decode("idna") == host else None


def bare(address: str) -> str:
    """Return the address without query, fragment and userinfo: what may be shown."""
    if _TOLD.fullmatch(address):  # most addresses
        return address
    address = re.split(r"[?#]", address, maxsplit=1)[0]
    return re.sub(r"//[^/@]*@", "//", address)


def path(template: str, /, *values: object, **named: object) -> str:
    """Fill `{}` and `{name}` in a uri with values, each percent-encoded as one path segment (RFC 3986 section 2.1).

    `path("users/{}", "1/../admin")` is `users/1%2F..%2Fadmin`. Raises ValueError for an empty value or one of
    dots only, which servers read as another path.
    """
    return template.format(
        *(_segment(value) for value in values), **{name: _segment(value) for name, value in named.items()}
    )


def _segment(value: object) -> str:
    text = _text(value)
    if text in {"", ".", ".."}:
        raise ValueError(f"{text!r} cannot be one segment of a path")
    return quote(text, safe="")


def query(params: Mapping[Any, Any] | None) -> str:
    """Encode parameters for a query, UTF-8, `application/x-www-form-urlencoded` (RFC 6749 appendix B says how).

    None is left out, a list or tuple repeats its name (None inside it is left out), true and false are in small
    letters, a datetime is ISO 8601, an Enum is its value. A mapping has no form in a query: TypeError.
    """
    return urlencode(list(_pairs(params or {})))


def merged(existing: str, params: Mapping[Any, Any] | None) -> str:
    """Return `?query` of what the uri already had, then the parameters; empty if there are none."""
    joined = "&".join(filter(None, (_encoded(existing, _IN_QUERY), query(params))))
    return f"?{joined}" if joined else ""


def without_params(uri: str, names: set[str]) -> str:
    """Return the uri without these parameters in its query, so that ours do not stand there twice."""
    way, mark, existing = uri.partition("?")
    pairs = parse_qsl(existing, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if name not in names]
    if not mark or len(kept) == len(pairs):
        return uri
    return f"{way}?{urlencode(kept)}" if kept else way


def with_params(uri: str, params: Mapping[str, str]) -> str:
    """Return the uri with these parameters in its query, and no others of their names."""
    way, mark, existing = without_params(uri, set(params)).partition("?")
    return way + merged(existing if mark else "", params)


def without_values(uri: str, values: Collection[str]) -> str:
    """Return the uri without any parameter that has one of these values."""
    pairs = parse_qsl(uri.partition("?")[2], keep_blank_values=True)
    return without_params(uri, {name for name, value in pairs if value in values})


def _pairs(params: Mapping[Any, Any]) -> Iterator[tuple[str, str | bytes]]:
    for name, value in params.items():
        if isinstance(value, Mapping):
            raise TypeError(f"parameter {name}: a mapping has no form in a query")
        many: Iterable[Any] = value if isinstance(value, list | tuple | set | frozenset) else (value,)
        for one in many:
            if one is not None:
                yield _text(name), one if isinstance(one, bytes) else _text(one)


def _text(value: object) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def _climbs(segment: str) -> bool:
    """Whether a server may read this segment as `..`: encoded, or with a parameter, it is one to some."""
    return unquote(segment).partition(";")[0] == ".."


def _encoded(text: str, safe: str) -> str:
    return quote(_LONE_PERCENT.sub("%25", text), safe=safe)


def _is_plain(origin: str) -> bool:
    return origin.startswith("http://") and not _is_loopback(urlsplit(origin).hostname or "")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761 section 6.3
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _refused(url: str, reason: str) -> AddressError:
    return AddressError(reason, method="-", url=url, attempts=0)
