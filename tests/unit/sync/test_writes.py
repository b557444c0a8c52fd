"""How changes are carried out, seen over whole runs: skips, promised deletes, PUTs, fields that are set once."""

from typing import Any

import pytest

from daemon.endpoints.memory import MemoryTarget
from daemon.errors import FatalError, RefusedError, SkippedError, StaleError
from daemon.sync.change import Change
from daemon.sync.guards import Allowance
from daemon.sync.outcome import Ending
from daemon.sync.ports import Accepted, TargetRecord, Written
from daemon.values import Document
from tests.unit.sync.harness import JOB, Bench, job, people, person


class Desk(MemoryTarget):
    """Answers some keys in ways of its own, and carries deletes out later if it is told to."""

    def __init__(self, **ways: Any) -> None:
        super().__init__(match="no", **ways)
        self.answers: dict[str, Exception] = {}
        self.later = False
        self.leaving: list[Change] = []
        self.asked: list[str] = []

    def create(self, change: Change) -> Written:
        self._answer(change.key)
        return super().create(change)

    def update(self, change: Change) -> Written:
        self._answer(change.key)
        return super().update(change)

    def delete(self, change: Change) -> Accepted | None:
        self._answer(change.key)
        if not self.later:
            return super().delete(change)
        self.leaving.append(change)
        return Accepted()

    def get(self, target_id: str, key: str, document: Document) -> TargetRecord | None:
        self.asked.append(key)
        return super().get(target_id, key, document)

    def finish_deletes(self) -> None:
        for change in self.leaving:
            super().delete(change)
        self.leaving.clear()

    def _answer(self, key: str) -> None:
        if key in self.answers:
            raise self.answers[key]


def filled(desk: Desk, spec: Any = None, count: int = 30) -> Bench:
    bench = Bench(spec, target=desk)
    bench.source.records = people(range(count))
    assert bench.run().ending is Ending.DONE
    desk.writes.clear()
    return bench


def once(**fields: Any) -> Any:
    """Return the job with further fields that are set once."""
    mapped = {name: {"from": rule, "set_once": True} for name, rule in fields.items()}
    return job(map={**JOB["map"], **mapped})


# ---- skips -------------------------------------------------------------------------------------------------------


def test_skipped_changes_are_counted_as_skipped_and_are_no_rejects() -> None:
    desk = Desk()
    bench = filled(desk)
    desk.answers = {key: SkippedError("archived", status=422) for key in ("E3", "E4", "E90")}
    bench.source.records = [*people([0, 1, 2]), person(4, name="Other"), *people(range(5, 30)), person(90)]

    result = bench.run()

    counts = result.counts
    assert result.ending is Ending.DONE
    assert (counts.skipped, counts.kept, counts.rejected, counts.deletes_rejected) == (2, 1, 0, 0)
    assert (counts.pending, counts.deletes_pending) == (0, 0)
    assert bench.state.rejects == {}
    assert "E3" in bench.state.links


def test_what_was_skipped_is_tried_again() -> None:
    desk = Desk()
    bench = filled(desk)
    desk.answers = {"E4": SkippedError("archived", status=422), "E90": SkippedError("archived", status=422)}
    bench.source.records = [*people(range(4)), person(4, name="Other"), *people(range(5, 30)), person(90)]
    bench.run()
    desk.answers = {}

    result = bench.run()

    assert (result.counts.created, result.counts.updated) == (1, 1)
    assert bench.is_in_step()


def test_a_look_up_may_leave_a_record_out() -> None:
    class Shy(Desk):
        def lookup(self, key: str, document: Document) -> tuple[TargetRecord, ...]:
            if key == "E2":
                raise SkippedError("archived", status=403)
            return super().lookup(key, document)

    bench = Bench(target=Shy(lists=False))
    bench.source.records = people(range(5))

    result = bench.run()

    assert (result.ending, result.counts.created, result.counts.skipped) == (Ending.DONE, 4, 1)


