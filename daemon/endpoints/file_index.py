"""The records of a target's file by key, in a scratch database, so that one can be found without reading all."""

import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable

from daemon.sync.canonical import decode_object
from daemon.sync.ports import TargetRecord

from .envelope import encode


class FileIndex:
    """What one file holds, as long as it is the same. Shared by threads; memory stays bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._identity: str | None = ""
        # A database without a name is a file that nobody else sees, and that goes with the process.
        self._rows = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        weakref.finalize(self, self._rows.close)
        self._rows.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
            "CREATE TABLE held (id TEXT NOT NULL, document BLOB NOT NULL); CREATE INDEX held_id ON held (id);"
        )

    def find(
        self, target_id: str, identity: str | None, records: Callable[[], Iterable[TargetRecord]]
    ) -> tuple[TargetRecord, ...]:
        """Return the records with this id. `records` are read when the file is not the one that is known."""
        with self._lock:
            if identity != self._identity:
                self._fill(records())
                self._identity = identity
            rows = self._rows.execute("SELECT document FROM held WHERE id = ?", (target_id,)).fetchall()
        return tuple(TargetRecord(target_id, target_id, decode_object(document), None) for (document,) in rows)

    def _fill(self, records: Iterable[TargetRecord]) -> None:
        self._identity = ""
        self._rows.execute("BEGIN")
        try:
            self._rows.execute("DELETE FROM held")
            rows = ((record.id, encode(record.document)) for record in records)
            self._rows.executemany("INSERT INTO held VALUES (?, ?)", rows)
        finally:
            self._rows.execute("COMMIT")
