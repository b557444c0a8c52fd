"""Why something sealed does not open.

CrudsdError
└── VaultError
    ├── UnknownKeyError   the key that sealed it is not in the key ring
    └── TamperedError     it was changed, cut, or sealed for something else
"""

from daemon.errors import CrudsdError


class VaultError(CrudsdError):
    """Something sealed does not open. Never a reason to go on without it."""


class UnknownKeyError(VaultError):
    """The key that sealed it is not in the key ring; `key_id` says which one is missing."""

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"it was sealed with the key {key_id}, which is not in the key ring; add that key's line to the key file, "
            "or restart crudsd if its key is a systemd credential that was changed"
        )
        self.key_id = key_id


class TamperedError(VaultError):
    """The bytes are not what was sealed for this purpose and context."""

    def __init__(self) -> None:
        super().__init__(
            "it was changed, moved from another place, or sealed for something else; or the key has the right name "
            "and is another key"
        )
