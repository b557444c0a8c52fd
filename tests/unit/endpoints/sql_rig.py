"""A database of ours, a job's query of it and a job's table in it, as a job file declares them."""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from cruds.oauth2.store import MemoryTokenStore
from daemon.endpoints.sql.fitting import Memory
from daemon.endpoints.sql.link import SqlLink, open_link
from daemon.endpoints.sql.source import SqlSource
from daemon.endpoints.sql.target import SqlTarget
from daemon.endpoints.surroundings import Surroundings
from daemon.spec import Job, QuerySource, SqlConnection, TableTarget, resolve
from daemon.sync.change import Change
from daemon.sync.ports import Answer
from daemon.sync.together import answers

PASSWORD = "canary-of-a-database"


def link(
    url: str,
    *,
    folder: Path = Path(),
    environment: dict[str, str] | None = None,
    warn: Callable[[str, str], None] = lambda name, message: None,
    **connection: Any,
) -> SqlLink:
    """Return the link of a connection called `db`."""
    around = Surroundings(
        resolve=lambda ref: resolve(ref, environment=environment or {}, credentials=None),
        token_store=lambda name, auth, client_id: MemoryTokenStore(),
        folder=folder,
        stop=threading.Event(),
        on_event=lambda name, event: None,
        warn=warn,
    )
    said = {"url": url if environment is None else {"env": url}, "timeout": {"lock": "200ms"}}
    return open_link("db", SqlConnection.model_validate({"type": "sql", **said, **connection}), around)


class Kept:
    """What is remembered of a table, in memory."""

    def __init__(self) -> None:
        self.fact: bytes | None = None

    @property
    def memory(self) -> Memory:
        return Memory(lambda: self.fact, lambda fact: setattr(self, "fact", fact))


def job(target: dict[str, Any], **more: Any) -> Job:
    """Return a job with this table as its target."""
    plain = {"source": {"connection": "api", "read": "people"}, "key": "record.external_id"}
    return Job.model_validate({**plain, **more, "target": {"connection": "db", **target}})


def table(db: SqlLink, name: str = "people", *, kept: Kept | None = None, **said: Any) -> SqlTarget:
    """Return the target; `map`, `mode` and `key` are the job's, the rest is the target's."""
    of_job = {key: said.pop(key) for key in ("map", "mode", "key") if key in said}
    whole = job({"table": name, **said}, **of_job)
    assert isinstance(whole.target, TableTarget)
    return SqlTarget(db, whole, whole.target, (kept or Kept()).memory)


def sent(target: SqlTarget, changes: Sequence[Change]) -> list[Answer]:
    """Make changes as the engine does: together, and in parts where the whole is refused."""
    return answers(changes, target)


def query(db: SqlLink, text: str, **said: Any) -> SqlSource:
    """Return the source."""
    return SqlSource(db, QuerySource.model_validate({"connection": "db", "query": text, **said}))


def sqlite(path: Path, *statements: str) -> str:
    """Make a SQLite file and return its address."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return f"sqlite:///{path}"


def rows(path: Path, statement: str) -> list[tuple[Any, ...]]:
    """Return what a SQLite file holds."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()
