"""The Link header (RFC 8288): where the server says the next page is."""

from __future__ import annotations

import re
from collections.abc import Iterator

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
