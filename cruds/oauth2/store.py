"""Where token states live: a port of four methods, and its in-memory reference."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from time import monotonic
from typing import Protocol

from .seal import Sealer
from .token import TokenState

__all__ = ["MemoryTokenStore", "TokenState", "TokenStore"]


class TokenStore(Protocol):
    """Keeps one token state for each profile. Safe to share between threads; profiles do not touch each other."""

    def load(self, profile: str) -> TokenState | None:
        """Return what was last saved, or None if nothing is kept. Raises `TokenStateError` if it cannot be opened."""

    def save(self, profile: str, state: TokenState, *, expected_version: int) -> bool:
        """Replace the state if its version is still the expected one (0: nothing is kept), and say whether it was.

        The saved state has the version `expected_version + 1`, whatever it says itself. True means durable: the
        caller uses the new token only then. False changes nothing.
        """

    def lease(self, profile: str, *, seconds: float) -> AbstractContextManager[bool]:
        """Ask for the right to renew this profile. Does not wait.

        The block runs in either case and learns whether the right is its own. It ends with the block, or after
        `seconds` if the holder is gone.
        """

    def clear(self, profile: str) -> None:
        """Forget the state. Nothing happens if there is none."""


class MemoryTokenStore:
    """Keeps states in this process, sealed if it has a sealer.

    A sealed state is safe in a core dump that holds no key; whoever can read this process can read its tokens.
    """

    def __init__(self, sealer: Sealer | None = None) -> None:
        self._lock = threading.Lock()
        self._sealer = sealer
        self._versions: dict[str, int] = {}
        self._states: dict[str, TokenState | bytes] = {}
        self._leases: dict[str, tuple[object, float]] = {}

    def load(self, profile: str) -> TokenState | None:
        """Return the state, or None."""
        with self._lock:
            kept, version = self._states.get(profile), self._versions.get(profile, 0)
        if isinstance(kept, bytes) and self._sealer is not None:
            return self._sealer.open(profile, version, kept)
        return kept if isinstance(kept, TokenState) else None

    def save(self, profile: str, state: TokenState, *, expected_version: int) -> bool:
        """Compare and swap."""
        new = replace(state, version=expected_version + 1)
        kept = new if self._sealer is None else self._sealer.seal(profile, new)
        with self._lock:
            if self._versions.get(profile, 0) != expected_version:
                return False
            self._states[profile], self._versions[profile] = kept, new.version
            return True

    @contextmanager
    def lease(self, profile: str, *, seconds: float) -> Iterator[bool]:
        """Hold the right to renew for the length of the block."""
        me = object()
        with self._lock:
            holder = self._leases.get(profile)
            is_mine = holder is None or holder[1] <= monotonic()
            if is_mine:
                self._leases[profile] = (me, monotonic() + seconds)
        try:
            yield is_mine
        finally:
            with self._lock:
                if self._leases.get(profile, (None, 0.0))[0] is me:
                    del self._leases[profile]

    def clear(self, profile: str) -> None:
        """Forget the state."""
        with self._lock:
            self._states.pop(profile, None)
            self._versions.pop(profile, None)
