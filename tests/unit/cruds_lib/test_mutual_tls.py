"""Mutual TLS: a server that demands a certificate of ours, from an authority it trusts."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from cruds import Client
from cruds.exception import AnswerLostError, RedirectError, TLSError
from tests.fakes.scripted import Reply, ScriptedServer, json_reply, serving

OK = json_reply({"ok": True})
ONE_DAY = datetime.timedelta(days=1)


class Authority:
    """Vouches for others."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.name, self.key.public_key(), is_authority=True)

    def file(self, path: Path) -> Path:
        """Write what others need to trust it."""
        path.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        return path

    def vouch(self, name: str) -> tuple[bytes, ec.EllipticCurvePrivateKey]:
        """Make a key and a certificate for 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        return self._sign(subject, key.public_key(), is_authority=False).public_bytes(Encoding.PEM), key

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, is_authority: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - ONE_DAY)
            .not_valid_after(now + ONE_DAY)
            .add_extension(address, critical=False)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .sign(self.key, SHA256())
        )


def in_clear(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Papers:
    """The files of both sides."""

    def __init__(self, folder: Path) -> None:
        authority = Authority("ours")
        self.authority = authority.file(folder / "ca.pem")
        self.server = self._pair(folder / "server.pem", authority)
        self.client = self._pair(folder / "client.pem", authority)
        self.stranger = self._pair(folder / "stranger.pem", Authority("theirs"))
        certificate, key = authority.vouch("apart")
        self.certificate, self.key, self.sealed_key = (
            folder / name for name in ("apart.crt", "apart.key", "sealed.key")
        )
        self.certificate.write_bytes(certificate)
        self.key.write_bytes(in_clear(key))
        self.sealed_key.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"words"))
        )

    def _pair(self, path: Path, authority: Authority) -> Path:
        certificate, key = authority.vouch(path.stem)
        path.write_bytes(certificate + in_clear(key))
        return path


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name)
def demanding_server(request: pytest.FixtureRequest, papers: Papers) -> Iterator[ScriptedServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = request.param
    context.load_cert_chain(papers.server)
    context.load_verify_locations(papers.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    with serving(context) as one:
        yield one


@pytest.mark.parametrize("files", ["one", "two"])
def test_a_certificate_that_the_server_trusts_opens_the_door(
    demanding_server: ScriptedServer, client_of: Callable[..., Client], papers: Papers, files: str
) -> None:
    """K17: certificate and key in one file, or in two."""
    ours = str(papers.client) if files == "one" else (str(papers.certificate), str(papers.key))
    demanding_server.script(OK, OK)
    client = client_of(demanding_server, ca_file=str(papers.authority), client_cert=ours)
    assert client.create("x", {"a": 1}) == {"ok": True}
    assert client.read("x") == {"ok": True}
    assert {seen.connection for seen in demanding_server.journal} == {1}


@pytest.mark.parametrize("ours", ["none", "stranger"])
def test_without_one_no_request_arrives(
    demanding_server: ScriptedServer, client_of: Callable[..., Client], papers: Papers, ours: str
) -> None:
    """K17: a matter of trust. In TLS 1.3 the refusal may get lost behind our first bytes, and then nobody knows."""
    certificate = None if ours == "none" else str(papers.stranger)
    demanding_server.script(OK)
    client = client_of(demanding_server, ca_file=str(papers.authority), client_cert=certificate, retries=0)
    with pytest.raises((TLSError, AnswerLostError)) as caught:
        client.create("x", {"a": 1})
    assert caught.value.sent == isinstance(caught.value, AnswerLostError)
    assert demanding_server.journal == []


def refuse_one(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Take one connection, and tell it that its certificate is not wanted once its request is there."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    talk = context.wrap_bio(incoming, outgoing, server_side=True)
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(1)
        while True:
            try:
                talk.do_handshake()
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(65_536))
            except ssl.SSLError:
                break
        with suppress(TimeoutError):  # it may have come along with the handshake
            connection.recv(65_536)
        connection.sendall(outgoing.read())
        while connection.recv(65_536):
            pass


def test_a_refusal_that_arrives_after_the_request_says_that_nothing_was_done(papers: Papers) -> None:
    """K17, K02: TLS 1.3 lets us write first; what we wrote was not read, and repeating does not help."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers.server)
    context.load_verify_locations(papers.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=refuse_one, args=(listener, context))
        server.start()
        host = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with (
            Client(host, ca_file=str(papers.authority), client_cert=str(papers.stranger)) as client,
            pytest.raises(TLSError, match="our certificate is not accepted") as caught,
        ):
            client.create("x", {"a": 1})
        server.join()
    assert (caught.value.attempts, caught.value.sent) == (1, False)


