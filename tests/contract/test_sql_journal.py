"""The SQL store keeps the contracts of journal, links and target index, on a real file and on a real server."""

from collections.abc import Iterator

import pytest

from daemon.store.database import Database
from tests.contract.journal import CursorsContract, JournalContract, LinksContract, RejectsContract, TargetIndexContract
from tests.unit.store.places import HandClock, SqlWorld, ready


@pytest.fixture
def database(state_url: str) -> Iterator[Database]:
    with ready(state_url) as database:
        yield database


class TestSqlJournal(JournalContract):
    @pytest.fixture
    def world(self, database: Database) -> SqlWorld:
        return SqlWorld(database, HandClock())


class TestSqlRejects(RejectsContract):
    @pytest.fixture
    def world(self, database: Database) -> SqlWorld:
        return SqlWorld(database, HandClock())


class TestSqlLinks(LinksContract):
    @pytest.fixture
    def world(self, database: Database) -> SqlWorld:
        return SqlWorld(database, HandClock())


class TestSqlTargetIndex(TargetIndexContract):
    @pytest.fixture
    def index(self, database: Database) -> Iterator[object]:
        world = SqlWorld(database, HandClock())
        with world.index("other") as other, world.index("run1") as index:
            yield index
            assert other.count() == 0
        assert index.count() == 0


class TestSqlCursors(CursorsContract):
    @pytest.fixture
    def world(self, database: Database) -> SqlWorld:
        return SqlWorld(database, HandClock())
