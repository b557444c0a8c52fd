"""Whether the state database is sound, and what is in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from . import schema
from .database import Database
from .statements import execute
from .tables import metadata


class Verdict(StrEnum):
    """What a finding means."""

    OK = "ok"
    WARN = "warn"
    """Somebody should look; the state can be used."""
    FAIL = "fail"
    """The state must not be used as it is."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    verdict: Verdict
    message: str
    """What was found, and for other verdicts than ok what to do."""


_ORPHANS = (
    ("documents without a link", "SELECT count(*) FROM documents WHERE link NOT IN (SELECT id FROM links)"),
    (
        "changes of no run",
        "SELECT count(*) FROM (SELECT DISTINCT run FROM changes) AS had WHERE run NOT IN (SELECT id FROM runs)",
    ),
)
_DOUBLE_LINKS = "SELECT count(*) FROM (SELECT 1 FROM links GROUP BY job, target_id HAVING count(*) > 1) AS doubles"
_UNKNOWN = "SELECT count(*) FROM changes WHERE fate = 'unknown' OR fate = 'sent'"
_OPEN_RUNS = "SELECT count(*) FROM runs WHERE phase <> 'over'"


def check(database: Database) -> Iterator[Finding]:
    """Yield what was looked at, in order. Reads everything once: on a large state it takes its time; writes nothing.

    Raises StateError when the database cannot even be read.
    """
    found, needed = schema.current(database), schema.head()
    if found != needed:
        cure = "run `crudsd db upgrade`" if (found or "") < needed else "install the crudsd that made it"
        yield Finding("schema", Verdict.FAIL, f"is {found or 'not there'}, this program needs {needed}; {cure}")
        return
    yield Finding("schema", Verdict.OK, needed)
    with database.read() as connection:
        if connection.dialect.name == "sqlite":
            yield from _file(connection)
        yield from _contents(connection)
        yield Finding("records", Verdict.OK, ", ".join(_sizes(connection)))


def _file(connection: Connection) -> Iterator[Finding]:
    damage = [row[0] for row in execute(connection, "PRAGMA integrity_check(5)") if row[0] != "ok"]
    if damage:
        said = "; ".join(damage)
        yield Finding("file", Verdict.FAIL, f"is damaged ({said}); stop crudsd and restore a backup")
    else:
        yield Finding("file", Verdict.OK, "every page and index is sound")
    broken = len(execute(connection, "PRAGMA foreign_key_check").fetchall())
    if broken:
        yield Finding("references", Verdict.FAIL, f"{broken} lead nowhere; stop crudsd and restore a backup")
    size, page, free = (
        int(execute(connection, f"PRAGMA {name}").scalar_one())
        for name in ("page_count", "page_size", "freelist_count")
    )
    yield Finding("size", Verdict.OK, f"{size * page / 2**20:.1f} MiB, of which {free * page / 2**20:.1f} MiB are free")


def _contents(connection: Connection) -> Iterator[Finding]:
    for what, sql in _ORPHANS:
        count = int(execute(connection, sql).scalar_one())
        if count:
            yield Finding(what, Verdict.WARN, f"{count:,}; this should not be: please report it")
    doubles = int(execute(connection, _DOUBLE_LINKS).scalar_one())
    if doubles:
        message = f"{doubles:,} target records have more than one; `crudsd explain` on their keys says how that came"
        yield Finding("links", Verdict.WARN, message)
    unknown = int(execute(connection, _UNKNOWN).scalar_one())
    if unknown:
        message = f"{unknown:,} have no known outcome; the next run of their jobs clears them up first"
        yield Finding("changes", Verdict.WARN, message)
    under_way = int(execute(connection, _OPEN_RUNS).scalar_one())
    yield Finding("runs under way", Verdict.OK, str(under_way))


def _sizes(connection: Connection) -> Iterator[str]:
    for table in metadata.sorted_tables:
        count = int(execute(connection, f"SELECT count(*) FROM {table.name}").scalar_one())  # noqa: S608 - ours
        yield f"{count:,} {table.name}"
