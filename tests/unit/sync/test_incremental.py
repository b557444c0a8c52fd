"""Reading what changed: nothing is lost, whatever the cursor's precision, zone and order; nothing wrongly deleted."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daemon.endpoints.memory import MemorySource, MemoryTarget
from daemon.errors import RefusedError, UnavailableError, UnknownError
from daemon.sync.certificate import End
from daemon.sync.change import Change
from daemon.sync.cursor import Cursor, Reach
from daemon.sync.events import CursorDoubted, Doubt, SpanBegan
from daemon.sync.guards import Allowance
from daemon.sync.moments import Reckoner
from daemon.sync.outcome import Ending
from daemon.sync.ports import Accepted, Written
from tests.unit.sync.harness import Bench, job, people, person

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MAP = {"no": "record.no", "name": "record.name", "email": "record.email | trim | lower"}


class Server(MemorySource):
    """A source with a clock, which filters by `at >= cursor.start` and tells the time."""

    def __init__(self, *, zone: str | None = None, digits: int = 0, form: str = "iso", **options: Any) -> None:
        super().__init__(**options)
        self.now = NOON
        self.at = lambda: self.now
        self.reckoner = Reckoner(zone)
        self.since = lambda record, start: self.reckoner.position(record["at"]) >= self.reckoner.position(start)
        self.starts: list[Any] = []

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any]) -> Any:  # type: ignore[override]
        self.starts.append(scope["cursor"]["start"])
        return super().read(resume, scope=scope)

    def put(self, number: int, at: str | int | None = None, **fields: Any) -> None:
        """Store a record, with the server's time or another."""
        self.records = [one for one in self.records if one["no"] != f"E{number}"]
        self.records.append(person(number, at=at or f"{self.now:%Y-%m-%dT%H:%M:%SZ}", **fields))

    def tick(self, **more: int) -> None:
        self.now += timedelta(**more)


def incremental(**changes: Any) -> dict[str, Any]:
    rules = {name: value for name, value in {"field": "at", **changes.pop("rules", {})}.items() if value is not None}
    return {
        "source": {"connection": "hr", "read": "employees?since={{ cursor.start }}", "incremental": rules, **changes},
    }


class Tracked(Bench):
    """A bench whose source is read since its cursor."""

    def __init__(self, *, mode: str = "upsert", rules: Mapping[str, Any] = {}, reconcile: Any = None, **source: Any):
        said = incremental(rules=rules, **source.pop("said", {}))
        super().__init__(job(mode=mode, reconcile=reconcile, guards={"deletes": "100%", "updates": "100%"}, **said))
        self.server = Server(page_size=7, **source)
        self.source = self.server

    def run(self, **options: Any) -> Any:
        return super().run(**{"now": self.server.now, **options})

    @property
    def cursor(self) -> Any:
        found = self.state.cursors.get("")
        return found.value if found else None

    @property
    def doubts(self) -> list[Doubt]:
        return [event.doubt for event in self.events if isinstance(event, CursorDoubted)]

    @property
    def reach(self) -> Reach:
        return [event.span.reach for event in self.events if isinstance(event, SpanBegan)][-1]

    def is_in_step(self) -> bool:
        return {no: one["name"] for no, one in self.documents().items()} == {
            record["no"]: record["name"] for record in self.source.records if not record.get("deleted")
        }


def test_the_first_run_reads_everything_and_the_next_ones_what_changed() -> None:
    bench = Tracked()
    for number in range(20):
        bench.server.put(number)
    assert bench.run().counts.created == 20

    bench.server.tick(minutes=5)
    bench.server.put(3, name="New")
    result = bench.run()

    assert bench.server.starts == [None, "2026-03-01T12:00:00Z"]
    assert (result.counts.updated, result.counts.unchanged, result.reach) == (1, 19, Reach.SINCE)
    assert bench.cursor == "2026-03-01T12:05:00Z"
    assert bench.run().counts.seen == 1
    assert bench.is_in_step()


