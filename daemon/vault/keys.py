"""The key ring: lines of `name:base64 of 32 bytes`. The first key seals, all of them open."""

import base64
import binascii
import re
import secrets
from dataclasses import dataclass

from daemon.errors import ConfigError
from daemon.redaction import KNOWN

KEY_BYTES = 32
"""A key is so many random bytes. No passphrase: what people think up is guessed, and what is guessed opens all."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
CURE = (
    "put the right key back from your copy; where nothing is sealed yet, delete the file, and `crudsd key generate` "
    "makes a good one"
)


@dataclass(frozen=True, slots=True, repr=False)
class KeyRing:
    """Named keys of 32 bytes, never none. Printing it shows only the names."""

    keys: tuple[tuple[str, bytes], ...]

    @property
    def sealing(self) -> tuple[str, bytes]:
        """The name and the key that new records are sealed with."""
        return self.keys[0]

    def find(self, name: str) -> bytes | None:
        """Return the key of this name, or None when the ring has none."""
        return next((key for known, key in self.keys if known == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all keys, the sealing one first."""
        return tuple(name for name, _ in self.keys)

    def without(self, name: str) -> "KeyRing | None":
        """Return the ring without a key; None when no other is left."""
        keys = tuple((known, key) for known, key in self.keys if known != name)
        return KeyRing(keys) if keys else None

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self.names)})"


def parse_key_ring(text: str, source: str) -> KeyRing:
    """Read a ring; blank lines and lines that begin with `#` are left out.

    Raises ConfigError naming the source and line; what stands there is never repeated.
    """
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if name_in(line) is None:
            continue
        name, key = _parse_line(line.strip(), f"{source}: line {number}")
        if name in keys:
            raise ConfigError(f"{source}: line {number}: the ring has a key {name} already; each needs its own name")
        keys[name] = key
    if not keys:
        raise ConfigError(f"{source}: holds no key; {CURE}")
    return KeyRing(tuple(keys.items()))


def new_key() -> tuple[str, str]:
    """Make a key and return its name and its line of a key file."""
    # A name that no other key has, so that a wrong key file is told from a damaged record.
    name = f"k{secrets.token_hex(4)}"
    return name, f"{name}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode('ascii')}\n"


def name_in(line: str) -> str | None:
    """Return the name of the key in a line of a key file; None for a blank line or a comment."""
    if not line.strip() or line.lstrip().startswith("#"):
        return None
    return line.strip().partition(":")[0]


def _parse_line(line: str, place: str) -> tuple[str, bytes]:
    name, colon, encoded = line.partition(":")
    if not colon or not _NAME.fullmatch(name):
        raise ConfigError(f"{place}: is not `name:base64 of {KEY_BYTES} bytes`; {CURE}")
    KNOWN.learn(encoded.strip())
    try:
        key = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError(f"{place}: what follows `{name}:` is not base64; {CURE}") from None
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{place}: the key {name} has {len(key)} bytes, {KEY_BYTES} are needed; {CURE}")
    return name, key
