"""A folder as an operator has it, full of secrets; systems that throw back what they were sent; and what is left.

Every secret begins with the mark of tests/canaries.py, so that tests/watch.py sees it on stdout and stderr too. Those
that cannot (keys, and what is signed with them) are looked for by themselves.
"""

import base64
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cruds.oauth2.store import TokenState
from daemon import cli
from daemon.clock import utc_clock
from daemon.redaction import KNOWN
from daemon.store import schema
from daemon.store.database import open_database
from daemon.store.leases import Leases
from daemon.store.owner import Owner
from daemon.store.tokens import SqlTokenStore
from daemon.upkeep import generate_key
from daemon.vault.key_file import read_key_file
from daemon.vault.vault import Vault
from tests.canaries import seen_in, shown
from tests.fakes.scripted import Reply, ScriptedServer, Seen, json_reply

BEARER = "canary-bearer-5f2e9c"
PASSWORD = "canary-password/77+a b"
HEADER = "canary-header-0a1b2c"
CLIENT = 'canary-client&secret="3d"'
OWNER = "canary-owner-s-password-%41"
CREDENTIAL = "canary-credential-of-systemd"
SEALED = "canary-sealed-in-the-vault"
IN_QUERY = "canary-api-key-in-a-query"
QUERY = "canary-query-424242"
ISSUED = "canary-issued-9988aa"
REFRESH = "canary-refresh-7766bb"
RECORD = "a-record-s-own-password"
"""Data: seen in plans and documents, where people look for it, and in no log."""

_KEY = ec.generate_private_key(ec.SECP256R1())
PEM = _KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
_NUMBERS = _KEY.private_numbers()


def _number(value: int) -> str:
    return base64.urlsafe_b64encode(value.to_bytes(32, "big")).decode().rstrip("=")


JWK = {
    "kty": "EC",
    "crv": "P-256",
    "x": _number(_NUMBERS.public_numbers.x),
    "y": _number(_NUMBERS.public_numbers.y),
    "d": _number(_NUMBERS.private_value),
}
ID_TOKEN = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (b'{"alg":"ES256"}', b'{"sub":"canary-id"}', b"sig")
)

_OAUTH = {"type": "oauth2", "url": "{url}/oauth/token", "client_id": "me"}
_SIGNED = {**_OAUTH, "client_auth": "private_key_jwt"}
AUTHS: Mapping[str, Mapping[str, Any]] = {
    "bearer": {"type": "bearer", "token": {"file": "token.txt"}},
    "basic": {"type": "basic", "username": "me", "password": {"env": "CANARY_PASSWORD"}},
    "header": {"type": "header", "name": "X-Api-Key", "value": {"env": "CANARY_HEADER"}},
    "query": {"type": "query", "name": "api_key", "value": {"env": "CANARY_IN_QUERY"}},
    "credential": {"type": "bearer", "token": {"credential": "api-token"}},
    "vault": {"type": "bearer", "token": {"vault": "api-token"}},
    "oauth2": {**_OAUTH, "client_secret": {"env": "CANARY_CLIENT"}},
    "oauth2 in the form": {**_OAUTH, "client_secret": {"env": "CANARY_CLIENT"}, "client_auth": "post"},
    "oauth2 signed, PEM": {**_SIGNED, "private_key": {"file": "key.pem"}},
    "oauth2 signed, JWK": {**_SIGNED, "private_key": {"file": "key.jwk"}},
    "oauth2 by password": {
        **_OAUTH,
        "grant": "password",
        "client_secret": {"env": "CANARY_CLIENT"},
        "username": "ada",
        "password": {"env": "CANARY_OWNER"},
    },
    "oauth2 jwt_bearer": {
        **_OAUTH,
        "grant": "jwt_bearer",
        "private_key": {"file": "key.pem"},
        "client_secret": {"env": "CANARY_CLIENT"},
        "subject": "ada",
    },
}
ENVIRONMENT = {
    "CANARY_PASSWORD": PASSWORD,
    "CANARY_HEADER": HEADER,
    "CANARY_CLIENT": CLIENT,
    "CANARY_OWNER": OWNER,
    "CANARY_IN_QUERY": IN_QUERY,
}
_OWN_FILES = {"crudsd.yaml", "token.txt", "key.pem", "key.jwk", "crudsd.key", "api-token", "hook.txt"}


