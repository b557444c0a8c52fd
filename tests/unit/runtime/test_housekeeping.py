"""History is pruned now and then, and trouble with it ends nothing."""

import threading
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


def keep(keeper: Housekeeper) -> None:
    """Ask it, and wait until it has done what it does."""
    with keeper:
        keeper()


def test_the_service_does_not_wait_while_much_is_forgotten(gate: threading.Event) -> None:
    house, log = House(), Log()
    began = threading.Event()

    def long() -> Pruned:
        began.set()
        assert gate.wait(20)
        return house.prune()

    with Housekeeper(long, house.clock, log) as keep:
        keep()
        assert began.wait(20)
        house.now += EVERY
        keep()
        assert house.times == 0
        gate.set()

    assert house.times == 1, "it is waited for at the end"
    assert log.told == [("history.pruned", {"runs": 2, "changes": 30})]


def test_a_defect_in_it_ends_nothing_but_itself() -> None:
    house, log = House(), Log()

    def breaks() -> Pruned:
        raise KeyError("bug")

    with Housekeeper(breaks, house.clock, log) as keep:
        keep()

    assert [event for event, _ in log.told] == ["prune.crashed"]


def test_it_prunes_at_once_and_then_again_when_its_time_has_passed() -> None:
    house, log = House(), Log()
    keeper = Housekeeper(house.prune, house.clock, log)

    keep(keeper)
    keep(keeper)
    house.now += EVERY - timedelta(seconds=1)
    keep(keeper)
    assert house.times == 1
    house.now += timedelta(seconds=1)
    keep(keeper)

    assert house.times == 2
    assert log.told[0] == ("history.pruned", {"runs": 2, "changes": 30})


def test_a_state_that_cannot_be_written_is_told_and_tried_again_next_time() -> None:
    house, log = House(), Log()
    keeper = Housekeeper(house.prune, house.clock, log)
    house.is_locked = True

    keep(keeper)
    house.now += EVERY
    keep(keeper)

    assert [event for event, _ in log.told] == ["prune.failed", "prune.failed"]
    assert "is locked" in log.told[0][1]["error"]


def test_a_clock_that_was_wrong_and_is_set_back_puts_it_off_no_further_than_usual() -> None:
    house = House()
    keeper = Housekeeper(house.prune, house.clock, Log())
    keep(keeper)

    house.now -= timedelta(days=365)
    keep(keeper)
    keep(keeper)

    assert house.times == 2