def test_an_answer_that_ends_the_run_ends_it_as_failed_and_the_next_run_goes_on() -> None:
    desk = Desk()
    bench = Bench(target=desk)
    bench.source.records = people(range(20))
    desk.answers = {"E3": FatalError("the licence is used up", status=402)}

    result = bench.run(window=1)

    assert result.ending is Ending.FAILED
    assert "licence" in result.error
    assert (result.counts.created, result.counts.rejected) == (3, 1)
    desk.answers = {}
    assert bench.run().counts.created == 17
    assert bench.is_in_step()


# ---- deletes -----------------------------------------------------------------------------------------------------


def test_a_promised_delete_is_done_and_verified_by_the_next_run_without_another_request() -> None:
    desk = Desk(gets=True)
    bench = filled(desk)
    desk.later = True
    bench.source.records = people(range(29))

    promised = bench.run()
    desk.finish_deletes()
    verified = bench.run()
    last = bench.run()

    assert promised.counts.deleted == 1
    assert (verified.ending, verified.counts.deletes_pending) == (Ending.DONE, 0)
    assert desk.leaving == []
    assert desk.asked == ["E29"]
    assert "E29" not in bench.state.links
    assert last.counts.wrote == 0


def test_a_promise_that_is_not_kept_is_asked_for_again() -> None:
    desk = Desk(gets=True)
    bench = filled(desk)
    desk.later = True
    bench.source.records = people(range(29))
    bench.run()
    desk.leaving.clear()

    bench.run()

    assert [change.key for change in desk.leaving] == ["E29"]
    assert bench.state.links["E29"].fingerprint == b""


@pytest.mark.parametrize("is_gone", [True, False])
def test_who_comes_back_after_a_promised_delete_is_neither_doubled_nor_lost(is_gone: bool) -> None:
    desk = Desk(gets=True)
    bench = filled(desk)
    desk.later = True
    bench.source.records = people(range(29))
    bench.run()
    if is_gone:
        desk.finish_deletes()
    bench.source.records = people(range(30))

    result = bench.run()

    assert result.ending is Ending.DONE
    assert len(desk.records) == 30
    assert bench.is_in_step()


def test_a_promise_is_believed_where_the_target_cannot_be_asked() -> None:
    desk = Desk(lists=False, looks_up=False)
    bench = filled(desk)
    desk.later = True
    bench.source.records = people(range(29))

    bench.run()

    assert "E29" not in bench.state.links


def test_a_promised_delete_of_a_record_of_which_only_half_were_read_is_not_looked_into() -> None:
    desk = Desk(gets=True)
    bench = filled(desk)
    desk.later = True
    bench.source.records = people(range(29))
    bench.run()
    bench.source.total = 99

    bench.run()

    assert (desk.asked, len(desk.leaving)) == ([], 1)


@pytest.mark.parametrize("status", [403, 409])
def test_a_refused_delete_keeps_its_link(status: int) -> None:
    desk = Desk(gets=True)
    bench = filled(desk)
    kind = StaleError if status == 409 else RefusedError
    desk.answers = {"E29": kind("it has open invoices", status=status)}
    bench.source.records = people(range(29))

    result = bench.run()

    assert (result.counts.deletes_rejected, result.ending) == (1, Ending.REJECTED)
    assert bench.state.links["E29"].fingerprint != b""
    desk.answers = {}
    assert bench.run().counts.deleted == 1


# ---- PUT ---------------------------------------------------------------------------------------------------------


def test_runs_by_put_keep_what_others_wrote_and_come_to_rest() -> None:
    desk = Desk(gets=True, replaces=True)
    bench = filled(desk)
    for one, record in desk.records.items():
        desk.records[one] = {**record, "note": f"of {one}"}
    bench.source.records = [person(number, name="Other") if number % 3 else person(number) for number in range(30)]

    result = bench.run(allowance=Allowance(updates=30))
    again = bench.run()

    assert (result.counts.updated, again.counts.wrote) == (20, 0)
    assert all(record["note"] == f"of {one}" for one, record in desk.records.items())
    assert bench.documents()["E1"]["name"] == "Other"


