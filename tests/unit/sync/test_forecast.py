"""What is said of the next run of one record: each branch of the world once. The law is in tests/property."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from daemon.endpoints.memory import MemoryTarget
from daemon.errors import UnavailableError
from daemon.sync.canonical import keys_shown_as
from daemon.sync.certificate import End
from daemon.sync.change import Change, Fate, Link
from daemon.sync.forecast import Forecast, Verb
from daemon.sync.ports import TargetRecord
from daemon.sync.search import Search
from tests.fakes.rehearsing import forecast_of
from tests.fakes.shifting import ShiftingSource, leave
from tests.unit.sync.harness import Bench, job, people, person


class CountingTarget(MemoryTarget):
    """Notes how often its list was asked for."""

    def __init__(self, **more: Any) -> None:
        super().__init__(match="no", **more)
        self.lists = 0

    def list(self) -> Iterator[tuple[TargetRecord, ...] | End]:
        self.lists += 1
        return super().list()


def told(bench: Bench, key: str) -> Forecast:
    return explained(bench, key)[0]


def explained(bench: Bench, key: str) -> tuple[Forecast, Search]:
    return forecast_of(bench.job, bench.source, bench.target, bench.state, key)


@pytest.fixture
def settled() -> Bench:
    """Nine people, in step."""
    bench = Bench()
    bench.source.records = people(range(9))
    bench.run()
    return bench


def test_a_new_record_is_created_with_its_document() -> None:
    bench = Bench()
    bench.source.records = people([1])

    forecast = told(bench, "E1")

    assert forecast.verb is Verb.CREATE
    assert forecast.change is not None
    assert forecast.change.document == {"no": "E1", "name": "Name 1", "email": "p1@example.test"}
    assert bench.target.writes == []


def test_an_edited_record_is_updated_in_the_fields_that_differ(settled: Bench) -> None:
    settled.source.records[8] = person(8, name="New")

    forecast, found = explained(settled, "E8")

    assert (forecast.verb, forecast.why) == (Verb.UPDATE, "name differs from what is wanted")
    assert (found.pages, found.records) == (2, 9)


def test_the_reading_stops_on_the_page_where_the_record_is_met(settled: Bench) -> None:
    forecast, found = explained(settled, "E3")

    assert (forecast.verb, found.pages, found.certificate) == (Verb.NOTHING, 1, None)


def test_a_record_that_is_gone_is_deleted_when_the_read_proves_it(settled: Bench) -> None:
    del settled.source.records[3]

    forecast = told(settled, "E3")

    assert forecast.verb is Verb.DELETE
    assert forecast.change is not None
    assert forecast.change.target_id == "4"


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        ({"name": "Nobody"}, "no usable key"),
        (person(5, name="Twin"), "two records have the same key"),
        (person(5), "a record came on two pages"),
    ],
)
def test_a_record_that_is_gone_is_kept_when_the_read_proves_nothing(
    settled: Bench, trouble: dict[str, Any], says: str
) -> None:
    del settled.source.records[3]
    settled.source.records.append(trouble)

    forecast = told(settled, "E3")

    assert forecast.verb is Verb.KEEP
    assert says in forecast.why


def test_a_record_that_only_another_reading_meets_is_kept(settled: Bench) -> None:
    moving = ShiftingSource(settled.source.records, page_size=3, says_total=False)
    moving.edit(1, 1, leave("E0"))  # the rows behind move up, and E3 to a page that was read already

    forecast, _ = forecast_of(settled.job, moving, settled.target, settled.state, "E3")

    assert forecast.verb is Verb.KEEP
    assert "another one met it" in forecast.why


def test_two_new_records_with_one_key_prove_nothing_either(settled: Bench) -> None:
    settled.source.records = [*people([0, 1, 20]), *people(range(4, 9)), person(20)]

    assert told(settled, "E3").verb is Verb.KEEP


def test_an_adopted_record_that_is_gone_is_kept() -> None:
    bench = Bench()
    bench.target.records["a"] = {"no": "E1", "name": "Name 1", "email": "p1@example.test"}
    bench.source.records = people(range(9))
    assert told(bench, "E1").verb is Verb.ADOPT
    bench.run()
    del bench.source.records[1]

    forecast = told(bench, "E1")

    assert forecast.verb is Verb.KEEP
    assert "delete_adopted" in forecast.why


def test_an_empty_source_withholds_the_delete(settled: Bench) -> None:
    settled.source.records = []

    forecast = told(settled, "E3")

    assert forecast.verb is Verb.WITHHOLD
    assert "the source is empty" in forecast.why


def test_a_record_that_where_keeps_out_is_deleted_only_with_proof(settled: Bench) -> None:
    settled.job = job(where="record.name != 'Name 3'")
    settled.state.selection = None
    assert told(settled, "E3").verb is Verb.DELETE

    settled.source.records.append({"name": "Nobody"})

    assert told(settled, "E3").verb is Verb.KEEP
    assert told(settled, "E4").verb is Verb.NOTHING


def test_an_upsert_never_deletes(settled: Bench) -> None:
    settled.job = job(mode="upsert")
    del settled.source.records[3]

    assert told(settled, "E3").verb is Verb.KEEP


def test_a_source_that_breaks_off_before_the_record_tells_nothing(settled: Bench) -> None:
    settled.source.breaks_at, settled.source.error = 2, UnavailableError("hr: HTTP 503")

    assert told(settled, "E3").verb is Verb.NOTHING
    forecast = told(settled, "E8")

    assert forecast.verb is Verb.UNKNOWN
    assert "hr: HTTP 503" in forecast.why


def test_a_record_that_cannot_be_mapped_is_rejected_with_the_reason() -> None:
    bench = Bench(job(map={"no": "record.no", "email": {"from": "record.email", "required": True}}))
    bench.source.records = [person(1, email=None)]

    forecast = told(bench, "E1")

    assert (forecast.verb, forecast.why) == (Verb.REJECT, "email is required and is null")


def test_the_second_of_two_records_is_looked_for_once_a_run_has_met_it(settled: Bench) -> None:
    settled.source.records.append(person(0, name="Twin"))
    settled.run()

    forecast, found = explained(settled, "E0")

    assert (forecast.verb, found.times) == (Verb.REJECT, 2)


def test_a_create_whose_answer_was_lost_is_looked_up() -> None:
    bench = lost_create(MemoryTarget(match="no"))

    assert told(bench, "E1").verb is Verb.NOTHING


def test_a_create_whose_answer_was_lost_is_sent_again_under_its_own_idempotency_key() -> None:
    bench = lost_create(MemoryTarget(match="no", idempotent=True, looks_up=False))

    forecast = told(bench, "E1")

    assert forecast.verb is Verb.RESOLVE
    assert forecast.change is not None
    assert forecast.change.idempotency_key == "run1-1"


def test_a_create_that_nobody_can_clear_up_is_rejected_until_a_person_has_looked() -> None:
    bench = lost_create(MemoryTarget(match="no", lists=False, looks_up=False))

    forecast = told(bench, "E1")

    assert forecast.verb is Verb.REJECT
    assert "was lost" in forecast.why


def test_an_update_whose_answer_was_lost_is_made_again_even_if_the_source_went_back(settled: Bench) -> None:
    before = settled.source.records[3]
    settled.source.records[3] = person(3, name="New")
    settled.run()
    place, change = next((place, one) for place, one in settled.state.changes.items() if place[0] == "run2")
    settled.state.links["E3"] = earlier_link(settled, before)
    settled.state.changes[place] = as_sent(change)
    settled.source.records[3] = before

    forecast = told(settled, "E3")

    assert (forecast.verb, forecast.why[:42]) == (Verb.UPDATE, "what the target holds is not remembered, s")


def test_a_target_that_is_away_leaves_open_what_needs_it(settled: Bench) -> None:
    settled.source.records.append(person(9))
    settled.source.records[3] = person(3, name="New")
    settled.target = AwayTarget(match="no")

    assert told(settled, "E3").verb is Verb.UPDATE
    assert told(settled, "E9").verb is Verb.UNKNOWN


def test_a_target_that_can_be_asked_for_one_record_is_not_listed() -> None:
    target = CountingTarget()
    bench = Bench(target=target)
    bench.source.records = people([1])
    bench.run()
    bench.source.records = people([1, 2])
    target.lists = 0

    assert told(bench, "E2").verb is Verb.CREATE
    assert target.lists == 0


@pytest.mark.parametrize(
    ("shown", "parts", "key"),
    [("4711", 1, "4711"), ("a/b", 2, "a\x1fb"), ("a/b", 1, "a/b"), ("a/b/c", 2, "a/b\x1fc"), ("a/b/c", 2, "a\x1fb/c")],
)
def test_a_key_is_found_as_it_is_shown(shown: str, parts: int, key: str) -> None:
    assert key in keys_shown_as(shown, parts)


# ---- what happened before ------------------------------------------------------------------------------------------


class AwayTarget(MemoryTarget):
    def lookup(self, key: str, document: Any) -> tuple[TargetRecord, ...]:
        raise UnavailableError("desk: connection refused")


def lost_create(target: MemoryTarget) -> Bench:
    """A run has sent a create, and its process was gone before the answer."""
    bench = Bench(target=target)
    bench.source.records = people([1])
    bench.run()
    place, change = next(iter(bench.state.changes.items()))
    bench.state.changes[place] = as_sent(change)
    bench.state.links.clear()
    bench.state.documents.clear()
    return bench


def as_sent(change: Change) -> Change:
    return replace(change, fate=Fate.SENT)


def earlier_link(bench: Bench, record: dict[str, Any]) -> Link:
    """Return the link as it was before the update whose answer was lost."""
    other = Bench(bench.job)
    other.source.records = [record]
    other.run()
    return replace(other.state.links["E3"], id=bench.state.links["E3"].id, target_id="4")
