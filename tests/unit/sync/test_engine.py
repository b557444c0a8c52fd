"""The laws of a run, over in-memory ports."""

from dataclasses import replace
from typing import Any

import pytest

from daemon.endpoints.memory import MemoryTarget
from daemon.errors import MalformedError, RefusedError, UnavailableError, UnknownError
from daemon.sync.change import Change, Fate, Kind
from daemon.sync.guards import Allowance
from daemon.sync.outcome import Ending
from daemon.sync.ports import Written
from tests.unit.sync.harness import JOB, Bench, job, people, person


def filled(count: int = 40) -> Bench:
    bench = Bench()
    bench.source.records = people(range(count))
    assert bench.run().ending is Ending.DONE
    bench.target.writes.clear()
    return bench


def test_a_first_run_creates_every_record() -> None:
    bench = Bench()
    bench.source.records = people(range(40))

    result = bench.run()

    assert result.counts.created == 40
    assert bench.is_in_step()


def test_a_second_run_writes_nothing() -> None:
    bench = filled()

    result = bench.run()

    assert bench.target.writes == []
    assert result.counts.unchanged == 40


def test_edits_joiners_and_leavers_are_carried_over() -> None:
    bench = filled()
    bench.source.records = [person(0, name="Other"), *people(range(3, 40)), person(90)]

    result = bench.run()

    counts = result.counts
    assert (counts.created, counts.updated, counts.deleted) == (1, 1, 2)
    assert bench.is_in_step()


def test_only_the_fields_that_differ_are_sent() -> None:
    bench = filled()
    bench.source.records[4] = person(4, name="Other")

    bench.run()

    changes = [one for (run, _), one in bench.state.changes.items() if run == "run2"]
    assert [change.changed for change in changes] == [{"name": "Other"}]


def test_a_field_that_is_not_mapped_changes_nothing() -> None:
    bench = filled()
    bench.source.records[4] = person(4, seen_at="today")

    assert bench.run().counts.unchanged == 40
    assert bench.target.writes == []


def test_an_edited_mapping_makes_every_record_a_candidate_again() -> None:
    bench = filled(8)
    bench.job = job(map={**bench.job.model_dump(by_alias=True)["map"], "team": {"from": "'sales'"}})

    assert bench.run().counts.updated == 8


def test_an_edited_mapping_of_many_records_is_held_by_the_updates_guard() -> None:
    bench = filled(40)
    bench.job = job(map={**bench.job.model_dump(by_alias=True)["map"], "team": {"from": "'sales'"}})

    result = bench.run()

    assert result.ending is Ending.HELD
    assert result.counts.withheld == 40
    assert bench.target.writes == []


def test_a_plan_writes_nothing_and_says_what_a_run_would_do() -> None:
    bench = filled()
    bench.source.records = [person(0, name="Other"), *people(range(2, 40)), person(90)]
    before = dict(bench.state.links)

    result = bench.run(writes=False)

    assert bench.target.writes == []
    assert bench.state.links == before
    assert (result.counts.pending, result.counts.deletes_pending) == (2, 1)


def test_records_that_are_there_already_are_adopted_and_not_doubled() -> None:
    bench = Bench()
    bench.source.records = people(range(5))
    bench.target.records = {
        "a": {"no": "E0", "name": "Name 0", "email": "p0@example.test", "extra": 1},
        "b": {"no": "E1", "name": "Old name", "email": "p1@example.test"},
    }

    counts = bench.run().counts

    assert (counts.created, counts.updated, counts.unchanged, counts.adopted) == (3, 1, 1, 2)
    assert bench.target.records["b"]["name"] == "Name 1"


@pytest.mark.suffering(4)
def test_an_adopted_record_is_not_deleted() -> None:
    bench = Bench()
    bench.source.records = people(range(30))
    bench.target.records = {"a": {"no": "E0", "name": "Name 0", "email": "p0@example.test"}}
    bench.run()
    bench.source.records = people(range(1, 30))

    result = bench.run()

    assert result.counts.kept == 1
    assert "a" in bench.target.records


