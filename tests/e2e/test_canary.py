"""No secret is ever seen: processes of their own, at the debug level, in success and in failure."""

import base64
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from daemon.app import generate_key
from tests.fakes.scripted import Reply, ScriptedServer, json_reply, serving

BEARER = "canary-bearer-5f2e9c"
PASSWORD = "canary password/77+a"
HEADER = "canary-header-0a1b2c"
CLIENT = "canary&client=secret-3d"
ISSUED = "canary-issued-9988aa"
QUERY = "canary-query-424242"
ECHO = " ".join(f'{{"message": "not good: {one}", "n": 1}}' for one in (BEARER, PASSWORD, HEADER, CLIENT, ISSUED))

AUTHS: dict[str, Any] = {
    "bearer": {"type": "bearer", "token": {"file": "token.txt"}},
    "basic": {"type": "basic", "username": "me", "password": {"env": "CANARY_PASSWORD"}},
    "header": {"type": "header", "name": "X-Api-Key", "value": {"env": "CANARY_HEADER"}},
    "query": {"type": "query", "name": "api_key", "value": {"env": "CANARY_HEADER"}},
    "oauth2": {
        "type": "oauth2",
        "url": "{url}/oauth/token",
        "client_id": "me",
        "client_secret": {"env": "CANARY_CLIENT"},
    },
}


