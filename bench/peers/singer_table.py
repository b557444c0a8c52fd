"""Singer, the target: `singer_table.py --config FILE`, the SDK's own SQL target on SQLite.

The SDK leaves the upsert to the target's maker; SQLite's own statement for it is the cheapest.
"""

from __future__ import annotations

import decimal
import json
from collections.abc import Iterable, Mapping
from typing import Any

from singer_sdk import SQLTarget
from singer_sdk import typing as th
from singer_sdk.sql import SQLConnector, SQLSink

WRITTEN: list[int] = []


class Connector(SQLConnector):
    """SQLite in the working folder."""

    allow_temp_tables = False
    allow_column_alter = False
    allow_merge_upsert = True

    def get_sqlalchemy_url(self, config: Mapping[str, Any]) -> str:
        """Return the address of the database."""
        del config
        return "sqlite:///target.db"


class Sink(SQLSink[Connector]):
    """Rows of one stream, ten thousand at a time, which is the SDK's default."""

    connector_class = Connector

    def generate_insert_statement(self, full_table_name: str, schema: dict[str, Any]) -> Any:
        """Let a row take the place of the one with its key."""
        return super().generate_insert_statement(full_table_name, schema).prefix_with("OR REPLACE")

    def preprocess_record(self, record: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
        """Turn decimals, which SQLite does not take, into floats."""
        del context
        return {name: float(one) if isinstance(one, decimal.Decimal) else one for name, one in record.items()}

    def bulk_insert_records(self, full_table_name: str, schema: dict[str, Any], records: Iterable[Any]) -> int | None:
        """Write and count."""
        rows = list(records)
        WRITTEN.append(len(rows))
        inserted: int | None = super().bulk_insert_records(full_table_name, schema, rows)
        return inserted


class Table(SQLTarget):
    """The target."""

    name = "target-table"
    config_jsonschema = th.PropertiesList().to_dict()
    default_sink_class = Sink


if __name__ == "__main__":
    Table.cli(standalone_mode=False)
    print(json.dumps({"rows": sum(WRITTEN)}))
