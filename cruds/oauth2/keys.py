"""Private keys that sign: PEM or JWK in, compact JWS out (RFC 7515, 7517, 7518, 8037)."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any


class SigningKey:
    """A private key and the algorithms it can sign with. Safe to share between threads; printing it shows no key.

    `key` is PEM, or a JWK as a mapping or as text. `key_id` goes into each signature's header; None: the JWK's own.
    Raises ValueError for anything that is no such key, without showing it.
    """

    def __init__(self, key: str | bytes | Mapping[str, Any], *, key_id: str | None = None) -> None:
        from . import private_keys  # noqa: PLC0415 - who signs nothing pays for none

        jwk = _jwk(key)
        private_key = private_keys.from_pem(key) if jwk is None else private_keys.from_jwk(jwk)
        self._signature = partial(private_keys.signature, private_key)
        self.key_id: str | None = key_id or (jwk or {}).get("kid")
        able = private_keys.algorithms(private_key)
        wanted = (jwk or {}).get("alg")
        if wanted is not None and wanted not in able:
            raise ValueError(f"the key cannot sign with its own alg; it can with {', '.join(able)}")
        self.algorithms: tuple[str, ...] = able if wanted is None else (wanted,)
        """The best known first; a JWK with an `alg` has only that one (RFC 7517 section 4.4)."""

    def choose(self, supported: Iterable[str] | None) -> str:
        """Return the algorithm to sign with, among those a server names. Raises ValueError if it takes none."""
        named = self.algorithms if supported is None else tuple(supported)
        for algorithm in self.algorithms:
            if algorithm in named:
                return algorithm
        raise ValueError(f"the key signs with {', '.join(self.algorithms)}; the server takes {', '.join(named)}")

    def sign(self, claims: Mapping[str, Any], algorithm: str) -> str:
        """Return the claims as a signed JWT, in its compact form."""
        header = {"alg": algorithm, "typ": "JWT"} | ({"kid": self.key_id} if self.key_id else {})
        content = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(dict(claims)).encode())}"
        return f"{content}.{_encoded(self._signature(content.encode(), algorithm))}"

    def __repr__(self) -> str:
        return f"<SigningKey {self.key_id!r} for {', '.join(self.algorithms)}>"


def _jwk(key: str | bytes | Mapping[str, Any]) -> dict[str, Any] | None:
    if isinstance(key, Mapping):
        return dict(key)
    if key.lstrip()[:1] not in {"{", b"{"}:
        return None
    try:
        document = json.loads(key)
    except ValueError:
        raise ValueError("private_key is no readable JWK") from None  # the cause would quote the key
    return dict(document)


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
