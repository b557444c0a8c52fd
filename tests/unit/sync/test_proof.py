"""A source that changes while it is read: nobody is taken for gone whom another reading meets."""

from dataclasses import replace

import pytest

from daemon.errors import MalformedError, StoppedError, UnavailableError
from daemon.sync.events import ReadAgain
from daemon.sync.guards import Allowance
from daemon.sync.outcome import Ending, Result
from tests.fakes.shifting import ShiftingSource, join, leave
from tests.unit.sync.harness import Bench, job, people, person

ALL = Allowance(deletes=100, updates=100)


class Scene(Bench):
    """Twelve people in three pages, in step; what happens next is up to the test."""

    def __init__(self, *, says_total: bool = False, mode: str = "mirror") -> None:
        super().__init__(job(mode=mode))
        self.shifting = ShiftingSource(people(range(12)), page_size=4, says_total=says_total)
        self.source = self.shifting  # type: ignore[assignment]  # a source in memory of another kind
        self.run()
        self.target.writes.clear()
        self.events.clear()
        self.shifting.watch()

    def again(self) -> list[ReadAgain]:
        return [event for event in self.events if isinstance(event, ReadAgain)]

    def deleted(self) -> set[str]:
        return {key for kind, key in self.target.writes if kind == "delete"}

    def next(self) -> Result:
        return self.run(allowance=ALL)


@pytest.mark.edge(7)
@pytest.mark.parametrize("says_total", [True, False])
def test_one_who_moved_to_a_page_that_was_read_already_is_not_gone(says_total: bool) -> None:
    scene = Scene(says_total=says_total)
    scene.shifting.edit(1, 1, leave("E0"))  # met, and then gone; E4 moves to the first page

    scene.next()

    assert scene.deleted() == set()
    assert scene.shifting.readings == 2


@pytest.mark.edge(7)
def test_a_leaver_and_a_joiner_at_once_hide_somebody_and_the_total_does_not_tell() -> None:
    scene = Scene(says_total=True)
    scene.shifting.edit(1, 1, leave("E0"))
    scene.shifting.edit(1, 1, join(person(50), at=11))

    result = scene.next()

    assert scene.deleted() == set()
    assert str(result.certificate).startswith("complete at the 2nd reading: 12 of 12 records")


@pytest.mark.edge(7)
def test_who_is_gone_is_deleted_in_the_same_run_although_the_source_moved() -> None:
    scene = Scene(says_total=True)
    scene.shifting.records[:] = [one for one in scene.shifting.records if one["no"] != "E9"]
    scene.shifting.edit(1, 1, join(person(50), at=0))

    result = scene.next()

    assert (scene.deleted(), result.ending) == ({"E9"}, Ending.DONE)
    assert [event.reading for event in scene.again()] == [2]
    assert result.certificate.readings == 2


@pytest.mark.edge(7)
def test_the_same_record_on_the_next_page_is_counted_once() -> None:
    scene = Scene()
    scene.shifting.edit(1, 1, join(person(50), at=0))

    result = scene.next()

    assert result.counts.rejected == 0
    assert (result.counts.seen, result.counts.unchanged) == (12, 12)


def test_a_new_record_that_moves_to_the_next_page_is_created_once() -> None:
    scene = Scene()
    scene.shifting.records.insert(3, person(70))
    scene.shifting.edit(1, 1, join(person(50), at=0))

    result = scene.next()

    assert (result.counts.created, result.counts.rejected) == (1, 0)
    assert scene.target.writes == [("create", "E70")]


def test_the_same_key_with_another_content_on_the_next_page_contradicts_itself() -> None:
    scene = Scene()
    scene.shifting.records.insert(4, person(3, name="Another"))

    result = scene.next()

    assert result.counts.rejected == 2
    assert scene.deleted() == set()


