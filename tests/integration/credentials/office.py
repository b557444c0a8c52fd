"""What these tests stand in: a folder with a job file, an API behind credentials, and a target that takes what it gets.

job ──▶ gate (lets living tokens pass) ──▶ API          RewritingProxy ──▶ oidc-provider
   └──▶ target
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from daemon.runtime.worker import Finished
from daemon.sync.outcome import Ending
from tests.fakes.scripted import Reply, ScriptedServer, json_reply, serving
from tests.integration.harness import Desk
from tests.servers.counting_proxy import Admitted, CountingProxy, Refused
from tests.servers.oidc import Oidc
from tests.servers.rewriting_proxy import Asked, RewritingProxy

PEOPLE = json_reply({"people": [{"id": "1", "name": "Ada"}]})


@dataclass
class Office:
    """One test's folder, API and target."""

    folder: Path
    api: ScriptedServer
    target: ScriptedServer
    presented: list[str] = field(default_factory=list)
    """The tokens that the gate was shown, in order."""
    secrets: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.api.route("/people", PEOPLE)
        self.target.route("/users", json_reply({"id": "u1"}, 201))

    def write(self, name: str, secret: str) -> None:
        """Put a secret into a file of the folder, as a platform does: whole, in one step."""
        aside = self.folder / f".{name}.new"
        aside.write_text(f"{secret}\n")
        aside.replace(self.folder / name)

    def spec(self, connection: Mapping[str, Any] | str, **source: Any) -> dict[str, Any]:
        """The configuration with this connection, which may be YAML as an operator writes it."""
        declared = yaml.safe_load(connection) if isinstance(connection, str) else dict(connection)
        job = {
            "mode": "append",
            "source": {"connection": "hr", "read": "people", "records": "people", **source},
            "key": "record.id",
            "target": {"connection": "desk", "create": "users"},
        }
        quick = {"retry": {"attempts": 2, "backoff": 0.01}}
        connections = {"hr": {**quick, **declared}, "desk": {"host": self.target.url}}
        return {"connections": connections, "jobs": {"people": job}}

    def desk(self, connection: Mapping[str, Any] | str, **source: Any) -> Desk:
        """The folder with this configuration."""
        return Desk(self.folder, self.spec(connection, **source), secrets=self.secrets)

    def run(self, connection: Mapping[str, Any] | str, **source: Any) -> Finished:
        """One run of the job."""
        return self.desk(connection, **source).run()

    def written(self) -> list[str]:
        """The ids of the people that the target was given."""
        return [json.loads(seen.body)["id"] for seen in self.target.journal if seen.method == "POST"]


def went_well(finished: Finished) -> bool:
    """Whether a run did all of its work."""
    assert finished.result.ending is Ending.DONE, finished.result
    return True


@dataclass
class OidcOffice(Office):
    """The same before the certified server."""

    oidc: Oidc | None = None
    proxy: RewritingProxy | None = None
    gate: CountingProxy | None = None

    def connection(self, client_id: str, auth: str = "") -> dict[str, Any]:
        """A connection to the API behind the gate; `auth` is YAML that wins over what is usual."""
        assert self.oidc is not None
        assert self.proxy is not None
        assert self.gate is not None
        usual: dict[str, Any] = {
            "type": "oauth2",
            "url": f"{self.proxy.url}/token",
            "client_id": client_id,
            "scope": "people.read",
        }
        secret = self.oidc.clients[client_id].secret
        if secret:
            self.write("client-secret", secret)
            usual["client_secret"] = {"file": "client-secret"}
        told = yaml.safe_load(auth) or {}
        both = {key: value for key, value in (usual | told).items() if value is not None}
        return {"host": self.gate.url, "auth": both}

    def asked(self) -> list[Asked]:
        """What went to the token endpoint."""
        assert self.proxy is not None
        return self.proxy.asked("/token")

    def told(self) -> dict[str, Any]:
        """What the server knows of the token that was shown last."""
        assert self.oidc is not None
        return self.oidc.introspect(self.presented[-1])


@contextmanager
def oidc_office(oidc: Oidc, folder: Path) -> Iterator[OidcOffice]:
    """Open one for a test."""
    with serving() as api, serving() as target, RewritingProxy(oidc.port) as proxy:
        office = OidcOffice(folder, api, target, oidc=oidc, proxy=proxy)

        def decide(presented: str | None) -> Admitted | Refused:
            office.presented.append((presented or "").removeprefix("Bearer "))
            if oidc.is_active(office.presented[-1]):
                return Admitted(None)
            return Refused(401, {"WWW-Authenticate": 'Bearer error="invalid_token"'})

        with CountingProxy(api.port, gatekeeper=decide) as gate:
            office.gate = gate
            yield office


def token(value: str = "t0ken-of-a-test", lives_s: int = 3600, **more: Any) -> Reply:
    """An answer of a token endpoint."""
    return json_reply({"access_token": value, "token_type": "Bearer", "expires_in": lives_s, **more})
