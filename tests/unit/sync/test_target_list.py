"""A target's own list that changes while it is read: what is not in it is not believed to be absent."""

from collections.abc import Iterator

import pytest

from daemon.endpoints.memory import MemoryTarget
from daemon.errors import UnknownError
from daemon.sync.certificate import End
from daemon.sync.change import Change
from daemon.sync.outcome import Ending
from daemon.sync.ports import TargetRecord, Written
from tests.unit.sync.harness import Bench, people


class ShiftingTarget(MemoryTarget):
    """Shows one record on two pages instead of the last one, as a list does whose rows move under page numbers.

    It did the first create without saying so.
    """

    shifts: int
    listings = 0
    is_silent = True

    def create(self, change: Change) -> Written:
        written = super().create(change)
        if self.is_silent:
            self.is_silent = False
            raise UnknownError("the answer was lost")
        return written

    def list(self) -> Iterator[tuple[TargetRecord, ...] | End]:
        self.listings += 1
        *pages, end = super().list()
        assert isinstance(end, End)
        records = [record for page in pages if not isinstance(page, End) for record in page]
        if self.shifts and len(records) > 1:
            self.shifts -= 1
            # E0, whose create was not answered, is the one that is hidden.
            records[0] = records[1]
        yield tuple(records[:1])
        yield tuple(records[1:])
        yield End("no next page", 2, len(records), None, by_number=True)


def shifting(shifts: int) -> tuple[Bench, ShiftingTarget]:
    """Return a bench whose first create is in doubt, and whose target's list shifts so often from then on."""
    target = ShiftingTarget(match="no", looks_up=False)
    target.shifts = 0
    bench = Bench(target=target)
    bench.source.records = people(range(4))
    assert bench.run().counts.rejected == 1
    target.shifts, target.listings = shifts, 0
    return bench, target


@pytest.mark.parametrize(("shifts", "listings"), [(0, 1), (1, 2)])
def test_a_targets_list_that_shifts_is_read_again_before_anything_is_believed_absent(
    shifts: int, listings: int
) -> None:
    bench, target = shifting(shifts)

    result = bench.run()

    assert (result.ending, result.counts.created) == (Ending.DONE, 0)
    assert (len(target.records), target.listings) == (4, listings)


def test_a_targets_list_that_never_holds_still_ends_the_run_before_a_record_is_doubled() -> None:
    bench, target = shifting(99)

    result = bench.run()

    assert "a record came on two pages" in result.error
    assert len(target.records) == 4
    assert target.listings == 2
