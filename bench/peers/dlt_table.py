"""dlt: `dlt_table.py HOST`, its REST source into a table of SQLite, in the folder that gets `target.db`.

As its pages say for an API without a field to filter by: write disposition `replace`, which loads everything anew. Its
other way, `merge`, costs more: it loads everything and then compares two tables without an index.
"""

from __future__ import annotations

import json
import sys

import dlt
from dlt.sources.rest_api import rest_api_source

from bench.peers.people import TYPES, quiet_dlt, source
from bench.records import COLUMNS, row_of


def main(host: str) -> int:
    """Load once; return the rows that were written."""
    people = rest_api_source(source(host))
    items = people.resources["items"]
    items.add_map(lambda person: dict(zip(COLUMNS, row_of(person), strict=True)))
    items.apply_hints(columns={name: {"data_type": TYPES.get(name, "text")} for name in COLUMNS})
    target = dlt.destinations.sqlalchemy("sqlite:///target.db")
    pipeline = dlt.pipeline("people", destination=target, dataset_name="main", pipelines_dir="pipelines")
    pipeline.run(people, write_disposition="replace").raise_on_failed_jobs()
    return int(pipeline.last_trace.last_normalize_info.row_counts["items"])


if __name__ == "__main__":
    quiet_dlt()
    print(json.dumps({"rows": main(sys.argv[1])}))
