"""Private keys that sign: PEM or JWK in, compact JWS out (RFC 7515, 7517, 7518, 8037)."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey

_LEAST_RSA_BITS = 2048
"""RFC 7518 section 3.3."""


@dataclass(frozen=True, slots=True)
class _Curve:
    algorithm: str
    curve: ec.EllipticCurve
    digest: hashes.HashAlgorithm
    width: int
    """Octets of each half of a signature (RFC 7518 section 3.4)."""


_CURVES = {
    "P-256": _Curve("ES256", ec.SECP256R1(), hashes.SHA256(), 32),
    "P-384": _Curve("ES384", ec.SECP384R1(), hashes.SHA384(), 48),
    "P-521": _Curve("ES512", ec.SECP521R1(), hashes.SHA512(), 66),
}


class SigningKey:
    """A private key and the algorithms it can sign with. Safe to share between threads; printing it shows no key.

    `key` is PEM, or a JWK as a mapping or as text. `key_id` goes into each signature's header; None: the JWK's own.
    Raises ValueError for anything that is no such key, without showing it.
    """

    def __init__(self, key: str | bytes | Mapping[str, Any], *, key_id: str | None = None) -> None:
        jwk = _jwk(key)
        self._key = _from_pem(key) if jwk is None else _from_jwk(jwk)
        self.key_id: str | None = key_id or (jwk or {}).get("kid")
        able = _algorithms(self._key)
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
        return f"{content}.{_encoded(_signature(self._key, content.encode(), algorithm))}"

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


def _from_pem(key: Any) -> PrivateKey:
    try:
        loaded = load_pem_private_key(key.encode() if isinstance(key, str) else bytes(key), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("private_key is no private key in PEM without a passphrase") from None
    if not isinstance(loaded, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey):
        raise ValueError("private_key is neither RSA nor ECDSA nor Ed25519")  # noqa: TRY004  the type is the file's
    return loaded


def _from_jwk(jwk: Mapping[str, Any]) -> PrivateKey:
    makers: dict[Any, Callable[[Mapping[str, Any]], PrivateKey]] = {"RSA": _rsa, "EC": _ec, "OKP": _okp}
    maker = makers.get(jwk.get("kty"))
    if maker is None:
        raise ValueError("private_key is a JWK whose kty is none of RSA, EC, OKP")
    try:
        return maker(jwk)
    except (KeyError, TypeError, ValueError, AttributeError, UnsupportedAlgorithm):
        raise ValueError("private_key is a JWK without a usable private key") from None


def _rsa(jwk: Mapping[str, Any]) -> PrivateKey:
    n, e, d = (_number(jwk[name]) for name in ("n", "e", "d"))
    p, q = (_number(jwk["p"]), _number(jwk["q"])) if "p" in jwk else rsa.rsa_recover_prime_factors(n, e, d)
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=rsa.rsa_crt_dmp1(d, p),
        dmq1=rsa.rsa_crt_dmq1(d, q),
        iqmp=rsa.rsa_crt_iqmp(p, q),
        public_numbers=rsa.RSAPublicNumbers(e, n),
    )
    return numbers.private_key()


def _ec(jwk: Mapping[str, Any]) -> PrivateKey:
    return ec.derive_private_key(_number(jwk["d"]), _CURVES[jwk["crv"]].curve)


def _okp(jwk: Mapping[str, Any]) -> PrivateKey:
    if jwk["crv"] != "Ed25519":
        raise ValueError("only Ed25519 signs here")
    return Ed25519PrivateKey.from_private_bytes(_decoded(jwk["d"]))


def _algorithms(key: PrivateKey) -> tuple[str, ...]:
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < _LEAST_RSA_BITS:
            raise ValueError(f"an RSA key of {key.key_size} bits is too short; {_LEAST_RSA_BITS} is the least")
        return ("RS256", "PS256")
    if isinstance(key, Ed25519PrivateKey):
        return ("EdDSA", "Ed25519")  # the second is the name of RFC 9864 for the same signature
    for curve in _CURVES.values():
        if key.curve.name == curve.curve.name:
            return (curve.algorithm,)
    raise ValueError(f"private_key is on the curve {key.curve.name}, which JWS does not know")


def _signature(key: PrivateKey, content: bytes, algorithm: str) -> bytes:
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(content)
    if isinstance(key, rsa.RSAPrivateKey):
        if algorithm == "PS256":
            return key.sign(
                content, padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size), hashes.SHA256()
            )
        return key.sign(content, padding.PKCS1v15(), hashes.SHA256())
    curve = next(one for one in _CURVES.values() if one.algorithm == algorithm)
    r, s = decode_dss_signature(key.sign(content, ec.ECDSA(curve.digest)))
    return r.to_bytes(curve.width, "big") + s.to_bytes(curve.width, "big")


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(text: str) -> int:
    return int.from_bytes(_decoded(text), "big")
