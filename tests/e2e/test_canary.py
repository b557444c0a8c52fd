"""No secret is ever seen: every kind of credentials, every way in which a system goes wrong, at the debug level."""

import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import text

from daemon.cli import VERBS
from daemon.spec import RestConnection
from daemon.store.database import open_database
from tests.canaries import shown
from tests.e2e.canary import (
    AUTHS,
    BEARER,
    CLIENT,
    IN_QUERY,
    ISSUED,
    OWNER,
    PASSWORD,
    QUERY,
    RECORD,
    REFRESH,
    SEALED,
    Desk,
    Hostile,
    desk,
    echo,
    empty_state,
    server,
)
from tests.fakes.scripted import Reply, Seen, json_reply, serving

__all__ = ["desk", "empty_state", "server"]

pytestmark = pytest.mark.filterwarnings("ignore:the password grant:DeprecationWarning")

Throw = Callable[[Seen], Reply]
HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}
OAUTH = [name for name in AUTHS if name.startswith("oauth2")]


def as_json(status: int, **headers: str) -> Throw:
    return lambda seen: json_reply({"error": "invalid_request", "error_description": echo(seen)}, status, headers)


def as_html(status: int) -> Throw:
    return lambda seen: Reply(status, HTML, f"<html><body><pre>{echo(seen)}</pre></body></html>".encode())


def elsewhere(seen: Seen) -> Reply:
    return Reply(
        302, {"Location": f"http://127.0.0.2:9/login?next={seen.target}&auth={seen.headers.get('authorization')}"}
    )


WRONG: Mapping[str, Throw] = {
    "401": as_json(401, **{"WWW-Authenticate": 'Bearer error="invalid_token"'}),
    "403": as_html(403),
    "500": as_json(500),
    "502 with HTML": as_html(502),
    "HTML": as_html(200),
    "a redirect to another host": elsewhere,
    "broken JSON": lambda seen: Reply(200, JSON, f'{{"people": [{{"no": "{echo(seen)}'.encode()),
    "another shape": lambda seen: json_reply({"sent": echo(seen)}),
    "a wait of hours": as_json(429, **{"Retry-After": "36000"}),
    "a cut answer": lambda seen: Reply(200, JSON, json.dumps({"people": echo(seen)}).encode(), cut=60),
    "a reset": lambda seen: Reply(reset=True),
    "echo in the headers": lambda seen: Reply(400, {"X-Sent": seen.headers.get("authorization", "-")}, b"no"),
}
EVERY = [*itertools.product(AUTHS, ["401", "500"]), *itertools.product(["basic", "oauth2"], WRONG)]


def skip_what_is_not_there(auth: str) -> None:
    if auth == "vault" and "secret" not in VERBS:
        pytest.skip("there is no `crudsd secret` yet")
    try:
        RestConnection.model_validate({"host": "http://127.0.0.1", "auth": AUTHS[auth]})
    except ValueError as error:
        if "does not match any of the expected tags" not in str(error):
            raise
        pytest.skip(f"there is no auth of type {AUTHS[auth]['type']} yet")


