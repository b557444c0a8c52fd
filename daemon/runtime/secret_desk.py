"""Secrets that people keep in the state database, sealed: set, looked up by name, listed without their values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from daemon.errors import ConfigError, StateError, UsageError
from daemon.spec import SecretError
from daemon.store.sealed import SECRET_PURPOSE, secret_context
from daemon.store.secrets import SqlSecrets
from daemon.values import Secret
from daemon.vault.errors import VaultError
from daemon.vault.vault import Vault

_TRIES = 10
"""How often two people who set the same secret at once may get in each other's way."""

_NO_KEY = "there is no key to seal the secret with; `crudsd key generate` makes one"


class SealedSecrets:
    """The secrets of one state; without one, or without a key, none can be had. Threads may share it."""

    def __init__(self, kept: SqlSecrets | None, vault: Vault | None) -> None:
        self._kept = kept
        self._vault = vault

    def look_up(self, name: str) -> Secret:
        """Return a secret, read anew each time. Raises SecretError with the cure."""
        if self._vault is None:
            raise SecretError(
                f"secret {name} cannot be opened, for there is no key",
                f"put the key back; or make one (`crudsd key generate`) and set the secret: crudsd secret set {name}",
            )
        kept = None if self._kept is None else self._kept.get(name)
        if kept is None:
            raise SecretError(f"secret {name} is not in the vault", f"set it: crudsd secret set {name}")
        try:
            context = secret_context(name, kept.version)
            return Secret(self._vault.open(kept.sealed, purpose=SECRET_PURPOSE, context=context).decode())
        except VaultError as error:
            raise SecretError(
                f"secret {name} does not open: {error}", f"or set it again: crudsd secret set {name}"
            ) from error

    def set(self, name: str, value: Secret) -> int:
        """Keep a value under a name, in place of the one before, and return its version. Raises ConfigError."""
        if self._vault is None or self._kept is None:
            raise ConfigError(_NO_KEY)
        for _ in range(_TRIES):
            kept = self._kept.get(name)
            before = 0 if kept is None else kept.version
            context = secret_context(name, before + 1)
            sealed = self._vault.seal(value.reveal().encode(), purpose=SECRET_PURPOSE, context=context)
            if self._kept.put(name, sealed, expected_version=before):
                return before + 1
        raise StateError(f"the secret {name} is being set by others all the time; nothing was kept, try again")


@dataclass(frozen=True, slots=True)
class SecretFacts:
    """What may be told of a secret."""

    name: str
    version: int
    saved_at: datetime
    used_at: Sequence[str]
    """The places in the configuration that refer to it."""


@dataclass(frozen=True, slots=True)
class SecretDesk:
    """What people ask of secrets, and do with them."""

    kept: SqlSecrets
    vault: Vault | None
    uses: Mapping[str, Sequence[str]]
    """By name of a secret, the places in the configuration that refer to it."""

    def check_can_keep(self) -> None:
        """Raise ConfigError where nothing can be sealed: before a person is asked for the secret."""
        if self.vault is None:
            raise ConfigError(_NO_KEY)

    def set(self, name: str, value: Secret) -> tuple[int, bool]:
        """Keep a value, and return its version and whether the configuration refers to it. Raises ConfigError."""
        return SealedSecrets(self.kept, self.vault).set(name, value), name in self.uses

    def list(self) -> tuple[SecretFacts, ...]:
        """Return what may be told of each secret, by name."""
        return tuple(
            SecretFacts(kept.name, kept.version, kept.saved_at, self.uses.get(kept.name, ()))
            for kept in self.kept.all()
        )

    def remove(self, name: str, *, force: bool) -> Sequence[str]:
        """Forget a secret, and return the places that refer to it still.

        Raises UsageError, and changes nothing, for one that is not there; and without `force` for one that is used.
        """
        used = self.uses.get(name, ())
        if self.kept.get(name) is None:
            near = get_close_matches(name, [kept.name for kept in self.kept.all()], n=1)
            hint = f"did you mean {near[0]}?" if near else "`crudsd secret list` shows them"
            raise UsageError(f"there is no secret {name}; {hint}")
        if used and not force:
            raise UsageError(f"the secret {name} is used by {', '.join(used)}; take it out there first, or say --force")
        self.kept.remove(name)
        return used
