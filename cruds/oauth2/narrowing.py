"""What was granted against what was asked: a server may give less (RFC 6749 section 3.3, RFC 9396 section 7)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What was asked for and not granted. Holds nothing secret; authorization details may be personal."""

    scope: tuple[str, ...] = ()
    """In the order that was asked."""
    authorization_details: tuple[Any, ...] = ()
    """The elements that no granted element covers, as they were asked."""

    def __bool__(self) -> bool:
        return bool(self.scope or self.authorization_details)


def narrowed(*, asked_scope: str | None, scope: str | None, asked_details: str | None, details: str | None) -> Narrowed:
    """Compare. A grant that says nothing is as asked (RFC 6749 section 5.1); details are JSON texts.

    For authorization details silence means nothing either: servers that know none leave them out, and so do some
    that granted them. Then none count as missing.
    """
    granted = set((scope or "").split())
    missing = tuple(word for word in (asked_scope or "").split() if word not in granted) if scope else ()
    if details is None:
        return Narrowed(missing)
    given = elements(details)
    wanted = (one for one in elements(asked_details) if not any(_covers(other, one) for other in given))
    return Narrowed(missing, tuple(wanted))


def elements(details: str | None) -> list[Any]:
    """Return authorization details as a list; empty for none, and for text that holds none."""
    try:
        found = json.loads(details or "[]")
    except ValueError:
        return []
    return found if isinstance(found, list) else [found]


def _covers(granted: Any, asked: Any) -> bool:
    """Whether everything that was asked is in what was granted; a server may add (RFC 9396 section 7.1)."""
    if isinstance(asked, Mapping):
        return isinstance(granted, Mapping) and all(
            name in granted and _covers(granted[name], value) for name, value in asked.items()
        )
    if isinstance(asked, Sequence) and not isinstance(asked, str):
        return isinstance(granted, list) and all(any(_covers(other, one) for other in granted) for one in asked)
    return bool(granted == asked)
