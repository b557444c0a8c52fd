"""Sealed secrets by name, as bytes: what they hold is the vault's affair."""

from dataclasses import dataclass
from datetime import datetime

from daemon.clock import Clock

from .columns import moment_text
from .database import Database
from .statements import execute


@dataclass(frozen=True, slots=True)
class KeptSecret:
    """A secret as it is stored."""

    name: str
    version: int
    """Counted from 1, one more each time it is set."""
    sealed: bytes
    saved_at: datetime


class SqlSecrets:
    """The table of secrets. Threads may share it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def get(self, name: str) -> KeptSecret | None:
        """Return a secret, still sealed; None when there is none of this name."""
        return next((kept for kept in self.all() if kept.name == name), None)

    def all(self) -> tuple[KeptSecret, ...]:
        """Return every secret, still sealed, by name."""
        with self._database.read() as connection:
            rows = execute(connection, "SELECT name, version, sealed, saved_at FROM secrets ORDER BY name").all()
        return tuple(
            KeptSecret(name, version, bytes(sealed), datetime.fromisoformat(saved_at))
            for name, version, sealed, saved_at in rows
        )

    def put(self, name: str, sealed: bytes, *, expected_version: int) -> bool:
        """Keep a secret as the version after the expected one (0: there is none yet), durably.

        Says whether that was still the version; if not, nothing is changed.
        """
        version, now = expected_version + 1, moment_text(self._clock())
        with self._database.write() as connection:
            if expected_version == 0:
                done = execute(
                    connection,
                    "INSERT INTO secrets (name, version, sealed, saved_at) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (name) DO NOTHING",
                    (name, version, sealed, now),
                )
            else:
                done = execute(
                    connection,
                    "UPDATE secrets SET version = ?, sealed = ?, saved_at = ? WHERE name = ? AND version = ?",
                    (version, sealed, now, name, expected_version),
                )
        return done.rowcount == 1

    def remove(self, name: str) -> bool:
        """Forget a secret, and say whether there was one."""
        with self._database.write() as connection:
            return execute(connection, "DELETE FROM secrets WHERE name = ?", (name,)).rowcount == 1