@pytest.mark.edge(17)
def test_an_ambiguous_key_in_the_target_is_rejected() -> None:
    bench = Bench()
    bench.source.records = people(range(3))
    bench.target.records = {"a": {"no": "E0"}, "b": {"no": "E0"}}

    result = bench.run()

    assert result.ending is Ending.REJECTED
    assert "ambiguous" in bench.state.rejects["E0"].reason
    assert result.counts.created == 2


@pytest.mark.edge(17)
def test_two_records_with_one_key_are_both_rejected_and_nothing_is_deleted() -> None:
    bench = filled(40)
    bench.source.records = [*people(range(1, 39)), person(5, name="Twin")]

    result = bench.run()

    assert result.counts.rejected == 2
    assert result.counts.deleted == 0
    assert not result.certificate.issued
    assert bench.target.writes == []


@pytest.mark.edge(17)
def test_two_new_records_with_one_key_far_apart_are_both_rejected() -> None:
    bench = Bench()
    bench.source.records = [*people(range(20)), person(3, name="Twin")]

    result = bench.run()

    assert result.counts.rejected == 2
    assert "E3" not in bench.documents()


def test_a_record_without_its_key_is_rejected_and_forbids_deletes() -> None:
    bench = filled(40)
    bench.source.records = [*people(range(1, 40)), {"name": "Nobody"}]

    result = bench.run()

    assert result.counts.rejected == 1
    assert result.counts.deleted == 0
    assert result.counts.deletes_withheld == 1
    assert "no usable key" in str(result.certificate)


@pytest.mark.edge(15)
def test_a_rejected_record_is_seen_and_never_deleted_by_absence() -> None:
    bench = filled(40)
    bench.job = job(
        map={**bench.job.model_dump(by_alias=True)["map"], "email": {"from": "record.email | lower", "required": True}}
    )
    bench.state.selection = None
    bench.source.records[3] = {"no": "E3", "name": "No mail"}

    result = bench.run(allowance=Allowance(updates=40))

    assert result.counts.rejected == 1
    assert "E3" in bench.documents()


@pytest.mark.edge(15)
def test_a_read_that_breaks_off_deletes_nothing() -> None:
    for page in range(1, 5):
        bench = filled(28)
        bench.source.records = people(range(20, 28))
        bench.source.page_size = 2
        bench.source.breaks_at, bench.source.error = page, UnavailableError("gone")

        result = bench.run()

        assert result.ending is Ending.UNAVAILABLE
        assert bench.target.writes == []


def test_a_page_that_is_not_what_was_promised_fails_the_run() -> None:
    bench = filled(28)
    bench.source.breaks_at, bench.source.error = 2, MalformedError("HTML")

    assert bench.run().ending is Ending.FAILED
    assert bench.target.writes == []


def test_a_total_that_disagrees_withholds_the_deletes() -> None:
    bench = filled(40)
    bench.source.records = people(range(1, 40))
    bench.source.total = 40

    result = bench.run()

    assert result.ending is Ending.HELD
    assert result.counts.deletes_withheld == 1
    assert bench.target.writes == []


def test_an_empty_source_deletes_nothing_and_is_told() -> None:
    bench = filled(40)
    bench.source.records = []

    result = bench.run()

    assert result.ending is Ending.HELD
    assert {verdict.guard for verdict in result.verdicts if verdict.tripped} >= {"empty_source", "deletes"}
    assert bench.target.writes == []


def test_deletes_above_the_limit_are_withheld_and_the_rest_goes_on() -> None:
    bench = filled(40)
    bench.source.records = [*people(range(8, 40)), person(90)]

    result = bench.run()

    assert result.ending is Ending.HELD
    assert (result.counts.created, result.counts.deletes_withheld) == (1, 8)
    assert [kind for kind, _ in bench.target.writes] == ["create"]


