"""What rejects have in common: a hundred of them tend to have one cause, and one line says it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import msgspec

from daemon.sync.canonical import readable
from daemon.sync.change import Reject
from daemon.values import Json

KINDS = 1_000
"""Causes told apart in one run: if each text is another one, what they share is not to be found in them."""

CHANGES = 100_000
"""Changes remembered by key; a run that is refused so many has another trouble than which of them."""

_OF_THE_RECORD = re.compile(r"\S+@\S+|[0-9A-Fa-f]{8}-[0-9A-Fa-f-]{20,}|[0-9]+")
"""What stands in a text for one record: addresses, ids, numbers."""

_Sign: TypeAlias = tuple[str, ...]

_SAYING = ("detail", "message", "error_description", "msg", "reason", "title", "error", "errors")
"""Where the error bodies of APIs say it in words (RFC 9457 and common habit), the best first."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Several rejects that seem to have one cause."""

    number: int
    example: Reject


class Causes:
    """Counts rejects by cause. Used by one thread."""

    def __init__(self) -> None:
        self._causes: dict[_Sign, Cause] = {}
        self._signs: dict[str, _Sign] = {}
        """Of the changes among them, by key: one that is tried again has only its last outcome."""

    def add(self, reject: Reject) -> None:
        """Count one more. Beyond what is remembered, nothing is."""
        sign = _sign(reject)
        known = self._causes.get(sign, Cause(0, reject))
        if known.number == 0 and len(self._causes) == KINDS:
            return
        if reject.kind is not None:
            if len(self._signs) == CHANGES:
                return
            self._signs[reject.key] = sign
        self._causes[sign] = Cause(known.number + 1, known.example)

    def forget(self, key: str) -> None:
        """Take back the change of this key, if it was counted: it has another outcome by now."""
        sign = self._signs.pop(key, None)
        if sign is None:
            return
        known = self._causes.pop(sign)
        if known.number > 1:
            example = known.example
            if example.key == key:
                other = next((one for one, its in self._signs.items() if its == sign), key)
                example = replace(example, key=other)
            self._causes[sign] = Cause(known.number - 1, example)

    def __iter__(self) -> Iterator[Cause]:
        """Yield the causes, the commonest first, else in the order they were met."""
        return iter(sorted(self._causes.values(), key=lambda one: -one.number))


def said_in(excerpt: str) -> str:
    """Return what the beginning of an error body says in words, or the excerpt itself where that is not found."""
    try:
        body = msgspec.json.decode(excerpt)
    except msgspec.DecodeError:
        return excerpt
    return _words(body) or excerpt


def _words(body: Json) -> str:
    if isinstance(body, str):
        return body
    if isinstance(body, list):
        return _words(body[0]) if body else ""
    if isinstance(body, dict):
        return next((words for name in _SAYING if name in body and (words := _words(body[name]))), "")
    return ""


def _sign(reject: Reject) -> _Sign:
    # The reason of an answer names the request's address, which is another one for each record; its body does not.
    text = reject.reason if reject.status is None or not reject.excerpt else said_in(reject.excerpt)
    for name in {reject.key, readable(reject.key)}:
        text = text.replace(name, "…")
    return str(reject.kind), str(reject.status), _OF_THE_RECORD.sub("…", text)
