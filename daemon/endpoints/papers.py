"""Certificates and private keys of a connection: whether they can be used, before anything is sent with them."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

from cruds.oauth2.keys import SigningKey
from cruds.pools import TransportSettings, reload_client_cert
from daemon.spec import OAuth2Auth, RestConnection, SecretRef

_Finding = tuple[tuple[str, ...], str, str]


def paper_problems(
    connection: RestConnection, reveal: Callable[[SecretRef], str | None], folder: Path
) -> Iterator[_Finding]:
    """Yield what cannot be used: the place in the connection, what is wrong, what to do. Asks nobody.

    `reveal` gives the text of a secret, None for one that cannot be had now.
    """
    yield from _tls_problems(connection, folder)
    auth = connection.auth
    key = reveal(auth.private_key) if isinstance(auth, OAuth2Auth) and auth.private_key is not None else None
    if key is not None:
        try:
            SigningKey(key)
        except ValueError as error:
            cure = "give it in PEM without a passphrase, or as a JWK with its private part"
            yield ("auth", "private_key"), str(error), cure


def _tls_problems(connection: RestConnection, folder: Path) -> Iterator[_Finding]:
    tls = connection.tls
    files = {name: folder / file for name in ("ca_file", "cert_file", "key_file") if (file := getattr(tls, name))}
    missing = [name for name, file in files.items() if not file.is_file()]
    for name in missing:
        yield ("tls", name), f"there is no file {files[name]}", "write it there, or correct the path"
    if missing:
        return
    try:
        if "ca_file" in files:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(files["ca_file"])
    except OSError as error:
        yield ("tls", "ca_file"), f"not usable: {_reason(error)}", "certificates of authorities, in PEM"
    try:
        if "cert_file" in files:
            ours, key = str(files["cert_file"]), files.get("key_file")
            pair = ours if key is None else (ours, str(key))
            reload_client_cert(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), TransportSettings(client_cert=pair))
    except (OSError, ValueError) as error:
        cure = "certificate and its own key in PEM, not encrypted; the key may be in key_file"
        yield ("tls", "cert_file"), f"not usable: {_reason(error)}", cure


def _reason(error: Exception) -> str:
    """Return OpenSSL's words without its codes."""
    return (
        (error.reason or str(error))
        if isinstance(error, ssl.SSLError)
        else getattr(error, "strerror", "") or str(error)
    )
