"""The job file as JSON Schema, for editors and for the loader's own did-you-mean."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from .problems import Path_
from .spec import Spec

_TEXT: Final = {"type": "string"}
_NAMES: Final = {"type": ["string", "array"], "items": {"type": "string"}, "description": "Short for {to: …}."}
_SHORT_FORMS: Final[Mapping[str, Mapping[str, Any]]] = {
    "Field_": {"type": ["string", "number", "boolean"], "description": "Short for {from: …}."},
    "Limit": {"type": ["string", "integer"], "description": "A share (5%) or a number (20)."},
    "OnFailure": _NAMES,
    "OnLate": _NAMES,
    "ListRequest": _TEXT | {"description": "Short for {uri: …}."},
    "Request": _TEXT | {"description": "Short for {uri: …}."},
    "WriteRequest": _TEXT | {"description": "Short for {uri: …}."},
}
"""What may stand in place of a block. Pydantic cannot see it: validators turn it into the block before it looks."""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one job file.

    It accepts whatever the loader accepts, short forms included; it does not know what only the loader can know
    (names of other files, expressions, time zones). `version` is not required in it: files in jobs.d go without.
    """
    schema = Spec.model_json_schema(by_alias=True)
    definitions = schema["$defs"]
    for name, short in _SHORT_FORMS.items():
        definitions[name] = {"anyOf": [dict(short), definitions[name]]}
    for definition in definitions.values():
        _without_foreign_defaults(definition)
    definitions["SecretRef"] |= {"minProperties": 1, "maxProperties": 1}
    schema.pop("required", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "crudsd job file",
        "patternProperties": {"^x-": {"description": "Ignored; a place for YAML anchors."}},
    }


def _without_foreign_defaults(definition: dict[str, Any]) -> None:
    # Pydantic writes a default duration as PT1M and a share as 50: an editor must not offer what the loader refuses.
    # The description says the default.
    for block in definition.get("anyOf", [definition]):
        for field in block.get("properties", {}).values():
            if "pattern" in field and not re.search(field["pattern"], str(field.get("default"))):
                field.pop("default", None)


class Shapes:
    """Which blocks of the schema may stand at a place of a given tree."""

    def __init__(self, schema: Mapping[str, Any], tree: Any) -> None:
        self._schema = schema
        self._tree = tree

    def keys(self, path: Path_) -> frozenset[str]:
        """Return the keys that are known at this place; empty where any name goes."""
        return frozenset(key for block in self._at(path) for key in block.get("properties", ()))

    def takes_text(self, path: Path_) -> bool:
        """Say whether text may stand at this place instead of a block."""
        return any("string" in block.get("type", ()) for block in self._at(path))

    def _at(self, path: Path_) -> list[Mapping[str, Any]]:
        here: Any = self._tree
        blocks = list(self._alternatives(self._schema, here))
        for step in path:
            here = here.get(step) if isinstance(here, Mapping) else None
            blocks = [
                inner
                for block in blocks
                for child in _children(block, step)
                for inner in self._alternatives(child, here)
            ]
        return blocks

    def _alternatives(self, block: Mapping[str, Any], here: Any) -> Iterator[Mapping[str, Any]]:
        if "$ref" in block:
            yield from self._alternatives(self._definition(block["$ref"]), here)
            return
        tags: Mapping[str, str] = block.get("discriminator", {}).get("mapping", {})
        tag = here.get("type") if isinstance(here, Mapping) else None
        if isinstance(tag, str) and tag in tags:
            yield self._definition(tags[tag])
            return
        inner = [*block.get("anyOf", ()), *block.get("oneOf", ())]
        if not inner:
            yield block
        for alternative in self._fitting(inner, here):
            yield from self._alternatives(alternative, here)

    def _fitting(self, blocks: list[Mapping[str, Any]], here: Any) -> list[Mapping[str, Any]]:
        """Return the blocks whose required keys all stand here; all blocks, if there is none such."""
        given = set(here) if isinstance(here, Mapping) else set()
        fitting = [block for block in blocks if self._required(block) <= given]
        return fitting or blocks

    def _required(self, block: Mapping[str, Any]) -> set[str]:
        return set((self._definition(block["$ref"]) if "$ref" in block else block).get("required", ()))

    def _definition(self, reference: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._schema["$defs"][reference.rpartition("/")[2]]
        return found


def _children(block: Mapping[str, Any], step: str | int) -> Iterator[Mapping[str, Any]]:
    properties: Mapping[str, Any] = block.get("properties", {})
    if isinstance(step, int):
        if isinstance(block.get("items"), Mapping):
            yield block["items"]
    elif step in properties:
        yield properties[step]
    else:
        if isinstance(block.get("additionalProperties"), Mapping):
            yield block["additionalProperties"]
        if "properties" not in block:
            yield from block.get("patternProperties", {}).values()
