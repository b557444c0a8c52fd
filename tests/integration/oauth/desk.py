"""A job whose two systems stand behind a gate that only living tokens of the real server open."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from daemon.clock import utc_clock
from daemon.store.leases import Leases
from daemon.store.owner import Owner
from daemon.store.tokens import SqlTokenStore
from daemon.upkeep import generate_key
from daemon.vault.key_file import read_key_file
from daemon.vault.vault import Vault
from tests.e2e.harness import Folder
from tests.fakes.misbehaving import MisbehavingServer, Moment, Seen
from tests.integration.oauth.world import World
from tests.servers.oidc import CALLBACK, OAuthClient
from tests.unit.store.places import ready

PEOPLE = 12
PAGE = 4
JOB = "people"


class Desk:
    """A folder as an operator has it, and the systems of its job."""

    def __init__(self, world: World, server: MisbehavingServer, gate_url: str, path: Path, client: OAuthClient) -> None:
        self.world, self.server, self.client = world, server, client
        self.token_url = f"{world.proxy.url}/token"
        self.folder = Folder(path, CLIENT_SECRET=client.secret)
        self._gate_url = gate_url
        self.people = server.collection("people", paging="cursor", page_size=PAGE)
        self.users = server.collection("users", paging="page")
        self.people.put({"external_id": f"E{number}", "name": f"Name {number}"} for number in range(PEOPLE))
        self.write()
        generate_key(path / "crudsd.key")

    def write(self, *, total: str = "30s", schedule: str = "", token_url: str = "") -> None:
        """Write the job file."""
        auth: dict[str, Any] = {
            "type": "oauth2",
            "url": token_url or self.token_url,
            "client_id": self.client.id,
            "client_secret": {"env": "CLIENT_SECRET"},
            "scope": "people.read people.write",
        }
        if "refresh_token" in self.client.grants:
            login = {"authorization_url": f"{self.world.proxy.url}/auth", "redirect_uri": CALLBACK}
            auth |= {"grant": "authorization_code", **login}
        job: dict[str, Any] = {
            "source": {
                "connection": "api",
                "read": "people",
                "records": "data.items",
                "paginate": {"type": "cursor", "param": "cursor", "next": "data.next_cursor", "total": "data.total"},
            },
            "key": "record.external_id",
            "map": {"external_id": "record.external_id", "name": "record.name"},
            "target": {
                "connection": "api",
                "match": "external_id",
                "list": {"uri": "users", "records": "users", "paginate": {"type": "page", "param": "page"}},
                "create": {"uri": "users"},
                "update": {"uri": "users/{{ target.id }}", "body": "changed"},
            },
        }
        if schedule:
            job["schedule"] = {"every": schedule}
        api = {"host": self._gate_url, "auth": auth, "quota": {"concurrency": 2}, "timeout": {"total": total}}
        self.folder.write({"connections": {"api": api}, "jobs": {JOB: job}})

    @contextmanager
    def store(self) -> Iterator[SqlTokenStore]:
        """The token store of this folder, as the program opens it."""
        with ready(self.folder.state) as database:
            yield SqlTokenStore(
                database,
                Vault(read_key_file(self.folder.path / "crudsd.key")),
                Leases(database, utc_clock, Owner.here()),
                clock=utc_clock,
                issuer=self.token_url,
                client_id=self.client.id,
            )

    def log_in(self) -> None:
        """Let a person log in, in a browser."""
        with self.store() as store:
            self.world.logged_in(self.client.id, store=store, profile="api")

    def end_session(self) -> None:
        """Let the server end the person's session."""
        with self.store() as store:
            state = store.load("api")
        assert state is not None
        assert state.refresh_token is not None
        self.world.oidc.revoke(state.refresh_token, self.client.id)

    def lose_token(self) -> None:
        """Let the server forget the access token alone."""
        with self.store() as store:
            state = store.load("api")
        assert state is not None
        self.world.oidc.evict(state.access_token)

    def at_page(self, number: int, do: Callable[[], object]) -> None:
        """Do something while the source answers a page of its list, once."""
        pages: list[int] = []

        def note(moment: Moment, seen: Seen) -> None:
            if moment is Moment.APPLIED and seen.method == "GET" and seen.path.startswith("/people"):
                pages.append(1)
                if len(pages) == number:
                    do()

        self.server.watch(note)

    def is_in_step(self) -> bool:
        held = sorted((one["external_id"], one["name"]) for one in self.users.records())
        return held == sorted((one["external_id"], one["name"]) for one in self.people.records())

    def runs(self) -> Sequence[tuple[str, str, str]]:
        """How each run ended, and why, the oldest first."""
        with closing(sqlite3.connect(self.folder.state)) as connection:
            return connection.execute(
                "select ending, trigger, error from runs where ending <> '' order by id"
            ).fetchall()

    def requests(self) -> int:
        """Everything that the systems and the token endpoint were asked."""
        return len(self.server.requests) + len(self.world.token_requests())


def told(err: str) -> list[dict[str, Any]]:
    """The lines of a log in JSON."""
    return [json.loads(line) for line in err.splitlines() if line.startswith("{")]
