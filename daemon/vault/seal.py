"""Sealing one record: `CT1 | length | key id | salt | AES-256-GCM of the plaintext`.

Each record has a key of its own, derived from the ring's key and a fresh random salt (HKDF-SHA256, RFC 5869). A key
that is used once may have a fixed nonce, so there is no nonce to run out of. The header, purpose and context are
authenticated: they cannot be changed, and the record does not open under others.
"""

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .errors import TamperedError, UnknownKeyError
from .keys import KeyRing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_MAGIC = b"CT1"
_SALT_BYTES = 16
_TAG_BYTES = 16
_NONCE = bytes(12)


def seal(ring: KeyRing, plaintext: bytes, *, purpose: str, context: Mapping[str, str]) -> bytes:
    """Return the plaintext sealed with the ring's first key. The same plaintext never gives the same bytes."""
    key_id, key = ring.sealing
    salt = os.urandom(_SALT_BYTES)
    name = key_id.encode("ascii")
    header = _MAGIC + bytes([len(name)]) + name + salt
    cipher = _cipher(key, salt, purpose)
    return header + cipher.encrypt(_NONCE, plaintext, _bound(header, purpose, context))


def open_sealed(ring: KeyRing, sealed: bytes, *, purpose: str, context: Mapping[str, str]) -> bytes:
    """Return the plaintext. Raises UnknownKeyError or TamperedError."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - see _cipher

    header, key_id, salt = _split(sealed)
    key = ring.find(key_id)
    if key is None:
        raise UnknownKeyError(key_id)
    cipher = _cipher(key, salt, purpose)
    try:
        return cipher.decrypt(_NONCE, sealed[len(header) :], _bound(header, purpose, context))
    except InvalidTag as error:
        raise TamperedError from error


def key_of(sealed: bytes) -> str:
    """Return the name of the key that sealed it, as it says itself. Raises TamperedError for what was never sealed."""
    return _split(sealed)[1]


def _split(sealed: bytes) -> tuple[bytes, str, bytes]:
    """Return the header, and from it the key id and the salt."""
    start = len(_MAGIC) + 1
    if len(sealed) < start or not sealed.startswith(_MAGIC):
        raise TamperedError
    end = start + sealed[len(_MAGIC)]
    header = sealed[: end + _SALT_BYTES]
    name = header[start:end]
    if len(sealed) < len(header) + _TAG_BYTES or len(header) != end + _SALT_BYTES or not name.isascii():
        raise TamperedError
    return header, name.decode("ascii"), header[end:]


def _cipher(key: bytes, salt: bytes, purpose: str) -> "AESGCM":
    """Return what seals and opens one record. Whoever has nothing sealed does not load what it is made of."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    info = f"crudsd/{purpose}/v1".encode()
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(key))


def _bound(header: bytes, purpose: str, context: Mapping[str, str]) -> bytes:
    """Return what is authenticated and not kept: one text for one meaning, whatever the mapping's order."""
    return header + json.dumps([purpose, dict(context)], sort_keys=True, separators=(",", ":")).encode("ascii")
