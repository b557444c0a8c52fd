"""YAML that has nothing wrong and nothing special in it, read at once: no nodes, no marks, a tenth of the time.

Most files are so, each time but the first. Whatever else there is (an alias, a merge, a tag, a key that stands twice, a
syntax error) is left to `reading.py`, which reads it with all its marks.
"""

from contextlib import suppress
from typing import Any

import yaml

from .scalars import OCTAL, plain

CParser: Any = None
"""libyaml's parser; None where PyYAML was built without it."""
with suppress(ImportError):
    from yaml import cyaml

    CParser = cyaml.CParser  # type: ignore[attr-defined]  # its stub leaves it out

DEEPEST = 60
"""Levels of nesting."""


class NotPlainError(Exception):
    """The text is to be read with its marks."""


def quick_tree(text: str) -> Any:
    """Return the values of a YAML text as `reading.parse` does. Raises NotPlainError for whatever it does not read."""
    if CParser is None or "\t" in text:  # tabs are taken by libyaml where the parser in Python refuses them
        raise NotPlainError
    try:
        return _Quick(CParser(text)).document()
    except (yaml.YAMLError, RecursionError):
        raise NotPlainError from None


class _Quick:
    """One document's events, made into values on the way."""

    def __init__(self, parser: Any) -> None:
        self._next = parser.get_event
        self._texts: dict[str, str] = {}
        """Each text once: the same keys and paths stand in job after job."""

    def document(self) -> Any:
        self._next()  # the stream begins
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        tree = self._value(self._next(), 0)
        self._next()  # the document ends
        if not isinstance(self._next(), yaml.StreamEndEvent):
            raise NotPlainError
        return tree

    def _value(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None or event.tag is not None or depth > DEEPEST:
            raise NotPlainError
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(depth)
        found = []
        while not isinstance(item := self._next(), yaml.SequenceEndEvent):
            found.append(self._value(item, depth + 1))
        return found

    def _mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(key := self._next(), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent) or key.anchor is not None or key.tag is not None:
                raise NotPlainError
            name = self._texts.setdefault(key.value, key.value)
            if name in found or (name == "<<" and not key.style):
                raise NotPlainError
            found[name] = self._value(self._next(), depth + 1)
        return found

    def _scalar(self, event: Any) -> Any:
        text = self._texts.setdefault(event.value, event.value)
        if event.style:
            return text
        if OCTAL.fullmatch(text):
            raise NotPlainError
        return plain(text)
