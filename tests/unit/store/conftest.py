"""A database with its tables: on SQLite in a folder of the test, and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.store.database import Database
from tests.unit.store.places import HandClock, SqlWorld, ready


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test of SQLite alone keeps its file."""
    return tmp_path / "state.db"


@pytest.fixture
def database(state_url: str) -> Iterator[Database]:
    with ready(state_url) as database:
        yield database


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def world(database: Database, clock: HandClock) -> SqlWorld:
    return SqlWorld(database, clock)
