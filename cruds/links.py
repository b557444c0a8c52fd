"""Where the server says the next page is: the Link header (RFC 8288), and how a next address is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urldefrag, urljoin, urlsplit

from .address import Host, origin_of
from .exception import AddressError

# <target> ; name = token ; name = "quoted \" text" ... ; quoted strings may hold commas and semicolons.
_TARGET = re.compile(r"[\s,]*<([^>]*)>")
_PARAMETER = re.compile(
    r'\s*;\s*(?:(?P<name>[^\s=;,"<>]+)\s*(?:=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^\s;,"]*)))?)?', re.DOTALL
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def links(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each link's target and its parameters, names in lower case, the first of a repeated name winning.

    What comes after something that is no link is not read: a half-understood header is not guessed at.
    """
    at = 0
    while match := _TARGET.match(header, at):
        at = match.end()
        parameters: dict[str, str] = {}
        while pair := _PARAMETER.match(header, at):
            at = pair.end()
            if pair["name"]:
                quoted = pair["quoted"]
                value = _ESCAPED.sub(r"\1", quoted) if quoted is not None else pair["token"] or ""
                parameters.setdefault(pair["name"].lower(), value)
        yield match[1].strip(), parameters


def next_link(header: str | None) -> str | None:
    """Return the target of the first link whose relations hold `next`, in any case; None if there is none.

    A link with an `anchor` speaks about another document (section 3.2) and does not count.
    """
    for target, parameters in links(header or ""):
        if "next" in parameters.get("rel", "").lower().split() and "anchor" not in parameters:
            return target
    return None


def next_address(said: str, page_url: str, host: Host) -> str | None:
    """Return the absolute address of a next page, or None when it is not on the host's origin.

    Absolute as it is; with a slash in front a path on the origin if it begins with the host's path, else below the
    host; otherwise relative to the page it was given on.
    """
    if said.startswith("/") and not said.startswith("//"):
        path = urlsplit(said).path
        is_whole = path == host.base or path.startswith(f"{host.base}/")
        target = host.origin + ("" if is_whole else host.base) + said
    else:
        target = urljoin(page_url, said)
    try:
        is_ours = origin_of(target) == host.origin and "@" not in urlsplit(target).netloc
    except AddressError:
        is_ours = False
    return urldefrag(target).url if is_ours else None