@pytest.mark.edge(2)
@pytest.mark.suffering(7)
def test_a_record_with_the_boundary_timestamp_that_comes_late_is_met_and_the_others_cost_no_write() -> None:
    bench = Tracked()
    bench.server.put(1)
    bench.run()

    bench.server.put(2)
    result = bench.run()

    assert (result.counts.created, result.counts.unchanged) == (1, 1)
    assert bench.target.writes == [("create", "E1"), ("create", "E2")]


@pytest.mark.edge(1)
def test_a_page_border_among_equal_timestamps_loses_nothing_when_the_read_is_cut_off() -> None:
    bench = Tracked(rules={"order": "ascending"})
    for number in range(50):
        bench.server.put(number)
    bench.server.breaks_at, bench.server.error = 4, UnavailableError("down")
    assert bench.run(slice_changes=7).ending is Ending.UNAVAILABLE

    bench.server.breaks_at = None
    bench.run()

    assert bench.is_in_step()
    assert len(bench.target.writes) == 50


def test_lookback_reads_again_what_may_have_been_stored_late() -> None:
    bench = Tracked(rules={"lookback": "10m"})
    bench.server.put(1)
    bench.run()

    bench.server.put(2, at="2026-03-01T11:55:00Z")
    bench.run()

    assert bench.server.starts[-1] == "2026-03-01T11:50:00Z"
    assert bench.is_in_step()


@pytest.mark.edge(5)
@pytest.mark.parametrize("skew", [-600, 600])
def test_the_servers_clock_bounds_the_cursor_and_not_ours(skew: int) -> None:
    bench = Tracked(rules={"settle": "30s"})
    bench.server.put(1)
    bench.server.put(2, at="2026-03-01T13:00:00Z")

    bench.run(now=NOON + timedelta(seconds=skew))

    assert bench.cursor == "2026-03-01T11:59:30Z"
    assert len(bench.target.writes) == 2


def test_a_record_stored_while_a_long_read_goes_on_is_not_passed_over() -> None:
    bench = Tracked()
    for number in range(10):
        bench.server.put(number)
    taken = iter([NOON, NOON + timedelta(minutes=2)])
    bench.server.at = lambda: next(taken)
    # As if record 99 was stored at 12:01, behind the pages that were read by then, and record 98 on the last page.
    bench.server.put(98, at="2026-03-01T12:02:00Z")

    bench.run()

    assert bench.cursor == "2026-03-01T12:00:00Z"


@pytest.mark.edge(3)
@pytest.mark.suffering(8)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:01Z"),
        ("2026-03-01T12:00:00.1Z", "2026-03-01T12:00:00.2Z"),
        ("2026-03-01T12:00:00.123456788+02:00", "2026-03-01T12:00:00.123456789+02:00"),
        ("2026-03-01 12:00:00.000001", "2026-03-01 12:00:00.000002"),
        ("2026-02-27", "2026-02-28"),
        (1772366400, 1772366401),
    ],
)
def test_a_cursor_keeps_every_digit_and_the_servers_own_form(one: Any, other: Any) -> None:
    bench = Tracked(rules={"timezone": "UTC"}, zone="UTC")
    bench.server.now = NOON + timedelta(days=2)
    bench.server.put(1, at=one)
    bench.run()
    assert bench.cursor == one

    bench.server.put(2, at=other)
    bench.run()

    assert bench.server.starts[-1] == one
    assert bench.cursor == other


@pytest.mark.edge(4)
def test_the_hour_that_comes_twice_loses_nothing() -> None:
    bench = Tracked(rules={"timezone": "Europe/Berlin"}, zone="Europe/Berlin")
    bench.server.now = datetime(2026, 10, 25, 0, 50, tzinfo=UTC)
    bench.server.put(1, at="2026-10-25 02:50:00")
    bench.run()

    bench.server.tick(minutes=30)
    bench.server.put(2, at="2026-10-25 02:20:00")  # an hour and a half later, by the sun
    bench.run()

    assert bench.server.starts[-1] == "2026-10-25 01:59:59"
    assert bench.is_in_step()


