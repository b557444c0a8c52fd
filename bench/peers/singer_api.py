"""Singer, the target: `singer_api.py --config FILE`, a record sink of the SDK that creates record after record."""

from __future__ import annotations

import json
from typing import Any

import requests
from singer_sdk import Target
from singer_sdk import typing as th
from singer_sdk.sinks import RecordSink

MADE: list[int] = []
SESSION = requests.Session()


class Sink(RecordSink):
    """Creates each record as it comes."""

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        """Create one, and read its new id."""
        del context
        body = {name: one for name, one in record.items() if not name.startswith("_")}
        answer = SESSION.post(
            f"{self.config['host']}/people", json={**body, "balance": float(body["balance"])}, timeout=60
        )
        answer.raise_for_status()
        MADE.append(answer.json()["id"])


class Api(Target):
    """The target."""

    name = "target-api"
    config_jsonschema = th.PropertiesList(th.Property("host", th.StringType, required=True)).to_dict()
    default_sink_class = Sink


if __name__ == "__main__":
    Api.cli(standalone_mode=False)
    print(json.dumps({"rows": len(MADE)}))
