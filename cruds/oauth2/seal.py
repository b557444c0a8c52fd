"""Token states as bytes that only the key opens, and only in their own place (AES-256-GCM, NIST SP 800-38D)."""

from __future__ import annotations

import base64
import binascii
import json
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from cruds.exception import TokenStateError

from .token import TokenState

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_MAGIC = b"CT1"
_SALT_BYTES = 16
_KEY_BYTES = 32
_PURPOSE = "cruds/token-state/v1"
# Each record has a key of its own, made from a fresh salt, so a constant nonce is never used twice with one key.
_NONCE = bytes(12)


class Sealer:
    """Seals and opens token states of one client. Safe to share between threads.

    32 bytes in base64 are a key; any other text is a passphrase, stretched with scrypt once, at the first use. What
    is sealed opens only under the same profile, version and `bound_to` (issuer and client).
    """

    def __init__(self, key: str, *, bound_to: tuple[str, ...] = ()) -> None:
        if not key:
            raise ValueError("encryption_key is empty")
        self._bound_to = bound_to
        self._key = _key_of(key)
        self._passphrase = b"" if self._key else key.encode()
        self._lock = threading.Lock()

    def seal(self, profile: str, state: TokenState) -> bytes:
        """Return the state as bytes; equal states give different ones."""
        salt = os.urandom(_SALT_BYTES)
        sealed = self._cipher(salt).encrypt(_NONCE, msgspec.json.encode(state), self._place(profile, state.version))
        return _MAGIC + salt + sealed

    def open(self, profile: str, version: int, sealed: bytes) -> TokenState:
        """Return what was sealed. Raises `TokenStateError` if it is damaged, moved, or of another key."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - see _cipher

        salt, rest = sealed[len(_MAGIC) : len(_MAGIC) + _SALT_BYTES], sealed[len(_MAGIC) + _SALT_BYTES :]
        try:
            place = self._place(profile, version, sealed[: len(_MAGIC)])
            text = self._cipher(salt).decrypt(_NONCE, rest, place)
        except (InvalidTag, ValueError) as error:
            raise TokenStateError(
                f"the token state of profile {profile!r} does not open: another key, or it was changed"
            ) from error
        return replace(msgspec.json.decode(text, type=TokenState), version=version)

    def _place(self, profile: str, version: int, magic: bytes = _MAGIC) -> bytes:
        """Return what a record is bound to, beginning with the mark it carries: another mark is another place."""
        return magic + json.dumps([_PURPOSE, profile, version, *self._bound_to]).encode()

    def _cipher(self, salt: bytes) -> AESGCM:
        """Return what seals and opens one record. Who seals nothing does not load what it is made of."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

        return AESGCM(HKDF(SHA256(), _KEY_BYTES, salt, _PURPOSE.encode()).derive(self._master()))

    def _master(self) -> bytes:
        with self._lock:
            if self._key is None:
                from cryptography.hazmat.primitives.kdf.scrypt import Scrypt  # noqa: PLC0415

                # 32 MiB and about a tenth of a second, once in a process. The salt need not be kept: nothing that
                # this key seals outlives the process.
                self._key = Scrypt(salt=os.urandom(_SALT_BYTES), length=_KEY_BYTES, n=2**15, r=8, p=1).derive(
                    self._passphrase
                )
            return self._key


def _key_of(text: str) -> bytes | None:
    try:
        key = base64.b64decode(text.translate(str.maketrans("-_", "+/")), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == _KEY_BYTES else None