def test_a_moment_without_an_offset_is_no_cursor_until_its_zone_is_declared() -> None:
    bench = Tracked()
    bench.server.since = None
    bench.server.put(1, at="2026-03-01T11:00:00")

    bench.run()

    assert bench.is_in_step()
    assert (bench.cursor, bench.doubts) == (None, [Doubt.WITHOUT])


@pytest.mark.edge(6)
def test_a_record_that_says_never_in_its_own_way_ends_no_run() -> None:
    bench = Tracked(rules={"timezone": "Europe/Berlin", "lookback": "1h"}, zone="Europe/Berlin")
    bench.server.since = lambda record, start: str(record["at"]) >= start
    bench.server.put(1, at="0001-01-01T00:00:00")
    bench.server.put(2, at="2026-03-01T12:00:00")
    result = bench.run()

    assert (result.ending, result.counts.created, bench.cursor) == (Ending.DONE, 2, "2026-03-01T12:00:00")


def test_a_source_out_of_its_declared_order_takes_the_cursor_back_and_keeps_it_for_the_end() -> None:
    bench = Tracked(rules={"order": "ascending"})
    for number in range(30):
        bench.server.put(number, at=f"2026-03-01T11:00:{number:02}Z")
    bench.server.records[20]["at"] = "2026-03-01T10:00:00Z"
    bench.server.breaks_at, bench.server.error = 5, UnavailableError("down")
    bench.run(slice_changes=7)
    assert (bench.cursor, bench.doubts) == (None, [Doubt.DISORDERED])

    bench.server.breaks_at = None
    bench.run(slice_changes=7)

    assert bench.is_in_step()
    assert bench.cursor == "2026-03-01T11:00:29Z"
    assert bench.state.cursors[""].is_disordered


def test_a_declared_order_moves_the_cursor_with_each_slice() -> None:
    bench = Tracked(rules={"order": "ascending"})
    for number in range(30):
        bench.server.put(number, at=f"2026-03-01T11:00:{number:02}Z")
    bench.server.breaks_at, bench.server.error = 4, UnavailableError("down")

    bench.run(slice_changes=7)

    assert bench.cursor == "2026-03-01T11:00:20Z"
    assert bench.state.cursors[""].base is None


def test_without_a_declared_order_the_cursor_waits_for_the_end_of_the_read() -> None:
    bench = Tracked()
    for number in range(30):
        bench.server.put(number)
    bench.server.breaks_at, bench.server.error = 4, UnavailableError("down")

    bench.run(slice_changes=7)

    assert bench.cursor is None


@pytest.mark.suffering(9)
def test_a_plan_moves_no_cursor() -> None:
    bench = Tracked()
    bench.server.put(1)

    bench.run(writes=False)

    assert (bench.state.cursors, bench.state.whole) == ({}, None)


@pytest.mark.edge(7)
def test_pages_that_shift_under_their_numbers_keep_the_cursor_where_it_is() -> None:
    bench = Tracked()
    for number in range(20):
        bench.server.put(number, at="2026-03-01T11:00:00Z")
    bench.run()
    bench.server.tick(minutes=5)
    bench.server.put(30)
    bench.server.total = 22

    bench.run()

    assert (bench.cursor, bench.doubts) == ("2026-03-01T11:00:00Z", [Doubt.STAYS])


def test_what_a_guard_withholds_is_read_again() -> None:
    bench = Tracked()
    bench.job = bench.job.model_copy(update={"guards": job(guards={"updates": "10%"}).guards})
    for number in range(20):
        bench.server.put(number)
    bench.run()
    bench.server.tick(minutes=5)
    for number in range(20):
        bench.server.put(number, name="Changed")

    held = bench.run()
    allowed = bench.run(allowance=Allowance(updates=20))

    assert (held.ending, held.counts.withheld) == (Ending.HELD, 20)
    assert (allowed.counts.updated, bench.cursor) == (20, "2026-03-01T12:05:00Z")


