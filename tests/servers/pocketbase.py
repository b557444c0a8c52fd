"""PocketBase on loopback: drifting pages, expiring tokens, conflicts answered with 400, a real rate limit."""

import contextlib
import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

from tests.servers.counting_proxy import CountingProxy, Journal
from tests.servers.exchange import Answer, ask
from tests.servers.install import VENV
from tests.servers.process import free_port, require, running

ROOT_USER = "root@example.test"
SYNC_ROOT = "sync-root@example.test"
USER = "sync@example.test"
PASSWORD = "canary-s3cretpass1"  # the server dies with the test run
AUTH_COLLECTION = "users"
SHORTEST_TOKEN_S = 10
"""PocketBase takes no less for `authToken.duration`."""
BATCH = 1000
PAGE = 1000
CREATE_S = 60

ANY_USER = '@request.auth.id != ""'
ANY_USER_OR_401 = '@request.auth.id != "" && @request.auth.collectionName = "users"'
"""Means the same to PocketBase; the hook below knows it by its spelling."""
HOOK = """
// PocketBase answers a stranger's list with 200 and no items. Collections with the marked rule refuse.
routerUse((e) => {
  const found = e.request.url.path.match(/^\\/api\\/collections\\/([^/]+)\\/records/);
  if (found && !e.auth) {
    let rule = "";
    try { rule = `${e.app.findCachedCollectionByNameOrId(found[1]).listRule}`; } catch { /* none such */ }
    if (rule === '%s') throw new UnauthorizedError("The request requires a valid token.");
  }
  return e.next();
});
"""


