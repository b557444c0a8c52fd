"""Where the server says the next page is: the Link header (RFC 8288), and how a next address is read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from urllib.parse import urldefrag, urljoin, urlsplit

from .address import Host, origin_of, without_params

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


def joined(page_url: str, said: str) -> str:
    """Return what a page says as an absolute address; what makes none as it is."""
    try:
        return urljoin(page_url, said)
    except ValueError:
        return said


def next_address(said: str, page_url: str, host: Host, leave_out: Collection[str] = ()) -> str | None:
    """Return the absolute address of a next page, or None when it is not on the host's origin nor an allowed one.

    Absolute as it is; with a slash in front a path on the origin if it begins with the host's path, else below the
    host; otherwise, and on a page of an allowed host, relative to the page it was given on. Services repeat what they
    were asked with: the parameters to `leave_out` of it are credentials, which a client adds itself.
    """
    is_elsewhere = bool(host.allowed) and "://" in page_url and origin_of(page_url) != host.origin
    if said.startswith("/") and not said.startswith("//") and not is_elsewhere:
        path = urlsplit(said).path
        is_whole = path == host.base or path.startswith(f"{host.base}/")
        target = host.origin + ("" if is_whole else host.base) + said
    else:
        target = joined(page_url, said)
    if not host.owns(target):
        return None
    return without_params(urldefrag(target).url, set(leave_out))
