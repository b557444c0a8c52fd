"""What a PATCH makes of a record, by its content type: set fields, RFC 7396 (merge-patch), RFC 6902 (JSON Patch)."""

from collections.abc import Mapping
from typing import Any

MERGE = "application/merge-patch+json"
OPERATIONS = "application/json-patch+json"


class UnfitPatchError(ValueError):
    """The patch cannot be carried out on this record."""


def patched(record: Mapping[str, Any], patch: Any, content_type: str) -> dict[str, Any]:
    """Return the record after the patch."""
    if content_type == OPERATIONS:
        return operated(record, patch)
    if not isinstance(patch, Mapping):
        raise UnfitPatchError("not an object")
    return merged(record, patch) if content_type == MERGE else {**record, **patch}


def merged(record: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record with the patch merged in: null removes, objects are merged, anything else replaces."""
    made = dict(record) if isinstance(record, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = merged(made.get(name), value) if isinstance(value, Mapping) else value
    return made


def operated(record: Mapping[str, Any], operations: Any) -> dict[str, Any]:
    """Return the record after add, replace, remove and test of top-level fields."""
    made = dict(record)
    for one in operations:
        name = str(one["path"]).removeprefix("/")
        if one["op"] in {"add", "replace", "test"} and "value" not in one:
            raise UnfitPatchError("no value")
        if one["op"] in {"replace", "remove", "test"} and name not in made:
            raise UnfitPatchError(f"no {name}")
        if one["op"] == "test" and made[name] != one["value"]:
            raise UnfitPatchError(f"{name} is another")
        if one["op"] == "remove":
            del made[name]
        elif one["op"] != "test":
            made[name] = one["value"]
    return made
