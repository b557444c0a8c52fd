"""`ignore:`: fields of the source record that nobody may use, since a job sees its records without them."""

from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import nodes

from .grammar import parse_expression
from .incremental import cursor_expression
from .problems import Path_

_Finding = tuple[Path_, str, str | None]


def ignore_problems(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield what is wrong with the ignored fields of all jobs: path, message, cure."""
    jobs = tree.get("jobs")
    for name, job in jobs.items() if isinstance(jobs, dict) else ():
        ignored = job.get("ignore") if isinstance(job, dict) else None
        if not isinstance(ignored, list):
            continue
        fields = [field for field in ignored if isinstance(field, str)]
        for place, field in enumerate(ignored):
            if isinstance(field, str) and field.startswith("record."):
                here: Path_ = ("jobs", name, "ignore", place)
                yield here, "ignored fields are named without 'record.'", f"write: {field.removeprefix('record.')}"
        for path, text in _expressions(("jobs", name), job):
            used = next((field for field in fields if _uses(text, field)), None)
            if used is not None:
                cure = f"take '{used}' out of ignore, or do without it here"
                yield path, f"'{used}' is ignored, so no record has it", cure


def record_paths(text: str) -> frozenset[tuple[str, ...]]:
    """Return the fields of `record` that an expression reads, each as its names from the outside in.

    A list is looked through: `record.lines[0].price` is lines, price. What is computed ends the path; a method of a
    text comes out as one name more. Raises ValueError as `parse_expression` does.
    """
    return frozenset(path[1:] for path in read_paths(text) if path[0] == "record")


def read_paths(text: str) -> frozenset[tuple[str, ...]]:
    """Return the same of whatever name an expression reads, with that name before its fields."""
    found: set[tuple[str, ...]] = set()
    _gather(parse_expression(text), found)
    return frozenset(found)


def _expressions(path: Path_, job: Mapping[str, Any]) -> Iterator[tuple[Path_, str]]:
    """Yield the expressions over the record with their places; of the wrong ones, whatever is a text."""
    for name in ("key", "where"):
        value = job.get(name)
        for place, text in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(text, str):
                yield ((*path, name) if place is None else (*path, name, place)), text
    yield from _of_source((*path, "source"), job.get("source"))
    fields = job.get("map")
    for name, field in fields.items() if isinstance(fields, dict) else ():
        if isinstance(field, str):
            yield (*path, "map", name), field
        elif isinstance(field, dict) and isinstance(field.get("from"), str):
            yield (*path, "map", name, "from"), field["from"]


def _of_source(path: Path_, source: Any) -> Iterator[tuple[Path_, str]]:
    if not isinstance(source, dict):
        return
    if isinstance(source.get("tombstone"), str):
        yield (*path, "tombstone"), source["tombstone"]
    block = source.get("incremental")
    if isinstance(block, dict) and isinstance(block.get("field"), str):
        yield (*path, "incremental", "field"), cursor_expression(block["field"])


def _uses(text: str, field: str) -> bool:
    steps = tuple(field.split("."))
    try:
        paths = record_paths(text)
    except ValueError:
        return False  # told already: the models check the syntax
    return any(path[: len(steps)] == steps for path in paths)


def _gather(node: nodes.Node, found: set[tuple[str, ...]]) -> None:
    """Add the paths below a node, each once, at its full length."""
    steps: list[str] = []
    while isinstance(node, (nodes.Getattr, nodes.Getitem)):
        if isinstance(node, nodes.Getattr):
            steps.append(node.attr)
        elif not isinstance(node.arg, nodes.Const):
            _gather(node.arg, found)
            steps.clear()
        elif isinstance(node.arg.value, str):
            steps.append(node.arg.value)
        node = node.node
    if isinstance(node, nodes.Name):
        found.add((node.name, *reversed(steps)))
        return
    for child in node.iter_child_nodes():
        _gather(child, found)
