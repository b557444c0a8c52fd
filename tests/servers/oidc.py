"""oidc-provider on loopback, a certified OAuth 2 server, and gates that only its living tokens open."""

import contextlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from tests.servers.counting_proxy import Admitted, CountingProxy, Gatekeeper, Journal, Refused
from tests.servers.exchange import Answer, ask, oauth_basic
from tests.servers.install import HERE, OIDC, find_node
from tests.servers.process import NotInstalledError, free_port, require, running

BASIC = "client_secret_basic"
POST = "client_secret_post"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """A client that the server knows, and how long the tokens live that it gets."""

    id: str
    secret: str
    method: str = BASIC
    lives_s: int = 600


CLIENTS = {
    client.id: client
    for client in (
        # No letter outside ASCII: RFC 6749 allows none in a secret, and this server refuses them.
        OAuthClient("cc-basic", "s:e%c+r t&=/~"),
        OAuthClient("cc-post", "plain-but-long-enough", POST),
        OAuthClient("cc-5s", "short-lived", lives_s=5),
        OAuthClient("cc-600s", "long-lived"),
        OAuthClient("gate", "introspects"),
    )
}


class Oidc:
    """A running oidc-provider; `issuer` leads through the counting proxy."""

    clients = CLIENTS

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        node = find_node()
        if node is None:
            raise NotInstalledError("there is no Node.js: run `make servers`")
        packages = require(OIDC / "installed-from").parent / "node_modules"
        # Modules are looked for beside the script, so both come into one folder.
        script = Path(shutil.copy(HERE / "oidc_provider" / "server.mjs", self._folder))
        (self._folder / "node_modules").symlink_to(packages)
        port, stats_port = free_port(), free_port()
        self._direct = f"http://127.0.0.1:{port}"
        self._stats_url = f"http://127.0.0.1:{stats_port}/"
        with contextlib.ExitStack() as stack:
            self.proxy = stack.enter_context(CountingProxy(port))
            env = {
                "PORT": str(port),
                "STATS_PORT": str(stats_port),
                "ISSUER": self.proxy.url,
                "CLIENTS": json.dumps([asdict(client) for client in CLIENTS.values()]),
            }
            stack.enter_context(
                running([node.program, script], folder=self._folder, ready_url=self._stats_url, env=env)
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def issuer(self) -> str:
        """The server's name and root, through the counting proxy."""
        return self.proxy.url

    @property
    def token_url(self) -> str:
        """The token endpoint."""
        return f"{self.issuer}/token"

    @property
    def journal(self) -> Journal:
        """What passed through the proxy; introspection by the gates and the helpers below are not in it."""
        return self.proxy.journal

    def stats(self) -> Counter[str]:
        """How many tokens each client got since the server started; refused requests under the empty name."""
        stats = ask("GET", self._stats_url).expect(200).json()
        return Counter({**stats["issued"], "": stats["refused"]})

    def token(self, client_id: str, scope: str = "people.read") -> str:
        """A fresh token for a client, got without the counting proxy."""
        answer = self._form("/token", CLIENTS[client_id], grant_type="client_credentials", scope=scope)
        token: str = answer.expect(200).json()["access_token"]
        return token

    def revoke(self, token: str, client_id: str) -> None:
        """End a token before its time."""
        self._form("/token/revocation", CLIENTS[client_id], token=token).expect(200)

    def is_active(self, token: str) -> bool:
        """What introspection says of a token."""
        answer: dict[str, Any] = self._form("/token/introspection", CLIENTS["gate"], token=token).expect(200).json()
        return answer["active"] is True

    @contextlib.contextmanager
    def gate(self, upstream_port: int, *, authorization: str | None = None) -> Iterator[CountingProxy]:
        """A proxy before `127.0.0.1:upstream_port` that asks for a living token of this server.

        The upstream is given `authorization` instead. `url` has no path; `journal` shows the 401s too.
        """
        with CountingProxy(upstream_port, gatekeeper=self._gatekeeper(authorization)) as gate:
            yield gate

    def _gatekeeper(self, authorization: str | None) -> Gatekeeper:
        def decide(presented: str | None) -> Admitted | Refused:
            scheme, _, token = (presented or "").partition(" ")
            if scheme.lower() != "bearer":
                return Refused(401, {"WWW-Authenticate": 'Bearer realm="gate"'})  # RFC 6750, 3.1: no error code
            if self.is_active(token):
                return Admitted(authorization)
            return Refused(401, {"WWW-Authenticate": 'Bearer realm="gate", error="invalid_token"'})

        return decide

    def _form(self, path: str, client: OAuthClient, **fields: str) -> Answer:
        headers = dict(FORM)
        if client.method == POST:
            fields |= {"client_id": client.id, "client_secret": client.secret}
        else:
            headers["Authorization"] = oauth_basic(client.id, client.secret)
        return ask("POST", f"{self._direct}{path}", body=urlencode(fields).encode(), headers=headers)
