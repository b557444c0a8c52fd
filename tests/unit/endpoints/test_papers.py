"""Certificates and keys that cannot be used are told before anything is sent."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from cruds.oauth2.store import MemoryTokenStore
from daemon.endpoints.blot import Blotter
from daemon.endpoints.credentials import oauth2_of
from daemon.endpoints.papers import paper_problems
from daemon.endpoints.rotation import Papers as WatchedPapers
from daemon.endpoints.surroundings import Surroundings
from daemon.errors import ConfigError
from daemon.spec import RestConnection, SecretRef
from daemon.values import Secret
from tests.servers.oidc import pem, private_jwk
from tests.unit.cruds_lib.test_mutual_tls import Papers

OAUTH = {"type": "oauth2", "url": "https://a/t", "client_id": "a", "private_key": {"env": "KEY"}}


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


def told(folder: Path, key: str | None = None, **connection: Any) -> dict[str, str]:
    def reveal(ref: SecretRef) -> str | None:
        return key

    declared = RestConnection.model_validate({"host": "https://a", **connection})
    return {".".join(path): f"{message}; {cure}" for path, message, cure in paper_problems(declared, reveal, folder)}


def test_good_ones_are_no_problem(tmp_path: Path, papers: Papers) -> None:
    two = {"ca_file": papers.authority, "cert_file": papers.certificate, "key_file": papers.key}

    assert told(tmp_path, tls=two) == told(tmp_path, tls={"cert_file": papers.client}) == {}
    assert (
        told(tmp_path, pem("ES256"), auth=OAUTH) == told(tmp_path, json.dumps(private_jwk("ES256")), auth=OAUTH) == {}
    )
    assert told(tmp_path, None, auth=OAUTH) == {}, "what cannot be had is told elsewhere"


@pytest.mark.parametrize("name", ["ca_file", "cert_file", "key_file"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, papers: Papers, name: str) -> None:
    tls = {"cert_file": papers.certificate, "key_file": papers.key} | {name: "absent.pem"}

    found = told(tmp_path, tls=tls)

    assert list(found) == [f"tls.{name}"]
    assert str(tmp_path / "absent.pem") in found[f"tls.{name}"]


def test_a_certificate_needs_its_own_key_in_the_clear(tmp_path: Path, papers: Papers) -> None:
    alone = told(tmp_path, tls={"cert_file": papers.certificate})
    foreign = told(tmp_path, tls={"cert_file": papers.certificate, "key_file": papers.stranger})
    sealed = told(tmp_path, tls={"cert_file": papers.certificate, "key_file": papers.sealed_key})

    assert set(alone) == set(foreign) == set(sealed) == {"tls.cert_file"}
    assert "key values mismatch" in foreign["tls.cert_file"].lower().replace("_", " ")
    assert "encrypted" in sealed["tls.cert_file"]


def test_authorities_must_be_certificates(tmp_path: Path, papers: Papers) -> None:
    assert list(told(tmp_path, tls={"ca_file": papers.key})) == ["tls.ca_file"]


def test_a_private_key_must_be_one(tmp_path: Path) -> None:
    found = told(tmp_path, "s3cret but no key", auth=OAUTH)

    assert list(found) == ["auth.private_key"]
    assert "PEM" in found["auth.private_key"]
    assert "s3cret" not in found["auth.private_key"]


def test_papers_that_are_replaced_are_loaded_once_and_torn_ones_are_told_once(tmp_path: Path) -> None:
    told: list[str] = []
    loads: list[str] = []
    ours = tmp_path / "client.pem"

    def put(text: str, at_ns: int) -> None:
        ours.write_text(text)
        os.utime(ours, ns=(at_ns, at_ns))

    def load() -> None:
        text = ours.read_text()
        if text == "torn":
            raise ValueError("no certificate")
        loads.append(text)

    put("first", 1)
    watched = WatchedPapers(str(ours), lambda event, message: told.append(event))
    watched.renew(load)
    for text, at_ns in (("torn", 2), ("second", 3)):
        put(text, at_ns)
        for _ in range(3):
            watched.renew(load)

    assert loads == ["second"]
    assert told == ["secret.stale", "secret.reread"]


def test_a_session_can_be_had_by_itself_and_asks_nobody(tmp_path: Path) -> None:
    """For whoever lets a person log in."""
    around = Surroundings(
        resolve=lambda ref: Secret("s3cret-of-the-client"),
        token_store=lambda name, auth, client_id: MemoryTokenStore(),
        folder=tmp_path,
        stop=threading.Event(),
        on_event=lambda name, event: None,
    )
    blot = Blotter()
    personal = {
        "type": "oauth2",
        "grant": "authorization_code",
        "url": "https://login.example.com/token",
        "authorization_url": "https://login.example.com/authorize",
        "redirect_uri": "http://127.0.0.1:8765/callback",
        "client_id": "me",
        "client_secret": {"env": "A"},
    }

    session = oauth2_of("hr", RestConnection.model_validate({"host": "a", "auth": personal}), around, blot)

    assert session.get_authorization_url().startswith("https://login.example.com/authorize?")
    assert "s3cret" not in blot("it said s3cret-of-the-client")
    bearer = {"type": "bearer", "token": {"env": "A"}}
    with pytest.raises(ConfigError, match=r"connection hr has no OAuth 2\.0 session; its auth is of type bearer"):
        oauth2_of("hr", RestConnection.model_validate({"host": "a", "auth": bearer}), around, blot)
