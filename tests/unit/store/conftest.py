"""A database with its tables in a folder of the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.store.database import Database
from tests.unit.store.places import HandClock, SqlWorld, ready


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with ready(path) as database:
        yield database


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def world(database: Database, clock: HandClock) -> SqlWorld:
    return SqlWorld(database, clock)
