"""dlt: `dlt_api.py HOST`, its REST source into a custom destination that creates record after record.

dlt has no REST target of its own; a custom destination is what its pages show. Whether a record is there already is not
asked and not remembered.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import dlt
import requests
from dlt.sources.rest_api import rest_api_source

from bench.peers.people import TYPES, quiet_dlt, source
from bench.records import COLUMNS, row_of


def main(host: str) -> int:
    """Load once; return the records that were created."""
    session, made = requests.Session(), []

    @dlt.destination(batch_size=100, name="api", naming_convention="direct", max_table_nesting=0)
    def api(people: list[dict[str, Any]], table: dict[str, Any]) -> None:
        if table["name"] != "items":
            return
        for person in people:
            answer = session.post(f"{host}/people", json={name: person[name] for name in COLUMNS}, timeout=60)
            answer.raise_for_status()
            made.append(answer.json()["id"])

    people = rest_api_source(source(host))
    items = people.resources["items"]
    items.add_map(lambda person: dict(zip(COLUMNS, row_of(person), strict=True)))
    items.apply_hints(columns={name: {"data_type": TYPES.get(name, "text")} for name in COLUMNS})
    pipeline = dlt.pipeline("people", destination=api, dataset_name="main", pipelines_dir="pipelines")
    pipeline.run(people).raise_on_failed_jobs()
    return len(made)


if __name__ == "__main__":
    quiet_dlt()
    print(json.dumps({"rows": main(sys.argv[1])}))
