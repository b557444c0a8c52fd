"""The forms in which a secret may come back: as it is, in part, escaped for where it stood, in Base64."""

import base64
import html
import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus, unquote, urlsplit

SHORTEST = 4
"""Shorter texts are not looked for: they are no secrets, and every message would be full of holes."""

_SHORTEST_PIECE = 16
"""A line of a key file, or a value in a JSON key, is a secret of its own from this length on."""

_SHORTEST_INSIDE = 8
"""What is left of a secret in the middle of other Base64 must be so long to be told from chance."""

_PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "k", "private_key", "client_secret", "refresh_token", "access_token"}
"""The private members of a JWK (RFC 7518 6.2.2, 6.3.2, 6.4.1), and those of the key files of large clouds."""


def forms(secret: str) -> frozenset[str]:
    """Return the texts by which a secret would be known, none shorter than `SHORTEST`."""
    return frozenset(
        form for piece in {secret, *_pieces(secret)} for form in (piece, *_escaped(piece)) if len(form) >= SHORTEST
    )


def _pieces(secret: str) -> Iterator[str]:
    """Give the parts that are secret by themselves."""
    yield secret.strip()
    words = secret.split()
    yield " ".join(words)
    if len(words) == 2 and len(words[1]) >= _SHORTEST_PIECE:
        yield words[1]  # behind the scheme of an Authorization header
    lines = secret.splitlines()
    if len(lines) > 1:
        yield from (line.strip() for line in lines if len(line) >= _SHORTEST_PIECE and not line.startswith("-----"))
    if secret.lstrip().startswith("{"):
        yield from _members(secret)
    if "://" in secret:
        yield from _password(secret)


def _members(secret: str) -> Iterator[str]:
    try:
        members = json.loads(secret)
    except (ValueError, RecursionError):
        return
    for name, value in members.items():
        if name in _PRIVATE and isinstance(value, str) and len(value) >= _SHORTEST_PIECE:
            yield value
            yield from (line for line in value.splitlines() if len(line) >= _SHORTEST_PIECE and line[0] != "-")


def _password(address: str) -> Iterator[str]:
    try:
        password = urlsplit(address.strip()).password
    except ValueError:
        return
    if password:
        yield password
        yield unquote(password)


def _escaped(text: str) -> Iterator[str]:
    raw = text.encode("utf-8", "surrogatepass")
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]
    yield ascii(text)[1:-1]
    yield repr(raw)[2:-1]
    yield html.escape(text)
    yield html.escape(text, quote=False)
    for encoded in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield encoded
        yield _lower_escapes(encoded)
    yield from _base64(raw)


def _lower_escapes(encoded: str) -> str:
    """Return a percent-encoded text with %2f for %2F, as some write it."""
    first, *rest = encoded.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _base64(raw: bytes) -> Iterator[str]:
    """Give the secret in Base64: whole, and as it looks inside of something longer, at each of three offsets."""
    whole = base64.b64encode(raw).decode().rstrip("=")
    inside = [_inside(raw, before) for before in range(3)]
    for text in (whole, *(one for one in inside if len(one) >= _SHORTEST_INSIDE)):
        yield text
        yield text.replace("+", "-").replace("/", "_")


def _inside(raw: bytes, before: int) -> str:
    """Return those characters that are the same whatever stands around, `before` bytes after a multiple of three."""
    encoded = base64.b64encode(bytes(before) + raw).decode()
    return encoded[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]