def test_the_server_must_prove_itself_too(
    demanding_server: ScriptedServer, client_of: Callable[..., Client], papers: Papers
) -> None:
    """K17: showing a certificate does not mean trusting everybody."""
    client = client_of(demanding_server, ca_file=str(papers.stranger), client_cert=str(papers.client))
    with pytest.raises(TLSError):
        client.read("x")
    assert demanding_server.journal == []


def test_a_certificate_is_not_shown_to_another_origin(
    demanding_server: ScriptedServer, server: ScriptedServer, client_of: Callable[..., Client], papers: Papers
) -> None:
    """K29: it is a credential, so the redirect is refused even for a read."""
    demanding_server.script(Reply(302, {"Location": "https://other.example/x"}))
    client = client_of(demanding_server, ca_file=str(papers.authority), client_cert=str(papers.client))
    with pytest.raises(RedirectError, match="certificate"):
        client.read("x")


def test_papers_that_cannot_be_used_are_said_when_the_client_is_built(papers: Papers, tmp_path: Path) -> None:
    """K17: a missing file, no key, or the key of another certificate."""
    for pair in (
        str(tmp_path / "missing.pem"),
        str(papers.certificate),
        (str(papers.certificate), str(papers.client)),
    ):
        with pytest.raises(OSError, match=r".+"):
            Client("https://h.example", client_cert=pair)


def test_an_encrypted_key_asks_no_terminal_for_its_password(papers: Papers) -> None:
    """A service would wait there for ever."""
    with pytest.raises(ValueError, match="encrypted"):
        Client("https://h.example", client_cert=(str(papers.certificate), str(papers.sealed_key)))


def test_a_certificate_that_was_replaced_is_shown_by_new_connections(
    demanding_server: ScriptedServer, client_of: Callable[..., Client], papers: Papers, tmp_path: Path
) -> None:
    """A stranger's paper at first; then the right one, in the same file, without a new client."""
    ours = tmp_path / "client.pem"
    ours.write_bytes(papers.stranger.read_bytes())
    demanding_server.script(OK)
    client = client_of(demanding_server, ca_file=str(papers.authority), client_cert=str(ours), retries=0)
    with pytest.raises((TLSError, AnswerLostError)):
        client.read("x")

    ours.write_bytes(papers.client.read_bytes())
    client.reload_client_cert()

    assert client.read("x") == {"ok": True}


@pytest.mark.parametrize("torn", ["empty", "cut", "of two"])
def test_a_certificate_in_the_middle_of_its_replacement_changes_nothing(
    demanding_server: ScriptedServer, client_of: Callable[..., Client], papers: Papers, tmp_path: Path, torn: str
) -> None:
    certificate, key = tmp_path / "ours.crt", tmp_path / "ours.key"
    certificate.write_bytes(papers.certificate.read_bytes())
    key.write_bytes(papers.key.read_bytes())
    pair = (str(certificate), str(key))
    demanding_server.script(OK)
    client = client_of(demanding_server, ca_file=str(papers.authority), client_cert=pair)

    halves = {"empty": b"", "cut": papers.certificate.read_bytes()[:200], "of two": papers.stranger.read_bytes()}
    certificate.write_bytes(halves[torn])
    with pytest.raises((OSError, ValueError)):
        client.reload_client_cert()

    assert client.read("x") == {"ok": True}
