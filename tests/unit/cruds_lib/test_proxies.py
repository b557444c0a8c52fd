"""Proxies and authorities: settings win over the environment, and this machine needs no proxy."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from cruds import Client
from cruds.exception import RequestError, TLSError
from cruds.pools import TransportSettings
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

from .test_mutual_tls import Authority

OK = json_reply({"ok": True})
FAR = "http://api.invalid"
"""A host that no resolver knows: only a proxy can be asked for it."""


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_the_environments_proxy_is_used(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """K17: as every other program on the machine does."""
    monkeypatch.setenv(name, server.url)
    server.script(OK)
    with Client(FAR) as client:
        assert client.read("x") == {"ok": True}
    assert server.journal[0].target == f"{FAR}/x"


def test_an_https_host_asks_the_https_proxy_for_a_tunnel(
    server: ScriptedServer, other_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K17."""
    monkeypatch.setenv("http_proxy", other_server.url)
    monkeypatch.setenv("https_proxy", server.url)
    server.script(Reply(407))
    with Client("https://api.invalid", retries=0) as client, pytest.raises(RequestError):
        client.read("x")
    assert [(seen.method, seen.target) for seen in server.journal] == [("CONNECT", "api.invalid:443")]
    assert other_server.journal == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "api.localhost"])
def test_this_machine_is_never_asked_for_through_the_environments_proxy(
    server: ScriptedServer, other_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """K17: the proxy's loopback is another machine, and would get our credentials."""
    monkeypatch.setenv("http_proxy", other_server.url)
    monkeypatch.setenv("all_proxy", other_server.url)
    server.script(OK)
    with Client(f"http://{host}:{server.port}", auth="secret", retries=0) as client:
        try:
            client.read("x")
        except RequestError:
            assert host == "api.localhost"  # not every resolver knows RFC 6761
    assert other_server.journal == []


def test_this_machine_is_asked_for_through_a_proxy_that_is_set(
    server: ScriptedServer, other_server: ScriptedServer
) -> None:
    """K17: who says so means it; debugging proxies work."""
    other_server.script(OK)
    with Client(server.url, proxy=other_server.url) as client:
        client.read("x")
    assert [seen.target for seen in other_server.journal] == [f"{server.url}/x"]
    assert server.journal == []


def test_a_proxy_that_is_set_wins_over_the_environment(
    server: ScriptedServer, other_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K17: also over NO_PROXY."""
    monkeypatch.setenv("http_proxy", other_server.url)
    monkeypatch.setenv("no_proxy", "*")
    server.script(OK)
    with Client(FAR, proxy=server.url) as client:
        client.read("x")
    assert (len(server.journal), len(other_server.journal)) == (1, 0)


@pytest.mark.parametrize("options", [{"trust_env": False}, {"proxy": ""}])
def test_the_environments_proxy_can_be_switched_off(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    """K17: all of the environment, or its proxies alone."""
    monkeypatch.setenv("http_proxy", server.url)
    with Client(FAR, retries=0, **options) as client, pytest.raises(RequestError):  # type: ignore[arg-type]
        client.read("x")
    assert server.journal == []


@pytest.mark.parametrize("exempt", ["*", "api.invalid", "invalid", ".invalid", "a.example, api.invalid"])
def test_a_host_that_no_proxy_names_is_asked_for_directly(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, exempt: str
) -> None:
    """K17."""
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", exempt)
    with Client(FAR, retries=0) as client, pytest.raises(RequestError):
        client.read("x")
    assert server.journal == []


@pytest.mark.parametrize("proxy", ["socks5://user:secret@h.example:1", "http://", "ftp://h.example"])
def test_a_proxy_of_another_kind_is_refused_when_the_client_is_built(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """K17: and its password is not shown."""
    with pytest.raises(ValueError, match="a proxy is http://host:port") as caught:
        Client(FAR, proxy=proxy)
    assert "secret" not in str(caught.value)


def test_a_proxys_password_is_not_shown() -> None:
    """C05."""
    assert "secret" not in repr(TransportSettings(proxy="http://me:secret@h.example:1"))


# ---- authorities ---------------------------------------------------------------------------------------------


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """The certificate of an authority that vouches for nobody."""
    return Authority("stranger").file(tmp_path / "stranger.pem")


@pytest.mark.parametrize("setting", ["ca_file", "verify_ssl"])
def test_a_ca_file_wins_over_the_environments(
    tls_server: ScriptedServer,
    client_of: Callable[..., Client],
    certificate: Path,
    stranger: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
) -> None:
    """K17: in both directions: it is trusted, and it is the only one that is."""
    tls_server.script(OK)
    monkeypatch.setenv("SSL_CERT_FILE", str(stranger))
    assert client_of(tls_server, **{setting: str(certificate)}).read("x") == {"ok": True}
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(TLSError):
        client_of(tls_server, **{setting: str(stranger)}).read("x")
    assert len(tls_server.journal) == 1


def test_authorities_may_be_a_folder(
    tls_server: ScriptedServer, client_of: Callable[..., Client], tmp_path: Path, stranger: Path
) -> None:
    """K17: a folder without the right one trusts nobody else."""
    with pytest.raises(TLSError):
        client_of(tls_server, ca_file=str(stranger.parent)).read("x")


def test_a_ca_file_that_is_not_there_is_said_when_the_client_is_built(tmp_path: Path) -> None:
    """K17: and not at the first call, as a certificate nobody vouches for."""
    with pytest.raises(OSError, match="No such file"):
        Client("https://h.example", ca_file=str(tmp_path / "missing.pem"))


def test_an_ssl_context_brings_everything_itself(certificate: Path) -> None:
    """K17: a second setting beside it would be ignored."""
    context = ssl.create_default_context()
    with pytest.raises(ValueError, match="SSLContext"):
        Client("https://h.example", verify_ssl=context, ca_file=str(certificate))


def test_the_authorities_count_after_a_redirect_to_https(
    server: ScriptedServer, tls_server: ScriptedServer, client_of: Callable[..., Client], certificate: Path
) -> None:
    """K17, K29: a host that moves its readers from http to https keeps its own authority."""
    server.script(Reply(302, {"Location": tls_server.url + "/x"}))
    tls_server.script(OK)
    assert client_of(server, ca_file=str(certificate)).read("x") == {"ok": True}
