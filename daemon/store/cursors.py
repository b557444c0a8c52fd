"""How far each part of a job's source was read: one row a part, so that a hundred thousand of them stay cheap.

The journal moves them; people look at them, and set them.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from daemon.clock import Clock
from daemon.sync.cursor import Cursor, WholeRead

from .columns import from_json, moment_text, to_json
from .database import Database
from .leases import wait_for_turn
from .statements import Stored, Values, execute, many

_LOAD = "SELECT part, value, base, revision, is_disordered, moved_at, run FROM cursors WHERE job = ? "
_SAVE = (
    "INSERT INTO cursors (job, part, value, base, revision, is_disordered, moved_at, run) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job, part) DO UPDATE SET "
    "value = excluded.value, base = excluded.base, revision = excluded.revision, "
    "is_disordered = excluded.is_disordered, moved_at = excluded.moved_at, run = excluded.run"
)


def load_cursor(connection: Connection, job: str, part: str) -> Cursor | None:
    """Return how far this part was read; None when that is not known."""
    row = execute(connection, _LOAD + "AND part = ?", (job, part)).first()
    return None if row is None else _cursor(row)


def save_cursors(connection: Connection, job: str, run: str, cursors: Sequence[Cursor], now: datetime) -> None:
    """Set cursors, inside the journal's transaction; those without a value are forgotten."""
    gone: list[Values] = [(job, one.part) for one in cursors if one.value is None]
    many(connection, "DELETE FROM cursors WHERE job = ? AND part = ?", gone)
    kept = [one for one in cursors if one.value is not None]
    rows: list[Values] = [(job, *_values(one), moment_text(now), run) for one in kept]
    many(connection, _SAVE, rows)


def load_whole(connection: Connection, job: str) -> WholeRead | None:
    """Return the last time that the job's source was read as a whole; None when it never was."""
    row = execute(connection, "SELECT began_at, run FROM whole_reads WHERE job = ?", (job,)).first()
    return None if row is None else WholeRead(datetime.fromisoformat(row[0]), row[1])


def save_whole(connection: Connection, job: str, run: str, now: datetime) -> None:
    """Note that this run has read the source as a whole, from its beginning on, inside the journal's transaction."""
    began = execute(connection, "SELECT started_at FROM runs WHERE id = ?", (run,)).scalar()
    execute(
        connection,
        "INSERT INTO whole_reads (job, began_at, run) VALUES (?, ?, ?) "
        "ON CONFLICT (job) DO UPDATE SET began_at = excluded.began_at, run = excluded.run",
        (job, began or moment_text(now), run),
    )


class Cursors:
    """What people see of cursors, and what they set. Every method is one transaction; threads may share it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def list(self, job: str, *, limit: int | None = None) -> tuple[Cursor, ...]:
        """Return the job's cursors in order of part, all of them or up to `limit`."""
        with self._database.read() as connection:
            if limit is None:
                return tuple(_cursor(row) for row in execute(connection, _LOAD + "ORDER BY part", (job,)))
            return tuple(_cursor(row) for row in execute(connection, _LOAD + "ORDER BY part LIMIT ?", (job, limit)))

    def get(self, job: str, part: str) -> Cursor | None:
        """Return the cursor of one part; None when there is none."""
        with self._database.read() as connection:
            return load_cursor(connection, job, part)

    def count(self, job: str) -> int:
        """Count the job's cursors."""
        with self._database.read() as connection:
            return int(execute(connection, "SELECT count(*) FROM cursors WHERE job = ?", (job,)).scalar_one())

    def whole(self, job: str) -> WholeRead | None:
        """Return the last time that the job's source was read as a whole."""
        with self._database.read() as connection:
            return load_whole(connection, job)

    def set(self, job: str, cursors: Sequence[Cursor]) -> None:
        """Set these cursors, each in place of the one of its part, and forget where a read was cut off.

        The caller holds the job's lease.
        """
        with self._database.write() as connection:
            wait_for_turn(connection, job)
            execute(connection, "DELETE FROM reads WHERE job = ?", (job,))
            save_cursors(connection, job, "", cursors, self._clock())

    def reset(self, job: str, part: str | None = None) -> int:
        """Forget the cursor of a part, or all of the job's, and return how many; the next run begins at the start.

        The caller holds the job's lease.
        """
        sql, values = "DELETE FROM cursors WHERE job = ?", [job]
        if part is not None:
            sql, values = sql + " AND part = ?", [job, part]
        with self._database.write() as connection:
            wait_for_turn(connection, job)
            execute(connection, "DELETE FROM reads WHERE job = ?", (job,))
            return execute(connection, sql, tuple(values)).rowcount


def _values(one: Cursor) -> Values:
    base = None if one.base is None else to_json(one.base)
    return one.part, to_json(one.value), base, one.revision, one.is_disordered


def _cursor(row: Stored) -> Cursor:
    part, value, base, revision, is_disordered, moved_at, run = row
    return Cursor(
        part=part,
        value=from_json(value),
        revision=revision,
        base=None if base is None else from_json(base),
        is_disordered=bool(is_disordered),
        moved_at=datetime.fromisoformat(moved_at),
        run=run,
    )
