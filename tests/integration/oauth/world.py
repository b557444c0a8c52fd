"""What these tests stand in: a certified server, a proxy that spoils its answers, and an API behind a gate.

OAuth2 ──▶ RewritingProxy ──▶ oidc-provider ◀── introspects ── gate ◀── Client
                                                                └──▶ API
"""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cruds import Client, OAuth2
from cruds.oauth2.discovery import MetadataCache
from cruds.oauth2.store import MemoryTokenStore, TokenState
from tests.fakes.scripted import ScriptedServer
from tests.integration.oauth.person import log_in
from tests.servers.counting_proxy import CountingProxy
from tests.servers.oidc import CALLBACK, JWT, POST, PUBLIC, OAuthClient, Oidc, pem
from tests.servers.process import until
from tests.servers.rewriting_proxy import Asked, RewritingProxy

THREADS = 16
CROSSING_S = 5.6
"""Crosses the end of a token of five seconds once, and the renewal of its successor never: that is due at eight."""


class Hurried(threading.Event):
    """A stop event that writes down how long it was asked to wait, and comes back at once."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return self.is_set()


class LateClock:
    """The monotonic clock, set forward by hand: the client grows older than the server."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


@dataclass
class World:
    """One test's own proxy, API and gate before the shared server."""

    oidc: Oidc
    proxy: RewritingProxy
    api: ScriptedServer
    gate: CountingProxy
    hurried: Hurried = field(default_factory=Hurried)
    store: MemoryTokenStore = field(default_factory=MemoryTokenStore)
    """What the sessions of this test share, unless they are given another one."""
    metadata: MetadataCache = field(default_factory=MetadataCache)
    """The process has one of its own, and ports are used again."""

    def auth(self, client_id: str, /, **options: Any) -> OAuth2:
        """The library's side of a registered client. It reaches the server through the rewriting proxy."""
        registered = self.oidc.clients[client_id]
        given = {
            "url": f"{self.proxy.url}/token",
            "client_id": client_id,
            "client_secret": registered.secret,
            "scope": "people.read people.write",
            "store": self.store,
            **_proof(registered),
        }
        return OAuth2(**(given | options))

    def person(self, client_id: str = "person", **options: Any) -> OAuth2:
        """The same for a client whose sessions a person makes; nobody has logged in yet."""
        given = {"authorization_url": f"{self.proxy.url}/auth", "redirect_uri": CALLBACK}
        return self.auth(client_id, **(given | options))

    def logged_in(self, client_id: str = "person", **options: Any) -> OAuth2:
        """The same, and somebody has."""
        auth = self.person(client_id, **options)
        log_in_to(auth)
        return auth

    def device(self, client_id: str = "device", **options: Any) -> OAuth2:
        """The same for a client that shows a code to type elsewhere."""
        return self.auth(client_id, **({"device_authorization_url": f"{self.proxy.url}/device/auth"} | options))

    def discovered(self, client_id: str, *, issuer: str = "", **options: Any) -> OAuth2:
        """A client that knows an issuer, the server itself unless another is named, and finds out the rest."""
        registered = self.oidc.clients[client_id]
        known = {"store": self.store, "metadata_cache": self.metadata, **_proof(registered), "client_auth": None}
        given = {"client_secret": registered.secret or None, "scope": "people.read people.write"}
        return OAuth2.discover(issuer or self.oidc.issuer, client_id, **(given | known | options))

    def client(self, auth: OAuth2, **options: Any) -> Client:
        """A client of the API behind the gate."""
        return Client(self.gate.url, auth=auth, **options)

    def reads(self, auth: OAuth2) -> bool:
        """Whether the gate lets a read of ours through."""
        with self.client(auth) as client:
            return bool(client.read("people") == {"ok": True})

    def kept(self) -> TokenState:
        """The session in the store."""
        state = self.store.load("")
        assert state is not None
        return state

    def refresh_token(self) -> str:
        """Its refresh token."""
        token = self.kept().refresh_token
        assert token is not None
        return token

    def end_family(self, client_id: str = "person") -> None:
        """End a person's session at the server, with all its tokens."""
        self.oidc.revoke(self.refresh_token(), client_id)

    def token_requests(self, grant: str = "") -> list[Asked]:
        """What went to the token endpoint in this test, of one grant or of all."""
        return [asked for asked in self.proxy.asked("/token") if grant in {"", asked.form.get("grant_type")}]


def log_in_to(auth: OAuth2, **says: str) -> str:
    """Let a person log in, and hand the code to the library; the first access token."""
    back = log_in(auth.get_authorization_url(), **says)
    return auth.exchange_code_for_token(*auth.parse_authorization_response(back))


def wait_until_dead(oidc: Oidc, token: str) -> None:
    """Wait for the end of a token's life."""
    until(lambda: not oidc.is_active(token), what="the token's end", within_s=15)


def query(url: str) -> dict[str, str]:
    """The parameters of an address."""
    return dict(parse_qsl(urlsplit(url).query))


def together(work: Iterable[Callable[[], Any]]) -> list[Any]:
    """Do it all at the same moment, each on its own thread; the results, or the first error."""
    jobs = list(work)
    start = threading.Barrier(len(jobs))

    def one(job: Callable[[], Any]) -> Any:
        start.wait(timeout=30)
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(one, jobs))


def _proof(registered: OAuthClient) -> dict[str, Any]:
    if registered.method == JWT:
        key = {"private_key": pem(registered.alg), "private_key_id": f"key-{registered.alg}"}
        return {"client_secret": None, "client_auth": "private_key_jwt", **key}
    if registered.method == PUBLIC:
        return {"client_secret": "", "client_auth": "none"}
    return {"client_auth": "post"} if registered.method == POST else {}