def test_the_operator_may_allow_so_many_deletes_for_one_run() -> None:
    bench = filled(40)
    bench.source.records = people(range(8, 40))

    result = bench.run(allowance=Allowance(deletes=8))

    assert result.counts.deleted == 8
    assert bench.is_in_step()


def test_an_empty_source_may_be_allowed_when_it_is_meant() -> None:
    bench = filled(40)
    bench.source.records = []

    result = bench.run(allowance=Allowance(deletes=40))

    assert result.ending is Ending.DONE
    assert result.counts.deleted == 40


@pytest.mark.edge(15)
def test_a_filter_that_cannot_be_answered_rejects_the_record_and_deletes_nothing() -> None:
    bench = Bench(job(where="record.active"))
    bench.source.records = [{**one, "active": True} for one in people(range(40))]
    bench.run()
    del bench.source.records[3]["active"]

    result = bench.run()

    assert result.counts.rejected == 1
    assert "E3" in bench.documents()


def test_a_changed_filter_deletes_nothing_unasked() -> None:
    bench = filled(40)
    bench.job = job(where="record.no != 'E7'")

    result = bench.run()

    assert result.ending is Ending.HELD
    assert result.counts.skipped == 1
    assert bench.target.writes == []


@pytest.mark.parametrize("slice_changes", [1, 7, 10, 1000])
def test_slices_of_any_size_come_to_the_same(slice_changes: int) -> None:
    bench = Bench()
    bench.source.records = people(range(45))

    result = bench.run(slice_changes=slice_changes)

    assert result.counts.created == 45
    assert bench.is_in_step()


def test_a_target_that_moved_in_the_job_file_is_filled_though_every_record_is_linked() -> None:
    bench = filled(10)
    bench.target.records.clear()
    bench.job = job(target={**JOB["target"], "create": "others"})

    result = bench.run(allowance=Allowance(updates=10))

    assert result.counts.created == 10
    assert bench.is_in_step()
    assert bench.run().counts.unchanged == 10


def test_a_target_whose_requests_are_edited_is_not_compared_anew() -> None:
    bench = filled(10)
    bench.target.records.clear()
    bench.job = job(target={**JOB["target"], "update": {"uri": "people/{{ target.id }}", "body": "changed"}})

    assert bench.run().counts.unchanged == 10


class RefusingTarget(MemoryTarget):
    """Refuses one record."""

    def create(self, change: Change) -> Written:
        if change.key == "E3":
            raise RefusedError("answered with status code 422", status=422, excerpt="name is too long")
        return super().create(change)


def test_a_refused_record_does_not_stop_the_others() -> None:
    bench = Bench(target=RefusingTarget(match="no"))
    bench.source.records = people(range(10))

    result = bench.run()

    assert result.ending is Ending.REJECTED
    assert (result.counts.created, result.counts.rejected) == (9, 1)
    assert bench.state.rejects["E3"].excerpt == "name is too long"


class ForgetfulTarget(MemoryTarget):
    """Carries out the creates of some keys and loses the answer."""

    loses: frozenset[str] = frozenset({"E3", "E4"})

    def create(self, change: Change) -> Written:
        written = super().create(change)
        if change.key in self.loses:
            self.loses = self.loses - {change.key}
            raise UnknownError("the answer was lost")
        return written


def test_a_create_whose_answer_was_lost_is_looked_up_and_not_doubled() -> None:
    bench = Bench(target=ForgetfulTarget(match="no"))
    bench.source.records = people(range(10))

    result = bench.run()

    assert result.counts.created == 10
    assert bench.is_in_step()


def test_a_create_whose_answer_was_lost_is_repeated_under_its_key() -> None:
    bench = Bench(target=ForgetfulTarget(match="no", lists=False, looks_up=False, idempotent=True))
    bench.source.records = people(range(10))

    assert bench.run().counts.created == 10
    assert len(bench.target.records) == 10


