"""Runs that are pinned to the plan that a person let pass."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from daemon.endpoints.memory import MemoryTarget
from daemon.errors import UnavailableError
from daemon.sync.change import Change, Fate, Kind
from daemon.sync.events import Judged, Pinned
from daemon.sync.judgement import SAVED_PLAN
from daemon.sync.outcome import Ending, Result
from daemon.sync.pin import Difference, Pin, intended_of, mark
from daemon.sync.ports import Written
from tests.unit.sync.harness import Bench, job, people, person


class Book:
    """A saved plan in a dictionary."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self.changes = list(changes)

    def difference(self, planned: Iterable[Change]) -> Difference:
        saved = {one.key: mark(one) for one in self.changes}
        now = {one.key: mark(one) for one in planned}
        new, gone = sorted(now.keys() - saved.keys()), sorted(saved.keys() - now.keys())
        other = sorted(key for key in now.keys() & saved.keys() if now[key] != saved[key])
        return Difference(len(new), tuple(new), len(gone), tuple(gone), len(other), tuple(other))


def approval(bench: Bench, held: Result, *runs: str) -> Pin:
    """Return the pin of an approval of a held run, as the worker makes it."""
    changes = bench.state.changes
    return Pin(
        "the approval of run 1",
        held.withheld,
        earlier=lambda: [one for (run, _), one in changes.items() if run in runs],
        runs=frozenset(runs),
    )


def saved(bench: Bench) -> Pin:
    """Return the pin of the plan of now, as the worker makes it of a saved one."""
    before = dict(bench.state.changes)
    bench.run(writes=False)
    assert bench.journal is not None
    changes = [one for place, one in bench.state.changes.items() if place not in before]
    bench.state.changes = before
    return Pin("the saved plan", intended_of(changes), saved=Book(changes))


def said(result: Result, guard: str) -> str:
    (message,) = [one.message for one in result.verdicts if one.guard == guard]
    return message


def filled(numbers: int = 20, *, target: MemoryTarget | None = None) -> Bench:
    bench = Bench(target=target)
    bench.source.records = people(range(numbers))
    assert bench.run().ending is Ending.DONE
    return bench


def shrunk(*, by: int = 5) -> tuple[Bench, Result]:
    """Return a bench whose last run withheld the deletes of those who left."""
    bench = filled()
    bench.source.records = people(range(20 - by))
    held = bench.run()
    assert (held.ending, held.counts.deletes_withheld) == (Ending.HELD, by)
    return bench, held


# ---- approvals ----


def test_a_held_run_tells_the_digest_of_what_it_withheld_and_of_nothing_else() -> None:
    bench, held = shrunk()

    changes = [one for one in bench.state.changes.values() if one.fate is Fate.WITHHELD]
    assert held.withheld == intended_of(changes)
    assert held.withheld.keys() == {Kind.DELETE}


def test_a_run_without_trouble_computes_no_digest() -> None:
    bench = filled()
    bench.source.records = [*people(range(20)), person(21)]

    assert bench.run().withheld == {}


def test_an_approved_run_carries_out_what_was_withheld_and_says_by_whose_word() -> None:
    bench, held = shrunk()

    result = bench.run(pin=approval(bench, held))

    assert (result.ending, result.counts.deleted) == (Ending.DONE, 5)
    assert result.pin_is_spent
    assert said(result, "deletes").endswith("allowed by the approval of run 1")
    assert Pinned("the approval of run 1") in bench.events
    assert bench.is_in_step()


@pytest.mark.parametrize("gone", [4, 6])
def test_an_approval_is_void_when_the_source_has_changed_since(gone: int) -> None:
    bench, held = shrunk(by=5)
    bench.source.records = people(range(20 - gone))

    result = bench.run(pin=approval(bench, held))

    assert (result.ending, result.counts.deleted, result.counts.deletes_withheld) == (Ending.HELD, 0, gone)
    assert f"(approved: 5, planned now: {gone})" in said(result, "deletes")
    assert "the approval of run 1 is void" in said(result, "deletes")
    assert result.pin_is_spent
    assert result.withheld != held.withheld


