"""A service goes on while its key is changed: added, everything re-sealed, the old one retired."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.app import App, open_app
from daemon.sealing import add_key, check_key, retire_key, rotate_key, secret_desk
from daemon.settings import Settings
from daemon.sync.outcome import Ending
from daemon.values import Secret
from daemon.vault.key_file import read_key_file, write_key
from tests.fakes.misbehaving import MisbehavingServer

CONFIG = """\
version: 1
connections:
  early: &connection
    host: "{url}"
    retry: {{attempts: 1}}
    auth: {{type: oauth2, url: "{url}/oauth/token", client_id: me, client_secret: {{vault: client-secret}}}}
  late: *connection
jobs:
  before: &job
    mode: create_only
    source: &source {{connection: early, read: hr, records: hr}}
    key: record.id
    map: {{name: record.name}}
    target: {{connection: early, create: desk}}
  after:
    <<: *job
    source: {{<<: *source, connection: late}}
    target: {{connection: late, create: desk}}
"""


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with MisbehavingServer(seed=1) as server:
        server.oauth_client("me", "canary-secret")
        server.collection("hr", paging="none").put({"id": f"p{number}", "name": "x"} for number in range(3))
        server.collection("desk", paging="none")
        yield server


@pytest.fixture
def settings(server: MisbehavingServer, tmp_path: Path) -> Settings:
    (tmp_path / "crudsd.yaml").write_text(CONFIG.format(url=server.url))
    write_key(tmp_path / "crudsd.key")
    settings = Settings(config=tmp_path / "crudsd.yaml", environment={})
    with secret_desk(settings) as desk:
        desk.set("client-secret", Secret("canary-secret"))
    return settings


def change_the_key(settings: Settings) -> str:
    """Do what the how-to says, and return the name of the new key."""
    (old,) = read_key_file(settings.key_file).names
    _, new = add_key(lambda: settings, None)
    done = rotate_key(settings, drop_unreadable=False)
    assert (done.key, done.left) == (new, ())
    retire_key(settings, old, None)
    return new


def run(app: App, job: str) -> Ending:
    return app.run(job, observe=lambda _: None).result.ending


def test_secrets_and_tokens_are_had_with_a_key_that_came_later(settings: Settings, server: MisbehavingServer) -> None:
    with open_app(settings, stop=threading.Event()) as app:
        assert run(app, "before") is Ending.DONE
        server.expire_token()

        new = change_the_key(settings)

        assert [run(app, job) for job in ("before", "after")] == [Ending.DONE, Ending.DONE]

    assert len(server.token_requests()) == 3
    found = check_key(settings)
    assert found.faults == ()
    assert [(one.id, one.records) for one in found.keys] == [(new, 4)]  # two tokens, the secret and the canary