def test_a_create_that_nobody_can_clear_up_is_a_reject_and_stays_one() -> None:
    bench = Bench(target=ForgetfulTarget(match="no", lists=False, looks_up=False))
    bench.source.records = people(range(10))

    first = bench.run()
    second = bench.run()

    assert (first.counts.created, first.counts.rejected) == (8, 2)
    assert (second.counts.unchanged, second.counts.rejected) == (8, 2)
    assert {"E3", "E4"} == {key for key, reject in bench.state.rejects.items() if "lost" in reject.reason}
    assert len(bench.target.records) == 10


def test_the_targets_list_clears_up_a_lost_answer_in_the_next_run() -> None:
    bench = Bench(target=ForgetfulTarget(match="no", looks_up=False))
    bench.source.records = people(range(10))

    first = bench.run()
    second = bench.run()

    assert first.counts.rejected == 2
    assert (second.counts.unchanged, second.counts.rejected) == (10, 0)
    assert len(bench.target.records) == 10


def test_a_stale_link_is_mended_by_creating_anew() -> None:
    bench = filled(10)
    lost = next(key for key, record in bench.target.records.items() if record["no"] == "E4")
    del bench.target.records[lost]
    bench.source.records[4] = person(4, name="Other")

    assert bench.run().counts.created == 1
    assert bench.documents()["E4"]["name"] == "Other"


def test_a_target_that_goes_away_ends_the_run_and_the_next_one_finishes_the_work() -> None:
    class Fading(MemoryTarget):
        left = 5

        def create(self, change: Change) -> Written:
            self.left -= 1
            if self.left < 0:
                raise UnavailableError("connection refused")
            return super().create(change)

    target = Fading(match="no")
    bench = Bench(target=target)
    bench.source.records = people(range(20))

    first = bench.run()
    target.left = 100
    second = bench.run()

    assert (first.ending, first.counts.created) == (Ending.UNAVAILABLE, 5)
    assert second.counts.created == 15
    assert bench.is_in_step()


def test_a_stop_in_mid_run_loses_nothing_and_doubles_nothing() -> None:
    bench = Bench()
    bench.source.records = people(range(30))
    first = bench.run(stopping=lambda: len(bench.target.records) >= 11)
    second = bench.run()

    assert first.ending is Ending.INTERRUPTED
    assert second.ending is Ending.DONE
    assert first.counts.created + second.counts.created == 30
    assert bench.is_in_step()


def test_a_change_found_as_sent_after_a_crash_is_looked_up_first() -> None:
    bench = Bench()
    bench.source.records = people(range(6))
    bench.run()
    # The process died after these creates left and before their answers were committed; one never arrived.
    for number, arrived in ((2, True), (3, False)):
        key = f"E{number}"
        place = next(place for place, one in bench.state.changes.items() if one.key == key)
        bench.state.changes[place] = replace(bench.state.changes[place], fate=Fate.SENT)
        target_id = bench.state.links.pop(key).target_id
        if not arrived:
            del bench.target.records[target_id]
    bench.target.writes.clear()

    result = bench.run()

    assert bench.target.writes == [("create", "E3")]
    assert result.counts.unchanged == 5
    assert bench.is_in_step()


@pytest.mark.suffering(17)
@pytest.mark.parametrize(
    ("mode", "writes"),
    [
        ("mirror", {"create": 1, "update": 1, "delete": 1}),
        ("upsert", {"create": 1, "update": 1}),
        ("update_only", {"update": 1}),
        ("create_only", {"create": 1}),
        ("append", {"create": 1}),
    ],
)
def test_each_mode_makes_only_its_own_kinds_of_change(mode: str, writes: dict[str, Any]) -> None:
    bench = filled(20)
    bench.job = job(mode=mode)
    bench.source.records = [person(0, name="Other"), *people(range(2, 20)), person(90)]

    bench.run()

    made = [kind for kind, _ in bench.target.writes]
    assert {kind: made.count(kind) for kind in set(made)} == writes


def test_every_kind_of_change_has_a_place_in_the_modes_test() -> None:
    assert set(Kind) == {Kind.CREATE, Kind.UPDATE, Kind.DELETE}