def test_the_same_number_of_other_deletes_is_another_plan() -> None:
    bench, held = shrunk(by=5)
    bench.source.records = people(range(5, 20))

    assert bench.run(pin=approval(bench, held)).counts.deleted == 0


def test_an_approval_of_an_edited_job_releases_nothing() -> None:
    bench, held = shrunk()

    result = bench.run(pin=replace(approval(bench, held), void="the job was edited"))

    assert (result.ending, result.counts.deleted) == (Ending.HELD, 0)
    assert said(result, "deletes").endswith("is void: the job was edited")


def test_an_approval_of_deletes_is_no_word_for_updates() -> None:
    bench, held = shrunk()
    bench.source.records = [person(number, name="New") for number in range(15)]

    result = bench.run(pin=approval(bench, held))

    assert (result.counts.deleted, result.counts.updated, result.counts.withheld) == (5, 0, 15)
    assert result.ending is Ending.HELD
    assert result.withheld.keys() == {Kind.UPDATE}
    assert "void" not in said(result, "updates")


def test_an_approval_of_updates_releases_just_these() -> None:
    bench = filled()
    bench.source.records = [person(number, name="New") for number in range(20)]
    held = bench.run()
    assert (held.ending, held.counts.withheld) == (Ending.HELD, 20)

    result = bench.run(pin=approval(bench, held))

    assert (result.ending, result.counts.updated) == (Ending.DONE, 20)


def test_an_edited_value_makes_the_approved_update_another_one() -> None:
    bench = filled()
    bench.source.records = [person(number, name="New") for number in range(20)]
    held = bench.run()
    bench.source.records[7]["name"] = "Newer"

    result = bench.run(pin=approval(bench, held))

    assert (result.ending, result.counts.updated) == (Ending.HELD, 0)


@pytest.mark.parametrize("left", [0, 7])
def test_an_approval_releases_the_deletes_of_an_empty_or_collapsed_source(left: int) -> None:
    bench = filled()
    bench.source.records = people(range(left))
    held = bench.run()
    assert held.ending is Ending.HELD

    result = bench.run(pin=approval(bench, held))

    assert (result.ending, result.counts.deleted) == (Ending.DONE, 20 - left)
    assert bench.run().counts.wrote == 0


def test_an_approval_does_not_stand_in_for_a_certificate() -> None:
    bench, held = shrunk()
    bench.source.total = 20

    result = bench.run(pin=approval(bench, held))

    assert (result.ending, result.counts.deleted, result.counts.deletes_withheld) == (Ending.HELD, 0, 5)
    assert result.withheld == {}


def test_a_pinned_run_plans_the_whole_before_it_applies_anything() -> None:
    bench = filled()
    bench.source.records = [person(number, name="New") for number in range(20)]
    held = bench.run()
    bench.source.records = [*bench.source.records, *people(range(20, 60))]
    bench.source.breaks_at, bench.source.error = 8, UnavailableError("gone")
    writes = len(bench.target.writes)

    result = bench.run(pin=approval(bench, held), slice_changes=5)

    assert result.ending is Ending.UNAVAILABLE
    assert len(bench.target.writes) == writes
    assert not result.pin_is_spent


def test_what_several_slices_withheld_is_approved_together() -> None:
    bench = Bench(job(guards={"updates": 15}))
    bench.source.records = people(range(40))
    bench.run()
    bench.source.records = [person(number, name="New") for number in range(40)]
    held = bench.run(slice_changes=10)
    assert (held.counts.updated, held.counts.withheld) == (14, 26)

    result = bench.run(pin=approval(bench, held))

    assert (result.ending, result.counts.updated) == (Ending.DONE, 26)
    assert bench.is_in_step()


# ---- a pinned run that is cut off ----


