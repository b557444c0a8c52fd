"""A source that is read for each of its parents: what is concluded of children whose parent is gone, or fails."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from daemon.errors import EndpointError, GoneError, MalformedError, RefusedError, UnavailableError
from daemon.report import reach
from daemon.spec import Incremental
from daemon.sync.certificate import End
from daemon.sync.events import Event, PartFailed
from daemon.sync.guards import Allowance
from daemon.sync.names import Names
from daemon.sync.outcome import Ending
from daemon.sync.parts import NOTHING
from daemon.sync.ports import Page
from tests.fakes.families import FOR_EACH, Families, family_bench, family_job
from tests.fakes.memory_state import MemoryLinks
from tests.unit.sync import harness
from tests.unit.sync.harness import person

T = TypeVar("T")

REFUSED = RefusedError("hr: answered with status code 403", status=403)
ABSENT = RefusedError("hr: answered with status code 404", status=404)


def families(parents: str = "abcd", children: int = 3, **changes: Any) -> Families:
    return Families({parent: [person(number) for number in range(children)] for parent in parents}, **changes)


def told(events: list[Event]) -> list[str]:
    return [event.part for event in events if isinstance(event, PartFailed)]


def names(bench: harness.Bench) -> set[str]:
    return set(bench.documents())


def test_the_children_of_all_parents_are_one_read_by_keys_that_name_the_parent() -> None:
    bench = family_bench(families())

    result = bench.run()

    assert (result.ending, result.counts.created) == (Ending.DONE, 12)
    assert bench.state.links["a\x1fE1"].part == "a"
    assert str(result.certificate) == "complete: 12 records on 4 pages, ended by the end of each of 4 parts"


@pytest.mark.parametrize("error", [REFUSED, ABSENT, MalformedError("hr: HTML")], ids=["403", "404", "garbage"])
def test_children_that_cannot_be_read_stay_and_those_of_the_others_are_kept_in_step(error: EndpointError) -> None:
    source = families()
    bench = family_bench(source)
    bench.run()

    source.failing["b"] = error
    del source.children["a"].records[0]
    source.remove("d")
    result = bench.run()

    assert result.ending is Ending.REJECTED
    assert result.counts.deleted == 4
    assert names(bench) == {"a-E1", "a-E2", "b-E0", "b-E1", "b-E2", "c-E0", "c-E1", "c-E2"}
    assert told(bench.events) == ["b"]
    assert str(result.certificate).startswith("complete but for 1 of 3 parts: 5 records on 2 pages")
    assert "b: it could not be read" in str(result.certificate)
    assert result.selection is None  # later runs are not measured by it


def test_nothing_is_deleted_where_a_record_may_have_moved_to_a_part_that_was_not_read() -> None:
    source = families("ab", 0)
    source.children["a"].records.append(person(1))
    bench = family_bench(source, family_job(key="record.no", map={"no": "record.no"}))
    bench.run()

    source.children["b"].records.append(source.children["a"].records.pop())
    source.failing["b"] = ABSENT
    result = bench.run(allowance=Allowance(deletes=9))

    assert (result.ending, result.counts.deleted, result.counts.deletes_withheld) == (Ending.HELD, 0, 1)
    assert "the key does not name the part" in str(result.certificate)


def test_a_record_that_moves_to_another_parent_is_not_deleted_and_its_link_moves_too() -> None:
    source = families("ab", 0)
    source.children["b"].records.append(person(1))
    bench = family_bench(source, family_job(key="record.no", map={"no": "record.no"}))
    bench.run()

    source.children["a"].records.append(source.children["b"].records.pop())
    result = bench.run()

    assert (result.ending, result.counts.unchanged, bench.target.writes) == (Ending.DONE, 1, [("create", "E1")])
    assert bench.state.links["E1"].part == "a"


def test_a_record_that_moves_while_the_parts_are_read_is_met_by_another_reading() -> None:
    source = families("ab", 0)
    source.children["b"].records.append(person(1))
    bench = family_bench(source, family_job(key="record.no", map={"no": "record.no"}))
    bench.run()

    source.asked.clear()
    read = source.read

    def moving(*arguments: Any, **scope: Any) -> Any:
        yield from read(*arguments, **scope)
        if source.asked == ["a"]:
            source.children["a"].records.append(source.children["b"].records.pop())

    source.read = moving  # type: ignore[method-assign]
    result = bench.run()

    assert (result.counts.deleted, result.certificate.readings) == (0, 2)


def test_the_tombstone_that_a_record_leaves_where_it_was_does_not_delete_it_where_it_is() -> None:
    source = families("ab", 1)
    source.children["b"].records[:] = [person(5)]
    said = family_job(key="record.no", map={"no": "record.no", "name": "record.name"})
    said = said.model_copy(update={"source": said.source.model_copy(update={"tombstone": "record.deleted"})})
    bench = family_bench(source, said)
    bench.run()

    source.children["a"].records[:] = [person(0, deleted=True)]
    source.children["b"].records.append(person(0, name="Moved"))
    moved = bench.run()
    assert (moved.ending, moved.counts.updated, moved.counts.deleted) == (Ending.DONE, 1, 0)
    assert bench.state.links["E0"].part == "b"

    assert (bench.run().counts.deleted, names(bench)) == (0, {"E0", "E5"})  # the tombstone still comes
    source.children["b"].records[-1] = person(0, deleted=True)
    assert (bench.run().counts.deleted, names(bench)) == (1, {"E5"})


def test_one_key_in_two_parts_is_written_in_none_and_both_are_named() -> None:
    source = families("ab", 1)
    bench = family_bench(source, family_job(key="record.no", map={"no": "record.no"}))

    result = bench.run()

    assert (result.counts.rejected, result.counts.created) == (2, 0)
    assert "in part b, and in a" in bench.state.rejects["E0"].reason
    assert not result.certificate.issued


def test_an_outage_ends_the_run_and_the_next_one_reads_no_part_twice() -> None:
    source = families()
    source.failing["c"] = UnavailableError("hr is down")
    bench = family_bench(source)

    assert bench.run(slice_pages=1).ending is Ending.UNAVAILABLE
    source.failing.clear()
    source.asked.clear()
    result = bench.run(slice_pages=1)

    assert source.asked == ["c", "d"]
    assert (result.ending, result.counts.created) == (Ending.DONE, 12)


def test_a_slice_that_is_full_inside_a_part_leaves_a_mark_behind_that_part() -> None:
    source = families(page_size=1)  # of page numbers, so that nothing can be marked between two pages
    source.failing["c"] = UnavailableError("hr is down")
    bench = family_bench(source)

    assert bench.run(slice_changes=2).ending is Ending.UNAVAILABLE
    source.failing.clear()
    source.asked.clear()
    result = bench.run(slice_changes=2)

    assert source.asked == ["c", "d"]
    assert (result.ending, result.counts.created) == (Ending.DONE, 12)


def test_a_part_that_failed_before_the_mark_still_deletes_nothing_after_it() -> None:
    source = families()
    bench = family_bench(source)
    bench.run()

    source.failing.update(a=REFUSED, c=UnavailableError("hr is down"))
    assert bench.run(slice_pages=1).ending is Ending.UNAVAILABLE
    del source.failing["c"], source.failing["a"]
    source.children["a"].records.clear()
    source.children["d"].records.clear()
    source.asked.clear()
    result = bench.run(slice_pages=1)

    assert source.asked == ["c", "d"]
    assert result.counts.deleted == 3
    assert {name[0] for name in names(bench)} == {"a", "b", "c"}
    assert "but for 1 of 4 parts" in str(result.certificate)


def test_a_rule_may_say_that_a_parent_is_gone_and_then_its_children_are() -> None:
    source = families()
    bench = family_bench(source)
    bench.run()

    source.failing["b"] = GoneError("hr: 404, for which on_response says gone", status=404)
    result = bench.run()

    assert (result.ending, result.counts.deleted) == (Ending.DONE, 3)
    assert [event.is_gone for event in bench.events if isinstance(event, PartFailed)] == [True]


def test_parents_that_are_not_proven_complete_leave_all_children_of_those_that_did_not_come() -> None:
    source = families()
    bench = family_bench(source)
    bench.run()

    source.remove("d")
    source.parents.total = 4
    result = bench.run(allowance=Allowance(deletes=99))

    assert (result.ending, result.counts.deleted, result.counts.deletes_withheld) == (Ending.HELD, 0, 3)
    assert "the list of parts: the API counts 4 records, 3 arrived" in str(result.certificate)


@pytest.mark.parametrize("parent", [{"id": None}, {"name": "x"}, 5.5e300], ids=str)
def test_a_parent_without_a_usable_key_leaves_everything_that_is_absent(parent: Any) -> None:
    source = families("abc")
    bench = family_bench(source)
    bench.run()

    source.remove("a")
    source.parents.records.append(parent)
    result = bench.run(allowance=Allowance(deletes=99))

    assert (result.counts.deleted, result.counts.deletes_withheld) == (0, 3)
    assert "a parent on page 1 has no usable key" in str(result.certificate)


def test_a_run_that_could_not_name_a_parent_does_not_end_as_if_it_had_read_everything() -> None:
    source = families("ab")
    source.parents.records.append({"name": "x"})
    source.failing["b"] = REFUSED
    bench = family_bench(source)

    failing = bench.run()
    source.failing.clear()
    result = bench.run()

    assert (failing.ending, result.ending, result.counts.created) == (Ending.REJECTED, Ending.REJECTED, 3)
    assert "b: it could not be read" in str(failing.certificate)
    assert "Next: look at the parts" in reach.next_step(result)


def test_two_parents_with_one_key_are_told_and_nothing_of_that_part_is_deleted() -> None:
    source = families("abc")
    bench = family_bench(source)
    bench.run()

    source.parents.records.append({"id": "a", "other": 1})
    source.children["a"].records.clear()
    result = bench.run()

    assert result.counts.deleted == 0
    assert "parents 1 and 4 of the list have this key" in str(result.certificate)


def test_a_run_ends_where_most_parts_fail() -> None:
    source = families("abc")
    bench = family_bench(source)
    bench.run()

    source.failing.update(a=REFUSED, b=REFUSED)
    result = bench.run()

    assert result.ending is Ending.FAILED
    assert "2 of 3 parts could not be read, which is more than for_each.limit lets pass" in result.error
    assert len(names(bench)) == 9


def test_many_failing_parts_end_a_run_before_all_of_them_are_tried() -> None:
    source = Families({number: [] for number in range(100)})
    source.failing = dict.fromkeys(range(100), REFUSED)
    bench = family_bench(source)

    assert bench.run().ending is Ending.FAILED
    assert len(source.asked) == 20


def test_a_limit_of_a_number_lets_so_many_parts_fail() -> None:
    source = families("abc")
    source.failing.update(a=REFUSED, b=REFUSED)
    bench = family_bench(source, family_job(for_each={**FOR_EACH, "limit": 2}))

    assert bench.run().ending is Ending.REJECTED


def test_a_parent_that_changes_is_news_for_children_that_use_it() -> None:
    source = families("a", 1)
    spec = family_job(map={"no": "record.no", "name": "project.name"})
    source.parents.records[0]["name"] = "old"
    bench = family_bench(source, spec)
    bench.run()

    source.parents.records[0].update(name="new", seen_at="today")
    assert bench.run().counts.updated == 1
    source.parents.records[0]["seen_at"] = "tomorrow"
    assert bench.run().counts.unchanged == 1
    assert bench.documents()["E0"]["name"] == "new"


def test_parents_that_the_filter_leaves_out_are_no_parents() -> None:
    source = families("ab", 1)
    for parent in source.parents.records:
        parent["open"] = parent["id"] == "a"
    bench = family_bench(source, family_job(for_each={**FOR_EACH, "where": "project.open"}))

    assert bench.run().counts.created == 1
    del source.parents.records[0]["open"]
    result = bench.run()
    assert (result.counts.deleted, told(bench.events)) == (0, ["a"])


def test_links_of_before_the_job_had_parts_are_safe_while_a_part_fails() -> None:
    source = families("ab", 1)
    bench = family_bench(source)
    bench.run()
    for key, link in bench.state.links.items():
        bench.state.links[key] = replace(link, part="")

    source.failing["a"] = REFUSED
    source.children["b"].records.clear()
    result = bench.run()

    assert result.counts.deleted == 0


BY_CURSOR = {
    "connection": "hr",
    "read": "projects/{{ project.id }}",
    "params": {"since": "{{ cursor.start }}"},
    "incremental": {"field": "at", "type": "number"},
}


def dated(parents: str) -> Families:
    return Families({parent: [{**person(number), "at": number} for number in range(3)] for parent in parents})


def test_each_part_is_read_from_a_cursor_of_its_own() -> None:
    source = dated("ab")
    bench = family_bench(source, family_job(source=BY_CURSOR))
    bench.run()

    source.children["b"].records.append({**person(9), "at": 9})
    source.add("c", [{**person(0), "at": 0}])
    source.starts.clear()
    assert bench.run().counts.created == 2
    assert source.starts == [2, 2, None]
    source.starts.clear()
    bench.run()
    assert source.starts == [2, 9, 0]


def test_the_cursor_of_a_part_that_is_read_ahead_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = family_bench(dated("abcd"), family_job(source=BY_CURSOR), ahead=3)
    looked: list[str] = []
    cursor = MemoryLinks.cursor

    def counted(self: MemoryLinks, part: str) -> Any:
        looked.append(part)
        return cursor(self, part)

    monkeypatch.setattr(MemoryLinks, "cursor", counted)
    bench.run()

    assert looked == ["a", "b", "c", "d"]


@pytest.mark.parametrize("says", ["not in the list", "gone"])
def test_a_parent_that_comes_back_is_read_as_a_whole_since_its_children_were_deleted(says: str) -> None:
    source = dated("ab")
    bench = family_bench(source, family_job(source=BY_CURSOR))
    bench.run()

    children: list[Any] = []
    if says == "gone":
        source.failing["b"] = GoneError("hr: 404, for which on_response says gone", status=404)
    else:
        children = source.remove("b")
    assert bench.run(full=True).counts.deleted == 3
    assert set(bench.state.cursors) == {"a"}

    if says == "gone":
        source.failing.clear()
    else:
        source.add("b", children)
    assert bench.run().counts.created == 3


def test_a_cursor_stays_where_children_are_deleted_and_their_part_was_read() -> None:
    source = dated("ab")
    bench = family_bench(source, family_job(source=BY_CURSOR))
    bench.run()

    del source.children["b"].records[0]
    assert bench.run(full=True).counts.deleted == 1
    assert set(bench.state.cursors) == {"a", "b"}


def test_a_plan_forgets_no_cursor() -> None:
    source = dated("ab")
    bench = family_bench(source, family_job(source=BY_CURSOR))
    bench.run()

    source.remove("b")
    assert bench.run(full=True, writes=False).counts.deletes_pending == 3
    assert set(bench.state.cursors) == {"a", "b"}


class Threads:
    """A pool of real threads that counts how many tasks are under way at most."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(8)
        self.tasks = 0

    def submit(self, work: Callable[..., T], /, *arguments: Any) -> Future[T]:
        self.tasks += 1
        return self.pool.submit(work, *arguments)


