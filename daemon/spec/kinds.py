"""Which source and which target goes with which kind of connection."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from .foreach import blocks

_Path = tuple[str | int, ...]
_Finding = tuple[_Path, str, str | None]

_SOURCES: Final = {"query": "sql", "path": "files", "call": "interface"}
_TARGETS: Final = {"table": "sql", "path": "files", "model": "interface"}
_INSTEAD: Final[Mapping[tuple[str, str], str]] = {
    ("source", "rest"): "read: employees",
    ("source", "sql"): "query: select * from employees",
    ("source", "files"): "path: employees.jsonl",
    ("source", "interface"): "call: employees.list",
    ("target", "rest"): "create: users",
    ("target", "sql"): "table: users",
    ("target", "files"): "path: users.jsonl",
    ("target", "interface"): "model: users",
}


def kind_problems(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield each side of a job that is written for another kind of system than its connection is."""
    connections = tree.get("connections")
    types = {
        name: connection.get("type", "rest")
        for name, connection in (connections.items() if isinstance(connections, dict) else ())
        if isinstance(connection, dict)
    }
    jobs = tree.get("jobs")
    for name, job in jobs.items() if isinstance(jobs, dict) else ():
        sides: list[tuple[_Path, str, Mapping[str, str]]] = [(("source",), "source", _SOURCES)]
        sides += [(("target",), "target", _TARGETS), *((path, "source", _SOURCES) for path, _ in blocks(job))]
        for path, side, keys in sides:
            block = _at(job, path)
            if not isinstance(block, dict) or not isinstance(block.get("connection"), str):
                continue
            said = next((kind for key, kind in keys.items() if key in block), "rest")
            meant = types.get(block["connection"])
            if meant is not None and meant != said and (side, meant) in _INSTEAD:
                message = f"connection {block['connection']} is of type {meant}, and this {side} is for {said}"
                yield ("jobs", name, *path, "connection"), message, f"write `{_INSTEAD[side, meant]}`"


def _at(value: Any, path: _Path) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
