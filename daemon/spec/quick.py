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
        return _document(CParser(text))
    except (yaml.YAMLError, RecursionError):
        raise NotPlainError from None


def _document(events: Any) -> Any:
    events.get_event()  # the stream begins
    if isinstance(events.get_event(), yaml.StreamEndEvent):
        return None
    tree = _value(events, events.get_event(), 0)
    events.get_event()  # the document ends
    if not isinstance(events.get_event(), yaml.StreamEndEvent):
        raise NotPlainError
    return tree


def _value(events: Any, event: Any, depth: int) -> Any:
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None or event.tag is not None or depth > DEEPEST:
        raise NotPlainError
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    if isinstance(event, yaml.SequenceStartEvent):
        found = []
        while not isinstance(item := events.get_event(), yaml.SequenceEndEvent):
            found.append(_value(events, item, depth + 1))
        return found
    return _mapping(events, depth)


def _mapping(events: Any, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while not isinstance(key := events.get_event(), yaml.MappingEndEvent):
        if not isinstance(key, yaml.ScalarEvent) or key.anchor is not None or key.tag is not None:
            raise NotPlainError
        name = str(key.value)
        if name in found or (name == "<<" and not key.style):
            raise NotPlainError
        found[name] = _value(events, events.get_event(), depth + 1)
    return found


def _scalar(event: Any) -> Any:
    text: str = event.value
    if event.style:
        return text
    if OCTAL.fullmatch(text):
        raise NotPlainError
    return plain(text)
