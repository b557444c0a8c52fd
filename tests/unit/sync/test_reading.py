"""A read that was cut off is gone on with, and is one read all the same."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.endpoints.memory import MemoryTarget
from daemon.errors import AuthError, EndpointError, MalformedError, RefusedError, UnavailableError, UnknownError
from daemon.sync.change import Change
from daemon.sync.events import PageDone, ReadRestarted, ReadResumed
from daemon.sync.guards import Allowance
from daemon.sync.outcome import Ending
from daemon.sync.ports import Written
from daemon.sync.seen import BLOCK, Seen
from tests.unit.sync.harness import Bench, job, people, person

PAGES = 6
FULL = 7 * PAGES
SLICES: dict[str, Any] = {"slice_pages": 2}


class Desk(MemoryTarget):
    """Refuses some keys, and loses the answers to the creates of others once."""

    def __init__(self, **ways: Any) -> None:
        super().__init__(match="no", **ways)
        self.refuses: set[str] = set()
        self.loses: set[str] = set()

    def create(self, change: Change) -> Written:
        if change.key in self.refuses:
            raise RefusedError("refused", status=422)
        written = super().create(change)
        if change.key in self.loses:
            self.loses.remove(change.key)
            raise UnknownError("the answer was lost")
        return written


def cut_off(at: int, *, desk: Desk | None = None, records: list[Any] | None = None, **options: Any) -> Bench:
    """Return a bench whose first run broke off at a page."""
    bench = Bench(target=desk or Desk())
    bench.source.records = people(range(FULL)) if records is None else records
    bench.source.resumes = True
    bench.source.breaks_at, bench.source.error = at, UnavailableError("gone")
    assert bench.run(**{**SLICES, **options}).ending is Ending.UNAVAILABLE
    bench.source.breaks_at = None
    bench.source.asked.clear()
    bench.events.clear()
    return bench


@pytest.mark.parametrize("at", range(2, PAGES + 1))
def test_the_next_run_asks_only_for_the_pages_after_the_mark(at: int) -> None:
    bench = cut_off(at)

    result = bench.run(**SLICES)

    assert bench.source.asked == list(range(at, PAGES + 1))
    assert (result.ending, result.counts.created, result.certificate.issued) == (Ending.DONE, FULL, True)
    assert len(bench.target.writes) == FULL
    assert bench.is_in_step()
    assert bench.state.mark is None


def test_numbers_lead_to_other_records_and_are_read_from_the_beginning() -> None:
    bench = cut_off(5)
    bench.source.resumes = False
    bench.source.breaks_at = 5
    bench.state.mark = None
    bench.run(**SLICES)
    bench.source.breaks_at = None
    bench.source.asked.clear()

    bench.run(**SLICES)

    assert bench.source.asked == list(range(1, PAGES + 1))
    assert bench.is_in_step()


def test_a_few_pages_are_read_again_rather_than_guarded_by_halves() -> None:
    bench = cut_off(3, slice_pages=1_000)

    assert bench.target.writes == []
    bench.run()

    assert bench.source.asked[0] == 1
    assert bench.is_in_step()


def test_what_was_read_of_a_long_slice_is_kept_when_the_source_goes_away() -> None:
    bench = cut_off(5, slice_pages=30)

    bench.run(slice_pages=30)

    assert bench.source.asked == [5, 6]
    assert bench.is_in_step()


def test_a_stop_between_two_pages_without_a_change_leaves_a_mark() -> None:
    bench = Bench()
    bench.source.records = people(range(FULL))
    bench.source.resumes = True
    bench.run()
    bench.source.asked.clear()

    stopped = bench.run(
        stopping=lambda: any(isinstance(one, PageDone) and one.number == 3 for one in bench.events[-1:])
    )
    bench.run()

    assert stopped.ending is Ending.INTERRUPTED
    assert bench.source.asked == [1, 2, 3, 4, 5, 6]


@pytest.mark.suffering(3)
def test_the_records_of_the_first_part_are_not_gone() -> None:
    bench = Bench()
    bench.source.records = people(range(FULL))
    bench.source.resumes = True
    bench.run()
    bench.source.records = people(range(1, FULL))
    bench.source.breaks_at, bench.source.error = 5, UnavailableError("gone")
    bench.run(**SLICES)
    bench.source.breaks_at = None

    result = bench.run(**SLICES)

    assert (result.counts.deleted, result.counts.seen) == (1, FULL - 1)
    assert bench.is_in_step()


def test_the_guards_see_the_whole_read() -> None:
    bench = Bench()
    bench.source.records = people(range(FULL))
    bench.source.resumes = True
    bench.run()
    bench.source.records = [person(number, name="Other") for number in range(FULL)]
    bench.source.breaks_at, bench.source.error = 4, UnavailableError("gone")
    first = bench.run(slice_pages=3)
    bench.source.breaks_at = None
    bench.events.clear()

    second = bench.run(slice_pages=3)

    assert (first.counts.updated, first.verdicts[0].tripped) == (21, False)
    assert any(isinstance(one, ReadResumed) for one in bench.events)
    assert (second.ending, second.counts.updated, second.counts.withheld) == (Ending.HELD, 21, 21)


def test_records_made_by_the_first_part_are_not_counted_as_known_before() -> None:
    bench = Bench()
    bench.source.records = people(range(FULL))
    bench.source.resumes = True
    bench.run()
    changed = [person(number, name="Other") for number in range(22)]
    bench.source.records = [*people(range(100, 121)), *changed, *people(range(22, FULL))]
    bench.source.breaks_at, bench.source.error = 4, UnavailableError("gone")
    bench.run(slice_pages=3)
    bench.source.breaks_at = None

    result = bench.run()

    assert (result.ending, result.counts.created, result.counts.withheld) == (Ending.HELD, 21, 22)


@pytest.mark.suffering(2)
def test_a_record_of_the_first_part_that_was_made_after_the_mark_is_never_gone() -> None:
    desk = Desk()
    desk.refuses = {"E0", "E1"}
    bench = Bench(target=desk)
    bench.source.records = people(range(2, FULL - 1))
    bench.source.resumes = True
    bench.run()
    bench.source.records = people(range(FULL))

    def mended() -> bool:
        # The last round lets it through, and the run is stopped before that round is over.
        if f"E{FULL - 1}" in bench.documents():
            desk.refuses = set()
        return "E0" in bench.state.links

    assert bench.run(stopping=mended, slice_pages=2, window=1).ending is Ending.INTERRUPTED
    assert "E0" in bench.state.links
    bench.source.breaks_at, bench.source.error = 6, UnavailableError("gone")
    assert bench.run(slice_pages=1).ending is Ending.UNAVAILABLE
    bench.source.breaks_at = None
    bench.source.asked.clear()

    result = bench.run(slice_pages=1)

    assert bench.source.asked == [6]
    assert (result.certificate.issued, result.counts.deleted) == (True, 0)
    assert "E0" in bench.documents()


def test_nothing_is_marked_that_holds_withheld_changes() -> None:
    bench = Bench()
    bench.source.records = people(range(FULL))
    bench.source.resumes = True
    bench.run()
    bench.source.records = [person(number, name="Other") for number in range(FULL)]
    bench.source.breaks_at, bench.source.error = 6, UnavailableError("gone")
    first = bench.run(slice_pages=1)
    bench.source.breaks_at = None
    bench.source.asked.clear()

    allowed = bench.run(slice_pages=1, allowance=Allowance(updates=FULL))

    assert (first.counts.updated, first.counts.withheld) == (21, 14)
    assert bench.source.asked == [4, 5, 6]
    assert allowed.ending is Ending.DONE
    assert bench.is_in_step()


def test_a_total_is_compared_with_both_parts() -> None:
    bench = cut_off(5)
    bench.source.total = FULL + 1

    result = bench.run(**SLICES)

    assert not result.certificate.issued
    assert f"counts {FULL + 1} records, {FULL} arrived" in str(result.certificate)


def test_a_doubt_about_the_first_part_is_a_doubt_about_the_whole() -> None:
    bench = cut_off(5, records=[{"name": "Nobody"}, *people(range(FULL - 1))])

    result = bench.run(**SLICES)

    assert not result.certificate.issued
    assert (result.ending, result.counts.rejected, result.counts.seen) == (Ending.REJECTED, 1, FULL)


@pytest.mark.parametrize("refused", [False, True], ids=["written", "refused"])
def test_two_records_with_one_key_are_met_across_the_border(refused: bool) -> None:
    desk = Desk()
    desk.refuses = {"E0"} if refused else set()
    bench = cut_off(5, desk=desk, records=[*people(range(FULL - 1)), person(0, name="Twin")])
    desk.refuses = set()

    result = bench.run(**SLICES)

    assert not result.certificate.issued
    assert ("E0" in bench.documents()) is not refused
    assert result.counts.rejected == 1 + refused


def test_a_third_record_with_one_key_is_counted_once_more_and_no_more() -> None:
    bench = cut_off(5, records=[person(0), person(0), *people(range(1, FULL - 2)), person(0)])

    result = bench.run(**SLICES)

    assert (result.counts.seen, result.counts.rejected) == (FULL, 3)


def test_a_create_of_the_first_part_that_is_cleared_up_later_is_not_gone() -> None:
    desk = Desk(looks_up=False)
    desk.loses = {"E0"}
    bench = cut_off(5, desk=desk)
    assert "E0" not in bench.state.links

    result = bench.run(**SLICES)

    assert any(isinstance(one, ReadResumed) for one in bench.events)
    assert result.counts.deleted == 0
    assert bench.is_in_step()


def test_its_twin_across_the_border_is_met_all_the_same() -> None:
    desk = Desk(looks_up=False)
    desk.loses = {"E0"}
    bench = cut_off(5, desk=desk, records=[*people(range(FULL - 1)), person(0, name="Twin")])

    result = bench.run(**SLICES)

    assert not result.certificate.issued
    assert bench.documents()["E0"]["name"] == "Name 0"


def test_records_written_after_the_mark_are_met_again_and_are_no_doubles() -> None:
    desk = Desk()
    bench = Bench(target=desk)
    bench.source.records = people(range(FULL))
    bench.source.resumes = True
    writes = FULL // 2 + 3
    assert bench.run(stopping=lambda: len(desk.writes) >= writes, **SLICES).ending is Ending.INTERRUPTED
    bench.source.asked.clear()

    result = bench.run(**SLICES)

    assert bench.source.asked == [3, 4, 5, 6]
    assert (result.ending, result.counts.rejected) == (Ending.DONE, 0)
    assert len(desk.writes) == FULL
    assert bench.is_in_step()


@pytest.mark.parametrize(
    "error",
    [
        RefusedError("bad cursor", status=400),
        RefusedError("no such page", status=404),
        RefusedError("expired", status=410),
        UnavailableError("answered with status code 500", status=500),
        MalformedError("HTML"),
    ],
    ids=str,
)
def test_a_token_that_is_refused_begins_the_read_anew(error: EndpointError) -> None:
    bench = cut_off(5)
    bench.source.refuses_resume = error

    result = bench.run(**SLICES)

    assert [str(one.reason) for one in bench.events if isinstance(one, ReadRestarted)] == [str(error)]
    assert bench.source.asked == list(range(1, PAGES + 1))
    assert (result.ending, result.counts.seen, result.counts.created) == (Ending.DONE, FULL, 14)
    assert bench.is_in_step()


@pytest.mark.parametrize("error", [UnavailableError("busy", status=503), AuthError("who?", status=401)], ids=str)
def test_a_source_that_cannot_be_asked_now_leaves_the_mark_for_the_next_run(error: EndpointError) -> None:
    bench = cut_off(5)
    bench.source.refuses_resume = error
    assert bench.run(**SLICES).ending in {Ending.UNAVAILABLE, Ending.FAILED}
    bench.source.refuses_resume = None

    bench.run(**SLICES)

    assert bench.source.asked == [5, 6]
    assert bench.is_in_step()


@pytest.mark.parametrize(("token", "trouble"), [("4:28:9999", "empty"), ("4:28:14", "from before it")])
def test_a_token_that_leads_elsewhere_proves_nothing(token: str, trouble: str) -> None:
    bench = cut_off(5)
    assert bench.state.mark is not None
    object.__setattr__(bench.state.mark, "resume", token)

    result = bench.run(**SLICES)

    (restarted,) = (one for one in bench.events if isinstance(one, ReadRestarted))
    assert trouble in restarted.reason
    assert (result.ending, result.counts.deleted, result.counts.rejected) == (Ending.DONE, 0, 0)
    assert bench.is_in_step()


def test_an_edited_job_reads_from_the_beginning() -> None:
    bench = cut_off(5)
    bench.job = job(map={**bench.job.model_dump(by_alias=True)["map"], "team": {"from": "'sales'"}})

    bench.run(**SLICES, allowance=Allowance(updates=FULL))

    assert bench.source.asked[0] == 1


def test_a_plan_neither_uses_nor_leaves_a_mark() -> None:
    bench = cut_off(5)
    mark = bench.state.mark

    bench.run(writes=False, **SLICES)

    assert bench.source.asked == list(range(1, PAGES + 1))
    assert bench.state.mark is mark


def test_a_first_run_that_is_gone_on_with_matches_the_rest_with_the_list() -> None:
    class Counting(Desk):
        looked = 0

        def lookup(self, key: str, document: Any) -> Any:
            self.looked += 1
            return super().lookup(key, document)

    desk = Counting()
    bench = cut_off(5, desk=desk)

    bench.run(**SLICES)

    assert desk.looked == 0


@pytest.mark.suffering(2)
@pytest.mark.parametrize("upto", [0, 3, 7, 8, 9, 15, 16, 17, 40, 64, 65])
@pytest.mark.parametrize("highest", [0, 1, 5, 7, 8, 9, 30])
def test_links_of_the_reads_own_making_count_as_met(highest: int, upto: int) -> None:
    seen = Seen(highest)
    seen.add(1)
    end = max(upto, highest)

    again = Seen(end + 20, judged=highest, bits=seen.bits(upto))

    met = {number for number in range(1, end + 21) if number in again}
    assert met == ({1} if highest else set()) | set(range(highest + 1, upto + 1))


@given(
    highest=st.integers(0, 3 * 8 * BLOCK),
    met=st.lists(st.integers(1, 3 * 8 * BLOCK), max_size=20),
    spans=st.lists(st.tuples(st.integers(1, 3 * 8 * BLOCK), st.integers(0, 9_000)), max_size=3),
    judged=st.integers(0, 3 * 8 * BLOCK),
)
@settings(max_examples=25, deadline=None)
def test_what_was_not_met_is_found_in_order_whatever_was(
    highest: int, met: list[int], spans: list[tuple[int, int]], judged: int
) -> None:
    seen = Seen(highest, judged=min(judged, highest))
    for one in (*met, *(number for first, length in spans for number in range(first, first + length))):
        seen.add(one)

    found = [one for some in seen.unmet() for one in some]

    assert found == [number for number in range(1, seen.judged + 1) if number not in seen]
