"""Seals and opens with the key ring, and tells a wrong key at start instead of at the first run that needs it."""

from collections.abc import Mapping
from typing import Protocol

from daemon.errors import ConfigError

from . import seal
from .errors import VaultError
from .keys import KeyRing

_CANARY = "canary"
_SONG = b"This opens with the right key."


class Facts(Protocol):
    """Keeps small facts beside what is sealed."""

    def get_fact(self, name: str) -> bytes | None:
        """Return a fact; None when there is none of this name."""

    def put_fact(self, name: str, value: bytes) -> None:
        """Keep a fact, in place of the one before."""


class Vault:
    """Holds the key ring. Threads may share it."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def seal(self, plaintext: bytes, *, purpose: str, context: Mapping[str, str]) -> bytes:
        """Return the plaintext sealed, bound to purpose and context. Each time different bytes."""
        return seal.seal(self._ring, plaintext, purpose=purpose, context=context)

    def open(self, sealed: bytes, *, purpose: str, context: Mapping[str, str]) -> bytes:
        """Return the plaintext. Raises UnknownKeyError, or TamperedError when anything is not as it was sealed."""
        return seal.open_sealed(self._ring, sealed, purpose=purpose, context=context)

    def canary(self) -> bytes:
        """Return a record that opens only with this ring."""
        return self.seal(_SONG, purpose=_CANARY, context={})

    def check_canary(self, facts: Facts) -> None:
        """Make sure that this ring opens what is sealed here; the first one that comes leaves its canary.

        Raises ConfigError when the state was sealed with another key.
        """
        canary = facts.get_fact(_CANARY)
        if canary is None:
            facts.put_fact(_CANARY, self.canary())
            return
        try:
            self.open(canary, purpose=_CANARY, context={})
        except VaultError as error:
            raise ConfigError(
                f"the key does not open this state database: {error}. Use the key file that belongs to it; a new one "
                "(`crudsd key generate`) is for a new state database"
            ) from error