@pytest.mark.fact(3)
def test_a_server_that_ignores_the_filter_is_told_of() -> None:
    bench = Tracked()
    for number in range(20):
        bench.server.put(number)
    bench.run()
    bench.server.since = None
    bench.server.tick(minutes=5)
    bench.server.put(1)
    bench.run()

    result = bench.run()

    assert (result.counts.unchanged, result.ending) == (20, Ending.DONE)
    assert bench.doubts == [Doubt.IGNORED]


# ---- deletes -------------------------------------------------------------------------------------------------------


def test_an_incremental_mirror_deletes_nothing_by_absence_and_a_full_read_does() -> None:
    bench = Tracked(mode="mirror")
    for number in range(20):
        bench.server.put(number)
    bench.run()
    bench.server.tick(minutes=5)
    bench.server.records = bench.server.records[1:]
    assert bench.run().counts.deleted == 0

    result = bench.run(full=True)

    assert (result.counts.deleted, result.reach) == (1, Reach.WHOLE)
    assert bench.is_in_step()


@pytest.mark.parametrize("mode", ["mirror", "upsert"])
def test_a_tombstone_deletes_its_record_and_is_never_created(mode: str) -> None:
    bench = Tracked(mode=mode, said={"tombstone": "record.deleted"})
    for number in range(5):
        bench.server.put(number)
    bench.run()

    bench.server.tick(minutes=5)
    bench.server.put(1, deleted=True)
    bench.server.put(9, deleted=True)
    result = bench.run()

    assert (result.counts.deleted, result.counts.created, result.counts.skipped) == (1, 0, 2)
    assert bench.is_in_step()
    again = bench.run()
    assert (again.counts.skipped, again.counts.deleted, again.ending) == (2, 0, Ending.DONE)


def test_tombstones_are_guarded_as_deletes_and_come_again_until_they_are_allowed() -> None:
    bench = Tracked(said={"tombstone": "record.deleted"})
    bench.job = bench.job.model_copy(update={"guards": job(guards={"deletes": "10%"}).guards})
    for number in range(20):
        bench.server.put(number)
    bench.run()
    bench.server.tick(minutes=5)
    for number in range(10):
        bench.server.put(number, deleted=True)

    held = bench.run()
    allowed = bench.run(allowance=Allowance(deletes=10))

    assert (held.ending, held.counts.deletes_withheld, held.counts.deleted) == (Ending.HELD, 10, 0)
    assert allowed.counts.deleted == 10


@pytest.mark.parametrize("page_size", [1, 7])
def test_a_record_that_was_made_anew_after_its_tombstone_stands(page_size: int) -> None:
    bench = Tracked(mode="mirror", said={"tombstone": "record.deleted"})
    bench.server.page_size = page_size
    for number in range(3):
        bench.server.put(number)
    bench.run()

    bench.server.tick(minutes=5)
    bench.server.put(1, at="2026-03-01T12:01:00Z", deleted=True)
    bench.server.records.append(person(1, at="2026-03-01T12:01:30Z", deleted=True))
    bench.server.records.append(person(1, at="2026-03-01T12:02:00Z", name="Made anew"))
    bench.server.records.sort(key=lambda record: str(record["at"]))
    result = bench.run()

    assert (result.ending, result.counts.updated, result.counts.deleted) == (Ending.DONE, 1, 0)
    assert (result.counts.skipped, bench.documents()["E1"]["name"]) == (2, "Made anew")
    full = bench.run(full=True)
    assert (full.ending, full.counts.deleted, full.counts.rejected) == (Ending.DONE, 0, 0)


def test_a_record_that_was_deleted_twice_is_deleted_once() -> None:
    bench = Tracked(said={"tombstone": "record.deleted"})
    bench.server.page_size = 1
    for number in (1, 3):
        bench.server.put(number)
    bench.run()

    bench.server.tick(minutes=5)
    bench.server.records = [person(1, at=f"2026-03-01T12:0{minute}:00Z", deleted=True) for minute in (1, 2)]
    result = bench.run()

    assert (result.ending, result.counts.deleted, result.counts.skipped) == (Ending.DONE, 1, 2)