def begin(desk: Desk, server: Hostile, auth: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the job; put the secret of the vault into it, where it lies there."""
    skip_what_is_not_there(auth)
    desk.write(server.url, auth)
    if auth == "vault":
        read = SealedInput(SEALED)
        monkeypatch.setattr("sys.stdin", read)
        assert desk.crudsd("secret", "set", "api-token").code == 0


class SealedInput:
    """A pipe with a secret in it, as `crudsd secret set` reads it."""

    def __init__(self, text: str) -> None:
        self.buffer = self
        self._text = text

    def isatty(self) -> bool:
        return False

    def read(self, size: int = -1) -> Any:
        return self._text.encode()


# ---- what goes well, and what goes wrong ----


@pytest.mark.parametrize("auth", AUTHS)
def test_when_all_goes_well(desk: Desk, server: Hostile, auth: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(desk, server, auth, monkeypatch)

    assert "people" in desk.crudsd("plan", "people").out
    run = desk.crudsd("run", "people")
    desk.crudsd("explain", "people", "E1", "--json")

    assert "2 created" in run.out
    assert any(dict(seen.query).get("q") == QUERY for seen in server.journal)
    assert "request.attempted" in run.err
    assert "q=\\u2026" in run.err
    assert desk.shows(*server.signed()) == []


@pytest.mark.parametrize(("auth", "wrong"), EVERY)
def test_when_the_source_throws_back_what_it_was_sent(
    desk: Desk, server: Hostile, auth: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(desk, server, auth, monkeypatch)
    server.throws["/people"] = WRONG[wrong]

    plan = desk.crudsd("plan", "people", "--json")
    run = desk.crudsd("run", "people")
    desk.crudsd("runs")

    assert plan.code or run.code
    assert "/people" in {seen.path for seen in server.journal}
    assert desk.shows(*server.signed()) == []


@pytest.mark.parametrize("auth", AUTHS)
def test_when_the_target_throws_it_into_a_reject(
    desk: Desk, server: Hostile, auth: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(desk, server, auth, monkeypatch)
    server.throws["POST /users"] = as_json(422)

    run = desk.crudsd("run", "people", "--json")
    desk.crudsd("rejects", "show", "people", "E1")
    desk.crudsd("explain", "people", "E1")

    assert json.loads(run.out)["counts"]["rejected"] == 2
    assert desk.shows(*server.signed()) == []


@pytest.mark.parametrize(
    "wrong", ["401", "500", "502 with HTML", "HTML", "broken JSON", "another shape", "a cut answer"]
)
@pytest.mark.parametrize("auth", ["oauth2", "oauth2 signed, PEM", "oauth2 by password"])
def test_when_the_token_endpoint_throws_it_back(
    desk: Desk, server: Hostile, auth: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(desk, server, auth, monkeypatch)
    server.throws["/oauth/token"] = WRONG[wrong]

    run = desk.crudsd("run", "people")

    assert run.code
    assert desk.shows(*server.signed()) == []


def test_when_a_renewal_is_refused_with_the_tokens_in_the_answer(desk: Desk, server: Hostile) -> None:
    login = {
        "grant": "authorization_code",
        "authorization_url": f"{server.url}/login",
        "redirect_uri": f"{server.url}/",
    }
    desk.write(server.url, "oauth2")
    config = json.loads((desk.folder / "crudsd.yaml").read_text(encoding="utf-8"))
    config["connections"]["api"]["auth"] |= login
    desk.text(json.dumps(config))
    desk.log_in(f"{server.url}/oauth/token")
    said = f"{REFRESH} is no good, and {ISSUED} not either"
    server.throws["/oauth/token"] = lambda seen: json_reply({"error": "invalid_grant", "error_description": said}, 400)

    run = desk.crudsd("run", "people")

    assert run.code
    assert [seen.path for seen in server.journal] == ["/oauth/token"]
    assert desk.shows() == []


# ---- nobody there, or somebody else ----


@pytest.mark.parametrize("auth", ["basic", "oauth2"])
def test_when_nobody_answers(desk: Desk, server: Hostile, auth: str) -> None:
    desk.write(server.url, auth)
    server.close()

    run = desk.crudsd("run", "people")

    assert "127.0.0.1" in run.err + run.out
    assert desk.shows() == []


@pytest.mark.parametrize("auth", ["basic", "oauth2"])
def test_when_the_name_is_not_known(desk: Desk, server: Hostile, auth: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise OSError(-2, "Name or service not known")

    desk.write(server.url, auth)
    monkeypatch.setattr("socket.getaddrinfo", unknown)

    assert desk.crudsd("run", "people").code
    assert desk.shows() == []


@pytest.mark.parametrize("auth", ["basic", "oauth2"])
def test_when_it_speaks_no_tls(desk: Desk, server: Hostile, auth: str) -> None:
    # It waits for the end of a line, which what TLS begins with may lack.
    desk.write(server.url.replace("http:", "https:"), auth, timeout={"connect": "1s", "read": "1s", "total": "1s"})

    assert desk.crudsd("run", "people").code
    assert desk.shows() == []


def test_when_a_proxy_with_a_password_refuses(desk: Desk, server: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write("http://api.example.test", "basic", allow_insecure=True)
    with serving() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("://", "://me:canary-proxy-password@"))
        proxy.script(*[Reply(407, HTML, b"who are you, me:canary-proxy-password?") for _ in range(9)])
        assert desk.crudsd("run", "people").code
        asked = len(proxy.journal)
    desk.crudsd("run", "people")  # nobody there any more

    assert asked
    assert desk.shows() == []


# ---- mistakes of the operator's ----


@pytest.mark.parametrize(
    "written",
    [
        "connections: {{api: {{host: 'http://h', auth: {{type: bearer, token: {0}}}}}}}",
        "connections: {{api: {{host: 'http://h', auth: {{type: basic, username: me, password: {0}}}}}}}",
        "connections: {{api: {{host: 'http://h', auth: {{type: header, name: X, value: {0}}}}}}}",
        "connections: {{api: {{host: 'http://h', auth: {{type: oauth2, client_id: me, client_secret: {0}}}}}}}",
        "connections: {{api: {{host: 'http://h', auth: {{type: bearer, tokem: {0}}}}}}}",
        "connections: {{api: {{host: 'http://h', auth: {{type: bearer, token: {{env: A, value: {0}}}}}}}}}",
        "connections: {{api: {{host: 'http://h', auth: {0}}}}}",
        "connections: {{api: {{host: 'http://h', auth: [{0}]}}}}",
        "connections: {{api: {{host: 'http://h', password: {0}}}}}",
        "connections:\n  api:\n    host: 'http://h'\n    auth:\n      token: {0}\n     type: bearer",
        "connections: {{api: {{host: 'http://me:{0}@h', auth: {{type: bearer, token: {{env: CANARY_HEADER}}}}}}}}",
        "connections: {{api: {{host: 'http://h\t:{0}@h'}}}}",
    ],
)
def test_when_a_secret_is_written_into_the_job_file(desk: Desk, written: str) -> None:
    desk.text("version: 1\n" + written.format("canary-in-the-job-file-1") + "\njobs: {}\n")

    told = [desk.crudsd("validate"), desk.crudsd("validate", "--json"), desk.crudsd("run", "people")]

    assert all(one.code for one in told)
    assert desk.shows() == []


def test_when_a_secret_can_be_no_header(desk: Desk, server: Hostile) -> None:
    desk.write(server.url, "bearer")
    (desk.folder / "token.txt").write_text(f"{BEARER}\nand {BEARER}\n", encoding="utf-8")

    run = desk.crudsd("run", "people")

    assert "connections.api" in run.err + run.out
    assert desk.shows() == []


def test_when_a_key_file_is_no_key(desk: Desk, server: Hostile) -> None:
    desk.write(server.url, "oauth2 signed, PEM")
    broken = (desk.folder / "key.pem").read_text(encoding="utf-8").replace("A", "?", 3)
    (desk.folder / "key.pem").write_text(broken, encoding="utf-8")

    assert desk.crudsd("run", "people").code
    assert desk.shows(*(line for line in broken.splitlines() if len(line) > 40)) == []


def test_when_the_key_is_another_one(desk: Desk, server: Hostile) -> None:
    desk.write(server.url, "oauth2")
    desk.crudsd("plan", "people")
    other = "kother:" + "Q2FuYXJ5" * 5 + "Q2F="
    (desk.folder / "crudsd.key").write_text(other + "\n", encoding="utf-8")

    run = desk.crudsd("run", "people")

    assert run.code == 78
    assert desk.shows(other.partition(":")[2]) == []


def test_when_a_sealed_row_was_tampered_with(desk: Desk, server: Hostile) -> None:
    desk.write(server.url, "oauth2")
    desk.crudsd("plan", "people")
    with open_database(str(desk.folder / "crudsd.db")) as database, database.write() as connection:
        changed = connection.execute(text("UPDATE tokens SET sealed = CAST(sealed || x'00' AS BLOB)"))
    assert changed.rowcount == 1

    run = desk.crudsd("run", "people")

    assert (run.code, "was dropped" in run.err) == (0, True), "the client may simply ask for another token"
    assert desk.shows() == []


def test_when_the_state_is_a_database_with_a_password(desk: Desk, server: Hostile) -> None:
    desk.write(server.url, "bearer")

    told = desk.crudsd("run", "people", "--state", "postgresql+psycopg://me:canary-of-the-state@127.0.0.1:9/x")

    assert told.code
    assert desk.shows() == []


def test_when_it_is_a_defect_of_ours(desk: Desk, server: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError(f"{BEARER} {PASSWORD}, https://me:{PASSWORD}@h/?q={QUERY}")

    desk.write(server.url, "basic")
    monkeypatch.setattr("daemon.endpoints.rest_read.RestSource.__init__", broken)
    with pytest.raises(AssertionError, match="this is a defect"):
        desk.crudsd("run", "people")

    (report,) = desk.folder.glob("crudsd-error-*.txt")
    assert "KeyError" in report.read_text(encoding="utf-8")
    assert PASSWORD not in report.read_text(encoding="utf-8")
    assert QUERY not in report.read_text(encoding="utf-8")


# ---- data, and the search itself ----


def test_what_a_record_calls_a_secret_is_in_no_log(desk: Desk, server: Hostile) -> None:
    desk.write(server.url, "bearer")

    plan = desk.crudsd("plan", "people")
    run = desk.crudsd("run", "people")

    assert RECORD in plan.out, "a plan shows the records' data, since it was asked for it"
    assert RECORD not in plan.err + run.out + run.err


@pytest.mark.parametrize(("auth", "own"), [("bearer", BEARER), ("basic", PASSWORD), ("oauth2", ISSUED)])
def test_an_explanation_shows_no_secret_of_its_connection_that_a_record_quotes(
    desk: Desk, server: Hostile, auth: str, own: str
) -> None:
    desk.write(server.url, auth)
    server.route("/people", json_reply({"people": [{"no": "E1", "note": f"sent with {own}"}]}))
    server.route("/users", json_reply({"users": [{"id": "u1", "no": "E1", "note": own}]}))

    told = [desk.crudsd("explain", "people", "E1"), desk.crudsd("explain", "people", "E1", "--json")]

    assert "sent with …" in told[0].out
    assert desk.shows() == []


@pytest.mark.parametrize("secret", [BEARER, PASSWORD, CLIENT, OWNER, IN_QUERY, ISSUED, REFRESH, SEALED])
def test_a_canary_would_be_found(desk: Desk, secret: str) -> None:
    for where in ("said", "file"):
        for shape in sorted({*shown([secret], secret.encode()), secret}):
            desk.said, file = "", desk.folder / "left-behind"
            file.write_text(shape if where == "file" else "", encoding="utf-8")
            desk.said = shape if where == "said" else ""
            assert desk.shows()