class PocketBase:
    """A running PocketBase; `url` leads through the counting proxy, the helpers go straight to the server."""

    user = USER
    password = PASSWORD
    page = PAGE

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        port = free_port()
        program = require(VENV / "bin" / "pocketbase")
        hooks = self._folder / "hooks"
        hooks.mkdir()
        (hooks / "strangers.pb.js").write_text(HOOK % ANY_USER_OR_401, encoding="utf-8")
        data = ["--dir", str(self._folder / "data")]
        subprocess.run(
            [program, "superuser", "upsert", ROOT_USER, PASSWORD, *data],
            check=True,
            timeout=CREATE_S,
            capture_output=True,
        )
        self.port = port
        """The server's own port: an upstream for another proxy, such as a gate."""
        self._direct = f"http://127.0.0.1:{port}/api"
        with contextlib.ExitStack() as stack:
            stack.enter_context(
                running(
                    [
                        program,
                        "serve",
                        f"--http=127.0.0.1:{port}",
                        *data,
                        "--hooksDir",
                        hooks,
                        "--hooksWatch=false",
                    ],
                    folder=self._folder,
                    ready_url=f"{self._direct}/health",
                )
            )
            self.proxy = stack.enter_context(CountingProxy(port))
            self._root_token = self._log_in("_superusers", ROOT_USER)
            batch = {"enabled": True, "maxRequests": BATCH, "timeout": 60}
            self._ask("PATCH", "/settings", {"batch": batch}).expect(200)
            user = {"email": USER, "password": PASSWORD, "passwordConfirm": PASSWORD, "verified": True}
            self._ask("POST", f"/collections/{AUTH_COLLECTION}/records", user).expect(200)
            self._ask("PATCH", f"/collections/{AUTH_COLLECTION}", {"authAlert": {"enabled": False}}).expect(200)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The API's root, through the counting proxy."""
        return f"{self.proxy.url}/api"

    @property
    def journal(self) -> Journal:
        """What passed through the proxy; the helpers below are not in it."""
        return self.proxy.journal

    def create_collection(
        self,
        name: str,
        fields: Iterable[str | Mapping[str, Any]],
        *,
        unique: Iterable[str] = (),
        refuse_strangers: bool = False,
        superusers_only: bool = False,
    ) -> str:
        """Make an empty collection, whether or not there was one; the path of its records below `url`.

        A field that is only named is a text; `updated` (milliseconds, set by the server) is always there.
        Any user may do anything. Without a valid token, PocketBase itself shows an empty list with 200 and
        answers 400 to a create, 404 to the rest; `refuse_strangers` makes it 401 throughout, and `superusers_only`,
        which lets nobody but superusers in, 403.
        """
        rule = None if superusers_only else ANY_USER_OR_401 if refuse_strangers else ANY_USER
        spec = {
            "name": name,
            "type": "base",
            "fields": [
                *({"name": one, "type": "text"} if isinstance(one, str) else dict(one) for one in fields),
                {"name": "updated", "type": "autodate", "onCreate": True, "onUpdate": True},
            ],
            "indexes": [f"CREATE UNIQUE INDEX `{name}_{field}` ON `{name}` (`{field}`)" for field in unique],
            **dict.fromkeys(("listRule", "viewRule", "createRule", "updateRule", "deleteRule"), rule),
        }
        self._ask("DELETE", f"/collections/{name}").expect(204, 404)
        self._ask("POST", "/collections", spec).expect(200)
        return f"/collections/{name}/records"

    def login(self, *, lives_s: int = 600) -> str:
        """A token of the ordinary user that lives so long, at least 10 s; sent as `Bearer` or bare."""
        duration = {"authToken": {"duration": lives_s}}
        self._ask("PATCH", f"/collections/{AUTH_COLLECTION}", duration).expect(200)
        return self._log_in(AUTH_COLLECTION, USER)

    def superuser(self) -> str:
        """A token of a superuser who is there for the tests."""
        who = {"email": SYNC_ROOT, "password": PASSWORD, "passwordConfirm": PASSWORD}
        self._ask("POST", "/collections/_superusers/records", who).expect(200, 400)
        return self._log_in("_superusers", SYNC_ROOT)

    def revoke_superusers(self) -> None:
        """Make the tokens of `superuser()` worth as much as expired ones, at once."""
        query = urlencode({"filter": f"email = '{SYNC_ROOT}'"})
        for one in self._ask("GET", f"/collections/_superusers/records?{query}").expect(200).json()["items"]:
            self._ask("DELETE", f"/collections/_superusers/records/{one['id']}").expect(204)

    def seed(self, collection: str, records: Iterable[Mapping[str, Any]]) -> None:
        """Create records, a thousand in one transaction."""
        path = f"/api/collections/{collection}/records"
        creates = [{"method": "POST", "url": path, "body": dict(record)} for record in records]
        for start in range(0, len(creates), BATCH):
            self._ask("POST", "/batch", {"requests": creates[start : start + BATCH]}).expect(200)

    def change(self, collection: str, record_id: str, fields: Mapping[str, Any]) -> None:
        """Set some fields of one record, behind the back of whoever is syncing."""
        self._ask("PATCH", f"/collections/{collection}/records/{quote(record_id)}", dict(fields)).expect(200)

    def delete(self, collection: str, record_id: str) -> None:
        """Delete one record."""
        self._ask("DELETE", f"/collections/{collection}/records/{quote(record_id)}").expect(204)

    def all(self, collection: str) -> list[dict[str, Any]]:
        """Every record, by id, without the fields that PocketBase adds for itself."""
        found: list[dict[str, Any]] = []
        while True:
            query = urlencode({"page": len(found) // PAGE + 1, "perPage": PAGE, "sort": "id"})
            page = self._ask("GET", f"/collections/{collection}/records?{query}").expect(200).json()
            found += page["items"]
            if len(page["items"]) < PAGE:
                break
        return [{k: v for k, v in item.items() if not k.startswith("collection")} for item in found]

    @contextlib.contextmanager
    def limited(self, requests: int, *, per_s: int) -> Iterator[None]:
        """A real rate limit on the API, per address, while the block lasts: 429 without Retry-After."""
        rule = {"label": "/api/", "audience": "", "duration": per_s, "maxRequests": requests}
        self._ask("PATCH", "/settings", {"rateLimits": {"enabled": True, "rules": [rule]}}).expect(200)
        try:
            yield
        finally:
            self._ask("PATCH", "/settings", {"rateLimits": {"enabled": False}}).expect(200)

    def _log_in(self, collection: str, user: str) -> str:
        credentials = {"identity": user, "password": PASSWORD}
        answer = ask("POST", f"{self._direct}/collections/{collection}/auth-with-password", json_body=credentials)
        token: str = json.loads(answer.expect(200).body)["token"]
        return token

    def _ask(self, method: str, path: str, json_body: object = None) -> Answer:
        headers = {"Authorization": self._root_token}
        return ask(method, f"{self._direct}{path}", json_body=json_body, headers=headers)