def test_a_changed_record_that_comes_again_right_before_its_tombstone_is_taken_back_once() -> None:
    bench = Bench(job(source={"connection": "hr", "read": "employees", "tombstone": "record.deleted is defined"}))
    bench.source.records = [person(0)]
    bench.run()

    bench.source.page_size = 2
    changed = person(0, name="Changed")
    bench.source.records = [changed, person(1), changed, {**changed, "deleted": True}]
    result = bench.run(allowance=Allowance(updates=100))

    assert (result.ending, result.counts.rejected, result.counts.created) == (Ending.REJECTED, 3, 1)
    assert (result.counts.updated, result.counts.deleted) == (0, 0)


def test_two_records_that_come_together_after_their_tombstone_take_its_delete_back_once() -> None:
    bench = Bench(job(source={"connection": "hr", "read": "employees", "tombstone": "record.deleted is defined"}))
    bench.source.records = people(range(3))
    bench.run()

    bench.source.page_size = 2
    bench.source.records = [person(2), person(0, deleted=True), person(0), person(0), person(1)]
    result = bench.run(allowance=Allowance(deletes=100))

    assert (result.ending, result.counts.rejected, result.counts.unchanged) == (Ending.REJECTED, 2, 2)
    assert (result.counts.deletes_pending, result.counts.deleted, len(bench.documents())) == (0, 0, 3)


def test_a_tombstone_leaves_a_record_that_was_there_before_us() -> None:
    bench = Tracked(said={"tombstone": "record.deleted"})
    bench.target.records["x1"] = {"no": "E1", "id": "x1", "name": "Name 1", "email": "p1@example.test"}
    bench.server.put(1)
    assert bench.run().counts.adopted == 1

    bench.server.tick(minutes=5)
    bench.server.put(1, deleted=True)
    result = bench.run()

    assert (result.counts.kept, result.counts.deleted) == (1, 0)


# ---- what is not settled ---------------------------------------------------------------------------------------------


class Losing(MemoryTarget):
    """A target that loses its answer to the next writes of one kind, and does not carry them out."""

    losing: tuple[str, int] = ("", 0)

    def _lose(self, kind: str) -> None:
        if self.losing[0] == kind and self.losing[1]:
            self.losing = (kind, self.losing[1] - 1)
            raise UnknownError(f"desk: {kind}: the answer did not arrive")

    def create(self, change: Change) -> Written:
        self._lose("create")
        return super().create(change)

    def update(self, change: Change) -> Written:
        self._lose("update")
        return super().update(change)

    def delete(self, change: Change) -> Accepted | None:
        self._lose("delete")
        return super().delete(change)


def losing(*, looks_up: bool = True, **rules: Any) -> tuple[Tracked, Losing]:
    """Return a bench with three records at the target."""
    bench = Tracked(rules=rules, said={"tombstone": "record.deleted"})
    bench.target = target = Losing(match="no", looks_up=looks_up)
    for number in range(3):
        bench.server.put(number)
    bench.run()
    return bench, target


@pytest.mark.parametrize("kind", ["create", "update", "delete"])
def test_a_write_whose_answer_was_lost_is_made_in_the_next_run_though_nothing_changed_since(kind: str) -> None:
    bench, target = losing(looks_up=False)
    bench.server.tick(minutes=5)
    bench.server.put(9 if kind == "create" else 1, name="New", deleted=kind == "delete")
    bench.server.tick(minutes=1)
    bench.server.put(2, name="Later")
    bench.server.tick(minutes=1)
    target.losing = (kind, 1)
    lost = bench.run()
    before = bench.cursor
    result = bench.run()

    assert (lost.ending, lost.counts.any_rejected, before) == (Ending.REJECTED, True, "2026-03-01T12:00:00Z")
    assert (result.ending, bench.is_in_step(), bench.cursor) == (Ending.DONE, True, "2026-03-01T12:06:00Z")
    assert not bench.state.rejects


