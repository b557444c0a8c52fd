"""Private keys themselves, and what they sign. Loaded with the first key: most who use the library have none."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
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


def from_pem(key: Any) -> PrivateKey:
    """Return the key of a PEM text. Raises ValueError, without showing it, for anything else."""
    try:
        loaded = load_pem_private_key(key.encode() if isinstance(key, str) else bytes(key), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("private_key is no private key in PEM without a passphrase") from None
    if not isinstance(loaded, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey):
        raise ValueError("private_key is neither RSA nor ECDSA nor Ed25519")  # noqa: TRY004  the type is the file's
    return loaded


def from_jwk(jwk: Mapping[str, Any]) -> PrivateKey:
    """Return the key of a JWK. Raises ValueError, without showing it, for anything else."""
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


def algorithms(key: PrivateKey) -> tuple[str, ...]:
    """Return what a key can sign with, the best known first. Raises ValueError for a key that is too weak."""
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


def signature(key: PrivateKey, content: bytes, algorithm: str) -> bytes:
    """Return the signature of a JWS (RFC 7518 section 3)."""
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


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(text: str) -> int:
    return int.from_bytes(_decoded(text), "big")
