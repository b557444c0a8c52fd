"""What is remembered of a job's earlier runs: links, the documents last sent, and the last complete read."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection

from daemon.clock import Clock, utc_clock
from daemon.sync.change import Kept, Link
from daemon.sync.cursor import Cursor, WholeRead
from daemon.values import Document

from .columns import document_of, document_text, moment_text
from .cursors import load_cursor, load_whole
from .database import Database
from .latest import last_read
from .reject_rows import has_rejects, kept_of
from .statements import Stored, Values, execute, fetch, is_sqlite, look_up, many

WRITTEN = "SELECT key FROM links WHERE job = ? AND written_at > ?"
LEFT_OPEN = (
    "SELECT key FROM changes LEFT JOIN runs ON runs.id = changes.run WHERE changes.job = ? "
    "AND fate IN ('sent', 'unknown') AND (changes.updated_at > ? OR (fate = 'sent' AND runs.ended_at > ?))"
)
"""A request that the journal knows as sent may have waited for its turn until the end of its run."""
KEEP = (
    "INSERT INTO links (job, key, target_id, fingerprint, raw, version, owned, contest, part, written_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (job, key) DO UPDATE SET target_id = excluded.target_id, fingerprint = excluded.fingerprint, "
    "raw = excluded.raw, version = excluded.version, owned = excluded.owned, contest = excluded.contest, "
    "part = excluded.part, written_at = coalesce(excluded.written_at, links.written_at)"
)
KEEP_ON_A_SERVER = KEEP.replace("(job, ", "(id, job, ", 1).replace(
    "VALUES (",
    "VALUES (coalesce((SELECT id FROM links AS old WHERE old.job = ? AND old.key = ?), nextval('links_id_seq')), ",
    1,
)
"""PostgreSQL would take a new id for each update, and a run needs a bit of memory for each id up to the highest."""


class SqlLinks:
    """The port `Links` of one job, made for one run. Reading only; threads may share it."""

    def __init__(self, database: Database, job: str, *, clock: Clock = utc_clock) -> None:
        self._database = database
        self._job = job
        self._clock = clock
        self._has_rejects: bool | None = None

    def count(self) -> int:
        """Count the job's links: 0.1 µs each, so once a run."""
        with self._database.read() as connection:
            return int(execute(connection, "SELECT count(*) FROM links WHERE job = ?", (self._job,)).scalar_one())

    def highest(self) -> int:
        """Return the highest id of the job's links, 0 when there are none."""
        sql = "SELECT coalesce(max(id), 0) FROM links WHERE job = ?"
        with self._database.read() as connection:
            return int(execute(connection, sql, (self._job,)).scalar_one())

    def by_key(self, keys: Sequence[str]) -> Mapping[str, Link]:
        """Return the links of those keys that have one."""
        with self._database.read() as connection:
            rows = look_up(
                connection,
                "SELECT id, key, target_id, fingerprint, raw, version, owned, contest, part FROM links "
                "WHERE job = ? AND key IN (?*)",
                (self._job,),
                keys,
            )
            return {row[1]: link_of(row) for row in rows}

    def documents(self, link_ids: Sequence[int]) -> Mapping[int, Document]:
        """Return the last document sent for each of these links, where it is remembered."""
        with self._database.read() as connection:
            rows = look_up(connection, "SELECT link, document FROM documents WHERE link IN (?*)", (), link_ids)
            return {link: document for link, text in rows if (document := document_of(text)) is not None}

    def by_target(self, target_ids: Sequence[str]) -> Mapping[str, Sequence[Link]]:
        """Return all links that lead to these target records. Without an index: each call walks the job's links."""
        found: dict[str, list[Link]] = {}
        with self._database.read() as connection:
            rows = look_up(
                connection,
                "SELECT id, key, target_id, fingerprint, raw, version, owned, contest, part FROM links "
                "WHERE job = ? AND target_id IN (?*)",
                (self._job,),
                target_ids,
            )
            for row in rows:
                found.setdefault(row[2], []).append(link_of(row))
        return found

    def range(self, after: int, upto: int, limit: int) -> Sequence[Link]:
        """Return up to `limit` links with after < id <= upto, in order of id."""
        with self._database.read() as connection:
            rows = execute(
                connection,
                "SELECT id, key, target_id, fingerprint, raw, version, owned, contest, part FROM links "
                "WHERE id > ? AND id <= ? AND job = ? ORDER BY id LIMIT ?",
                (after, upto, self._job, limit),
            )
            return tuple(link_of(row) for row in rows)

    def by_id(self, ids: Sequence[int]) -> Sequence[Link]:
        """Return those of this job's links that have these ids, in order of id."""
        with self._database.read() as connection:
            rows = look_up(
                connection,
                "SELECT id, key, target_id, fingerprint, raw, version, owned, contest, part FROM links "
                "WHERE job = ? AND id IN (?*)",
                (self._job,),
                ids,
            )
            return sorted(map(link_of, rows), key=attrgetter("id"))

    def raws(self, after: int, limit: int) -> Sequence[tuple[int, bytes, str]]:
        """Return id, raw fingerprint and part of up to `limit` links with id > after, in order of id."""
        sql = "SELECT id, raw, part FROM links WHERE job = ? AND id > ? ORDER BY id LIMIT ?"
        with self._database.read() as connection:
            rows: Sequence[Any] = fetch(connection, sql, (self._job, after, limit))
        return rows

    def in_part(self, part: str, *, within: bool = False) -> Iterator[int]:
        """Yield the ids of the links in this part; `within`: also in those whose names go on with a slash."""
        begins = f"{part}/"
        also = "OR substr(part, 1, ?) = ?" if within else ""
        more: Values = (len(begins), begins) if within else ()
        sql = f"SELECT id FROM links WHERE job = ? AND part <> '' AND (part = ? {also})"  # noqa: S608 - of ours
        if not part:
            sql, more = "SELECT id FROM links WHERE job = ? AND part = ?", ()
        with self._database.read() as connection:
            yield from (row[0] for row in execute(connection, sql, (self._job, part, *more)))

    def kept(self, keys: Sequence[str]) -> Mapping[str, Kept]:
        """Return what earlier runs rejected of these keys."""
        if self._has_rejects is False:
            return {}
        with self._database.read() as connection:
            if self._has_rejects is None:
                self._has_rejects = has_rejects(connection, self._job)
            return kept_of(connection, self._job, keys, self._clock()) if self._has_rejects else {}

    def young(self, settle: timedelta) -> frozenset[str]:
        """Return the keys whose record was written, or a change of it left open, less than `settle` ago.

        Without an index: each call walks the job's links.
        """
        since = moment_text(self._clock() - settle)
        with self._database.read() as connection:
            written = execute(connection, WRITTEN, (self._job, since))
            left_open = execute(connection, LEFT_OPEN, (self._job, since, since))
            return frozenset(row[0] for row in (*written, *left_open))

    def last_seen(self) -> int | None:
        """Return how many records the job's last accepted read saw; None when there was none."""
        with self._database.read() as connection:
            read = last_read(connection, self._job)
        return None if read is None else read.seen

    def last_selection(self) -> str | None:
        """Return what the job picked in its last accepted read; None when there was none."""
        with self._database.read() as connection:
            read = last_read(connection, self._job)
        return None if read is None else read.selection

    def cursor(self, part: str) -> Cursor | None:
        """Return how far this part of the source was read; None when that is not known."""
        with self._database.read() as connection:
            return load_cursor(connection, self._job, part)

    def last_whole(self) -> WholeRead | None:
        """Return the last time the source was read as a whole, and all of it settled; None when it never was."""
        with self._database.read() as connection:
            return load_whole(connection, self._job)


