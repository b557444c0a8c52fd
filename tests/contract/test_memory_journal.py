"""The in-memory journal, links and index of the tests keep the same contracts as the SQL store."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from daemon.sync.change import Reject
from daemon.sync.counts import Counts
from daemon.sync.outcome import Ending
from tests.contract.journal import CursorsContract, JournalContract, LinksContract, RejectsContract, TargetIndexContract
from tests.fakes.memory_state import MemoryIndex, MemoryJournal, MemoryLinks, MemoryState


class MemoryWorld:
    """One job's memory."""

    def __init__(self) -> None:
        self.state = MemoryState()
        self._journals: dict[str, MemoryJournal] = {}

    def journal(self, run: str) -> MemoryJournal:
        return self._journals.setdefault(run, MemoryJournal(self.state, run))

    def links(self) -> MemoryLinks:
        return MemoryLinks(self.state)

    def rejects(self) -> Mapping[str, tuple[Reject, int]]:
        return {key: (reject, self.state.attempts[key]) for key, reject in self.state.rejects.items()}

    def counts(self, run: str) -> Counts:
        return self.journal(run).counts

    def end(self, run: str, ending: Ending) -> None:
        self.state.endings[run] = ending
        self.state.ended_at[run] = self.state.now

    def move(self, time: timedelta) -> None:
        self.state.now += time


class TestMemoryJournal(JournalContract):
    @pytest.fixture
    def world(self) -> MemoryWorld:
        return MemoryWorld()


class TestMemoryRejects(RejectsContract):
    @pytest.fixture
    def world(self) -> MemoryWorld:
        return MemoryWorld()


class TestMemoryLinks(LinksContract):
    @pytest.fixture
    def world(self) -> MemoryWorld:
        return MemoryWorld()


class TestMemoryIndex(TargetIndexContract):
    @pytest.fixture
    def index(self) -> MemoryIndex:
        return MemoryIndex()


class TestMemoryCursors(CursorsContract):
    @pytest.fixture
    def world(self) -> MemoryWorld:
        return MemoryWorld()
