"""What each failure of a call is called in the core's words, and what its message says."""

import base64
import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from daemon.endpoints import throttle
from daemon.endpoints.call import Call
from daemon.endpoints.exchange import Exchange
from daemon.errors import (
    AuthError,
    ConfigError,
    ConflictError,
    CrudsdError,
    EndpointError,
    GoneError,
    RefusedError,
    StaleError,
    StoppedError,
    TrustError,
    UnavailableError,
    UnknownError,
)
from tests.fakes.misbehaving import Cut, Fault, MisbehavingServer
from tests.fakes.scripted import Reply, ScriptedServer, json_reply, serving
from tests.unit.endpoints.rig import SECRETS, exchange

READ = Call("GET", "people", {"secret-filter": "canary-in-the-query"})
CREATE = Call("POST", "people", data=b"{}", repeatable=False, writes=True, creates=True)
KEYED = Call("POST", "people", data=b"{}", repeatable=False, writes=True, creates=True, idempotency=("Key", "run1-1"))
PUT = Call("PUT", "people/E1", data=b"{}", writes=True, creates=True)
UPDATE = Call("PATCH", "people/E1", data=b"{}", writes=True)
DELETE = Call("DELETE", "people/E1", writes=True)
CALLS = {"read": READ, "create": CREATE, "keyed create": KEYED, "put": PUT, "update": UPDATE, "delete": DELETE}
A, C, G, R = AuthError, ConflictError, GoneError, RefusedError
S, U, X = StaleError, UnavailableError, UnknownError

