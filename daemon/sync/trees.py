"""Documents as trees: what an update leaves out, and what a whole record becomes.

Nested objects are taken apart as `canonical.agrees` compares them: a field that only the target has is none of the
job's business, at any depth. A list is one value.
"""

from collections.abc import Mapping
from typing import TypeAlias

from daemon.values import Document, Json

FieldPath: TypeAlias = tuple[str, ...]
"""The names that lead to a field: ("address", "city")."""


def pruned(document: Document, paths: frozenset[FieldPath]) -> Document:
    """Return the document without these fields; an object that held nothing else goes with them."""
    if not paths:
        return document
    kept: dict[str, Json] = {}
    for name, value in document.items():
        inner = frozenset(path[1:] for path in paths if path[0] == name)
        if () in inner:
            continue
        if inner and isinstance(value, Mapping):
            part = pruned(value, inner)
            if value and not part:
                continue
            value = part  # noqa: PLW2901 - the same field, less what is left out
        kept[name] = value
    return kept


def merged(held: Document, wanted: Document) -> Document:
    """Return what is held with every field of `wanted` set, object by object. Nulls are values like any other."""
    whole: dict[str, Json] = dict(held)
    for name, value in wanted.items():
        before = whole.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            whole[name] = merged(before, value)
        else:
            whole[name] = value
    return whole
