"""PouchDB's server on loopback: a feed of changes with sequence numbers and tombstones, as CouchDB has it."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from tests.servers.exchange import Answer, ask, basic
from tests.servers.install import POUCHDB, find_node
from tests.servers.process import NotInstalledError, free_port, require, running
from tests.servers.rewriting_proxy import RewritingProxy

USER = "sync"
PASSWORD = "canary-passw0rd-of-couch"  # the server dies with the test run


class PouchDB:
    """A running server that keeps everything in memory; `url` leads through `proxy`, the helpers go straight to it.

    It knows one user, and whoever shows other credentials is refused.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        node = find_node()
        if node is None:
            raise NotInstalledError("there is no Node.js: run `make servers`")
        program = (
            require(POUCHDB / "installed-from").parent / "node_modules" / "pouchdb-server" / "bin" / "pouchdb-server"
        )
        port = free_port()
        self._direct = f"http://127.0.0.1:{port}"
        command: list[str | Path] = [node.program, program, "--in-memory", "--host", "127.0.0.1", "--port", str(port)]
        with contextlib.ExitStack() as stack:
            stack.enter_context(running(command, folder=self._folder, ready_url=f"{self._direct}/"))
            ask("PUT", f"{self._direct}/_config/admins/{USER}", json_body=PASSWORD).expect(200)
            self.proxy = stack.enter_context(RewritingProxy(port))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The server's root, through the proxy."""
        return self.proxy.url

    def database(self, name: str) -> None:
        """Make an empty database. Its feed is at `/name/_changes`."""
        self._ask("PUT", f"/{name}").expect(201)

    def write(self, database: str, *documents: Mapping[str, Any]) -> None:
        """Make or change documents, each under its `_id`; a change goes on from the revision that is there."""
        known = self.revisions(database)
        sent = [{**one, **({"_rev": known[one["_id"]]} if one["_id"] in known else {})} for one in documents]
        answer = self._ask("POST", f"/{database}/_bulk_docs", json_body={"docs": sent}).expect(201)
        # A 201 may hold failures of single documents.
        assert all(result.get("ok") for result in answer.json()), answer.body

    def delete(self, database: str, ids: Iterable[str]) -> None:
        """Delete documents; a tombstone of each stays in the feed."""
        self.write(database, *({"_id": one, "_deleted": True} for one in ids))

    def revisions(self, database: str) -> dict[str, str]:
        """The documents that there are, each with its revision."""
        rows = self._ask("GET", f"/{database}/_all_docs").expect(200).json()["rows"]
        return {row["id"]: row["value"]["rev"] for row in rows}

    def all(self, database: str) -> list[dict[str, Any]]:
        """Every document that there is, design documents apart."""
        rows = self._ask("GET", f"/{database}/_all_docs?include_docs=true").expect(200).json()["rows"]
        return [row["doc"] for row in rows if not row["id"].startswith("_design/")]

    def _ask(self, method: str, path: str, *, json_body: object = None) -> Answer:
        return ask(
            method, f"{self._direct}{path}", json_body=json_body, headers={"Authorization": basic(USER, PASSWORD)}
        )