@pytest.mark.parametrize("ahead", [2, 5, 100])
@pytest.mark.parametrize("threads", [False, True], ids=["inline", "threads"])
def test_parts_that_are_read_ahead_come_in_order_with_their_errors_in_place(
    ahead: int, threads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Families({number: [person(one) for one in range(number % 7)] for number in range(30)}, page_size=2)
    source.failing = {3: REFUSED, 17: ABSENT}
    bench = family_bench(source, ahead=ahead)
    pool = Threads()
    if threads:
        monkeypatch.setattr(harness, "InlinePool", lambda: pool)

    result = bench.run(slice_pages=1)
    assert (result.ending, result.counts.created) == (
        Ending.REJECTED,
        sum(n % 7 for n in range(30) if n not in (3, 17)),
    )
    assert told(bench.events) == ["3", "17"]
    again = bench.run()
    assert (again.counts.wrote, again.counts.unchanged) == (0, result.counts.created)
    pool.pool.shutdown()


def test_an_outage_among_parts_that_are_read_ahead_comes_after_the_parts_before_it() -> None:
    source = families("abcdef")
    source.failing["c"] = UnavailableError("down")
    bench = family_bench(source, ahead=6)

    assert bench.run(slice_pages=1).ending is Ending.UNAVAILABLE
    assert {name[0] for name in names(bench)} == {"a", "b"}
    source.failing.clear()
    assert bench.run(slice_pages=1).counts.created == 18


def test_parents_of_parents_are_parts_with_both_names() -> None:
    spec = family_job(
        for_each={**FOR_EACH, "read": "orgs/{{ org }}/projects", "for_each": {"as": "org", "in": ["x", "y/z"]}},
        key=["org", "project.id", "record.no"],
        map={"no": "org ~ project.id ~ record.no"},
    )
    source = families("ab", 1)
    bench = harness.Bench(spec)
    bench.source = source  # type: ignore[assignment]
    bench.parts = nested(spec, source)

    result = bench.run()
    assert (result.counts.created, {link.part for link in bench.state.links.values()}) == (
        4,
        {"x/a", "x/b", "y%2Fz/a", "y%2Fz/b"},
    )

    # The list of one organisation's projects fails: its children stay, and those of the other one go on.
    source.parents.error, source.parents.breaks_at = REFUSED, 1
    result = bench.run()
    assert result.ending is Ending.FAILED  # both fail
    assert len(bench.documents()) == 4


def nested(spec: Any, source: Families) -> Any:
    from daemon.sync.parents import ListSource, ParentParts

    outer = spec.for_each.for_each
    return ParentParts(spec.for_each, source.parents, ParentParts(outer, ListSource(outer.in_)))


def test_names_are_told_apart_and_found_again() -> None:
    seen = Names()
    assert [seen.add(f"n{number}", number) for number in range(1, 5001)] == [0] * 5000
    assert [seen.add(f"n{number}", 9999) for number in (1, 77, 5000)] == [1, 77, 5000]


class Tagged(Families):
    """Children in a list with an ETag for each parent, which is not given again while it is still the one."""

    def read(self, resume: str | None = None, *, scope: Any = NOTHING) -> Iterator[Page | End]:
        if "cursor" not in scope or scope["project"]["id"] in self.failing:
            yield from super().read(resume, scope=scope)
            return
        tag = repr(self.children[scope["project"]["id"]].records)
        if scope["cursor"]["etag"] == tag:
            yield End("nothing having changed", 0, 0, None, unchanged=True)
            return
        for step in super().read(resume, scope=scope):
            yield replace(step, cursor=tag) if isinstance(step, Page) else step


def tagged_bench(parents: str = "abc") -> tuple[Tagged, harness.Bench]:
    source = Tagged({parent: [person(number) for number in range(3)] for parent in parents})
    said = family_job()
    rules = Incremental.model_validate({"type": "etag"})
    said = said.model_copy(update={"source": said.source.model_copy(update={"incremental": rules})})
    return source, family_bench(source, said)


def test_what_is_gone_from_one_part_is_deleted_though_the_others_are_as_they_were() -> None:
    source, bench = tagged_bench()
    bench.run()

    del source.children["a"].records[0]
    result = bench.run()

    assert (result.ending, result.counts.seen, result.counts.deleted) == (Ending.DONE, 2, 1)
    assert names(bench) == {"a-E1", "a-E2", *(f"{one}-E{number}" for one in "bc" for number in range(3))}
    assert (bench.run().counts.seen, bench.run().counts.deleted) == (0, 0)


def test_the_etag_of_a_part_is_kept_once_its_deletes_are_carried_out() -> None:
    source, bench = tagged_bench()
    bench.run()

    del source.children["a"].records[0]
    source.children["b"].records.append(person(9))
    source.failing["c"] = UnavailableError("hr is down")
    assert bench.run(slice_changes=1).ending is Ending.UNAVAILABLE
    source.failing.clear()
    result = bench.run(slice_changes=1)

    assert (result.ending, result.counts.deleted) == (Ending.DONE, 1)
    assert "a-E0" not in names(bench)
