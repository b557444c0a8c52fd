"""Singer, the tap: `singer_tap.py --config FILE`, a REST stream of the Singer SDK with the ten fields of a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.streams import RESTStream

from bench.records import COLUMNS, row_of

TYPES = {"id": th.IntegerType, "active": th.BooleanType, "balance": th.NumberType}
HOST = th.PropertiesList(th.Property("host", th.StringType, required=True)).to_dict()


class Items(RESTStream[str]):
    """The people, as rows."""

    name = "items"
    path = "/people"
    primary_keys = ("id",)
    records_jsonpath = "$.data[*]"
    next_page_token_jsonpath = "$.next"
    schema = th.PropertiesList(*(th.Property(name, TYPES.get(name, th.StringType)) for name in COLUMNS)).to_dict()

    @property
    def url_base(self) -> str:
        """Return the address of the API."""
        return str(self.config["host"])

    def get_url_params(self, context: Any, next_page_token: str | None) -> dict[str, Any]:
        """Return the parameters that ask for a page."""
        del context
        return {"page": next_page_token} if next_page_token else {}

    def post_process(self, row: Mapping[str, Any], context: Any = None) -> dict[str, Any]:
        """Map a record."""
        del context
        return dict(zip(COLUMNS, row_of(row), strict=True))


class People(Tap):
    """The tap."""

    name = "tap-people"
    config_jsonschema = HOST

    def discover_streams(self) -> list[Items]:
        """Return its one stream."""
        return [Items(self)]


if __name__ == "__main__":
    People.cli()
