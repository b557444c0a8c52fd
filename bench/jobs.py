"""The job files of the benchmarks: people of an API into a table, or into another API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.records import COLUMNS

PAGES = {"records": "data", "paginate": {"type": "cursor", "param": "page", "next": "next", "total": "total"}}
TYPES = {"id": "integer", "active": "boolean", "balance": "float"}
"""Of the columns that are not text."""
TABLE = {
    "connection": "table",
    "table": "items",
    "match": "id",
    "create_table": True,
    "columns": {name: TYPES.get(name, "text") for name in COLUMNS},
}
API = {
    "connection": "target",
    "match": "id",
    "list": {"uri": "nobody", **PAGES},
    "create": {"uri": "people", "id": "id"},
    "update": {"uri": "people/{{ target.id }}", "body": "changed"},
    "delete": "people/{{ target.id }}",
}


def write(folder: Path, host: str, target: dict[str, Any], *, concurrency: int = 8) -> None:
    """Write the configuration whose job is called `people`."""
    job = {
        "mode": "mirror",
        "source": {"connection": "source", "read": "people", **PAGES},
        "key": "record.id",
        "map": {name: f"record.{path}" for name, path in COLUMNS.items()},
        "target": target,
    }
    connections = {
        "source": {"host": host},
        "target": {"host": host, "quota": {"concurrency": concurrency}},
        "table": {"type": "sql", "url": "sqlite:///target.db"},
    }
    text = json.dumps({"version": 1, "connections": connections, "jobs": {"people": job}})
    (folder / "crudsd.yaml").write_text(text, encoding="utf-8")
