"""What the database complains of, said as a StateError with a cure. The only place that knows SQLAlchemy's errors."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

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

_KEPT = "run again when it is; what was committed is kept"
_SERVER_CURES: tuple[tuple[str, str, str], ...] = (
    ("53100", "cannot grow: the server's disk is full", "free some space and run again; what was committed is kept"),
    ("53300", "takes no more connections", "let fewer programs use the server, or raise its max_connections"),
    ("53", "is short of memory or of another resource", "see the server's log, and run again"),
    (
        "55P03",
        "is locked by another process",
        "try again when that one is done; the server's pg_stat_activity shows which it is",
    ),
    ("40", "was written by another process in the same moment", "nothing was committed; run again"),
    ("57014", "gave up on a statement", "run again; if it takes too long, raise statement_timeout of this role"),
    ("57P03", "is starting up or shutting down", _KEPT),
    ("57P", "was shut down while it was in use", f"see that the server is up, and {_KEPT}"),
    ("08", "cannot be reached", f"see that the server is up, and {_KEPT}"),
    ("25P03", "did not wait for this process, which stood still", "nothing was committed; run again"),
    ("25006", "cannot be written: the server is read-only", "name the primary server in `state:`"),
    ("28", "refuses to let us in", "check the user and the password in `state:`"),
    ("3D000", "is not there", "make it with CREATE DATABASE, or name another one in `state:`"),
    ("42501", "does not allow this", "let the role in `state:` own the database"),
    ("58", "cannot be read or written: the disk reports an error", "check the server's disk and its log"),
    ("XX001", "is damaged", "stop crudsd and restore a backup"),
    ("XX002", "is damaged", "stop crudsd; REINDEX may mend it, a backup surely does"),
    *((state, "lacks a part of the schema", "run `crudsd db upgrade`") for state in ("42P01", "42703", "3F000")),
)
"""By the beginning of the SQLSTATE; the first that fits counts."""
_LONGEST = 300
"""Characters of a server's own words that are passed on."""


@contextmanager
def translated(location: str) -> Iterator[None]:
    """Raise StateError, naming the database and the cure, for whatever the database or its driver raises inside."""
    try:
        yield
    except SQLAlchemyError as error:
        # A server's error quotes the row that it refused, so it is not handed on as the cause.
        raise StateError(_message(location, error)) from (None if _is_of_a_server(error) else error)
    except sqlite3.Error as error:
        raise StateError(_sqlite_message(location, error)) from error


def _message(location: str, error: SQLAlchemyError) -> str:
    """Say it without SQLAlchemy's own text, which quotes the statement."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    if isinstance(cause, sqlite3.Error):
        return _sqlite_message(location, cause)
    if cause is not None:
        return server_message(location, cause)
    if isinstance(error, PoolTimeoutError):
        return f"{location}: this process has too many connections of its own in use; run again"
    return f"{location}: the state database cannot be used: {type(error).__name__}: {error}"


def _is_of_a_server(error: SQLAlchemyError) -> bool:
    return isinstance(error, DBAPIError) and not isinstance(error.orig, sqlite3.Error)


def server_message(location: str, error: BaseException) -> str:
    """Return what a PostgreSQL driver's error means and what to do, without the row that it may quote."""
    state = getattr(error, "sqlstate", None)
    if state is None:  # the server's words never came, or came before it had let us in
        return (
            f"{location}: the state database does not answer ({_words(str(error))}); see that the server is up and "
            f"that `state:` names its host, database, user and password, and {_KEPT}"
        )
    words = _words(getattr(getattr(error, "diag", None), "message_primary", None) or "")
    for prefix, finding, cure in _SERVER_CURES:
        if state.startswith(prefix):
            return f"{location}: the state database {finding} ({words}); {cure}"
    return f"{location}: the state database refused: {words} (SQLSTATE {state})"


def _words(text: str) -> str:
    """Return the first line that says something, cut."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
    return first if len(first) <= _LONGEST else first[: _LONGEST - 1] + "…"


def _sqlite_message(location: str, error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "")
    for prefix, finding, cure in _CURES:
        if name.startswith(prefix):
            return f"{location}: the state database {finding} ({error}); {cure}"
    if "no such table" in str(error) or "no such column" in str(error):
        return f"{location}: the state database lacks a part of the schema ({error}); run `crudsd db upgrade`"
    return f"{location}: the state database refused: {error}"