class Fading(MemoryTarget):
    """Takes so many writes and is then unavailable; the last one it takes gets no answer."""

    def __init__(self) -> None:
        super().__init__(match="no")
        self.left = 10_000

    def update(self, change: Change) -> Written:
        self._take()
        return super().update(change)

    def delete(self, change: Change) -> None:
        self._take()
        super().delete(change)

    def _take(self) -> None:
        if self.left == 0:
            raise UnavailableError("connection refused")
        self.left -= 1


def faded(bench: Bench, pin: Pin, *, after: int) -> Result:
    target = bench.target
    assert isinstance(target, Fading)
    target.left = after
    result = bench.run(pin=pin)
    target.left = 10_000
    return result


def test_a_pinned_run_that_was_cut_off_is_taken_up_by_the_next_one() -> None:
    bench = filled(target=Fading())
    bench.source.records = people(range(10))
    held = bench.run()
    cut = faded(bench, approval(bench, held), after=4)
    assert (cut.ending, cut.counts.deleted, cut.pin_is_spent) == (Ending.UNAVAILABLE, 4, False)

    without_word = bench.run()
    result = bench.run(pin=approval(bench, held, "run3"))

    assert (without_word.ending, without_word.counts.deleted) == (Ending.HELD, 0)
    assert (result.ending, result.counts.deleted) == (Ending.DONE, 6)
    assert bench.is_in_step()


def test_the_rest_of_a_pinned_run_is_no_word_for_one_delete_more() -> None:
    bench = filled(target=Fading())
    bench.source.records = people(range(10))
    held = bench.run()
    faded(bench, approval(bench, held), after=4)
    bench.source.records = people(range(9))

    result = bench.run(pin=approval(bench, held, "run3"))

    assert (result.ending, result.counts.deleted, result.counts.deletes_withheld) == (Ending.HELD, 0, 7)


def test_an_update_that_was_under_way_when_the_process_died_is_still_approved() -> None:
    bench = filled()
    bench.source.records = [person(number, name="New") for number in range(20)]
    held = bench.run()
    cut = bench.run(pin=approval(bench, held), stopping=lambda: len(bench.target.writes) >= 23)
    assert cut.ending is Ending.INTERRUPTED
    place, one = next((at, one) for at, one in bench.state.changes.items() if at[0] == "run3" and one.fate is Fate.DONE)
    bench.state.changes[place] = replace(one, fate=Fate.SENT)  # as if its answer had not come any more

    result = bench.run(pin=approval(bench, held, "run3"))

    assert (result.ending, result.counts.withheld) == (Ending.DONE, 0)
    assert bench.is_in_step()


def test_an_update_whose_answer_died_with_its_process_is_not_missed_when_the_target_shows_it() -> None:
    bench = filled()
    bench.job = job(compare="target")
    bench.source.records = [person(number, name="New") for number in range(20)]
    held = bench.run()
    cut = bench.run(pin=approval(bench, held), stopping=lambda: len(bench.target.writes) >= 23)
    assert cut.ending is Ending.INTERRUPTED
    place, one = next((at, one) for at, one in bench.state.changes.items() if at[0] == "run3" and one.fate is Fate.DONE)
    bench.state.changes[place] = replace(one, fate=Fate.SENT)

    result = bench.run(pin=approval(bench, held, "run3"))

    assert (result.ending, result.counts.withheld) == (Ending.DONE, 0)
    assert bench.is_in_step()


# ---- saved plans ----


def test_a_saved_plan_is_carried_out_guards_included() -> None:
    bench = filled()
    bench.source.records = [*people(range(9)), person(30)]
    pin = saved(bench)

    result = bench.run(pin=pin)

    assert (result.ending, result.counts.created, result.counts.deleted) == (Ending.DONE, 1, 11)
    assert bench.is_in_step()


def test_a_saved_plan_that_is_not_the_plan_of_now_writes_nothing_at_all() -> None:
    bench = filled()
    bench.source.records = [*people(range(9)), person(30)]
    pin = saved(bench)
    bench.source.records = [*people(range(1, 10)), person(30, name="Other"), person(31)]
    writes = list(bench.target.writes)

    result = bench.run(pin=pin)

    assert result.ending is Ending.HELD
    assert bench.target.writes == writes
    message = said(result, SAVED_PLAN)
    assert "2 planned now and not saved (E0, E31)" in message
    assert "1 saved and not planned any more (E9)" in message
    assert "1 planned otherwise than saved (E30)" in message
    assert result.withheld == {}
    assert [one.verdict.guard for one in bench.events if isinstance(one, Judged)][-1] != "certificate"


