"""What the database complains of, said as a StateError with a cure. The only place that knows SQLAlchemy's errors."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from daemon.errors import StateError

_CURES: tuple[tuple[str, str, str], ...] = (
    (
        "SQLITE_BUSY",
        "is locked by another process",
        "try again when that one is done; `fuser` with this path shows which it is",
    ),
    ("SQLITE_LOCKED", "is locked inside this process", "try again"),
    ("SQLITE_READONLY", "cannot be written", "check owner and mode of the file and of its directory"),
    ("SQLITE_FULL", "cannot grow: the disk is full", "free some space and run again; what was committed is kept"),
    ("SQLITE_NOTADB", "is not a SQLite database", "name another file in `state:`, or restore a backup"),
    ("SQLITE_CORRUPT", "is damaged", "stop crudsd and restore a backup"),
    ("SQLITE_CANTOPEN", "cannot be opened", "check that the path exists and that this user may write there"),
    ("SQLITE_PERM", "cannot be opened", "check owner and mode of the file"),
    ("SQLITE_IOERR", "cannot be read or written: the disk reports an error", "check the disk and the file system"),
)


@contextmanager
def translated(location: str) -> Iterator[None]:
    """Raise StateError, naming the database and the cure, for whatever the database or its driver raises inside."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StateError(_message(location, error)) from error
    except sqlite3.Error as error:
        raise StateError(_sqlite_message(location, error)) from error


def _message(location: str, error: SQLAlchemyError) -> str:
    """Say it without SQLAlchemy's own text, which quotes the statement."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    if isinstance(cause, sqlite3.Error):
        return _sqlite_message(location, cause)
    if cause is not None:
        return f"{location}: the state database refused: {str(cause).strip()}"
    return f"{location}: the state database cannot be used: {type(error).__name__}: {error}"


def _sqlite_message(location: str, error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "")
    for prefix, finding, cure in _CURES:
        if name.startswith(prefix):
            return f"{location}: the state database {finding} ({error}); {cure}"
    if "no such table" in str(error) or "no such column" in str(error):
        return f"{location}: the state database lacks a part of the schema ({error}); run `crudsd db upgrade`"
    return f"{location}: the state database refused: {error}"
