"""A running service picks up what the platform replaces: no restart, and no request with half a secret."""

import json
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.sync.outcome import Ending
from tests.e2e.harness import Folder, caught
from tests.fakes.scripted import Reply, ScriptedServer, json_reply, serving
from tests.integration.credentials.office import PEOPLE, Office, token, went_well
from tests.unit.cruds_lib.test_mutual_tls import Papers

FIRST, SECOND = "c4nary-of-monday", "c4nary-of-tuesday"


def served(office: Office, connection: dict[str, Any]) -> Folder:
    spec = office.spec(connection)
    spec["jobs"]["people"]["schedule"] = {"every": "1s"}
    return Folder(office.folder, spec)


def test_a_running_service_asks_with_the_client_secret_that_was_rotated(office: Office) -> None:
    """Tokens of two seconds, so that each run or so needs another."""
    office.api.route("/token", token(lives_s=2))
    office.write("secret", FIRST)
    auth = {"type": "oauth2", "url": f"{office.api.url}/token", "client_id": "me", "client_auth": "post"}
    folder = served(office, {"host": office.api.url, "auth": auth | {"client_secret": {"file": "secret"}}})

    def asked() -> list[str]:
        return [seen.form["client_secret"] for seen in office.api.journal if seen.path == "/token"]

    with folder.started("serve", "--log-level", "debug") as process:
        caught(process, lambda: FIRST in asked(), what="the first token")
        office.write("secret", SECOND)
        caught(process, lambda: SECOND in asked(), what="a token with the new secret")
        process.terminate()
        said = "".join(process.communicate(timeout=60))

    secrets = asked()
    assert secrets == sorted(secrets), "once rotated, the old one is not sent any more"
    assert "secret.reread" in said
    assert "c4nary" not in said


def test_a_running_service_goes_on_when_a_token_file_is_away_for_a_moment(office: Office) -> None:
    office.write("token", FIRST)
    folder = served(office, {"host": office.api.url, "auth": {"type": "bearer", "token": {"file": "token"}}})

    def used() -> list[str]:
        return [seen.headers["authorization"].removeprefix("Bearer ") for seen in office.api.journal]

    with folder.started("serve") as process:
        caught(process, lambda: len(used()) >= 1, what="a read")
        (office.folder / "token").unlink()
        before = len(used())
        caught(process, lambda: len(used()) > before + 1, what="two reads without a file")
        office.write("token", SECOND)
        caught(process, lambda: SECOND in used(), what="a read with the new token")
        process.terminate()
        said = "".join(process.communicate(timeout=60))

    assert used() == sorted(used())
    assert said.count("secret.stale") == 1
    assert "c4nary" not in said


