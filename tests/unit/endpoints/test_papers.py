"""Certificates and keys that cannot be used are told before anything is sent."""

import json
from pathlib import Path
from typing import Any

import pytest

from daemon.endpoints.papers import paper_problems
from daemon.spec import Connection, SecretRef
from tests.servers.oidc import pem, private_jwk
from tests.unit.cruds_lib.test_mutual_tls import Papers

OAUTH = {"type": "oauth2", "url": "https://a/t", "client_id": "a", "private_key": {"env": "KEY"}}


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


def told(folder: Path, key: str | None = None, **connection: Any) -> dict[str, str]:
    def reveal(ref: SecretRef) -> str | None:
        return key

    declared = Connection.model_validate({"host": "https://a", **connection})
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
