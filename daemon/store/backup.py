"""A copy of the state database while it is in use: whole, of one moment, and compact (sqlite.org, "VACUUM INTO").

In WAL mode the copy reads a snapshot: runs that are under way go on, and nobody waits.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from daemon.errors import StateError, UsageError

from .database import Database, tell_progress
from .trouble import translated


def back_up(database: Database, path: Path, *, tick: Callable[[], None] | None = None) -> int:
    """Write a copy to a new file (0600) that is whole and durable when it has its name; return its bytes.

    The copy is checked before it gets its name; `tick` is called while that gets on. Raises UsageError when something
    is there already, or the state is no SQLite file; StateError when it cannot be written, or the state is damaged.
    """
    if database.file is None:
        raise UsageError(f"{database.location}: this state is a server's; back it up with `pg_dump`")
    if os.path.lexists(path):
        raise UsageError(f"{path}: is there already; name a new file")
    aside = path.with_name(f".{path.name}.part")
    try:
        aside.unlink(missing_ok=True)
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        _copy(database.file, aside, tick)
        _name(aside, path)
    except FileExistsError:
        raise UsageError(f"{path}: is there already; name a new file") from None
    except OSError as error:
        raise StateError(f"{path}: the backup cannot be written: {error.strerror or error}") from error
    finally:
        aside.unlink(missing_ok=True)
    return path.stat().st_size


def replace_backup(database: Database, path: Path, *, tick: Callable[[], None]) -> None:
    """Do the same in place of an older copy, which stays until the new one is whole. May be repeated after a kill."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    back_up(database, new, tick=tick)
    try:
        new.replace(path)
        _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise StateError(f"{path}: the backup cannot be written: {error.strerror or error}") from error


def _copy(file: Path, aside: Path, tick: Callable[[], None] | None) -> None:
    with translated(f"{file}, or its copy"), closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as reader:
        tell_progress(reader, tick)
        reader.execute("VACUUM INTO ?", (str(aside),))
    with translated(str(aside)), closing(sqlite3.connect(aside)) as copy:
        tell_progress(copy, tick)
        found = copy.execute("PRAGMA integrity_check").fetchone()[0]
    if found != "ok":
        raise StateError(f"{file}: its copy is damaged, and so is it ({found}); `crudsd db check` says more")


def _name(aside: Path, path: Path) -> None:
    """Make the file durable, then give it its name. Raises FileExistsError rather than take another file's place."""
    _sync(aside, os.O_RDONLY)
    os.link(aside, path, follow_symlinks=False)
    _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)


def _sync(place: Path, flags: int) -> None:
    descriptor = os.open(place, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
