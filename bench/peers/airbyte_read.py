"""Airbyte: `airbyte_read.py HOST`, a declarative source of the CDK; its messages go to the file `messages`.

Its destinations are containers and do not take part: this is the source's half of the work.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

MANIFEST = Path(__file__).with_name("airbyte.yaml")
CATALOG = {
    "streams": [
        {
            "stream": {"name": "items", "json_schema": {"type": "object"}, "supported_sync_modes": ["full_refresh"]},
            "sync_mode": "full_refresh",
            "destination_sync_mode": "overwrite",
        }
    ]
}


def main(host: str) -> None:
    """Read once."""
    Path("config.json").write_text(json.dumps({"host": host}), encoding="utf-8")
    Path("catalog.json").write_text(json.dumps(CATALOG), encoding="utf-8")
    with Path("messages").open("wb") as file:
        os.dup2(file.fileno(), 1)
    from airbyte_cdk.cli.source_declarative_manifest import run  # noqa: PLC0415 - it keeps what file 1 is then

    files = ["--config", "config.json", "--catalog", "catalog.json", "--manifest-path", str(MANIFEST)]
    sys.argv[1:] = ["read", *files]
    run()


if __name__ == "__main__":
    main(sys.argv[1])