def test_a_put_never_makes_a_missing_field_null_and_clears_only_what_is_to_be_cleared() -> None:
    mapped = {**JOB["map"], "phone": "record.phone", "fax": {"from": "record.fax", "when_null": "clear"}}
    desk = Desk(gets=True, replaces=True)
    bench = Bench(job(map={**mapped, "at.city": "record.city", "at.room": "record.room"}), target=desk)
    bench.source.records = [person(1, phone="1", fax="2", city="Ulm", room=7)]
    bench.run()
    bench.source.records = [person(1, name="Other", phone=None, fax=None, room=None, city="Bonn")]

    bench.run()

    (record,) = desk.records.values()
    assert (record["phone"], record["fax"]) == ("1", None)
    assert record["at"] == {"city": "Bonn", "room": 7}
    bench.source.records = [person(1, name="Third")]
    bench.run()
    (record,) = desk.records.values()
    assert (record["name"], record["phone"], record["fax"], record["at"]) == (
        "Third",
        "1",
        None,
        {"city": "Bonn", "room": 7},
    )


# ---- nulls and set_once ------------------------------------------------------------------------------------------


def test_a_patch_sends_null_where_it_clears_and_nothing_for_what_is_missing() -> None:
    mapped = {**JOB["map"], "phone": "record.phone", "fax": {"from": "record.fax", "when_null": "clear"}}
    desk = Desk()
    bench = Bench(
        job(map={**mapped, "at.fax": {"from": "record.fax", "when_null": "clear"}, "at.room": "record.room"}),
        target=desk,
    )
    bench.source.records = [person(1, phone="1", fax="2", room=7)]
    bench.run()
    bench.source.records = [person(1, phone=None, fax=None)]

    bench.run()

    sent = [one for (run, _), one in bench.state.changes.items() if run == "run2"]
    assert [change.changed for change in sent] == [{"fax": None, "at": {"fax": None}}]
    bench.source.records = [person(1, name="Other")]
    bench.run()
    sent = [one for (run, _), one in bench.state.changes.items() if run == "run3"]
    assert [change.changed for change in sent] == [{"name": "Other"}]


def test_a_nested_field_that_is_set_once_does_not_keep_its_neighbours_from_being_updated() -> None:
    desk = Desk()
    bench = filled(desk, once(**{"at.origin": "record.origin", "at.city": "record.city"}), count=2)
    spec = bench.job.model_dump(by_alias=True)["map"]
    bench.job = job(map={**spec, "at.city": {"from": "record.city"}})
    bench.source.records = [person(0, origin="a", city="Ulm"), person(1, origin="a", city="Ulm")]
    bench.run(allowance=Allowance(updates=9))
    bench.source.records = [person(0, origin="b", city="Bonn"), person(1, origin="b", city="Ulm")]
    desk.writes.clear()

    bench.run(allowance=Allowance(updates=9))

    assert desk.writes == [("update", "E0")]
    assert all("origin" not in record["at"] for record in desk.records.values())


def test_what_is_set_once_is_set_by_the_create_and_by_nothing_else() -> None:
    class Late(Desk):
        """Gets a record by hand between the look-up and the create."""

        def create(self, change: Change) -> Written:
            if change.key == "E3" and "by hand" not in self.records:
                self.records["by hand"] = {"no": "E3", "name": "Mine", "locale": "fr"}
            return super().create(change)

    desk = Late()
    bench = Bench(once(locale="'de'"), target=desk)
    bench.source.records = people(range(5))

    bench.run()
    bench.source.records = [person(number, name="Other") for number in range(5)]
    bench.run(allowance=Allowance(updates=9))

    assert {key: record["locale"] for key, record in bench.documents().items()} == {
        **{f"E{number}": "de" for number in range(5)},
        "E3": "fr",
    }
    assert {record["name"] for record in bench.documents().values()} == {"Other"}


def test_a_job_that_only_creates_does_not_touch_what_it_finds_in_its_way() -> None:
    class Late(Desk):
        def create(self, change: Change) -> Written:
            if change.key == "E3" and "by hand" not in self.records:
                self.records["by hand"] = {"no": "E3", "name": "Mine"}
            return super().create(change)

    bench = Bench(job(mode="create_only"), target=Late())
    bench.source.records = people(range(5))

    result = bench.run()
    again = bench.run()

    assert result.ending is Ending.DONE
    assert bench.documents()["E3"] == {"no": "E3", "name": "Mine"}
    assert not bench.state.links["E3"].owned
    assert again.counts.wrote == 0
