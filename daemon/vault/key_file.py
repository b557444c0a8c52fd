"""Key files: read only when nobody else could have read or put them there, and never half written."""

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from daemon.errors import ConfigError, UsageError

from .keys import CURE, KeyRing, name_in, new_key, parse_key_ring

_FILE_BYTES = 65_536
"""A key file is some lines; whatever is longer is another file."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Whose a key file is, and who may use it."""

    user: int
    group: int
    mode: int
    """The permission bits."""


def read_key_file(path: Path, *, is_credential: bool = False) -> KeyRing:
    """Read a ring from a file that only its owner can read. Raises ConfigError, with the cure, for any other.

    A systemd credential is guarded by the manager, which may hand it out as 0440 of root.
    """
    text, _ = _read(path, is_credential=is_credential)
    return parse_key_ring(text, str(path))


def guard_of(path: Path) -> Guard | None:
    """Return whose a file is and who may use it; None when that cannot be told."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return _guard(status)


def write_key(path: Path) -> str:
    """Make a new key, write it to a new file that only its owner can read, and return the key's name.

    Raises ConfigError when something is there already: overwriting a key loses what it sealed.
    """
    name, line = new_key()
    try:
        with _aside(path, line, Guard(os.geteuid(), os.getegid(), 0o600)) as aside:
            # A link, not a rename: it never takes the place of a key that is there.
            os.link(aside, path, follow_symlinks=False)
            aside.unlink()
    except FileExistsError:
        raise ConfigError(
            f"{path}: is there already, and may be the key of sealed records; `crudsd key add` puts a new key into it"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: the key cannot be written: {error.strerror}") from error
    return name


def add_key(path: Path) -> str:
    """Put a new key before the others of a key file, so that it seals from now on, and return its name.

    All or nothing, whenever the machine stops; owner and mode stay. Raises ConfigError, and changes nothing, for a
    file that is no good key file or cannot be written.
    """
    with _changing(path) as (text, guard):
        known = parse_key_ring(text, str(path)).names
        name, line = new_key()
        while name in known:
            name, line = new_key()
        lines = text.splitlines(keepends=True)
        first = next(place for place, one in enumerate(lines) if name_in(one) is not None)
        _replace(path, "".join((*lines[:first], line, *lines[first:])), guard)
    return name


def remove_key(path: Path, name: str) -> None:
    """Take a key out of a key file, all or nothing. What it sealed does not open any more.

    Raises UsageError for a key that is not there or that seals, ConfigError as `add_key` does.
    """
    with _changing(path) as (text, guard):
        ring = parse_key_ring(text, str(path))
        if name not in ring.names:
            raise UsageError(f"{path}: the ring has no key {name}; it holds {', '.join(ring.names)}")
        if name == ring.sealing[0]:
            raise UsageError(
                f"{path}: {name} is the key that seals, and stays; `crudsd key add` puts a new one before it"
            )
        kept = (line for line in text.splitlines(keepends=True) if name_in(line) != name)
        _replace(path, "".join(kept), guard)


def _read(path: Path, *, is_credential: bool) -> tuple[str, Guard]:
    try:
        # O_NONBLOCK: a FIFO in this place must not hang us; checks and reading are of the one file that is open.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        what = "is a symbolic link; name the file itself" if path.is_symlink() else f"cannot be read: {error.strerror}"
        raise ConfigError(f"{path}: the key file {what}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{path}: is not a regular file; {CURE}")
        if not is_credential:
            _check_guarded(path, status)
        content = os.read(descriptor, _FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not a key file; {CURE}") from None
    if len(content) > _FILE_BYTES:
        raise ConfigError(f"{path}: is too long for a key file; {CURE}")
    return text, _guard(status)


def _guard(status: os.stat_result) -> Guard:
    return Guard(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))


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


@contextmanager
def _changing(path: Path) -> Iterator[tuple[str, Guard]]:
    """Give a key file's text and guard, with nobody else changing it meanwhile. Raises ConfigError."""
    try:
        folder = os.open(path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"{path}: the key file cannot be written: {error.strerror}") from error
    try:
        # On the folder: the file itself is another one after each change.
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _clear_up(path)
        yield _read(path, is_credential=False)
    except BlockingIOError:
        raise ConfigError(f"{path}: another crudsd is changing the key file; try again") from None
    except OSError as error:
        raise ConfigError(f"{path}: the key file cannot be written: {error.strerror}; it is as it was") from error
    finally:
        os.close(folder)


def _replace(path: Path, text: str, guard: Guard) -> None:
    """Put a new file in the place of an old one, whole and durable."""
    with _aside(path, text, guard) as aside:
        aside.replace(path)


@contextmanager
def _aside(path: Path, text: str, guard: Guard) -> Iterator[Path]:
    """Give a durable file beside `path` for the block to put in place; then make that durable too."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii", newline="") as file:
            if (guard.user, guard.group) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), guard.user, guard.group)
            os.fchmod(file.fileno(), guard.mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield aside
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    _sync_folder(path.absolute().parent)


def _clear_up(path: Path) -> None:
    """Remove what a change that was killed left aside: it holds keys, and nobody would look for them there."""
    left = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}")
    for file in path.absolute().parent.iterdir():
        if left.fullmatch(file.name):
            file.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