TABLE: dict[int, tuple[type[EndpointError], ...]] = {
    # status: read, create, keyed create, put, update, delete
    400: (R, R, R, R, R, R),
    401: (A, A, A, A, A, A),
    403: (R, R, R, R, R, R),
    404: (R, R, R, R, G, G),
    405: (R, R, R, R, R, R),
    408: (U, X, X, U, U, U),
    409: (R, C, C, C, S, S),
    410: (R, R, R, R, G, G),
    412: (R, R, R, R, S, S),
    413: (R, R, R, R, R, R),
    422: (R, R, R, R, R, R),
    425: (U, U, U, U, U, U),
    428: (R, R, R, R, S, S),
    429: (U, U, U, U, U, U),
    500: (U, X, X, R, R, R),
    501: (U, X, X, R, R, R),
    502: (U, X, X, U, U, U),
    503: (U, U, U, U, U, U),
    504: (U, X, X, U, U, U),
}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an answer that says no wait the throttle pauses of itself: of that its own tests tell."""
    monkeypatch.setattr(throttle, "_FIRST_PAUSE_S", 0.01)


def caught(api: Exchange, call: Call) -> EndpointError:
    with pytest.raises(EndpointError) as info:
        api.send(call)
    return info.value


@pytest.mark.parametrize("status", TABLE)
def test_each_status_has_its_meaning_for_each_kind_of_call(server: MisbehavingServer, status: int) -> None:
    server.fault(Fault.answer(status, '{"title": "no"}'))
    api = exchange(server.url)

    found = {name: caught(api, call) for name, call in CALLS.items()}

    assert [type(error) for error in found.values()] == list(TABLE[status])
    for name, error in found.items():
        assert (error.status, error.excerpt) == (status, '{"title": "no"}')
        assert str(error).startswith(f"api: {CALLS[name].method} {server.url}/people")
        assert f"status code {status}" in str(error)
        assert "canary" not in str(error)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.close_after(),
        Fault.connection_reset(applied=True),
        Fault.answer(200, '{"a": 1234}') | Fault.cut_body(Cut.RIGHT_LENGTH),
        Fault.answer(200, '{"a": 1234}') | Fault.cut_body(Cut.CHUNKED),
    ],
)
def test_a_lost_answer_leaves_every_write_in_doubt_and_no_read(server: MisbehavingServer, fault: Fault) -> None:
    server.fault(fault)
    api = exchange(server.url)

    assert [type(caught(api, call)) for call in CALLS.values()] == [U, X, X, X, X, X]


def test_a_read_timeout_says_how_far_it_came(server: MisbehavingServer) -> None:
    server.fault(Fault.delay(30))
    api = exchange(server.url, timeout={"connect": "1s", "read": "100ms", "total": "5s"})

    assert type(caught(api, READ)) is UnavailableError
    assert type(caught(api, CREATE)) is UnknownError


def test_nobody_at_the_address_is_unavailable_for_every_kind_of_call() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        api = exchange(url)

        for call in CALLS.values():
            error = caught(api, call)
            assert type(error) is UnavailableError
            assert url in str(error)


def test_a_name_that_nobody_knows_is_unavailable_and_named() -> None:
    error = caught(exchange("https://nowhere.invalid", auth={"type": "none"}), READ)

    assert type(error) is UnavailableError
    assert "nowhere.invalid" in str(error)


@pytest.fixture
def untrusted(tmp_path: Path) -> Iterator[ScriptedServer]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "self-signed")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    certificate = (
        builder.serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "server.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with serving(context) as one:
        yield one


def test_a_certificate_that_nobody_vouches_for_stops_everything_and_names_the_cure(untrusted: ScriptedServer) -> None:
    api = exchange(untrusted.url, auth={"type": "bearer", "token": {"env": "TOKEN"}})

    for call in CALLS.values():
        error = caught(api, call)
        assert type(error) is TrustError
        assert "tls.ca_file" in str(error)

    assert untrusted.journal == []


def oauth2(server: Any, **more: Any) -> Exchange:
    auth = {"type": "oauth2", "url": f"{server.url}/oauth/token", "client_id": "me", "client_secret": {"env": "TOKEN"}}
    return exchange(server.url, auth=auth, **more)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (json_reply({"error": "invalid_client", "error_description": "who?"}, 401), AuthError),
        (json_reply({"error": "invalid_scope"}, 400), AuthError),
        (json_reply({"error": "temporarily_unavailable"}, 400), UnavailableError),
        (Reply(503, {"Retry-After": "7000"}), UnavailableError),
        (Reply(200, {"Content-Type": "text/html"}, b"<html>"), AuthError),
    ],
)
def test_a_token_that_cannot_be_had_is_a_persons_or_times_to_mend(reply: Reply, kind: type[EndpointError]) -> None:
    with serving() as server:
        server.route("/oauth/token", reply)
        api = oauth2(server)

        for call in (READ, CREATE, UPDATE):
            error = caught(api, call)
            assert type(error) is kind
            assert "the token endpoint" in str(error)

        assert {seen.path for seen in server.journal} == {"/oauth/token"}


def test_the_wait_that_a_system_asks_for_is_handed_on(server: MisbehavingServer) -> None:
    server.fault(Fault.too_many(7000))

    error = caught(exchange(server.url), READ)

    assert isinstance(error, UnavailableError)
    assert error.retry_after_s == 7000


def test_refused_credentials_name_the_connection(server: MisbehavingServer) -> None:
    server.token("another")

    error = caught(exchange(server.url, auth={"type": "bearer", "token": {"env": "TOKEN"}}), READ)

    assert "the credentials of connection api are refused" in str(error)


# ---- creates that carry a key ----


def test_a_create_with_a_key_is_repeated_and_one_without_is_not(server: MisbehavingServer) -> None:
    server.fault(Fault.answer(502), nth=1, times=2)
    api = exchange(server.url, retry={"attempts": 4, "backoff": 0.001, "max_wait": "1s"})
    server.collection("people")

    assert api.send(KEYED).status == 201
    assert len(server.requests) == 3

    server.behave()
    server.fault(Fault.answer(502), nth=1, times=2)
    assert type(caught(api, CREATE)) is UnknownError
    assert len(server.requests) == 4


@pytest.mark.parametrize("last", [429, 503, 401, 400, 403, 409, 422])
@pytest.mark.parametrize("first", [Fault.answer(502, applied=True), Fault.close_after()])
def test_a_refused_repetition_says_nothing_of_the_create_that_went_before(
    server: MisbehavingServer, first: Fault, last: int
) -> None:
    server.collection("people")
    server.fault(first, nth=1)
    server.fault(Fault.answer(last), nth=2, times=9)
    api = exchange(server.url, retry={"attempts": 3, "backoff": 0.001, "max_wait": "1s"})

    error = caught(api, KEYED)

    assert len(server.applied) == 1
    # What says that the system as a whole does no business ends the run, too.
    assert isinstance(error, UnknownError) or (isinstance(error, UnavailableError) and error.may_be_done)
    assert isinstance(error, UnavailableError) is (last in {429, 503})
    alone = {401: AuthError, 409: ConflictError, 429: UnavailableError, 503: UnavailableError}
    assert type(caught(api, KEYED)) is alone.get(last, RefusedError), "the next call starts anew"


@pytest.mark.parametrize(
    ("fault", "may_be_done"),
    [
        (Fault.answer(503), True),
        (Fault.answer(503, headers={"Retry-After": "7000"}), False),
        (Fault.answer(425), False),
        (Fault.answer(429), False),
    ],
    ids=["503", "503 with Retry-After", "425", "429"],
)
def test_only_what_says_so_surely_did_not_make_a_record(
    server: MisbehavingServer, fault: Fault, may_be_done: bool
) -> None:
    server.fault(fault)
    api = exchange(server.url)

    errors = {name: caught(api, call) for name, call in CALLS.items()}

    doubtful = {name for name, error in errors.items() if isinstance(error, UnavailableError) and error.may_be_done}
    assert doubtful == ({"create", "keyed create"} if may_be_done else set())


def test_a_conflict_after_a_503_may_be_with_what_the_first_attempt_made(server: MisbehavingServer) -> None:
    server.collection("people")
    server.fault(Fault.answer(503, applied=True), nth=1)
    server.fault(Fault.answer(409), nth=2, times=9)
    api = exchange(server.url, retry={"attempts": 3, "backoff": 0.001, "max_wait": "1s"})

    assert type(caught(api, KEYED)) is UnknownError


def test_a_create_that_was_only_ever_refused_surely_did_not_happen(server: MisbehavingServer) -> None:
    server.fault(Fault.too_many(0))
    api = exchange(server.url, retry={"attempts": 3, "backoff": 0.001, "max_wait": "1s"})

    assert type(caught(api, KEYED)) is UnavailableError
    assert len(server.requests) == 3


# ---- being asked to stop ----


def test_a_change_in_hand_is_finished_after_a_stop(server: MisbehavingServer) -> None:
    server.collection("people")
    stop = threading.Event()
    stop.set()

    assert exchange(server.url, stop=stop).send(CREATE).status == 201


def test_a_change_in_hand_gets_its_token_after_a_stop(server: MisbehavingServer) -> None:
    server.collection("people")
    server.oauth_client("me", SECRETS["TOKEN"])
    stop = threading.Event()
    stop.set()

    assert oauth2(server, stop=stop).send(CREATE).status == 201


def test_nothing_new_is_read_after_a_stop(server: MisbehavingServer) -> None:
    stop = threading.Event()
    stop.set()

    assert type(caught(exchange(server.url, stop=stop), READ)) is StoppedError
    assert server.requests == ()


@pytest.mark.parametrize(
    ("call", "fault", "kind"),
    [
        (CREATE, Fault.too_many(900), StoppedError),
        (UPDATE, Fault.answer(502, headers={"Retry-After": "900"}), StoppedError),
        (KEYED, Fault.answer(502, headers={"Retry-After": "900"}, applied=True), UnknownError),
        (READ, Fault.too_many(900), StoppedError),
    ],
)
def test_a_stop_ends_the_wait_for_another_attempt(
    server: MisbehavingServer, call: Call, fault: Fault, kind: type[EndpointError]
) -> None:
    server.collection("people")
    server.fault(fault)
    stop = threading.Event()
    patience = {"attempts": 9, "backoff": 0.001, "max_wait": "20m"}
    api = exchange(
        server.url,
        stop=stop,
        retry=patience,
        timeout={"total": "1h"},
        on_event=lambda name, event: stop.set(),
    )

    assert type(caught(api, call)) is kind
    assert len(server.requests) == 1


# ---- what no error shows ----

AUTHS = {
    "bearer": {"type": "bearer", "token": {"env": "TOKEN"}},
    "basic": {"type": "basic", "username": "me", "password": {"env": "PASSWORD"}},
    "header": {"type": "header", "name": "X-Api-Key", "value": {"env": "KEY"}},
}


@pytest.mark.parametrize("kind", AUTHS)
def test_a_body_that_echoes_a_secret_does_not_show_it(server: MisbehavingServer, kind: str) -> None:
    forms = [
        *SECRETS.values(),
        base64.b64encode(f"me:{SECRETS['PASSWORD']}".encode()).decode(),
        "canary-pa55+word%26more",
    ]
    body = " ".join(f'{{"message": "I do not know {form}"}}' for form in forms)
    server.fault(Fault.answer(400, body))

    error = caught(exchange(server.url, auth=AUTHS[kind]), READ)

    mine = {"bearer": forms[:1], "basic": [forms[1], *forms[3:]], "header": forms[2:3]}[kind]
    assert "I do not know" in error.excerpt
    for form in mine:
        assert form not in error.excerpt


def test_an_issued_token_that_is_echoed_is_blotted_out() -> None:
    with serving() as server:
        token = "canary-issued-" + "x" * 20
        server.route("/oauth/token", json_reply({"access_token": token, "token_type": "Bearer", "expires_in": 60}))
        server.route("/people", Reply(500, {}, f"<p>bad {token} and {SECRETS['TOKEN']}</p>".encode()))

        assert caught(oauth2(server), READ).excerpt == "<p>bad … and …</p>"


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"detail": "token=abc123def is bad"}', '{"detail": "token=\u2026 is bad"}'),
        (b'{"access_token": "abc", "n": 1}', '{"access_token": "\u2026", "n": 1}'),
        (b"Authorization: Bearer abc.def\r\nX: 1", "Authorization: Bearer \u2026 X: 1"),
        (b"line 1\n\n   line 2\t3", "line 1 line 2 3"),
        (b"\xff\xfe bytes", "bytes"),
        (b"a" * 5000, "a" * 300),
        (b"", ""),
    ],
)
def test_an_excerpt_is_one_short_line_without_what_is_called_a_secret(
    server: MisbehavingServer, body: bytes, shown: str
) -> None:
    server.fault(Fault.answer(400, body))

    assert caught(exchange(server.url), READ).excerpt == shown


def test_a_secret_is_not_shown_in_part_where_the_excerpt_ends(server: MisbehavingServer) -> None:
    server.fault(Fault.answer(400, "." * 290 + SECRETS["TOKEN"]))

    error = caught(exchange(server.url, auth=AUTHS["bearer"]), READ)

    assert error.excerpt == "." * 290 + "…"


def test_a_query_in_an_address_is_in_no_message() -> None:
    api = exchange("http://127.0.0.1:9")

    for uri in ("http://127.0.0.1:9/x?canary=1", "http://other.example/x?canary=1", "http://[bad/?canary=1"):
        assert "canary" not in str(caught(api, Call("GET", uri)))


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "bearer", "token": {"env": "BROKEN"}},
        {"type": "header", "name": "X-Api-Key", "value": {"env": "BROKEN"}},
    ],
)
def test_credentials_that_no_header_can_hold_are_the_operators_to_mend_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, auth: dict[str, Any]
) -> None:
    monkeypatch.setitem(SECRETS, "BROKEN", "canary\r\nX-Evil: canary")

    with pytest.raises(CrudsdError, match=r"connections\.api") as info:
        exchange("http://127.0.0.1:9", auth=auth)

    assert type(info.value) is ConfigError
    assert "canary" not in str(info.value)


def test_credentials_do_not_travel_in_the_clear() -> None:
    with pytest.raises(ConfigError, match="https"):
        exchange("http://desk.example", auth=AUTHS["bearer"])


def test_an_authority_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"connections\.api.*ca\.pem"):
        exchange("https://desk.example", tls={"ca_file": "ca.pem"})
