"""What the peers that are configured in Python share: the columns' types and where the pages are."""

from __future__ import annotations

import os
from typing import Any

TYPES = {"id": "bigint", "active": "bool", "balance": "double"}
"""dlt's, of the columns that are not text."""


def source(host: str) -> dict[str, Any]:
    """Return the configuration of dlt's REST source."""
    pages = {"type": "cursor", "cursor_path": "next", "cursor_param": "page"}
    items = {
        "name": "items",
        "primary_key": "id",
        "max_table_nesting": 0,
        "endpoint": {"path": "people", "data_selector": "data", "paginator": pages},
    }
    return {"client": {"base_url": host}, "resources": [items]}


def quiet_dlt() -> None:
    """Keep dlt from reporting its use, from logging, and from files outside of this folder."""
    os.environ.update(
        RUNTIME__DLTHUB_TELEMETRY="false", RUNTIME__LOG_LEVEL="ERROR", DLT_DATA_DIR="dlt", DLT_PROJECT_DIR="."
    )