def test_the_cursor_waits_for_an_answer_that_is_always_lost_in_three_runs_and_no_longer() -> None:
    bench, target = losing()
    bench.server.tick(minutes=5)
    bench.server.put(1, name="New")
    bench.server.tick(minutes=5)
    target.losing = ("update", 99)
    cursors = []
    for _ in range(4):
        bench.run()
        cursors.append(bench.cursor)

    assert cursors == ["2026-03-01T12:00:00Z"] * 2 + ["2026-03-01T12:05:00Z"] * 2
    assert "E1" in bench.state.rejects


def test_a_read_is_not_gone_on_with_behind_a_write_whose_answer_was_lost() -> None:
    bench, target = losing(order="ascending")
    bench.server.resumes = True
    bench.server.page_size = 1
    bench.server.tick(minutes=5)
    for number in range(3):
        bench.server.put(number, name="New")
    bench.server.tick(minutes=5)
    target.losing = ("update", 1)
    bench.server.breaks_at, bench.server.error = 3, UnavailableError("hr is down")
    assert bench.run(slice_changes=1).ending is Ending.UNAVAILABLE
    assert bench.state.mark is not None
    bench.server.breaks_at = None
    bench.run(slice_changes=1)

    assert bench.is_in_step()


# ---- whole reads -----------------------------------------------------------------------------------------------------


def test_reconcile_reads_everything_when_it_is_due() -> None:
    bench = Tracked(reconcile={"every": "24h", "between": "02:00-04:00"})
    bench.server.put(1)
    bench.run()
    reaches = []
    for hours in (1, 12, 2, 1, 21, 3):  # 13:00, 01:00, 03:00, 04:00, 01:00, 04:00
        bench.server.tick(hours=hours)
        bench.state.now = bench.server.now
        bench.run()
        reaches.append(bench.reach)

    assert reaches == [Reach.SINCE, Reach.SINCE, Reach.WHOLE, Reach.SINCE, Reach.SINCE, Reach.SINCE]


def test_an_edited_map_reads_everything_once_since_unchanged_records_would_not_come() -> None:
    bench = Tracked()
    for number in range(5):
        bench.server.put(number)
    bench.run()

    bench.job = bench.job.model_copy(update={"map": job(map={**MAP, "name": "'x' ~ record.name"}).map})
    result = bench.run()

    assert (result.reach, result.counts.updated) == (Reach.WHOLE, 5)
    bench.run()
    assert bench.reach is Reach.SINCE


@pytest.mark.edge(46)
def test_a_backfill_reads_a_stretch_with_the_same_links_and_leaves_the_cursor_alone() -> None:
    bench = Tracked()
    for number in range(5):
        bench.server.put(number)
    bench.run()
    bench.server.put(7, at="2025-06-01T00:00:00Z")
    bench.server.put(2, at="2025-06-02T00:00:00Z", name="Old")

    result = bench.run(backfill=("2025-01-01T00:00:00Z", None))

    assert bench.server.starts[-1] == "2025-01-01T00:00:00Z"
    assert (result.counts.created, result.counts.updated, result.reach) == (1, 1, Reach.BACKFILL)
    assert bench.cursor == "2026-03-01T12:00:00Z"


# ---- tokens ----------------------------------------------------------------------------------------------------------


class Feed(MemorySource):
    """A change feed: what came after a number, and the number that the next read begins with."""

    def __init__(self) -> None:
        super().__init__(page_size=3)
        self.since = lambda record, start: record["seq"] > int(start)
        self.token = lambda: str(max((record["seq"] for record in self.records), default=0))


def feed() -> Tracked:
    bench = Tracked(rules={"type": "token", "field": None, "next": "last_seq"})
    bench.source = Feed()
    for number in range(5):
        bench.source.records.append(person(number, seq=number + 1))
    return bench


def test_a_token_is_kept_as_it_is_and_asked_with_in_the_next_run() -> None:
    bench = feed()
    assert bench.run().counts.created == 5
    assert bench.cursor == "5"

    bench.source.records.append(person(9, seq=6))
    result = bench.run()

    assert (result.counts.seen, result.counts.created, bench.cursor) == (1, 1, "6")