class Desk:
    """A folder as an operator has it, and everything that was said in it."""

    def __init__(self, folder: Path, url: str, auth: str) -> None:
        self.folder = folder
        self.said = b""
        told = json.loads(json.dumps(AUTHS[auth]).replace("{url}", url))
        connection = {"host": url, "auth": told, "retry": {"attempts": 1}, "timeout": {"total": "10s"}}
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
        spec = {"version": 1, "connections": {"api": connection}, "jobs": {"people": job}}
        (folder / "crudsd.yaml").write_text(json.dumps(spec), encoding="utf-8")
        (folder / "token.txt").write_text(BEARER + "\n", encoding="utf-8")
        generate_key(folder / "crudsd.key")

    def crudsd(self, *arguments: str) -> str:
        """Run a command and return what it said, whatever its exit code but that of a defect."""
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        secrets = {"CANARY_PASSWORD": PASSWORD, "CANARY_HEADER": HEADER, "CANARY_CLIENT": CLIENT}
        done = subprocess.run(
            [sys.executable, "-m", "daemon", *arguments, "--config", "crudsd.yaml", "--log-level", "debug"],
            check=False,
            capture_output=True,
            cwd=self.folder,
            env={**environment, **secrets, "PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(self.folder)},
            timeout=60,
        )
        self.said += done.stdout + done.stderr
        assert b"Traceback" not in done.stdout + done.stderr, done.stderr.decode()
        return (done.stdout + done.stderr).decode()

    def shows(self) -> list[str]:
        """Return the canaries that can be seen in what was said, in the state, or in any file that was left."""
        own = {"crudsd.yaml", "token.txt", "crudsd.key"}
        files = [file for file in self.folder.rglob("*") if file.is_file() and file.name not in own]
        assert any(file.name == "crudsd.db" for file in files)
        everything = self.said + b"".join(file.read_bytes() for file in files)
        forms = {*canaries(), (self.folder / "crudsd.key").read_text(encoding="utf-8").strip()}
        return sorted(form for form in forms if form.encode() in everything)


def canaries() -> Iterator[str]:
    for secret in (BEARER, PASSWORD, HEADER, CLIENT, ISSUED, QUERY, f"me:{PASSWORD}", f"me:{quote_plus(CLIENT)}"):
        yield secret
        yield quote(secret, safe="")
        yield quote_plus(secret)
        yield base64.b64encode(secret.encode()).decode().rstrip("=")


def well(server: ScriptedServer) -> None:
    server.route("/people", json_reply({"people": [{"no": "E1"}, {"no": "E2"}]}))
    server.route("/users", json_reply({"users": [], "id": "u1"}))


def echoing(status: int) -> Reply:
    return Reply(status, {"Content-Type": "application/json"}, ECHO.encode())


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with serving() as one:
        token = {"access_token": ISSUED, "token_type": "Bearer", "expires_in": 3600}
        one.route("/oauth/token", json_reply(token))
        yield one


def everything(desk: Desk) -> None:
    assert "people" in desk.crudsd("plan", "people")
    assert "E1" in desk.crudsd("explain", "people", "E1")
    desk.crudsd("run", "people")
    desk.crudsd("explain", "people", "E1", "--json")
    desk.crudsd("runs")


@pytest.mark.parametrize("auth", AUTHS)
def test_when_all_goes_well(tmp_path: Path, server: ScriptedServer, auth: str) -> None:
    well(server)
    desk = Desk(tmp_path, server.url, auth)

    desk.crudsd("validate")
    everything(desk)

    sent = [name for seen in server.journal for name in seen.headers]
    sent += [name for seen in server.journal for name, _ in seen.query]
    assert {"authorization", "x-api-key", "api_key"} & set(sent)
    assert any(dict(seen.query).get("q") == QUERY for seen in server.journal)
    assert b"request.attempted" in desk.said
    assert "users?q=…".encode() in desk.said
    assert desk.shows() == []


@pytest.mark.parametrize(("auth", "status"), [("bearer", 401), ("basic", 500), ("header", 500), ("oauth2", 401)])
def test_when_the_source_echoes_what_it_was_sent(
    tmp_path: Path, server: ScriptedServer, auth: str, status: int
) -> None:
    server.route("/people", echoing(status))
    desk = Desk(tmp_path, server.url, auth)

    everything(desk)

    assert str(status).encode() in desk.said
    assert desk.shows() == []


@pytest.mark.parametrize("auth", AUTHS)
def test_when_the_target_echoes_it_into_a_reject(tmp_path: Path, server: ScriptedServer, auth: str) -> None:
    well(server)
    server.route("/users", json_reply({"users": []}), json_reply({"users": []}), echoing(422))
    desk = Desk(tmp_path, server.url, auth)

    desk.crudsd("run", "people")
    desk.crudsd("runs")

    assert own(auth) not in desk.shows()
    assert QUERY not in desk.shows()


@pytest.mark.parametrize("auth", AUTHS)
def test_when_a_record_echoes_what_was_sent_an_explanation_does_not(
    tmp_path: Path, server: ScriptedServer, auth: str
) -> None:
    server.route("/people", json_reply({"people": [{"no": "E1", "note": f"sent with {own(auth)}"}]}))
    server.route("/users", json_reply({"users": [{"id": "u1", "no": "E1", "note": own(auth)}]}))
    desk = Desk(tmp_path, server.url, auth)

    desk.crudsd("explain", "people", "E1")
    desk.crudsd("explain", "people", "E1", "--json")

    assert "sent with …".encode() in desk.said
    assert desk.shows() == []


def own(auth: str) -> str:
    """Return the secret that a connection with these credentials knows; another one's is anybody's text to it."""
    return {"bearer": BEARER, "basic": PASSWORD, "header": HEADER, "query": HEADER, "oauth2": ISSUED}[auth]


def test_when_a_sign_in_page_comes_instead(tmp_path: Path, server: ScriptedServer) -> None:
    server.route("/people", Reply(200, {"Content-Type": "text/html"}, f"<html>{BEARER}</html>".encode()))
    desk = Desk(tmp_path, server.url, "bearer")

    everything(desk)

    assert b"HTML" in desk.said
    assert desk.shows() == []


def test_when_the_token_endpoint_echoes_the_client_secret(tmp_path: Path, server: ScriptedServer) -> None:
    said = {"error": "invalid_client", "error_description": f"{CLIENT} is not the secret of me"}
    server.route("/oauth/token", json_reply(said, 401))
    desk = Desk(tmp_path, server.url, "oauth2")

    everything(desk)

    assert b"invalid_client" in desk.said
    assert desk.shows() == []


@pytest.mark.parametrize("auth", ["header", "oauth2"])
def test_when_nobody_answers(tmp_path: Path, auth: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        desk = Desk(tmp_path, f"http://127.0.0.1:{free.getsockname()[1]}", auth)
        everything(desk)

    assert b"127.0.0.1" in desk.said
    assert desk.shows() == []


def test_when_a_secret_can_be_no_header(tmp_path: Path, server: ScriptedServer) -> None:
    desk = Desk(tmp_path, server.url, "bearer")
    (tmp_path / "token.txt").write_text(f"{BEARER}\nand {BEARER}\n", encoding="utf-8")

    desk.crudsd("plan", "people")
    desk.crudsd("run", "people")

    assert b"connections.api" in desk.said
    assert desk.shows() == []


def test_a_canary_would_be_found(tmp_path: Path, server: ScriptedServer) -> None:
    well(server)
    desk = Desk(tmp_path, server.url, "bearer")
    desk.crudsd("run", "people")

    desk.said += BEARER.encode()

    assert BEARER in desk.shows()
