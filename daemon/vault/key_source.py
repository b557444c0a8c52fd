"""Where the key comes from: a systemd credential, a file, or an environment variable, in this order."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from daemon.values import Secret

from .key_file import read_key_file
from .keys import KeyRing, parse_key_ring

CREDENTIAL = "crudsd-key"
"""The name of the systemd credential."""

_VARIABLE = "CRUDSD_KEY"


class SourceKind(StrEnum):
    """What holds the key."""

    CREDENTIAL = "credential"
    """systemd hands out a copy; only the file behind it can be changed, and the service sees that when it restarts."""
    FILE = "file"
    VARIABLE = "variable"


@dataclass(frozen=True, slots=True)
class KeySource:
    """A place that holds, or should hold, the key. `read` looks anew each time."""

    kind: SourceKind
    path: Path | None = None
    """The file; None for a variable."""
    value: Secret | None = None
    """What the variable holds."""

    def __str__(self) -> str:
        match self.kind:
            case SourceKind.CREDENTIAL:
                return f"the systemd credential {self.path}"
            case SourceKind.FILE:
                return f"the key file {self.path}"
            case SourceKind.VARIABLE:
                return f"the environment variable {_VARIABLE}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What speaks against this place."""
        if self.kind is not SourceKind.VARIABLE:
            return ()
        warning = (
            f"the key comes from the environment variable {_VARIABLE}, which child processes inherit and other tools "
            "may show; put it into a file (0600) or a systemd credential"
        )
        return (warning,)

    def read(self) -> KeyRing:
        """Return the ring. Raises ConfigError for a key that must not be used, or cannot be read."""
        if self.value is not None:
            return parse_key_ring(self.value.reveal(), _VARIABLE)
        return read_key_file(self.path or Path(), is_credential=self.kind is SourceKind.CREDENTIAL)


def find_key_source(
    environment: Mapping[str, str], credentials: Path | None, key_file: Path | None
) -> KeySource | None:
    """Return the place that counts; None when there is no key anywhere.

    In order: the systemd credential `crudsd-key`, `key_file` if it is there, the file named by CRUDSD_KEY_FILE, the
    value of CRUDSD_KEY. A place that is there and no good is not passed over.
    """
    if credentials is not None and (credentials / CREDENTIAL).exists():
        return KeySource(SourceKind.CREDENTIAL, credentials / CREDENTIAL)
    if key_file is not None and os.path.lexists(key_file):
        return KeySource(SourceKind.FILE, key_file)
    if environment.get("CRUDSD_KEY_FILE"):
        return KeySource(SourceKind.FILE, Path(environment["CRUDSD_KEY_FILE"]))
    if environment.get(_VARIABLE):
        return KeySource(SourceKind.VARIABLE, value=Secret(environment[_VARIABLE]))
    return None
