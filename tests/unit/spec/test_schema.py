"""What the loader accepts, an editor with the schema accepts too."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from daemon.spec import json_schema, load
from daemon.spec.filters import BORROWED, FILTERS
from daemon.spec.questions import TESTS
from daemon.spec.reading import read
from tests.unit.spec.files import GOOD, write

SCHEMA = json_schema()
KINDS: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}


def accepts(block: Any, value: Any) -> bool:
    """Judge by the part of JSON Schema that ours uses; unknown words in it are an error."""
    if block is True or "$ref" in block:
        return block is True or accepts(SCHEMA["$defs"][block["$ref"].split("/")[-1]], value)
    return all(CHECKS[word](rule, value, block) for word, rule in block.items())


def _type(rule: Any, value: Any, _: Any) -> bool:
    kinds = [rule] if isinstance(rule, str) else rule
    if isinstance(value, bool):
        return "boolean" in kinds
    return any(isinstance(value, KINDS[kind]) for kind in kinds) or ("number" in kinds and hasattr(value, "as_tuple"))


def _additional(rule: Any, value: Any, block: Any) -> bool:
    known = block.get("properties", {})
    patterns = block.get("patternProperties", {})
    rest = [key for key in value if key not in known and not any(re.search(pattern, key) for pattern in patterns)]
    return not rest if rule is False else all(accepts(rule, value[key]) for key in rest)


def _patterned(rule: Mapping[str, Any], value: Any, _: Any) -> bool:
    return all(
        accepts(inner, value[key]) for pattern, inner in rule.items() for key in value if re.search(pattern, key)
    )


def _is(kind: type, check: Any) -> Any:
    return lambda rule, value, block: not isinstance(value, kind) or check(rule, value, block)


CHECKS: dict[str, Any] = {
    "type": _type,
    "properties": _is(dict, lambda rule, value, _: all(accepts(rule[key], value[key]) for key in rule if key in value)),
    "additionalProperties": _is(dict, _additional),
    "patternProperties": _is(dict, _patterned),
    "propertyNames": _is(dict, lambda rule, value, _: all(accepts(rule, key) for key in value)),
    "required": _is(dict, lambda rule, value, _: all(key in value for key in rule)),
    "minProperties": _is(dict, lambda rule, value, _: len(value) >= rule),
    "maxProperties": _is(dict, lambda rule, value, _: len(value) <= rule),
    "items": _is(list, lambda rule, value, _: all(accepts(rule, item) for item in value)),
    "anyOf": lambda rule, value, _: any(accepts(block, value) for block in rule),
    "oneOf": lambda rule, value, _: sum(accepts(block, value) for block in rule) == 1,
    "enum": lambda rule, value, _: value in rule,
    "const": lambda rule, value, _: value == rule,
    "pattern": _is(str, lambda rule, value, _: re.search(rule, value) is not None),
    "minLength": _is(str, lambda rule, value, _: len(value) >= rule),
    "maxLength": _is(str, lambda rule, value, _: len(value) <= rule),
    "minimum": _is(int, lambda rule, value, _: value >= rule),
    "maximum": _is(int, lambda rule, value, _: value <= rule),
    "exclusiveMinimum": _is(int, lambda rule, value, _: value > rule),
    **dict.fromkeys(
        ["title", "description", "default", "examples", "discriminator", "$defs", "$schema", "format"],
        lambda *_: True,
    ),
}


def test_the_example_of_the_design_is_accepted() -> None:
    assert accepts(SCHEMA, read(Path(__file__).with_name("people_to_helpdesk.yaml")).tree)


@pytest.mark.parametrize(
    "job",
    [
        "key: [record.a, 5]",
        "guards: {deletes: 5%, updates: 20}",
        "guards: {deletes: {percent: 5%, count: 3}}",
        "map: {a: record.a, b: 5, c: true, d: {from: 5}}",
        "where: true",
        "schedule:",
        "target: {connection: hr, list: users, create: {uri: users, body: {a: [1, '{{ document }}']}}}",
    ],
)
def test_short_forms_are_accepted(job: str, tmp_path: Path) -> None:
    tree = read(write(tmp_path, f"{GOOD}  other:\n    source: {{connection: hr, read: a}}\n    {job}\n")).tree
    tree["jobs"]["other"] = {**tree["jobs"]["people"], **tree["jobs"]["other"]}
    assert accepts(SCHEMA, tree)


@pytest.mark.parametrize("text", ["jobs: {}", "x-a: {b: 1}", "version: 1\nstate: a.db"])
def test_a_file_may_hold_as_little_as(text: str, tmp_path: Path) -> None:
    assert accepts(SCHEMA, read(write(tmp_path, text)).tree)


@pytest.mark.parametrize(
    "text",
    [
        "job: {}",
        "version: 2",
        "connections: {hr: {hots: a}}",
        "connections: {hr: {host: a, auth: {type: bearer, token: text}}}",
        "connections: {hr: {host: a, auth: {type: bearer, token: {env: A, file: b}}}}",
        "connections: {hr: {host: a, quota: {per: 1 minute}}}",
    ],
)
def test_mistakes_are_underlined(text: str, tmp_path: Path) -> None:
    assert not accepts(SCHEMA, read(write(tmp_path, text)).tree)


def test_it_says_what_it_is() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["title"] == "crudsd job file"


PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "job-file.md").read_text(encoding="utf-8")


def test_the_reference_page_names_every_key_filter_and_test() -> None:
    blocks = [inner for block in SCHEMA["$defs"].values() for inner in block.get("anyOf", [block])]
    keys = {key for block in blocks for key in block.get("properties", {})} | set(SCHEMA["properties"])

    named = set(re.findall(r"[\w-]+", " ".join(re.findall(r"`[^`\n]+`", PAGE))))

    assert keys - named == set()
    assert {*FILTERS, *BORROWED} - named == set()
    assert {*TESTS} - {"eq", "ne", "lt", "le", "gt", "ge", "in"} - named == set()


def test_the_example_of_the_reference_page_is_valid(tmp_path: Path) -> None:
    example = PAGE.split("```yaml\n")[1].split("```")[0]
    assert load(write(tmp_path, example)).spec.jobs
    assert accepts(SCHEMA, read(tmp_path / "crudsd.yaml").tree)


def test_no_default_is_one_that_the_loader_refuses() -> None:
    for block in SCHEMA["$defs"].values():
        for field in block.get("properties", {}).values():
            if "default" in field and "pattern" in field:
                assert accepts(field, field["default"])
