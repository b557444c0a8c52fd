"""The key ring: lines of `name:base64 of 32 bytes`. The first key seals, all of them open."""

import base64
import binascii
import os
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from daemon.errors import ConfigError

CREDENTIAL = "crudsd-key"
"""The name of the systemd credential."""

KEY_BYTES = 32
_FILE_BYTES = 65_536
"""A key file is some lines; whatever is longer is another file."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_CURE = "`crudsd key generate` makes a good one"


@dataclass(frozen=True, slots=True, repr=False)
class KeyRing:
    """Named keys of 32 bytes, never none. Printing it shows only the names."""

    keys: tuple[tuple[str, bytes], ...]

    @property
    def sealing(self) -> tuple[str, bytes]:
        """The name and the key that new records are sealed with."""
        return self.keys[0]

    def find(self, name: str) -> bytes | None:
        """Return the key of this name, or None when the ring has none."""
        return next((key for known, key in self.keys if known == name), None)

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(name for name, _ in self.keys)})"


def parse_key_ring(text: str, source: str) -> KeyRing:
    """Read a ring; blank lines and lines that begin with `#` are left out.

    Raises ConfigError naming the source and line; what stands there is never repeated.
    """
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, key = _parse_line(line.strip(), f"{source}: line {number}")
        if name in keys:
            raise ConfigError(f"{source}: line {number}: the ring has a key {name} already; each needs its own name")
        keys[name] = key
    if not keys:
        raise ConfigError(f"{source}: holds no key; {_CURE}")
    return KeyRing(tuple(keys.items()))


def find_key_ring(
    environment: Mapping[str, str], credentials: Path | None, key_file: Path | None
) -> tuple[KeyRing | None, tuple[str, ...]]:
    """Return the key ring and warnings about where it came from; None when there is no key anywhere.

    In order: the systemd credential `crudsd-key`, `key_file` if it is there, the file named by CRUDSD_KEY_FILE, the
    value of CRUDSD_KEY. Raises ConfigError for a key that is there and must not be used, or cannot be read.
    """
    if credentials is not None and (credentials / CREDENTIAL).exists():
        return read_key_file(credentials / CREDENTIAL, is_credential=True), ()
    if key_file is not None and os.path.lexists(key_file):
        return read_key_file(key_file), ()
    if environment.get("CRUDSD_KEY_FILE"):
        return read_key_file(Path(environment["CRUDSD_KEY_FILE"])), ()
    if environment.get("CRUDSD_KEY"):
        warning = (
            "the key comes from the environment variable CRUDSD_KEY, which child processes inherit and other tools "
            "may show; put it into a file (0600) or a systemd credential"
        )
        return parse_key_ring(environment["CRUDSD_KEY"], "CRUDSD_KEY"), (warning,)
    return None, ()


def read_key_file(path: Path, *, is_credential: bool = False) -> KeyRing:
    """Read a ring from a file that only its owner can read. Raises ConfigError, with the cure, for any other.

    A systemd credential is guarded by the manager, which may hand it out as 0440 of root.
    """
    try:
        # O_NONBLOCK: a FIFO in this place must not hang us; checks and reading are of the one file that is open.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        what = "is a symbolic link; name the file itself" if path.is_symlink() else f"cannot be read: {error.strerror}"
        raise ConfigError(f"{path}: the key file {what}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{path}: is not a regular file; {_CURE}")
        if not is_credential:
            _check_guarded(path, status)
        content = os.read(descriptor, _FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not a key file; {_CURE}") from None
    if len(content) > _FILE_BYTES:
        raise ConfigError(f"{path}: is too long for a key file; {_CURE}")
    return parse_key_ring(text, str(path))


def write_key(path: Path) -> str:
    """Make a new key, write it to a new file that only its owner can read, and return the key's name.

    Raises ConfigError when something is there already: overwriting a key loses what it sealed.
    """
    # A name that no other key has, so that a wrong key file is told from a damaged record.
    name = f"k{secrets.token_hex(4)}"
    line = f"{name}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode('ascii')}\n"
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            # A link, not a rename: it never takes the place of a key that is there.
            os.link(aside, path, follow_symlinks=False)
        finally:
            aside.unlink()
        _sync_folder(path.parent)
    except FileExistsError:
        raise ConfigError(
            f"{path}: is there already, and may be the key of sealed records; name another file"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: the key cannot be written: {error.strerror}") from error
    return name


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parse_line(line: str, place: str) -> tuple[str, bytes]:
    name, colon, encoded = line.partition(":")
    if not colon or not _NAME.fullmatch(name):
        raise ConfigError(f"{place}: is not `name:base64 of {KEY_BYTES} bytes`; {_CURE}")
    try:
        key = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError(f"{place}: what follows `{name}:` is not base64; {_CURE}") from None
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{place}: the key {name} has {len(key)} bytes, {KEY_BYTES} are needed; {_CURE}")
    return name, key


def _check_guarded(path: Path, status: os.stat_result) -> None:
    """Refuse a file that others own, can read, or can put another in place of."""
    if status.st_uid not in {os.geteuid(), 0}:
        raise ConfigError(f"{path}: the key file belongs to another user; `chown` it to the one that runs crudsd")
    if stat.S_IMODE(status.st_mode) & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise ConfigError(f"{path}: others may use the key file (mode {mode:04o}); run `chmod 0600` on it")
    folder = path.absolute().parent.stat()
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        raise ConfigError(f"{path}: anybody may replace the key file, for its directory is open to all; `chmod o-w` it")
