"""Where this process finds its configuration and keeps its state."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import ConfigError
from .spec import SecretRef, resolve
from .spec.state import NOT_HERE, holds_password

SYSTEM_CONFIG = Path("/etc/crudsd/crudsd.yaml")


@dataclass(frozen=True, slots=True)
class Settings:
    """What is known before the configuration is read."""

    config: Path
    environment: Mapping[str, str]
    state: str | None = None
    """State database given on the command line; it wins over the file's."""

    @property
    def folder(self) -> Path:
        """The configuration's folder, where its relative paths begin."""
        return self.config.parent

    @property
    def credentials(self) -> Path | None:
        """The folder of systemd credentials; None outside a unit that has some."""
        folder = self.environment.get("CREDENTIALS_DIRECTORY")
        return Path(folder) if folder else None

    def state_place(self, declared: str | SecretRef | None) -> str:
        """Return the path or URL of the state database; it may hold a password, so it is shown to nobody.

        In order: the command line, the file's `state:` (a path is relative to the file), `state.db` in systemd's
        $STATE_DIRECTORY, `crudsd.db` beside the configuration. Raises ConfigError when a reference leads nowhere, and
        for a password on the command line.
        """
        if self.state:
            if holds_password(self.state):
                raise ConfigError(
                    f"--state: {NOT_HERE} on the command line, which others can read; refer to the address in the "
                    "configuration (example: state: {credential: state-url})"
                )
            return self.state
        if isinstance(declared, SecretRef):
            declared = resolve(
                declared, environment=self.environment, credentials=self.credentials, folder=self.folder
            ).reveal()
        if declared:
            return declared if "://" in declared else str(self.folder / declared)
        directory = self.environment.get("STATE_DIRECTORY")
        if directory:
            return str(Path(directory.split(":")[0]) / "state.db")
        return str(self.folder / "crudsd.db")

    @property
    def key_file(self) -> Path:
        """The key file that is looked for where no credential gives the key: `crudsd.key` beside the configuration."""
        return self.folder / "crudsd.key"


def find_config(given: Path | None, environment: Mapping[str, str]) -> Path:
    """Return the configuration to use: the one given, $CRUDSD_CONFIG, ./crudsd.yaml, then the system's.

    Raises ConfigError when there is none.
    """
    named = given or (Path(environment["CRUDSD_CONFIG"]) if environment.get("CRUDSD_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise ConfigError(f"{named}: there is no such file")
        return named
    for place in (Path("crudsd.yaml"), SYSTEM_CONFIG):
        if place.is_file():
            return place
    raise ConfigError(
        f"there is no crudsd.yaml here and no {SYSTEM_CONFIG}; name one with --config FILE, or try `crudsd demo`"
    )
