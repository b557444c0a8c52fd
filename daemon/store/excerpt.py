"""An excerpt of the state: what it holds of one key, copied into a scratch database in which a run can be rehearsed."""

from typing import Any

from sqlalchemy import insert, literal_column, select

from .database import Database
from .tables import changes, documents, links, rejects

# Written out, so that the index of open changes is used and not the whole table.
_OPEN: list[Any] = [literal_column("'sent'"), literal_column("'unknown'")]


def copy_key(database: Database, scratch: Database, job: str, key: str, *, without_run: str | None) -> None:
    """Copy a key's link, its document, its reject and its unresolved changes, row by row as they are.

    Changes of the run `without_run`, which is under way, are not copied; None for no such run. The scratch database
    must not hold any of this yet.
    """
    linked = select(links.c.id).where(links.c.job == job, links.c.key == key)
    queries = [
        (links, select(links).where(links.c.job == job, links.c.key == key)),
        (documents, select(documents).where(documents.c.link.in_(linked))),
        (rejects, select(rejects).where(rejects.c.job == job, rejects.c.key == key)),
        (
            changes,
            select(changes).where(
                changes.c.job == job,
                changes.c.fate.in_(_OPEN),
                changes.c.key == key,
                changes.c.run != (without_run or ""),
            ),
        ),
    ]
    with database.read() as connection:
        found: list[tuple[Any, list[dict[str, Any]]]] = [
            (table, [dict(row) for row in connection.execute(query).mappings()]) for table, query in queries
        ]
    with scratch.write() as connection:
        for table, rows in found:
            if rows:
                connection.execute(insert(table), rows)
