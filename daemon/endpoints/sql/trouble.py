"""What a database complains of, said in the core's words: whose fault it is, and whether anything else can go on.

A driver's error is translated here and nowhere else. Its detail quotes the row that was refused, so only the first
line is passed on, and the driver's error is not handed on as the cause.
"""

import sqlite3
from collections.abc import Callable
from typing import Final

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InternalError,
    NotSupportedError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from daemon.errors import AuthError, EndpointError, FatalError, RefusedError, UnavailableError

_LONGEST = 300
"""Characters of the database's own words that are passed on."""


class ContendedError(UnavailableError):
    """Another transaction was in the way; nothing of this one was kept, so it may be made once more."""


class TwiceError(RefusedError):
    """A value that must be unique is there already: the key's own, or another column's."""


_Kind = tuple[type[EndpointError], int | None, str]

_IN_THE_WAY: Final = "free it, or let the other one finish; the next run goes on"
_STATES: Final[tuple[tuple[str, _Kind], ...]] = (
    ("23505", (TwiceError, 409, "")),
    ("23P01", (RefusedError, 409, "")),
    ("23503", (RefusedError, 409, "what it refers to has to come first, or to go first")),
    ("23", (RefusedError, 422, "")),
    ("22", (RefusedError, 422, "")),
    ("28", (AuthError, None, "check the user and the password in the connection's url")),
    ("42501", (AuthError, None, "grant it to the user in the connection's url")),
    ("3D000", (FatalError, None, "make the database, or name another one in the connection's url")),
    ("42", (FatalError, None, "the query or the table is not what the job says; `crudsd plan` looks at it again")),
    ("40", (ContendedError, None, "nothing was kept; the next run goes on")),
    ("55P03", (UnavailableError, None, _IN_THE_WAY)),
    ("57014", (UnavailableError, None, "raise timeout.statement of the connection if it takes so long")),
    ("53100", (UnavailableError, None, "the server's disk is full; free some space")),
    ("25006", (FatalError, None, "nothing may be written here; a source only reads, and a target is no standby")),
    ("53", (UnavailableError, None, "see the server's log")),
    ("57P", (UnavailableError, None, "see that the server is up")),
    ("08", (UnavailableError, None, "see that the server is up")),
    ("0A", (RefusedError, 422, "")),
    ("P0", (RefusedError, 422, "")),
)
"""By the beginning of the SQLSTATE; the first that fits counts. The numbers are the HTTP statuses of the same meaning,
by which the core tells what may be sent again (`change.AGAIN`) and what rests."""

_SQLITE: Final[tuple[tuple[str, _Kind], ...]] = (
    ("SQLITE_CONSTRAINT_UNIQUE", (TwiceError, 409, "")),
    ("SQLITE_CONSTRAINT_PRIMARYKEY", (TwiceError, 409, "")),
    ("SQLITE_CONSTRAINT_ROWID", (TwiceError, 409, "")),
    ("SQLITE_CONSTRAINT_FOREIGNKEY", (RefusedError, 409, "what it refers to has to come first, or to go first")),
    ("SQLITE_CONSTRAINT", (RefusedError, 422, "")),
    ("SQLITE_MISMATCH", (RefusedError, 422, "")),
    ("SQLITE_TOOBIG", (RefusedError, 422, "")),
    ("SQLITE_BUSY", (UnavailableError, None, f"another program has locked it; {_IN_THE_WAY}")),
    ("SQLITE_LOCKED", (UnavailableError, None, _IN_THE_WAY)),
    ("SQLITE_FULL", (UnavailableError, None, "the disk is full; free some space and run again")),
    ("SQLITE_IOERR", (UnavailableError, None, "the disk reports an error; check it and the file system")),
    ("SQLITE_CANTOPEN", (UnavailableError, None, "check that the path exists and that this user may use it")),
    ("SQLITE_READONLY", (FatalError, None, "nothing may be written here: check owner and mode of file and folder")),
    ("SQLITE_PERM", (FatalError, None, "check owner and mode of the file")),
    ("SQLITE_NOTADB", (FatalError, None, "name a SQLite database in the connection's url")),
    ("SQLITE_CORRUPT", (FatalError, None, "the database is damaged: restore a backup")),
    ("SQLITE_ERROR", (FatalError, None, "the query or the table is not what the job says")),
)

_BY_CLASS: Final[tuple[tuple[type[SQLAlchemyError], _Kind], ...]] = (
    (IntegrityError, (RefusedError, 409, "")),
    (DataError, (RefusedError, 422, "")),
    (NotSupportedError, (RefusedError, 422, "")),
    (ProgrammingError, (FatalError, None, "the query or the table is not what the job says")),
    (InternalError, (UnavailableError, None, "see the database's log")),
    (DBAPIError, (UnavailableError, None, "see that the database is up, and run again")),
)
"""For drivers whose errors have no code that is known here."""

_LOGIN = ("authentication failed", "no pg_hba.conf entry", "no password supplied", "role ")
"""How a server that did not let us in says so; its code does not come through then."""


class Trouble:
    """Says what the errors of one connection mean. Threads may share it."""

    def __init__(self, name: str, blot: Callable[[str], str]) -> None:
        self._name = name
        self._blot = blot

    def of(self, error: BaseException, doing: str) -> EndpointError:
        """Return what an error of the database or its driver means. `doing` says what was attempted."""
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        make, status, cure = self._kind(error, cause)
        said = f"{self._name}: {doing}: {_words(cause)}"
        return make(self._blot(f"{said}; {cure}" if cure else said), status=status)

    def _kind(self, error: BaseException, cause: BaseException) -> _Kind:
        state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
        if isinstance(state, str):
            return _first(_STATES, state, (RefusedError, None, ""))
        if isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorname", None):
            return _first(_SQLITE, cause.sqlite_errorname, (FatalError, None, ""))
        if isinstance(error, PoolTimeoutError):
            return UnavailableError, None, "too many jobs use it at once; raise quota.concurrency of the connection"
        if "Could not decode" in str(cause):
            return RefusedError, 422, "a text in it is not UTF-8"
        if any(word in str(cause) for word in _LOGIN):
            return AuthError, None, "check the user and the password in the connection's url"
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return UnavailableError, None, "see that the database is up, and run again"
        found = (kind for one, kind in _BY_CLASS if isinstance(error, one))
        return next(found, (RefusedError, 422, ""))


def _first(table: tuple[tuple[str, _Kind], ...], code: str, other: _Kind) -> _Kind:
    return next((kind for prefix, kind in table if code.startswith(prefix)), other)


def _words(error: BaseException) -> str:
    """Return the first line of what was said, cut; of a refusal the names, and not the row."""
    text = getattr(getattr(error, "diag", None), "message_primary", None) or str(error)
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return first if len(first) <= _LONGEST else first[: _LONGEST - 1] + "…"
