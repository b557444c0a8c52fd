"""Seals and opens with the key ring, and tells a wrong key at start instead of at the first run that needs it."""

from collections.abc import Callable, Mapping
from typing import Protocol

from daemon.errors import ConfigError

from . import seal
from .errors import TamperedError, UnknownKeyError, VaultError
from .keys import KeyRing

CANARY = "canary"
"""The purpose of the record that tells a wrong key, and the name of the fact that holds it."""

LOST = (
    "If it is lost for good, `crudsd key rotate --drop-unreadable` gives up what it sealed: tokens are asked for anew, "
    "logins and secrets have to be made again"
)
"""What is left where a key is gone."""

_SONG = b"This opens with the right key."


class Facts(Protocol):
    """Keeps small facts beside what is sealed."""

    def get_fact(self, name: str) -> bytes | None:
        """Return a fact; None when there is none of this name."""

    def put_fact(self, name: str, value: bytes) -> None:
        """Keep a fact, in place of the one before."""


class Vault:
    """Holds the key ring. Threads may share it.

    People add keys and re-seal while a daemon runs. With `reread`, which reads the ring's source again, a vault
    follows them: it does so before it gives up on a record of a key that it does not know, and, with `facts`, before
    it seals in a state whose canary has such a key. What it has read last is its ring from then on, if that opens the
    canary.
    """

    def __init__(
        self, ring: KeyRing, *, reread: Callable[[], KeyRing | None] | None = None, facts: Facts | None = None
    ) -> None:
        self._ring = ring
        self._reread = reread
        self._facts = facts

    @property
    def ring(self) -> KeyRing:
        """The newest ring that was read."""
        return self._ring

    def seal(self, plaintext: bytes, *, purpose: str, context: Mapping[str, str]) -> bytes:
        """Return the plaintext sealed, bound to purpose and context. Each time different bytes."""
        self._follow_the_canary()
        return seal.seal(self._ring, plaintext, purpose=purpose, context=context)

    def open(self, sealed: bytes, *, purpose: str, context: Mapping[str, str]) -> bytes:
        """Return the plaintext. Raises UnknownKeyError, or TamperedError when anything is not as it was sealed."""
        try:
            return seal.open_sealed(self._ring, sealed, purpose=purpose, context=context)
        except UnknownKeyError as error:
            if not self._has_now(error.key_id):
                raise
        return seal.open_sealed(self._ring, sealed, purpose=purpose, context=context)

    def canary(self) -> bytes:
        """Return a record that opens only with this ring."""
        return seal.seal(self._ring, _SONG, purpose=CANARY, context={})

    def opens_canary(self, canary: bytes) -> None:
        """Make sure that this ring opens a canary. Raises UnknownKeyError or TamperedError."""
        self.open(canary, purpose=CANARY, context={})

    def check_canary(self, facts: Facts, *, source: object = "the key file") -> None:
        """Make sure that this ring opens what is sealed here; the first one that comes leaves its canary.

        Raises ConfigError when the state was sealed with another key; `source` is where this ring comes from.
        """
        canary = facts.get_fact(CANARY)
        if canary is None:
            facts.put_fact(CANARY, self.canary())
            return
        try:
            self.opens_canary(canary)
        except VaultError as error:
            reason = _why(error, canary, self._ring, source)
            raise ConfigError(f"the key does not open this state database: {reason}. {LOST}") from error

    def _follow_the_canary(self) -> None:
        """Read the ring again if everything is being sealed with a newer one.

        It seals with what it has where that does not help: a renewed token that is not kept is lost at once.
        """
        canary = None if self._facts is None else self._facts.get_fact(CANARY)
        if canary is None:
            return
        try:
            key_id = seal.key_of(canary)
        except TamperedError:
            return
        if self._ring.find(key_id) is None:
            self._has_now(key_id)

    def _has_now(self, key_id: str) -> bool:
        """Read the ring again, and say whether it has this key now. A source that is no good changes nothing."""
        try:
            newest = None if self._reread is None else self._reread()
        except ConfigError:
            return False
        if newest is None or not self._belongs_here(newest):
            return False
        self._ring = newest
        return newest.find(key_id) is not None

    def _belongs_here(self, ring: KeyRing) -> bool:
        """Whether a ring opens this state, as it must at start: another key file may be in the place by mistake."""
        canary = None if self._facts is None else self._facts.get_fact(CANARY)
        if canary is None:
            return True
        try:
            seal.open_sealed(ring, canary, purpose=CANARY, context={})
        except VaultError:
            return False
        return True


def _why(error: VaultError, canary: bytes, ring: KeyRing, source: object) -> str:
    """Return in words why a state does not open, and what to do while the key is not lost."""
    if isinstance(error, UnknownKeyError):
        return (
            f"{error.key_id} sealed it, and {source} holds only {', '.join(ring.names)}. Use the key that belongs to "
            f"this database; if {error.key_id} was taken out too early, or the database is an older copy, put its line "
            "back into the key file"
        )
    try:
        named = f"a key that is called {seal.key_of(canary)} too, and is another one"
    except TamperedError:
        named = "no key that could, for its canary was destroyed"
    return f"{source} holds {named}. Put back the key file and the database that belong together"
