"""What the state remembers of one key: its changes over past runs, and the keys that resemble it."""

from datetime import datetime
from difflib import get_close_matches

from sqlalchemy import Connection

from daemon.sync.canonical import readable
from daemon.sync.explanation import PastChange

from .change_rows import change_of
from .database import Database
from .statements import execute, look_up

NEIGHBOURS = 50
"""Keys before and after a mistyped one that are compared with it."""


class KeyHistory:
    """Reads what one job remembers of single keys. Threads may share it."""

    def __init__(self, database: Database, job: str) -> None:
        self._database = database
        self._job = job

    def changes(self, key: str, runs: tuple[str, ...], limit: int) -> tuple[PastChange, ...]:
        """Return up to `limit` changes of this key in these runs, the newest first."""
        # Asked by run, since the hot table has an index by run and key, and none by key alone.
        sql = (
            "SELECT run, updated_at, status, seq, kind, key, target_id, version, document, before, fields, "
            "fingerprint, raw, owned, idempotency_key, fate, reason, contest, part FROM changes "
            "WHERE key = ? AND run IN (?*)"
        )
        with self._database.read() as connection:
            rows = [
                PastChange(run, datetime.fromisoformat(at), change_of(change), status)
                for run, at, status, *change in look_up(connection, sql, (key,), runs)
            ]
        rows.sort(key=lambda one: (one.run, one.change.seq), reverse=True)
        return tuple(rows[:limit])

    def near(self, text: str, limit: int) -> tuple[str, ...]:
        """Return up to `limit` linked keys, as people see them, that resemble this text; the likeliest first."""
        with self._database.read() as connection:
            keys = [
                *self._neighbours(connection, "<", "DESC", text),
                *self._neighbours(connection, ">", "ASC", text),
                *self._containing(connection, text),
            ]
        seen = list(dict.fromkeys(map(readable, keys)))
        return tuple(get_close_matches(text, seen, n=limit, cutoff=0.5))

    def _neighbours(self, connection: Connection, side: str, order: str, text: str) -> list[str]:
        sql = f"SELECT key FROM links WHERE job = ? AND key {side} ? ORDER BY key {order} LIMIT ?"  # noqa: S608
        return [row[0] for row in execute(connection, sql, (self._job, text, NEIGHBOURS))]

    def _containing(self, connection: Connection, text: str) -> list[str]:
        """Return keys that hold the text in whatever case: what is typed without its prefix, or in small letters."""
        like = text.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        sql = "SELECT key FROM links WHERE job = ? AND lower(key) LIKE ? ESCAPE '\\' LIMIT ?"
        return [row[0] for row in execute(connection, sql, (self._job, f"%{like}%", NEIGHBOURS))]