def link_of(row: Stored) -> Link:
    """Return the link in a row of id, key, target_id, fingerprint, raw, version, owned, contest, part."""
    number, key, target_id, fingerprint, raw, version, owned, contest, part = row
    return Link(number, key, target_id, fingerprint, raw, version, bool(owned), contest, part)


def keep_links(
    connection: Connection, job: str, links: Sequence[tuple[Link, Document | None]], *, written_at: str | None
) -> None:
    """Store links with their documents inside the journal's transaction.

    A link takes the place of the one of the same key, whose id it keeps. A document of None leaves the remembered
    one as it is, and so does a `written_at` of None with the moment of the last write.
    """
    if is_sqlite(connection):
        many(connection, KEEP, [(job, *_values(link), written_at) for link, _ in links])
    else:
        many(connection, KEEP_ON_A_SERVER, [(job, link.key, job, *_values(link), written_at) for link, _ in links])
    texts: list[Values] = [(text, job, link.key) for link, document in links if (text := document_text(document))]
    many(
        connection,
        "INSERT INTO documents (link, document) SELECT id, ? FROM links WHERE job = ? AND key = ? "
        "ON CONFLICT (link) DO UPDATE SET document = excluded.document",
        texts,
    )


def _values(link: Link) -> Values:
    return link.key, link.target_id, link.fingerprint, link.raw, link.version, link.owned, link.contest, link.part


def forget_links(connection: Connection, job: str, keys: Sequence[str]) -> None:
    """Remove the links of these keys, and with them their documents, inside the journal's transaction."""
    many(connection, "DELETE FROM links WHERE job = ? AND key = ?", [(job, key) for key in keys])


def touch_links(connection: Connection, job: str, keys: Sequence[str], written_at: str) -> None:
    """Note that the records of these keys may have been written until now, inside the journal's transaction."""
    sql = "UPDATE links SET written_at = ? WHERE job = ? AND key = ?"
    many(connection, sql, [(written_at, job, key) for key in keys])


def doubt_links(connection: Connection, job: str, keys: Sequence[str]) -> None:
    """Note that what the target holds for these keys is not known, inside the journal's transaction."""
    none = b""
    sql = "UPDATE links SET fingerprint = ?, raw = ? WHERE job = ? AND key = ?"
    many(connection, sql, [(none, none, job, key) for key in keys])
