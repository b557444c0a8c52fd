"""Everything sealed, as records that can be opened: the rows of the store, the vault, and what each is bound to."""

from collections.abc import Mapping
from dataclasses import dataclass

from daemon.errors import CrudsdError
from daemon.spec import SecretError
from daemon.store.sealed import (
    SECRET_PURPOSE,
    TOKEN_PURPOSE,
    Holding,
    SealedRow,
    secret_context,
    token_context,
)
from daemon.vault.errors import TamperedError, UnknownKeyError
from daemon.vault.seal import key_of
from daemon.vault.vault import CANARY, Vault


@dataclass(frozen=True, slots=True)
class Binding:
    """What the token of a connection is bound to, as the configuration has it now."""

    issuer: str
    client_id: str | SecretError
    """The error where the client id is a reference that cannot be had."""
    is_personal: bool
    """Whether only a person can make the session anew."""


class UnreadableError(CrudsdError):
    """A sealed record does not open. The message says why, and what to do."""

    def __init__(self, row: SealedRow, reason: str, cure: str, *, is_lost: bool) -> None:
        super().__init__(f"{row}: {reason}; {cure}")
        self.row, self.reason, self.cure = row, reason, cure
        self.is_lost = is_lost
        """Whether nothing that is at hand can open it, so that it may be given up."""


def key_id(row: SealedRow) -> str:
    """Return the id of the key that a record names as its own; empty for bytes that were never sealed."""
    try:
        return key_of(row.sealed)
    except TamperedError:
        return ""


class SealedRecords:
    """Opens and re-seals rows. Threads may share it."""

    def __init__(self, vault: Vault, bindings: Mapping[str, Binding]) -> None:
        self._vault = vault
        self._bindings = bindings

    @property
    def sealing(self) -> str:
        """The id of the key that seals."""
        return self._vault.ring.sealing[0]

    def open(self, row: SealedRow) -> bytes:
        """Return what a record holds. Raises UnreadableError."""
        purpose, context = self._bound(row)
        try:
            return self._vault.open(row.sealed, purpose=purpose, context=context)
        except UnknownKeyError as error:
            raise UnreadableError(
                row,
                f"sealed with the key {error.key_id}, which is not in the key ring: lost, or taken out too early",
                f"put the line of {error.key_id} back into the key file, or give it up: {self.given_up(row)}",
                is_lost=True,
            ) from error
        except TamperedError as error:
            raise UnreadableError(row, *self._changed(row), is_lost=True) from error

    def resealed(self, row: SealedRow) -> bytes:
        """Return a record sealed with the first key. Raises UnreadableError."""
        plain = self.open(row)
        purpose, context = self._bound(row)
        return self._vault.seal(plain, purpose=purpose, context=context)

    def canary(self) -> bytes:
        """Return a new canary of the first key."""
        return self._vault.canary()

    def given_up(self, row: SealedRow) -> str:
        """Return how to go on without a record."""
        drop = "`crudsd key rotate --drop-unreadable`"
        match row.holding:
            case Holding.SECRET:
                return f"`crudsd secret set {row.name}`"
            case Holding.CANARY:
                return drop
            case Holding.TOKEN if row.name not in self._bindings:
                return drop
            case Holding.TOKEN if self._bindings[row.name].is_personal:
                return f"{drop}, then `crudsd auth login {row.name}`"
            case Holding.TOKEN:
                return f"{drop}; the next run asks for a new token"

    def _bound(self, row: SealedRow) -> tuple[str, Mapping[str, str]]:
        """Return purpose and context of a record. Raises UnreadableError where the configuration does not say it."""
        match row.holding:
            case Holding.CANARY:
                return CANARY, {}
            case Holding.SECRET:
                return SECRET_PURPOSE, secret_context(row.name, row.version)
            case Holding.TOKEN:
                binding = self._binding(row)
        if isinstance(binding.client_id, SecretError):
            raise UnreadableError(
                row,
                f"its client_id is not known here: {binding.client_id.message}",
                binding.client_id.cure,
                is_lost=False,
            )
        context = token_context(row.name, row.version, issuer=binding.issuer, client_id=binding.client_id)
        return TOKEN_PURPOSE, context

    def _binding(self, row: SealedRow) -> Binding:
        binding = self._bindings.get(row.name)
        if binding is None:
            raise UnreadableError(
                row,
                "no connection of the configuration uses it, so nothing can open it",
                f"put the connection back, or give it up: {self.given_up(row)}",
                is_lost=True,
            )
        return binding

    def _changed(self, row: SealedRow) -> tuple[str, str]:
        reason = f"the key {key_id(row)} is there and does not open it"
        if row.holding is Holding.TOKEN:
            return (
                f"{reason}: the connection's server or client_id is another now, or the row was changed",
                f"put them back as they were, or give it up: {self.given_up(row)}",
            )
        return f"{reason}: the row was changed, or the key is another one", f"give it up: {self.given_up(row)}"
