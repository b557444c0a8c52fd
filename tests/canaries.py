"""The secrets of the tests. Each begins with one mark, so that it is found wherever it surfaces, whoever made it up.

A test that needs a secret writes one that begins with `MARK`; tests/watch.py then sees to it that it is never shown.
"""

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MARK = "canary-"
"""Letters and a hyphen: the same in JSON, in an address, in a form, in HTML and in YAML."""


def _inside_base64(mark: bytes) -> set[str]:
    """Return what the mark becomes inside of Base64, at each of three offsets."""
    found = set()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + mark).decode()
        found.add(encoded[(0, 2, 3)[before] : (before + len(mark)) * 8 // 6])
    return found


MARKS = frozenset({MARK, *_inside_base64(MARK.encode())})
_SEEN = re.compile("|".join(re.escape(mark) + r"[\w+/=%.&-]{0,40}" for mark in sorted(MARKS)))


def seen_in(text: str | bytes) -> list[str]:
    """Return what can be seen of canaries in a text, as they are or in Base64."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return sorted(set(_SEEN.findall(text))) if any(mark in text for mark in MARKS) else []


def shapes(secret: str) -> set[str]:
    """Return a secret as it is, in an address, in a form, in JSON and in Base64."""
    json_text = secret.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return {secret, quote(secret, safe=""), quote_plus(secret), json_text, encoded, *_inside_base64(secret.encode())}


def shown(secrets: Iterable[str], text: bytes) -> list[str]:
    """Return the shapes of these secrets that are in a text."""
    return sorted(shape for secret in secrets for shape in shapes(secret) if shape.encode() in text)