def test_a_saved_plan_that_is_applied_again_writes_nothing_again() -> None:
    bench = filled()
    bench.source.records = [*people(range(9)), person(30)]
    pin = saved(bench)
    bench.run(pin=pin)
    writes = list(bench.target.writes)

    again = bench.run(pin=approving(bench, pin, "run3"))

    assert (again.ending, again.counts.wrote) == (Ending.DONE, 0)
    assert bench.target.writes == writes


def test_no_change_of_a_saved_plan_is_carried_out_twice() -> None:
    bench = filled()
    bench.source.records = people(range(1, 20))
    pin = saved(bench)
    bench.run(pin=pin)
    bench.source.records = people(range(20))
    bench.run()
    bench.source.records = people(range(1, 20))  # the same person leaves once more, under another id

    again = bench.run(pin=approving(bench, pin, "run3"))

    assert (again.ending, again.counts.wrote) == (Ending.HELD, 0)


def approving(bench: Bench, pin: Pin, *runs: str) -> Pin:
    """Return the pin of a saved plan with what these earlier runs have done of it."""
    changes = bench.state.changes
    return replace(
        pin,
        earlier=lambda: [one for (run, _), one in changes.items() if run in runs],
        runs=frozenset(runs),
    )


def test_a_saved_plan_waits_until_the_changes_of_other_runs_are_cleared_up() -> None:
    bench = filled()
    bench.source.records = [*people(range(20)), person(30)]
    pin = saved(bench)
    place, one = next(iter(bench.state.changes.items()))
    bench.state.changes[place] = replace(one, fate=Fate.UNKNOWN)
    writes = list(bench.target.writes)

    result = bench.run(pin=pin)

    assert (result.ending, bench.target.writes) == (Ending.HELD, writes)
    assert "1 change of other runs has no known outcome" in said(result, SAVED_PLAN)
    assert bench.state.changes[place].fate is Fate.UNKNOWN


def test_a_saved_plan_takes_up_its_own_attempt_that_was_cut_off() -> None:
    bench = filled()
    bench.source.records = people(range(30))
    pin = saved(bench)
    cut = bench.run(pin=pin, stopping=lambda: len(bench.target.writes) >= 23)
    assert cut.ending is Ending.INTERRUPTED
    place, one = next((at, one) for at, one in bench.state.changes.items() if at[0] == "run3" and one.fate is Fate.DONE)
    bench.state.changes[place] = replace(one, fate=Fate.SENT)

    result = bench.run(pin=approving(bench, pin, "run3"))

    assert result.ending is Ending.DONE
    assert bench.is_in_step()
    assert sorted(bench.target.writes) == sorted(("create", f"E{number}") for number in range(30))


def test_a_saved_plan_without_a_certificate_is_carried_out_but_deletes_nothing() -> None:
    bench = filled()
    bench.source.records = [*people(range(1, 20)), person(30)]
    bench.source.total = 21
    pin = saved(bench)

    result = bench.run(pin=pin)

    assert (result.ending, result.counts.created, result.counts.deleted) == (Ending.HELD, 1, 0)
    assert said(result, "certificate").startswith("1 records did not appear")


def test_a_saved_plan_is_not_the_same_once_a_read_proves_what_it_could_not() -> None:
    bench = filled()
    bench.source.records = [*people(range(1, 20)), person(30)]
    bench.source.total = 21
    pin = saved(bench)
    bench.source.total = None

    result = bench.run(pin=pin)

    assert (result.ending, result.counts.wrote) == (Ending.HELD, 0)
    assert "1 planned now and not saved (E0)" in said(result, SAVED_PLAN)
