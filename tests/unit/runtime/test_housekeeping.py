"""History is pruned now and then, and trouble with it ends nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

from daemon.errors import StateError
from daemon.runtime.housekeeping import EVERY, Housekeeper
from daemon.store.retention import Pruned

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Log:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    def debug(self, event: str, **facts: Any) -> None:
        self.told.append((event, facts))

    info = warning = error = debug


class House:
    """Has something to forget each time, or cannot be written."""

    def __init__(self) -> None:
        self.now = NOON
        self.times = 0
        self.is_locked = False

    def clock(self) -> datetime:
        return self.now

    def prune(self) -> Pruned:
        self.times += 1
        if self.is_locked:
            raise StateError("state.db: is locked by another process; try again")
        return Pruned(runs=2, changes=30)


def test_it_prunes_at_once_and_then_again_when_its_time_has_passed() -> None:
    house, log = House(), Log()
    keep = Housekeeper(house.prune, house.clock, log)

    keep()
    keep()
    house.now += EVERY - timedelta(seconds=1)
    keep()
    assert house.times == 1
    house.now += timedelta(seconds=1)
    keep()

    assert house.times == 2
    assert log.told[0] == ("history.pruned", {"runs": 2, "changes": 30})


def test_a_state_that_cannot_be_written_is_told_and_tried_again_next_time() -> None:
    house, log = House(), Log()
    keep = Housekeeper(house.prune, house.clock, log)
    house.is_locked = True

    keep()
    house.now += EVERY
    keep()

    assert [event for event, _ in log.told] == ["prune.failed", "prune.failed"]
    assert "is locked" in log.told[0][1]["error"]


def test_a_clock_that_was_wrong_and_is_set_back_puts_it_off_no_further_than_usual() -> None:
    house = House()
    keep = Housekeeper(house.prune, house.clock, Log())
    keep()

    house.now -= timedelta(days=365)
    keep()
    keep()

    assert house.times == 2
