"""TLS, proxies, and managers that somebody else made."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3

from cruds import Client
from cruds.exception import AnswerLostError, ConnectError, DeadlineError, TLSError
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

OK = json_reply({"ok": True})


def test_a_certificate_nobody_vouches_for_ends_the_call_at_once(
    tls_server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    """K17: verified by default, and not retried."""
    tls_server.script(OK)
    with pytest.raises(TLSError) as caught:
        client_of(tls_server, auth="secret").create("x", {})
    assert (caught.value.attempts, caught.value.sent) == (1, False)
    assert tls_server.journal == []


@pytest.mark.parametrize("how", ["ca_file", "verify_ssl", "context", "SSL_CERT_FILE"])
def test_authorities_can_be_named(
    tls_server: ScriptedServer,
    client_of: Callable[..., Client],
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """K17: a path is a path and not just something true."""
    ways: dict[str, dict[str, Any]] = {
        "ca_file": {"ca_file": str(certificate)},
        "verify_ssl": {"verify_ssl": str(certificate)},
        "context": {"verify_ssl": ssl.create_default_context(cafile=certificate)},
        "SSL_CERT_FILE": {},
    }
    if how == "SSL_CERT_FILE":
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls_server.script(OK)
    assert client_of(tls_server, **ways[how]).read("x") == {"ok": True}


def test_the_environment_can_be_switched_off(
    tls_server: ScriptedServer,
    client_of: Callable[..., Client],
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """K17."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(TLSError):
        client_of(tls_server, trust_env=False).read("x")


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_verification_is_off_only_when_it_is_said(tls_server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    tls_server.script(OK)
    assert client_of(tls_server, verify_ssl=False).read("x") == {"ok": True}


def test_a_name_that_is_not_in_the_certificate_is_refused(tls_server: ScriptedServer, certificate: Path) -> None:
    with (
        Client(f"https://localhost:{tls_server.port}", ca_file=str(certificate)) as client,
        pytest.raises(TLSError),
    ):
        client.read("x")


def test_our_own_certificate_is_shown(
    tls_server: ScriptedServer, client_of: Callable[..., Client], certificate: Path
) -> None:
    """K17, mutual TLS: the server of this test demands one."""
    context = tls_server._context
    assert context is not None
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    tls_server.script(OK)
    client = client_of(tls_server, ca_file=str(certificate), client_cert=str(certificate))
    assert client.read("x") == {"ok": True}


def test_a_server_that_speaks_no_tls_is_no_connection() -> None:
    """It speaks first, as a mail server does: one that waits for a line may wait as long as the client does."""

    def greet(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer, contextlib.suppress(ConnectionError):
            peer.sendall(b"220 mail.example ready, and in plain text\r\n")
            while peer.recv(4096):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet, args=(listener,))
        thread.start()
        with (
            Client(f"https://127.0.0.1:{listener.getsockname()[1]}", retries=0, timeout=20) as client,
            pytest.raises((TLSError, ConnectError)) as caught,
        ):
            client.create("x", {})
        thread.join(timeout=20)
    assert not caught.value.sent
    assert not thread.is_alive()


def test_a_proxy_is_used_with_its_credentials(server: ScriptedServer) -> None:
    """K17: the scripted server plays the proxy."""
    server.script(OK)
    proxy = server.url.replace("http://", "http://usér:p%40ss@")
    with Client("http://127.0.0.1:9/api", proxy=proxy) as client:
        client.read("x")
    seen = server.journal[0]
    assert seen.target == "http://127.0.0.1:9/api/x"
    assert seen.headers["proxy-authorization"] == "Basic " + b64encode("usér:p@ss".encode()).decode()


@pytest.mark.parametrize("answer", [Reply(407), Reply(close=True)])
def test_a_proxy_that_refuses_the_tunnel_is_no_connection(server: ScriptedServer, answer: Reply) -> None:
    """K02: the CONNECT is not the request; nothing reached the server."""
    server.script(answer)
    with (
        Client("https://h.example", proxy=server.url, retries=0) as client,
        pytest.raises(ConnectError) as caught,
    ):
        client.create("x", {})
    assert not caught.value.sent


def test_a_supplied_manager_keeps_timeouts_and_retries(server: ScriptedServer) -> None:
    """K06."""
    with urllib3.PoolManager() as manager, Client(server.url, manager=manager, retries=2, backoff_factor=0) as client:
        assert client.manager is manager
        server.script(Reply(503), OK, Reply(503), Reply(hang=True))
        assert client.read("x") == {"ok": True}
        with pytest.raises(DeadlineError):
            client.read("x", timeout=0.3)


def test_a_supplied_manager_does_not_make_a_create_repeat(server: ScriptedServer) -> None:
    """K02, K06."""
    with urllib3.PoolManager(retries=5) as manager, Client(server.url, manager=manager) as client:
        server.script(Reply(close=True), OK)
        with pytest.raises(AnswerLostError):
            client.create("x", {})
    assert len(server.journal) == 1


def test_a_dripping_body_is_left_in_time_by_a_supplied_manager_too(server: ScriptedServer) -> None:
    """K06, K07."""
    with urllib3.PoolManager() as manager, Client(server.url, manager=manager) as client:
        server.script(
            Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), Reply(200, {}, b"x" * 300, drip=True)
        )
        with pytest.raises(DeadlineError):
            client.read("x", timeout=1.5)


def test_settings_that_a_supplied_manager_overrides_are_warned_about() -> None:
    """K06."""
    with urllib3.PoolManager() as manager, pytest.warns(UserWarning, match="supplied manager"):
        Client("https://h.example", manager=manager, verify_ssl=False)


def test_closing_a_client_leaves_a_supplied_manager_open(server: ScriptedServer) -> None:
    with urllib3.PoolManager() as manager:
        server.script(OK, OK)
        for _ in range(2):
            with Client(server.url, manager=manager) as client:
                client.read("x")
        assert {seen.connection for seen in server.journal} == {1}
