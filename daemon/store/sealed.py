"""Everything that is sealed in the state database: tokens, secrets and the canary, each with what it is bound to.

A record that was moved, or put back under a newer version, does not open, since name and version are part of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from .database import Database
from .statements import Values, execute

TOKEN_PURPOSE = "token-state"  # noqa: S105 - what it is for, and not one
SECRET_PURPOSE = "secret"  # noqa: S105
CANARY_NAME = "canary"


def token_context(profile: str, version: int, *, issuer: str, client_id: str) -> Mapping[str, str]:
    """Return what a token state is bound to: it opens for no other connection, server, client or version."""
    return {"profile": profile, "version": str(version), "issuer": issuer, "client_id": client_id}


def secret_context(name: str, version: int) -> Mapping[str, str]:
    """Return what a secret is bound to."""
    return {"name": name, "version": str(version)}


def token_lease(profile: str) -> str:
    """Return the name of the lease of whoever renews, or re-seals, a token."""
    return f"token/{profile}"


class Holding(StrEnum):
    """What a sealed record holds."""

    TOKEN = "token"  # noqa: S105
    SECRET = "secret"  # noqa: S105
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class SealedRow:
    """One sealed record as it is stored."""

    holding: Holding
    name: str
    """A token's profile, a secret's name."""
    version: int
    """0 for the canary, which has none."""
    sealed: bytes

    def __str__(self) -> str:
        match self.holding:
            case Holding.TOKEN:
                return f"the token of {self.name}"
            case Holding.SECRET:
                return f"the secret {self.name}"
            case Holding.CANARY:
                return "the canary"


_ROWS = {
    Holding.TOKEN: "SELECT profile, version, sealed FROM tokens",
    Holding.SECRET: "SELECT name, version, sealed FROM secrets",
    Holding.CANARY: f"SELECT name, 0, value FROM meta WHERE name = '{CANARY_NAME}'",  # noqa: S608 - ours
}
_SWAPS = {
    Holding.TOKEN: "UPDATE tokens SET sealed = ? WHERE profile = ? AND version = ? AND sealed = ?",
    Holding.SECRET: "UPDATE secrets SET sealed = ? WHERE name = ? AND version = ? AND sealed = ?",
    Holding.CANARY: "UPDATE meta SET value = ? WHERE name = ? AND value = ?",
}
_DROPS = {
    Holding.TOKEN: "DELETE FROM tokens WHERE profile = ? AND version = ? AND sealed = ?",
    Holding.SECRET: "DELETE FROM secrets WHERE name = ? AND version = ? AND sealed = ?",
    Holding.CANARY: "DELETE FROM meta WHERE name = ? AND value = ?",
}


class SealedRows:
    """All that is sealed, as bytes. Each change is one durable transaction, and none if the record has moved on."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> tuple[SealedRow, ...]:
        """Return every sealed record: tokens by profile, secrets by name, the canary at last."""
        return tuple(row for holding in Holding for row in self._of(holding))

    def again(self, row: SealedRow) -> SealedRow | None:
        """Return a record as it is now; None when it is gone."""
        return next((found for found in self._of(row.holding) if found.name == row.name), None)

    def swap(self, row: SealedRow, sealed: bytes) -> bool:
        """Put other bytes in the place of a record's, and say whether it was still as it was read."""
        return self._change(_SWAPS[row.holding], (sealed, *_place(row)))

    def drop(self, row: SealedRow) -> bool:
        """Delete a record, and say whether it was still as it was read."""
        return self._change(_DROPS[row.holding], _place(row))

    def _of(self, holding: Holding) -> Iterator[SealedRow]:
        with self._database.read() as connection:
            rows = execute(connection, f"{_ROWS[holding]} ORDER BY 1").all()
        for name, version, sealed in rows:
            yield SealedRow(holding, name, version, bytes(sealed))

    def _change(self, sql: str, values: Values) -> bool:
        with self._database.write() as connection:
            return execute(connection, sql, values).rowcount == 1


def _place(row: SealedRow) -> Values:
    if row.holding is Holding.CANARY:
        return row.name, row.sealed
    return row.name, row.version, row.sealed
