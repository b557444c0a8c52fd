"""Which schema the database has, which one this program needs, and the way from one to the other.

Revisions are counted: `0001_first_tables.py` has the revision 0001. So a start needs no Alembic to compare them.
"""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import inspect

from daemon.errors import ConfigError

from .database import Database
from .tables import metadata

_TABLE = "alembic_version"


def head() -> str:
    """Return the revision that this program needs."""
    return max(path.name.partition("_")[0] for path in (_folder() / "versions").glob("[0-9]*_*.py"))


def current(database: Database) -> str | None:
    """Return the database's revision; None when it has no tables of ours."""
    with database.read() as connection:
        if not inspect(connection).has_table(_TABLE):
            return None
        revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        return None if revision is None else str(revision)


def check(database: Database) -> None:
    """Raise ConfigError, naming both revisions and the cure, unless the schema is the one this program needs."""
    found, needed = current(database), head()
    if found == needed:
        return
    if found is None:
        raise ConfigError(
            f"{database.location}: the schema is not there yet, {needed} is needed; run `crudsd db upgrade`"
        )
    if found < needed:
        raise ConfigError(
            f"{database.location}: the schema is behind: it is {found}, this program needs {needed}; "
            "run `crudsd db upgrade`"
        )
    raise ConfigError(
        f"{database.location}: the schema is ahead: it is {found}, this program knows {needed}; "
        "install the crudsd that made it, or restore the backup from before its `crudsd db upgrade`"
    )


def prepare(database: Database) -> None:
    """Give a new database its tables. Raises ConfigError, with the cure, for one of another schema."""
    if current(database) is None:
        upgrade(database)
    check(database)


def upgrade(database: Database, *, tick: Callable[[], None] | None = None) -> None:
    """Bring the schema to `head`, all or nothing. Does nothing when it is there; refuses one that is ahead.

    On SQLite `tick` is called while it gets on.
    """
    found = current(database)
    if found == head():
        return
    if found is not None and found > head():
        check(database)
    # Alembic takes a quarter of a second to import, and only this needs it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    with database.migrate(tick=tick) as connection:
        config = Config()
        config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        config.attributes["metadata"] = metadata
        command.upgrade(config, "head")


def _folder() -> Path:
    """Return the folder of the migrations: packed into the package, or beside it in the source tree."""
    package = Path(__file__).resolve().parents[1]
    packed = package / "migrations"
    return packed if packed.is_dir() else package.parent / "migrations"