class Hostile(ScriptedServer):
    """Does as it is asked, and where it is told to, answers with what it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.throws: dict[str, Callable[[Seen], Reply]] = {}

    def well(self) -> None:
        """Two people, a target that takes them, and a token for everybody."""
        token = {"access_token": ISSUED, "token_type": "Bearer", "expires_in": 3600, "id_token": ID_TOKEN}
        self.route("/oauth/token", json_reply({**token, "refresh_token": REFRESH}))
        people = [{"no": "E1", "password": RECORD}, {"no": "E2", "password": RECORD}]
        self.route("/people", json_reply({"people": people}))
        self.route("/users", json_reply({"users": [], "id": "u1"}))

    def _next(self, seen: Seen) -> Reply:
        throw = self.throws.get(f"{seen.method} {seen.path}") or self.throws.get(seen.path)
        if throw is None:
            return super()._next(seen)
        with self._lock:
            self.journal.append(seen)
        return throw(seen)

    def signed(self) -> Iterator[str]:
        """Give what was made of keys and sent here: assertions, and what a token stood for."""
        for seen in self.journal:
            body = seen.body.decode(errors="replace")
            if "form" in seen.headers.get("content-type", ""):
                for pair in body.split("&"):
                    name, _, value = pair.partition("=")
                    if name in {"client_assertion", "assertion"}:
                        yield unquote_plus(value)


def echo(seen: Seen) -> str:
    """Return a request as a careless system tells of it: first what was secret, without a name, then all of it."""
    sent = [value for name in ("authorization", "x-api-key") if (value := seen.headers.get(name))]
    sent += [value for name, value in seen.query if name == "api_key"]
    bare = " ".join(value.partition(" ")[2] or value for value in sent) + _opened(seen)
    headers = "\n".join(f"{name}: {value}" for name, value in seen.headers.items())
    body = seen.body.decode(errors="replace")
    plain = unquote_plus(f"{seen.target} {body}")
    return f"What is {bare}? {plain[-120:]}\nYou sent {seen.method} {seen.target}\n{headers}\n\n{body}\n{plain}"


def _opened(seen: Seen) -> str:
    scheme, _, value = seen.headers.get("authorization", "").partition(" ")
    if scheme != "Basic":
        return ""
    pair = base64.b64decode(value).decode()
    return f" or {pair.partition(':')[2]} or {unquote_plus(pair)}"


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


class Desk:
    """The folder, and commands in it. They run in this process, each as if it were the first."""

    def __init__(
        self, folder: Path, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str], template: Path
    ) -> None:
        self.folder, self._patch, self._capture = folder, patch, capture
        self.said = ""
        shutil.copy(template, folder / "crudsd.db")
        for name, text in {"token.txt": BEARER + "\n", "key.pem": PEM, "key.jwk": json.dumps(JWK)}.items():
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "credentials").mkdir()
        (folder / "credentials" / "api-token").write_text(CREDENTIAL, encoding="utf-8")
        generate_key(folder / "crudsd.key")
        for name, value in {**ENVIRONMENT, "CREDENTIALS_DIRECTORY": str(folder / "credentials")}.items():
            patch.setenv(name, value)
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            patch.delenv(name, raising=False)
        patch.setattr("tempfile.tempdir", str(folder))
        patch.setattr("cruds.retries._BACKOFF_LIMIT_S", 0.0)
        patch.chdir(folder)

    def write(self, url: str, auth: str, **connection: Any) -> None:
        """Write a job between two collections of one system, whose every request has a secret in its query too."""
        told = json.loads(json.dumps(AUTHS[auth]).replace("{url}", url))
        quick = {"retry": {"attempts": 1}, "timeout": {"total": "10s"}}
        target = {
            "connection": "api",
            "match": "no",
            "lookup": {"uri": "users", "params": {"no": "{{ key }}", "q": QUERY}, "records": "users"},
            "create": {"uri": "users", "params": {"q": QUERY}},
            "update": "users/{{ target.id }}",
        }
        job = {
            "source": {"connection": "api", "read": f"people?q={QUERY}", "records": "people"},
            "key": "record.no",
            "target": target,
        }
        api = {"host": url, "auth": told, **quick, **connection}
        self.text(json.dumps({"version": 1, "connections": {"api": api}, "jobs": {"people": job}}))

    def text(self, text: str) -> None:
        """Write a configuration as it stands."""
        (self.folder / "crudsd.yaml").write_text(text, encoding="utf-8")

    def log_in(self, token_url: str) -> None:
        """Keep a session that a person made, whose access token is over."""
        key = read_key_file(self.folder / "crudsd.key")
        long_ago = datetime(2026, 1, 1, tzinfo=UTC)
        state = TokenState(ISSUED, REFRESH, "Bearer", long_ago, long_ago, None, "authorization_code")
        with open_database(str(self.folder / "crudsd.db")) as database:
            leases = Leases(database, utc_clock, Owner.here())
            store = SqlTokenStore(database, Vault(key), leases, clock=utc_clock, issuer=token_url, client_id="me")
            assert store.save("api", state, expected_version=0)

    def crudsd(self, *arguments: str) -> Said:
        """Carry out a command at the debug level. It may fail, and may not be a defect."""
        KNOWN.forget()
        structlog.contextvars.clear_contextvars()
        code = cli.main([*arguments, "--log-level", "debug"])
        captured = self._capture.readouterr()
        self.said += captured.out + captured.err
        assert "Traceback" not in captured.out + captured.err, captured.err
        assert "this is a defect" not in captured.err, captured.err
        return Said(code, captured.out, captured.err)

    def shows(self, *more: str) -> list[str]:
        """Return what can be seen of secrets in what was said, in the state, and in every file that was left."""
        files = [file for file in self.folder.rglob("*") if file.is_file() and file.name not in _OWN_FILES]
        assert any(file.name == "crudsd.db" for file in files)
        everything = self.said.encode() + b"".join(file.read_bytes() for file in files)
        lines = [line for line in PEM.splitlines() if not line.startswith("-----")]
        key = (self.folder / "crudsd.key").read_text(encoding="utf-8").strip().partition(":")[2]
        return [*seen_in(everything), *shown([*lines, JWK["d"], key, *more], everything)]


@pytest.fixture(scope="session")
def empty_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state database with its tables."""
    path = tmp_path_factory.mktemp("state") / "crudsd.db"
    with open_database(str(path)) as database:
        schema.upgrade(database)
    return path


@pytest.fixture
def server() -> Iterator[Hostile]:
    """A system on which all goes well, until it is told otherwise."""
    one = Hostile()
    one.well()
    yield one
    one.close()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], empty_state: Path) -> Desk:
    """A folder full of secrets."""
    return Desk(tmp_path, monkeypatch, capfd, empty_state)