@pytest.mark.edge(7)
def test_a_source_that_never_holds_still_deletes_nobody_and_is_not_read_for_ever() -> None:
    scene = Scene(says_total=True)
    scene.shifting.records.pop()
    for reading in range(1, 9):
        scene.shifting.edit(reading, 1, join(person(50 + reading), at=0))

    result = scene.next()

    assert (scene.deleted(), result.ending, scene.shifting.readings) == (set(), Ending.HELD, 3)
    assert "not complete at the 3rd reading" in str(result.certificate)
    assert result.counts.deletes_withheld == 1


def test_a_total_that_is_wrong_in_the_same_way_again_is_not_asked_a_third_time() -> None:
    scene = Scene(says_total=True)
    scene.shifting.records.pop()
    scene.shifting.total_is_off_by = 2

    result = scene.next()

    assert (scene.deleted(), result.ending, scene.shifting.readings) == (set(), Ending.HELD, 2)
    assert "the API counts 13 records, 11 arrived" in str(result.certificate)


def test_when_nobody_seems_gone_the_source_is_read_once() -> None:
    scene = Scene(says_total=True)
    scene.shifting.edit(1, 3, join(person(50), at=0))

    assert scene.next().certificate.readings == 1
    assert scene.shifting.readings == 1


def test_one_who_is_not_to_be_deleted_costs_no_reading() -> None:
    scene = Scene()
    link = scene.state.links["E9"]
    scene.state.links["E9"] = replace(link, owned=False)
    scene.shifting.records[:] = [one for one in scene.shifting.records if one["no"] != "E9"]

    result = scene.next()

    assert (result.counts.kept, scene.shifting.readings) == (1, 1)


@pytest.mark.parametrize("mode", ["upsert", "update_only", "create_only"])
def test_a_job_that_never_deletes_reads_once(mode: str) -> None:
    scene = Scene(mode=mode)
    scene.shifting.records.pop()

    scene.next()

    assert scene.shifting.readings == 1


def test_a_record_without_its_key_is_no_drift_and_is_not_read_again() -> None:
    scene = Scene(says_total=True)
    scene.shifting.records.pop()
    scene.shifting.records[2] = {"name": "Nobody"}

    result = scene.next()

    assert (result.ending, scene.shifting.readings) == (Ending.HELD, 1)


def test_a_record_without_its_key_in_the_second_reading_withholds_the_deletes() -> None:
    scene = Scene()
    scene.shifting.records.pop()
    scene.shifting.edit(1, 3, join({"no": None, "name": "Nobody"}, at=0))

    result = scene.next()

    assert (scene.deleted(), result.ending, scene.shifting.readings) == (set(), Ending.HELD, 2)
    assert "no usable key" in str(result.certificate)


@pytest.mark.parametrize("error", [UnavailableError("HTTP 503", retry_after_s=60), MalformedError("HTML")])
def test_a_second_reading_that_breaks_off_withholds_the_deletes_and_nothing_else(
    error: UnavailableError | MalformedError,
) -> None:
    scene = Scene()
    scene.shifting.records.pop()
    scene.shifting.records.append(person(20))
    scene.shifting.fail(2, 2, error)

    result = scene.next()

    assert scene.target.writes == [("create", "E20")]
    assert result.ending is Ending.HELD
    assert f"not complete at the 2nd reading: the source could not be read again: {error}" in str(result.certificate)
    assert scene.next().counts.deleted == 1


def test_a_stop_in_the_second_reading_ends_the_run() -> None:
    scene = Scene()
    scene.shifting.records.pop()
    scene.shifting.fail(2, 2, StoppedError("the run was asked to stop"))

    assert scene.next().ending is Ending.INTERRUPTED
    assert scene.deleted() == set()


def test_a_plan_reads_again_too_and_shows_what_a_run_would_delete() -> None:
    scene = Scene(says_total=True)
    scene.shifting.edit(1, 1, leave("E0"))
    scene.shifting.records[:] = [one for one in scene.shifting.records if one["no"] != "E9"]

    planned = scene.run(writes=False, allowance=ALL)

    assert planned.counts.deletes_pending == 1
    assert scene.target.writes == []