@pytest.mark.parametrize("status", [400, 410])
def test_a_token_that_the_source_forgot_is_told_of_and_everything_is_read(status: int) -> None:
    bench = feed()
    bench.run()
    refused = RefusedError("gone", status=status)
    read = bench.source.read

    def forgetful(resume: str | None = None, *, scope: Mapping[str, Any]) -> Any:
        if scope["cursor"]["start"] is not None:
            raise refused
        yield from read(resume, scope=scope)

    bench.source.read = forgetful  # type: ignore[assignment,method-assign]  # the same source, with less memory
    result = bench.run()

    assert (result.counts.unchanged, result.reach, bench.doubts) == (5, Reach.WHOLE, [Doubt.REFUSED])


def test_a_source_that_gives_no_token_is_told_of_and_read_as_a_whole_each_time() -> None:
    bench = Tracked(rules={"type": "token", "field": None, "next": "header:ETag"})
    bench.server.records = people(range(5))
    for _ in range(2):
        result = bench.run()

    assert (result.reach, bench.doubts) == (Reach.WHOLE, [Doubt.UNGIVEN] * 2)
    assert "header:ETag is in none of 1 answers" in result.doubted[0]


@pytest.mark.parametrize(
    ("unit", "end"), [("s", "2026-03-01T12:00:00Z"), ("ms", 1772366400000), ("ns", 1772366400 * 10**9)]
)
def test_an_upper_bound_has_the_form_of_its_unit_before_any_value_was_seen(unit: str, end: Any) -> None:
    bench = Tracked(rules={"unit": unit})
    bench.run()

    assert next(event.span.end for event in bench.events if isinstance(event, SpanBegan)) == end


class Tagged(MemorySource):
    """A list with an ETag, which is given whole or, where it is still the one of the ETag, not at all."""

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any]) -> Any:  # type: ignore[override]
        tag = f'"{hash(tuple((one["no"], one["name"]) for one in self.records))}"'
        self.token = lambda: tag
        if scope["cursor"]["etag"] == tag:
            yield End("nothing having changed", 0, 0, None, unchanged=True)
        else:
            yield from super().read(resume, scope=scope)


def tagged() -> Tracked:
    bench = Tracked(mode="mirror", rules={"type": "etag", "field": None})
    rules = {"connection": "hr", "read": "employees", "incremental": {"type": "etag"}}
    bench.job = job(source=rules, guards={"deletes": "10%"})
    bench.source = Tagged(people(range(10)), page_size=100)
    return bench


def test_a_list_that_is_still_the_one_of_its_etag_is_not_read_and_nothing_is_concluded() -> None:
    bench = tagged()
    assert bench.run().counts.created == 10

    again = bench.run()
    bench.source.records = bench.source.records[1:]
    changed = bench.run()

    assert (again.ending, again.counts.seen, again.counts.deleted, again.reach) == (Ending.DONE, 0, 0, Reach.SINCE)
    assert (changed.counts.deleted, changed.reach) == (1, Reach.WHOLE)


def test_an_etag_is_not_kept_while_anything_is_left_to_do() -> None:
    bench = tagged()
    bench.run()
    bench.source.records = bench.source.records[5:]

    held = bench.run()
    allowed = bench.run(allowance=Allowance(deletes=5))

    assert (held.ending, held.counts.deletes_withheld) == (Ending.HELD, 5)
    assert allowed.counts.deleted == 5
    assert bench.run().counts.seen == 0


def test_a_number_cursor_goes_back_by_a_number() -> None:
    bench = Tracked(rules={"type": "number", "lookback": 10})
    bench.server.since = lambda record, start: record["at"] >= start
    bench.server.put(1, at=9007199254740993)
    bench.run()
    bench.run()

    assert bench.server.starts[-1] == 9007199254740983
    assert isinstance(bench.state.cursors[""], Cursor)
