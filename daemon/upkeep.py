"""What is done with the configuration and the state while the program itself stands still."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from .clock import utc_clock
from .errors import StateError
from .logs import get_logger
from .runtime.calendar import Ahead
from .runtime.calendar import ahead as ahead_of
from .runtime.housekeeping import prune_now
from .runtime.notify import Notifier
from .runtime.upgrading import Upgraded, upgrade
from .settings import Settings
from .spec import Loaded, load
from .store import schema
from .store.backup import back_up
from .store.database import Database, open_database
from .store.health import Finding, check
from .store.job_states import JobStates
from .store.retention import Pruned
from .vault.key_file import write_key


def upgrade_state(settings: Settings, *, keeps_copy: bool = False) -> Upgraded:
    """Bring the state database to the newest schema; see `upgrading.upgrade`. Files that are no good are told first."""
    with open_database(settings.state_place(load(settings.config).spec.state)) as database:
        notifier = Notifier(settings.environment)
        return upgrade(database, clock=utc_clock, log=get_logger(), notifier=notifier, keeps_copy=keeps_copy)


def check_state(settings: Settings) -> tuple[str, tuple[Finding, ...]]:
    """Look at the state database, and return where it is and what was found. Writes nothing."""
    with _existing_state(settings, read_only=True) as (_, database):
        return database.location, tuple(check(database))


def back_up_state(settings: Settings, path: Path) -> int:
    """Copy the state database to a new file and return its bytes. Raises UsageError, with what helps instead."""
    with _existing_state(settings, read_only=True) as (_, database):
        return back_up(database, path)


def prune_state(settings: Settings) -> Pruned:
    """Forget history that is older than `retention` keeps it."""
    with _existing_state(settings) as (loaded, database):
        schema.check(database)
        return prune_now(database, loaded.spec.retention, utc_clock)


@contextmanager
def _existing_state(settings: Settings, *, read_only: bool = False) -> Iterator[tuple[Loaded, Database]]:
    """Open a state database that has been used before, whatever its schema. Raises StateError when there is none."""
    loaded = load(settings.config)
    place = settings.state_place(loaded.spec.state)
    if not read_only:
        open_database(place, read_only=True).close()  # which makes no file where there is none
    with open_database(place, read_only=read_only) as database:
        yield loaded, database


def ahead(settings: Settings, job: str | None, *, limit: int) -> tuple[datetime, tuple[Ahead, ...]]:
    """Return this moment, and what lies ahead of one job or of all, at most `limit` fires of each.

    Makes no state where there is none. Raises UsageError for a job that is not there.
    """
    spec, now = load(settings.config).spec, utc_clock()
    jobs = spec.jobs if job is None else {job: spec.job(job)}
    return now, ahead_of(jobs, paused=_paused(settings), after=now, limit=limit)


def _paused(settings: Settings) -> Mapping[str, str]:
    try:
        with _existing_state(settings, read_only=True) as (_, database):
            states = JobStates(database, utc_clock).paused()
    except StateError:  # not there yet, or of another schema: then nobody has paused anything
        return {}
    return {job: state.reason for job, state in states.items()}


def generate_key(path: Path) -> str:
    """Write a new key file that only its owner can read, and return the key's id. Raises ConfigError if it exists."""
    return write_key(path)
