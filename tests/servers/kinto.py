"""Kinto on loopback: the teacher of correct sync, with strong ETags, tombstones and an opaque Next-Page."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

from tests.servers.counting_proxy import CountingProxy, Journal
from tests.servers.exchange import Answer, ask, basic
from tests.servers.install import VENV
from tests.servers.process import free_port, require, running

USER = "alice"
PASSWORD = "canary-s3cret"  # the server dies with the test run
BUCKET = "crm"
PAGE = 250
BATCH = 100
NEXT_PAGE = "Next-Page"

CONFIG = f"""
[app:main]
use = egg:kinto
kinto.project_name = crudsd
kinto.userid_hmac_secret = of-a-test
kinto.storage_backend = kinto.core.storage.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.includes = kinto.plugins.accounts
kinto.account_create_principals = system.Everyone
kinto.bucket_create_principals = system.Authenticated
multiauth.policies = account
multiauth.policy.account.use = kinto.plugins.accounts.authentication.AccountsAuthenticationPolicy
kinto.paginate_by = {PAGE}
kinto.batch_max_requests = {BATCH}

[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = %(http_port)s
threads = 8
"""


class Kinto:
    """A running Kinto; `url` leads through the counting proxy, the helpers go straight to the server.

    Seeding costs the server more the more records a collection has: keep to 2,000.
    """

    user = USER
    password = PASSWORD
    page = PAGE

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        port = free_port()
        config = self._folder / "kinto.ini"
        config.write_text(CONFIG, encoding="utf-8")
        self._direct = f"http://127.0.0.1:{port}/v1"
        program = require(VENV / "bin" / "kinto")
        with contextlib.ExitStack() as stack:
            stack.enter_context(
                running(
                    [program, "start", "--ini", config, "--port", str(port)],
                    folder=self._folder,
                    ready_url=f"{self._direct}/",
                )
            )
            self.proxy = stack.enter_context(CountingProxy(port))
            ask("PUT", f"{self._direct}/accounts/{USER}", json_body={"data": {"password": PASSWORD}}).expect(201)
            self._ask("PUT", f"/buckets/{BUCKET}").expect(201)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The API's root, through the counting proxy."""
        return f"{self.proxy.url}/v1"

    @property
    def port(self) -> int:
        """The server's own port: an upstream for another proxy, such as a gate."""
        port = urlsplit(self._direct).port
        assert port is not None
        return port

    @property
    def authorization(self) -> str:
        """The value of the Authorization header."""
        return basic(USER, PASSWORD)

    @property
    def journal(self) -> Journal:
        """What passed through the proxy; the helpers below are not in it."""
        return self.proxy.journal

    def collection(self, name: str) -> str:
        """Make an empty collection, whether or not there was one; the path of its records below `url`."""
        path = f"/buckets/{BUCKET}/collections/{name}"
        self._ask("DELETE", path).expect(200, 403, 404)
        self._ask("PUT", path).expect(201)
        return f"{path}/records"

    def put_many(self, collection: str, records: Iterable[Mapping[str, Any]]) -> None:
        """Create or replace records, each under its own `id`; the server makes one where it is missing."""
        writes = [_write(collection, record) for record in records]
        for start in range(0, len(writes), BATCH):
            batch = self._ask("POST", "/batch", {"requests": writes[start : start + BATCH]}).expect(200).json()
            refused = [item for item in batch["responses"] if item["status"] not in {200, 201}]
            assert not refused, refused[0]

    def delete(self, collection: str, record_id: str) -> None:
        """Delete a record; it leaves a tombstone."""
        self._ask("DELETE", f"{_path(collection)}/{quote(record_id, safe='')}").expect(200)

    def all(self, collection: str) -> list[dict[str, Any]]:
        """Every record that lives, in no order to rely on."""
        return self._pages(_path(collection))

    def tombstones(self, collection: str) -> list[dict[str, Any]]:
        """What was deleted: `id`, `last_modified`, `deleted: true`."""
        return [item for item in self._pages(f"{_path(collection)}?_since=0") if item.get("deleted")]

    def _pages(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        next_page: str | None = f"{self._direct}{path}"
        while next_page:
            answer = ask("GET", next_page, headers={"Authorization": self.authorization}).expect(200)
            found += answer.json()["data"]
            next_page = answer.headers[NEXT_PAGE]
        return found

    def _ask(self, method: str, path: str, json_body: object = None) -> Answer:
        headers = {"Authorization": self.authorization}
        return ask(method, f"{self._direct}{path}", json_body=json_body, headers=headers)


def _path(collection: str) -> str:
    return f"/buckets/{BUCKET}/collections/{collection}/records"


def _write(collection: str, record: Mapping[str, Any]) -> dict[str, Any]:
    path = f"/v1{_path(collection)}"
    if "id" not in record:
        return {"method": "POST", "path": path, "body": {"data": dict(record)}}
    return {
        "method": "PUT",
        "path": f"{path}/{quote(str(record['id']), safe='')}",
        "body": {"data": dict(record)},
    }
