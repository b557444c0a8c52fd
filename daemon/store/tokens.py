"""Token states, sealed: the library's token store on the state database.

What a sealed state is bound to (purpose, profile, version, issuer, client) does not open anywhere else, so a row that
was moved, or put back under a newer version, or whose connection now points to another token address, is refused.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Protocol

import msgspec

from cruds.exception import TokenStateError
from cruds.oauth2.store import TokenState
from daemon.clock import Clock
from daemon.errors import CrudsdError, LockedError, StateError

from .columns import moment_text
from .database import Database
from .leases import Leases
from .sealed import TOKEN_PURPOSE, token_context, token_lease
from .statements import execute


class Sealer(Protocol):
    """Seals bytes so that only the holder of the key can read or change them. Safe to share between threads."""

    def seal(self, plaintext: bytes, *, purpose: str, context: Mapping[str, str]) -> bytes:
        """Return the sealed bytes, bound to purpose and context. Each time different ones."""

    def open(self, sealed: bytes, *, purpose: str, context: Mapping[str, str]) -> bytes:
        """Return the plaintext. Raises a CrudsdError unless these bytes were sealed for this purpose and context."""


class SqlTokenStore:
    """The library's port `TokenStore`, for the profiles of one client at one issuer. Threads may share it.

    `on_drop`: a state that cannot be opened is deleted, since another one costs nobody anything, and this is told why:
    for grants that need no person. None: it stays, and is an error.
    """

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        leases: Leases,
        *,
        clock: Clock,
        issuer: str,
        client_id: str,
        on_drop: Callable[[str], None] | None = None,
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._leases = leases
        self._clock = clock
        self._issuer = issuer
        self._client_id = client_id
        self._on_drop = on_drop

    def load(self, profile: str) -> TokenState | None:
        """Return what was last saved, or None. Raises TokenStateError when it cannot be opened."""
        with self._database.read() as connection:
            row = execute(connection, "SELECT version, sealed FROM tokens WHERE profile = ?", (profile,)).first()
        if row is None:
            return None
        version, sealed = row
        try:
            return self._opened(profile, version, bytes(sealed))
        except TokenStateError as error:
            if self._on_drop is None:
                raise
            self._drop(profile, version)
            self._on_drop(f"the stored token could not be opened, and was dropped: {error.__cause__ or error}")
            return None

    def _opened(self, profile: str, version: int, sealed: bytes) -> TokenState:
        try:
            plain = self._sealer.open(sealed, purpose=TOKEN_PURPOSE, context=self._context(profile, version))
            state = msgspec.json.decode(plain, type=TokenState)
        except (CrudsdError, msgspec.MsgspecError) as error:
            # Not the decoder's own words: they may quote what it read.
            reason = str(error) if isinstance(error, CrudsdError) else "it is not a token state of this version"
            raise TokenStateError(
                f"the stored token of {profile} cannot be opened: {reason}. Put back the key that sealed it, and the "
                "connection's token address and client_id as they were; if they are meant to be others, log in again"
            ) from error
        return replace(state, version=version)

    def _drop(self, profile: str, version: int) -> None:
        """Delete a state, unless another one is there by now."""
        with self._database.write() as connection:
            execute(connection, "DELETE FROM tokens WHERE profile = ? AND version = ?", (profile, version))

    def save(self, profile: str, state: TokenState, *, expected_version: int) -> bool:
        """Replace the state if its version is still the expected one, durably, and say whether it was."""
        version = expected_version + 1
        plain = msgspec.json.encode(replace(state, version=version))
        sealed = self._sealer.seal(plain, purpose=TOKEN_PURPOSE, context=self._context(profile, version))
        now = moment_text(self._clock())
        with self._database.write() as connection:
            if expected_version == 0:
                done = execute(
                    connection,
                    "INSERT INTO tokens (profile, version, sealed, saved_at) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (profile) DO NOTHING",
                    (profile, version, sealed, now),
                )
            else:
                done = execute(
                    connection,
                    "UPDATE tokens SET version = ?, sealed = ?, saved_at = ? WHERE profile = ? AND version = ?",
                    (version, sealed, now, profile, expected_version),
                )
        return done.rowcount == 1

    @contextmanager
    def lease(self, profile: str, *, seconds: float) -> Iterator[bool]:
        """Ask for the right to renew this profile, across all processes of this state. Does not wait."""
        try:
            lease = self._leases.acquire(token_lease(profile), ttl_s=seconds)
        except LockedError:
            lease = None
        try:
            yield lease is not None
        finally:
            if lease is not None:
                # It runs out by itself; what came of the renewal must not be lost over it.
                with suppress(StateError):
                    self._leases.release(lease)

    def clear(self, profile: str) -> None:
        """Forget the state. Nothing happens if there is none."""
        with self._database.write() as connection:
            execute(connection, "DELETE FROM tokens WHERE profile = ?", (profile,))

    def _context(self, profile: str, version: int) -> Mapping[str, str]:
        return token_context(profile, version, issuer=self._issuer, client_id=self._client_id)
