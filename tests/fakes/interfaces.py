"""An interface connection to a server of ours, over the functions of `people_sdk`."""

from pathlib import Path
from typing import Any

from daemon.endpoints.call_read import PAGE_RECORDS, CallSource
from daemon.endpoints.call_write import CallTarget
from daemon.endpoints.exchange import Exchange
from daemon.endpoints.models import Model, open_interface
from daemon.spec import CallSource as SourceBlock
from daemon.spec import CallTarget as TargetBlock
from daemon.spec import InterfaceConnection

FILE = """\
version: 1
api:
  - name: Directory
    package: tests.fakes.people_sdk
    default_model_methods: [get_list, each, get_page, find, get, create, update, delete, create_twice, broken, tell]
    models:
      - name: User
        uri: users
"""

TARGET: dict[str, Any] = {
    "connection": "api",
    "model": "user",
    "match": "external_id",
    "list": {"call": "get_list", "complete": True},
    "lookup": {"call": "find", "arguments": {"external_id": "{{ key }}"}},
    "get": {"call": "get", "arguments": {"identification": "{{ target.id }}"}},
    "create": {"call": "create", "arguments": {"data": "{{ document }}"}},
    "update": {"call": "update", "arguments": {"identification": "{{ target.id }}", "data": "{{ changed }}"}},
    "delete": {"call": "delete", "arguments": {"identification": "{{ target.id }}"}},
}


def model(api: Exchange, folder: Path, name: str = "user") -> Model:
    (folder / "directory.yaml").write_text(FILE)
    block = {"type": "interface", "host": api.client.host, "file": folder / "directory.yaml"}
    connection = InterfaceConnection.model_validate(block)
    return Model(api, open_interface("api", connection, api), name)


def call_source(api: Exchange, folder: Path, size: int = PAGE_RECORDS, /, **source: Any) -> CallSource:
    block = SourceBlock.model_validate({"connection": "api", "call": "user.get_list", **source})
    return CallSource(model(api, folder), block.listing, page_records=size)


def call_target(api: Exchange, folder: Path, **target: Any) -> CallTarget:
    return CallTarget(model(api, folder), TargetBlock.model_validate({**TARGET, **target}))