# ---- certificates ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture
def demanding(papers: Papers) -> Iterator[ScriptedServer]:
    """A token endpoint and an API that both ask for a certificate of ours."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers.server)
    context.load_verify_locations(papers.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    with serving(context) as server:
        server.route("/token", token())
        server.route("/people", PEOPLE)
        yield server


def with_certificate(server: ScriptedServer, papers: Papers, tls: dict[str, Any], **auth: Any) -> dict[str, Any]:
    oauth = {"type": "oauth2", "url": f"{server.url}/token", "client_id": "me", "client_auth": "tls_client_auth"}
    return {"host": server.url, "auth": oauth | auth, "tls": {"ca_file": str(papers.authority), **tls}}


@pytest.mark.parametrize("files", ["one", "two"])
def test_a_certificate_proves_the_client_at_the_token_endpoint_and_at_the_api(
    office: Office, demanding: ScriptedServer, papers: Papers, files: str
) -> None:
    one = {"cert_file": str(papers.client)}
    two = {"cert_file": str(papers.certificate), "key_file": str(papers.key)}

    assert went_well(office.run(with_certificate(demanding, papers, one if files == "one" else two)))

    assert demanding.journal[0].form == {"grant_type": "client_credentials", "client_id": "me"}
    assert demanding.journal[1].headers["authorization"] == "Bearer t0ken-of-a-test"


def test_a_certificate_that_was_replaced_is_used_by_the_connection_that_is_there(
    office: Office, demanding: ScriptedServer, papers: Papers
) -> None:
    """The new one is of nobody whom the server knows: that it is shown is seen by the refusal."""
    from daemon.app import open_app
    from tests.integration.harness import ignore

    ours = office.folder / "client.pem"
    ours.write_bytes(papers.client.read_bytes())
    closing = {"Connection": "close"}
    demanding.route("/people", Reply(200, {**PEOPLE.headers, **closing}, PEOPLE.body))
    desk = office.desk(with_certificate(demanding, papers, {"cert_file": str(ours)}))

    with open_app(desk.settings) as app:
        assert went_well(app.run("people", observe=ignore))
        ours.write_bytes(papers.stranger.read_bytes())
        os.utime(ours, ns=(1, 1))
        refused = app.run("people", observe=ignore).result
        ours.write_bytes(papers.client.read_bytes())
        os.utime(ours, ns=(2, 2))
        assert went_well(app.run("people", observe=ignore))

    assert refused.ending in {Ending.FAILED, Ending.UNAVAILABLE}
    assert [seen.path for seen in demanding.journal].count("/token") == 1, "the token was good all the time"


def test_a_client_key_that_is_rotated_signs_from_the_next_token_on(office: Office) -> None:
    from daemon.app import open_app
    from tests.integration.harness import ignore
    from tests.servers.oidc import pem

    office.api.route("/token", token("t1"), token("t2"))
    office.api.route("/people", PEOPLE, Reply(401), PEOPLE)
    office.write("client.key", pem("ES256"))
    auth = {"type": "oauth2", "url": f"{office.api.url}/token", "client_id": "me"}
    key = {"private_key": {"file": "client.key"}, "client_auth": "private_key_jwt"}
    desk = office.desk({"host": office.api.url, "auth": auth | key})

    with open_app(desk.settings) as app:
        assert went_well(app.run("people", observe=ignore))
        office.write("client.key", pem("EdDSA"))
        os.utime(office.folder / "client.key", ns=(1, 1))
        assert went_well(app.run("people", observe=ignore))

    signed = [seen.form["client_assertion"] for seen in office.api.journal if seen.path == "/token"]
    assert [algorithm_of(one) for one in signed] == ["ES256", "EdDSA"]


def algorithm_of(assertion: str) -> str:
    from base64 import urlsafe_b64decode

    algorithm: str = json.loads(urlsafe_b64decode(assertion.partition(".")[0] + "=="))["alg"]
    return algorithm


def test_a_key_that_cannot_be_used_is_a_problem_of_the_configuration(office: Office, tmp_path: Path) -> None:
    from daemon.spec import SpecError
    from daemon.validation import validate

    (tmp_path / "client.key").write_text("no key at all")
    auth = {"type": "oauth2", "url": "https://login.example.com/t", "client_id": "me"}
    key = {"private_key": {"file": "client.key"}}
    desk = office.desk({"host": "https://a.example.com", "auth": auth | key, "tls": {"cert_file": "absent.pem"}})

    with pytest.raises(SpecError) as caught_:
        validate(desk.settings)

    assert [problem.path for problem in caught_.value.problems] == [
        "connections.hr.tls.cert_file",
        "connections.hr.auth.private_key",
    ]
    assert all(problem.line and problem.cure for problem in caught_.value.problems)


@pytest.mark.parametrize("kind", ["bearer", "client secret", "private key"])
def test_a_secret_of_the_vault_that_is_set_anew_is_used_by_the_service_that_runs(office: Office, kind: str) -> None:
    """The old one is refused, so nobody waits for the next look into the vault."""
    from daemon.app import open_app
    from daemon.sealing import secret_desk
    from daemon.values import Secret
    from tests.integration.harness import ignore
    from tests.servers.oidc import pem

    first, second = (pem("ES256"), pem("EdDSA")) if kind == "private key" else (FIRST, SECOND)
    oauth = {"type": "oauth2", "url": f"{office.api.url}/token", "client_id": "me"}
    vault = {"vault": "hr"}
    auths: dict[str, dict[str, Any]] = {
        "bearer": {"type": "bearer", "token": vault},
        "client secret": oauth | {"client_secret": vault, "client_auth": "post"},
        "private key": oauth | {"private_key": vault},
    }
    refused = json_reply({"error": "invalid_client"}, 401)
    office.api.route("/token", token("t1"), refused, token("t2"))
    office.api.route("/people", PEOPLE, Reply(401), PEOPLE)
    desk = office.desk({"host": office.api.url, "auth": auths[kind]})

    with secret_desk(desk.settings) as secrets:
        secrets.set("hr", Secret(first))
    with open_app(desk.settings) as app:
        assert went_well(app.run("people", observe=ignore))
        with secret_desk(desk.settings) as secrets:
            secrets.set("hr", Secret(second))
        assert went_well(app.run("people", observe=ignore))

    asked = [seen for seen in office.api.journal if seen.path == "/token"]
    if kind == "bearer":
        used = [seen.headers["authorization"] for seen in office.api.journal]
        assert used == [f"Bearer {FIRST}", f"Bearer {FIRST}", f"Bearer {SECOND}"]
    elif kind == "client secret":
        assert [seen.form["client_secret"] for seen in asked] == [FIRST, FIRST, SECOND]
    else:
        assert [algorithm_of(seen.form["client_assertion"]) for seen in asked] == ["ES256", "ES256", "EdDSA"]
