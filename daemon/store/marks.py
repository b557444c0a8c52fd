"""Two plans put side by side, on disk, so that memory stays bounded whatever their length."""

from collections.abc import Iterable
from typing import TypeAlias

from sqlalchemy import Connection

from daemon.sync.pin import KEYS_SHOWN, Difference

from .database import Database
from .statements import batches, execute, many

Marked: TypeAlias = tuple[str, str, bytes]
"""A change as it is compared: its key, how it is named to people, its mark."""

SAVED, NOW = "saved", "now"

_BATCH = 1_000
_TABLE = "CREATE TABLE marks (side TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, mark BLOB NOT NULL)"
_INDEX = "CREATE INDEX ix_marks ON marks (key, side)"
_INSERT = "INSERT INTO marks (side, key, name, mark) VALUES (?, ?, ?, ?)"
_ONLY = "FROM marks a WHERE a.side = ? AND NOT EXISTS (SELECT 1 FROM marks b WHERE b.key = a.key AND b.side = ?)"
_OTHER = "FROM marks a JOIN marks b ON b.key = a.key WHERE a.side = ? AND b.side = ? AND a.mark <> b.mark"


def compare(*, saved: Iterable[Marked], now: Iterable[Marked]) -> Difference:
    """Say how two plans differ. Each is walked once."""
    with Database.scratch() as scratch:
        with scratch.write() as connection:
            execute(connection, _TABLE)
            for side, changes in ((SAVED, saved), (NOW, now)):
                for batch in batches(changes, _BATCH):
                    many(connection, _INSERT, [(side, *one) for one in batch])
            execute(connection, _INDEX)
        with scratch.read() as connection:
            new = _found(connection, _ONLY, NOW, SAVED)
            gone = _found(connection, _ONLY, SAVED, NOW)
            other = _found(connection, _OTHER, NOW, SAVED)
    return Difference(*new, *gone, *other)


def _found(connection: Connection, rows: str, side: str, beside: str) -> tuple[int, tuple[str, ...]]:
    number = int(execute(connection, "SELECT count(*) " + rows, (side, beside)).scalar_one())
    names = execute(connection, f"SELECT a.name {rows} ORDER BY a.key LIMIT ?", (side, beside, KEYS_SHOWN))
    return number, tuple(names.scalars())
