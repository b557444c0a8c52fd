"""The target's own list, kept aside for the length of one run so that memory stays bounded."""

from collections.abc import Mapping, Sequence
from typing import Self

from daemon.sync.ports import TargetRecord

from .columns import document_of, document_text
from .database import Database
from .statements import Stored, execute, look_up, many


class SqlTargetIndex:
    """The port `TargetIndex` of one run, for one thread. Starts empty; leaving the `with` block removes its rows.

    It can be made again by listing, so it belongs into a scratch database rather than the state.
    """

    def __init__(self, database: Database, run: str) -> None:
        self._database = database
        self._run = run

    def put(self, records: Sequence[TargetRecord]) -> None:
        """Add one page. A record whose id was there (a list that moved between pages) takes the older one's place."""
        with self._database.write() as connection:
            many(
                connection,
                "INSERT INTO target_records (run, target_id, match_key, document, version) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (run, target_id) DO UPDATE SET match_key = excluded.match_key, "
                "document = excluded.document, version = excluded.version",
                [(self._run, one.id, one.match, document_text(one.document), one.version) for one in records],
            )

    def by_match(self, keys: Sequence[str]) -> Mapping[str, tuple[TargetRecord, ...]]:
        """Return the records whose match text is one of these keys, several where the target has several."""
        found: dict[str, tuple[TargetRecord, ...]] = {}
        sql = "SELECT target_id, match_key, document, version FROM target_records WHERE run = ? AND match_key IN (?*)"
        with self._database.read() as connection:
            for row in look_up(connection, sql, (self._run,), dict.fromkeys(keys)):
                found[row[1]] = (*found.get(row[1], ()), _record(row))
        return found

    def by_id(self, ids: Sequence[str]) -> Mapping[str, TargetRecord]:
        """Return the records with these ids."""
        sql = "SELECT target_id, match_key, document, version FROM target_records WHERE run = ? AND target_id IN (?*)"
        with self._database.read() as connection:
            return {row[0]: _record(row) for row in look_up(connection, sql, (self._run,), ids)}

    def count(self) -> int:
        """Count the records put, each id once."""
        sql = "SELECT count(*) FROM target_records WHERE run = ?"
        with self._database.read() as connection:
            return int(execute(connection, sql, (self._run,)).scalar_one())

    def clear(self) -> None:
        """Remove this run's records."""
        with self._database.write() as connection:
            execute(connection, "DELETE FROM target_records WHERE run = ?", (self._run,))

    def __enter__(self) -> Self:
        self.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()


def _record(row: Stored) -> TargetRecord:
    target_id, match, text, version = row
    return TargetRecord(target_id, match, document_of(text) or {}, version)
