"""What is refused rests, and a run that is refused too much stops: over in-memory ports."""

import re
from datetime import timedelta
from typing import Any

import pytest

from daemon.endpoints.memory import MemoryTarget
from daemon.errors import RefusedError, StaleError, UnknownError
from daemon.spec import Limit
from daemon.sync.change import Change, Fate, Kind, Outcome, Retry
from daemon.sync.guards import Allowance
from daemon.sync.outcome import Ending
from daemon.sync.ports import TargetRecord, Written
from daemon.sync.reject_limit import Tally, breach
from daemon.sync.retry import WAKES, classed, mark
from daemon.values import Document
from tests.unit.sync.harness import Bench, job, people, person


class Strict(MemoryTarget):
    """Refuses what it is told to refuse, and counts what it is asked."""

    def __init__(self, *refuses: str, status: int = 422, **options: Any) -> None:
        super().__init__(match="no", **options)
        self.refuses = set(refuses)
        self.status = status
        self.asked: list[tuple[str, str]] = []

    def lookup(self, key: str, document: Document) -> tuple[TargetRecord, ...]:
        self.asked.append(("lookup", key))
        return super().lookup(key, document)

    def create(self, change: Change) -> Written:
        self._arrive(change)
        return super().create(change)

    def update(self, change: Change) -> Written:
        self._arrive(change)
        return super().update(change)

    def delete(self, change: Change) -> None:
        self._arrive(change)
        super().delete(change)

    def _arrive(self, change: Change) -> None:
        self.asked.append((change.kind.value, change.key))
        if change.key in self.refuses:
            raise RefusedError("answered", status=self.status, excerpt="email is not valid")


def bench(target: Strict, count: int = 10, **changes: Any) -> Bench:
    made = Bench(job(**changes), target=target)
    made.source.records = people(range(count))
    return made


def resting(target: Strict, count: int = 10) -> Bench:
    """Return a bench on which what the target refuses rests."""
    made = bench(target, count)
    for _ in range(3):
        made.run()
    target.asked.clear()
    return made


# ---- resting ----


def test_a_record_that_is_refused_for_ever_is_tried_in_three_runs() -> None:
    target = Strict("E3")
    one = bench(target)

    results, asked = [], []
    for _ in range(10):
        results.append(one.run())
        asked.append(target.asked.count(("create", "E3")))

    # In the first run once more, after the others had gone through.
    assert asked == [2, 3, 4, 4, 4, 4, 4, 4, 4, 4]
    assert {result.ending for result in results} == {Ending.REJECTED}
    assert [result.counts.rejected for result in results] == [1] * 10
    assert [result.counts.resting for result in results] == [0, 0, 0] + [1] * 7
    assert one.state.attempts["E3"] == 3


def test_what_rests_is_not_even_looked_up() -> None:
    target = Strict("E3")
    one = resting(target)

    one.run()

    assert target.asked == []


def test_a_changed_record_is_tried_at_once() -> None:
    target = Strict("E3")
    one = resting(target)
    one.source.records[3] = person(3, name="Mended")
    target.refuses.clear()

    result = one.run()

    assert (result.ending, result.counts.created) == (Ending.DONE, 1)
    assert one.is_in_step()
    assert one.state.rejects == {}


def test_a_change_to_a_field_that_is_not_mapped_changes_nothing() -> None:
    target = Strict("E3")
    one = resting(target)
    one.source.records[3] = person(3, seen_at="today")

    assert one.run().counts.resting == 1
    assert target.asked == []


def test_an_edited_job_tries_everything_again() -> None:
    target = Strict("E3")
    one = resting(target)
    one.job = job(target={**one.job.model_dump(by_alias=True, exclude_defaults=True)["target"], "create": "v2/users"})

    assert one.run(allowance=Allowance(updates=10)).counts.resting == 0
    assert ("create", "E3") in target.asked


def test_after_a_day_it_is_tried_once_more() -> None:
    target = Strict("E3")
    one = resting(target)
    one.state.now += timedelta(days=1)

    counts = [one.run().counts.resting for _ in range(3)]

    assert counts == [0, 1, 1]
    assert target.asked.count(("create", "E3")) == 1


def test_what_rested_for_long_is_tried_a_few_at_a_time() -> None:
    target = Strict(*(f"E{number}" for number in range(60)))
    one = resting(target, 60)
    one.state.now += timedelta(days=1)

    tried = []
    for _ in range(4):
        target.asked.clear()
        one.run()
        tried.append({key for kind, key in target.asked if kind == "create"})

    assert [len(keys) for keys in tried] == [WAKES, WAKES, WAKES, 0]
    assert len(set().union(*tried)) == 60


def test_a_plan_knows_what_rests() -> None:
    target = Strict("E3")
    one = resting(target)

    result = one.run(writes=False)

    assert (result.counts.pending, result.counts.resting) == (0, 1)


def test_a_resting_record_is_seen_and_never_deleted_by_absence() -> None:
    target = Strict()
    one = bench(target, 40)
    one.run()
    target.refuses = {"E3"}
    one.source.records[3] = person(3, name="Other")
    for _ in range(3):
        one.run()

    result = one.run()

    assert (result.counts.resting, result.counts.deleted) == (1, 0)
    assert "E3" in one.documents()


def test_a_refused_delete_rests_too_and_keeps_its_link() -> None:
    target = Strict("E3", status=403)
    one = bench(target, 40)
    target.refuses.clear()
    one.run()
    target.refuses = {"E3"}
    del one.source.records[3]

    results = [one.run() for _ in range(5)]

    assert target.asked.count(("delete", "E3")) == 3
    assert [result.counts.deletes_rejected for result in results] == [1] * 5
    assert [result.counts.resting for result in results] == [0, 0, 0, 1, 1]
    assert "E3" in one.state.links


def test_a_record_that_comes_back_after_its_delete_was_refused_is_written() -> None:
    target = Strict(status=403)
    one = bench(target, 40)
    one.run()
    target.refuses = {"E3"}
    del one.source.records[3]
    for _ in range(4):
        one.run()
    target.refuses.clear()
    one.source.records.append(person(3, name="Back"))

    assert one.run().counts.updated == 1
    assert one.is_in_step()


def test_what_a_person_made_due_is_tried_by_the_next_run() -> None:
    target = Strict("E3")
    one = resting(target)
    one.state.retry_all()

    one.run()

    assert target.asked.count(("create", "E3")) == 1


def test_two_records_with_the_key_of_one_that_rests_are_both_rejected() -> None:
    target = Strict("E3")
    one = resting(target, 20)
    one.source.records.append(person(3, name="Twin"))

    result = one.run()

    assert result.counts.rejected == 2
    assert target.asked == []


def test_a_create_for_a_person_is_not_tried_and_keeps_its_reason() -> None:
    class Forgetful(Strict):
        def create(self, change: Change) -> Written:
            written = super().create(change)
            if change.key == "E3" and self.asked.count(("create", "E3")) == 1:
                raise UnknownError("POST /users: the connection was reset")
            return written

    target = Forgetful(lists=False, looks_up=False)
    one = bench(target)

    results = [one.run() for _ in range(5)]

    assert target.asked.count(("create", "E3")) == 1
    assert [result.counts.rejected for result in results] == [1] * 5
    assert one.state.rejects["E3"].retry is Retry.PERSON
    assert "the connection was reset" in one.state.rejects["E3"].reason
    assert one.state.attempts["E3"] == 1


# ---- classes ----


@pytest.mark.parametrize(
    ("status", "retry"),
    [
        (None, Retry.EACH_RUN),
        (200, Retry.RARELY),
        (302, Retry.EACH_RUN),
        (400, Retry.RARELY),
        (403, Retry.RARELY),
        (404, Retry.EACH_RUN),
        (405, Retry.RARELY),
        (409, Retry.EACH_RUN),
        (410, Retry.EACH_RUN),
        (412, Retry.EACH_RUN),
        (413, Retry.RARELY),
        (422, Retry.RARELY),
        (423, Retry.EACH_RUN),
        (424, Retry.EACH_RUN),
        (425, Retry.EACH_RUN),
        (428, Retry.EACH_RUN),
        (451, Retry.RARELY),
        (500, Retry.EACH_RUN),
        (503, Retry.EACH_RUN),
    ],
)
def test_a_failed_change_has_the_class_of_its_status(status: int | None, retry: Retry) -> None:
    outcome = Outcome(a_change(), Fate.FAILED, status=status)

    told = classed(outcome, MemoryTarget(), "r1")

    assert told.retry is retry
    assert told.refused == (mark(b"f" * 16, "r1") if retry is Retry.RARELY else None)


@pytest.mark.parametrize(
    ("lists", "looks_up", "idempotent", "kind", "retry"),
    [
        (False, False, False, Kind.CREATE, Retry.PERSON),
        (False, False, False, Kind.UPDATE, Retry.EACH_RUN),
        (False, False, False, Kind.DELETE, Retry.EACH_RUN),
        (True, False, False, Kind.CREATE, Retry.EACH_RUN),
        (False, True, False, Kind.CREATE, Retry.EACH_RUN),
        (False, False, True, Kind.CREATE, Retry.EACH_RUN),
    ],
)
def test_only_a_create_that_nothing_can_clear_up_waits_for_a_person(
    *, lists: bool, looks_up: bool, idempotent: bool, kind: Kind, retry: Retry
) -> None:
    target = MemoryTarget(lists=lists, looks_up=looks_up, idempotent=idempotent)

    assert classed(Outcome(a_change(kind), Fate.UNKNOWN), target, "r1").retry is retry


def test_an_outcome_that_is_no_reject_has_no_class() -> None:
    done = Outcome(a_change(), Fate.DONE, target_id="1", status=422)

    assert classed(done, MemoryTarget(), "r1") is done


def test_a_mark_tells_documents_and_revisions_apart() -> None:
    marks = {mark(content, revision) for content in (b"a" * 16, b"b" * 16, b"") for revision in ("r1", "r2")}

    assert len(marks) == 6


def test_a_stale_link_is_tried_in_each_run() -> None:
    class Gone(Strict):
        def update(self, change: Change) -> Written:
            self.asked.append(("update", change.key))
            raise StaleError("answered with status code 404", status=404)

    target = Gone(looks_up=False, lists=False)
    one = bench(target)
    one.run()
    one.source.records[3] = person(3, name="Other")

    for _ in range(5):
        one.run(allowance=Allowance(updates=10))

    assert target.asked.count(("update", "E3")) == 5


def a_change(kind: Kind = Kind.CREATE) -> Change:
    return Change(1, kind, "E1", None, None, {}, None, (), b"f" * 16, b"", owned=True, idempotency_key="r-1")


# ---- the limit ----

NOT_PAST = ""


@pytest.mark.parametrize(
    ("limit", "tally", "said"),
    [
        # Nothing declared: only a target that takes hardly anything stops a run.
        (None, Tally(seen=100_000, rejected=90_000), NOT_PAST),
        (None, Tally(seen=2, rejected=2, refused=2), NOT_PAST),
        (None, Tally(seen=500, rejected=100, refused=100), NOT_PAST),
        (None, Tally(seen=500, rejected=101, refused=101), "the target refused 101 changes of this run and took 0"),
        (None, Tally(seen=500, rejected=101, refused=101, wrote=101), NOT_PAST),
        (None, Tally(seen=500, rejected=102, refused=102, wrote=101), "refused 102 changes of this run and took 101"),
        (None, Tally(seen=500, rejected=150, refused=150, retried=50), NOT_PAST),
        (None, Tally(seen=500, rejected=151, refused=151, retried=50), "refused 151"),
        (None, Tally(seen=9_000, rejected=101, not_found_out=101), "refused to look up 101 of 9000 records"),
        (None, Tally(seen=9_000, rejected=101, not_found_out=101, planned=101), NOT_PAST),
        (None, Tally(seen=9_000, rejected=101, not_found_out=101, retried=1), NOT_PAST),
        # A share: of the records seen so far, and of more than ten.
        (Limit(percent="5%"), Tally(seen=2, rejected=1), NOT_PAST),
        (Limit(percent="5%"), Tally(seen=20, rejected=10), NOT_PAST),
        (Limit(percent="5%"), Tally(seen=20, rejected=11), "11 of 20 records were rejected, rejects.limit is 5 %"),
        (Limit(percent="5%"), Tally(seen=1000, rejected=50), NOT_PAST),
        (Limit(percent="5%"), Tally(seen=1000, rejected=51), "rejects.limit is 5 %"),
        (Limit(percent="0%"), Tally(seen=1000, rejected=11), "rejects.limit is 0 %"),
        # A number: exactly.
        (Limit(count=0), Tally(seen=1000), NOT_PAST),
        (Limit(count=0), Tally(seen=1000, rejected=1), "1 of 1000 records were rejected, rejects.limit is 0"),
        (Limit(count=3), Tally(seen=1000, rejected=3), NOT_PAST),
        (Limit(count=3), Tally(seen=1000, rejected=4), "rejects.limit is 3"),
        # Both: neither may be passed.
        (Limit(percent="5%", count=100), Tally(seen=1000, rejected=51), "rejects.limit is 5 %"),
        (Limit(percent="5%", count=100), Tally(seen=10_000, rejected=101), "rejects.limit is 100"),
        # A declared limit leaves the other one standing; 100 % lifts both.
        (Limit(count=5_000), Tally(seen=100_000, rejected=101, refused=101), "the target refused 101"),
        (Limit(percent="100%"), Tally(seen=100_000, rejected=50_000, refused=50_000), NOT_PAST),
    ],
)
def test_what_a_run_may_bear(limit: Limit | None, tally: Tally, said: str) -> None:
    told = breach(limit, tally)

    assert said in told
    assert bool(told) == bool(said)


def test_a_target_that_refuses_everything_is_asked_a_hundred_times_and_not_for_ever() -> None:
    target = Strict(*(f"E{number}" for number in range(5_000)))
    one = bench(target, 5_000)

    result = one.run(window=4)

    assert result.ending is Ending.FAILED
    assert re.match(r"the target refused 10[1-4] changes of this run and took 0", result.error)
    assert "email is not valid" in result.error
    assert 101 <= len([kind for kind, _ in target.asked if kind == "create"]) <= 104


def test_a_target_that_refuses_every_look_up_is_not_asked_for_ever() -> None:
    class Closed(Strict):
        def lookup(self, key: str, document: Document) -> tuple[TargetRecord, ...]:
            super().lookup(key, document)
            raise RefusedError("answered", status=403, excerpt="no scope users.read")

    target = Closed(lists=False)
    one = bench(target, 5_000)

    result = one.run()

    assert result.ending is Ending.FAILED
    assert re.search("refused to look up 10[1-7] of .* no scope users.read", result.error)
    assert len(target.asked) < 110
    assert target.writes == []


def test_past_the_limit_a_run_starts_nothing_new_and_keeps_what_went_through() -> None:
    target = Strict(*(f"E{number}" for number in range(1, 100, 2)), status=403)
    one = bench(target, 100, rejects={"limit": 5})

    result = one.run(window=1)

    assert result.ending is Ending.FAILED
    assert "6 of 100 records were rejected, rejects.limit is 5" in result.error
    assert (result.counts.created, result.counts.rejected) == (6, 6)
    assert result.counts.pending == 88
    assert set(one.documents()) == {"E0", "E2", "E4", "E6", "E8", "E10"}


def test_what_is_refused_for_its_order_does_not_pass_the_limit_once_it_has_gone_through() -> None:
    class Chain(Strict):
        def create(self, change: Change) -> Written:
            self._arrive(change)
            number = int(change.key[1:])
            if number < 9 and f"E{number + 1}" not in {record["no"] for record in self.records.values()}:
                raise RefusedError("answered", status=422, excerpt="no such manager")
            return MemoryTarget.create(self, change)

    one = bench(Chain(), rejects={"limit": 3})

    assert one.run(window=1).ending is Ending.DONE
    assert one.is_in_step()


def test_a_hundred_that_may_be_refused_for_their_order_are_borne_and_no_more() -> None:
    target = Strict(*(f"E{number}" for number in range(1, 1_000, 2)))
    one = bench(target, 1_000, rejects={"limit": 5})

    result = one.run(window=1)

    assert result.ending is Ending.FAILED
    assert "106 of 1000 records were rejected, rejects.limit is 5" in result.error
    assert result.counts.rejected == 106


def test_records_that_cannot_be_mapped_count_and_nothing_is_sent_past_the_limit() -> None:
    target = Strict()
    fields = {"no": "record.no", "name": {"from": "record.name", "required": True}, "email": "record.email"}
    one = bench(target, 70, map=fields, rejects={"limit": "20%"})
    for record in one.source.records[:15]:
        del record["name"]

    result = one.run()

    assert result.ending is Ending.FAILED
    assert "of 14 records were rejected, rejects.limit is 20 %" in result.error
    assert "name is required and is missing" in result.error
    assert target.writes == []


def test_exactly_at_the_limit_the_run_goes_on() -> None:
    target = Strict(*(f"E{number}" for number in range(5)))
    one = bench(target, 100, rejects={"limit": 5})

    result = one.run()

    assert (result.ending, result.counts.created) == (Ending.REJECTED, 95)


def test_the_last_change_of_a_run_may_pass_the_limit_too() -> None:
    target = Strict("E9")
    one = bench(target, rejects={"limit": 0})

    assert one.run().ending is Ending.FAILED


def test_deletes_that_are_refused_count() -> None:
    target = Strict(status=403)
    one = bench(target, 100, rejects={"limit": 2})
    one.run()
    target.refuses = {"E1", "E2", "E3"}
    one.source.records = people(range(9, 100))

    result = one.run(window=1)

    assert result.ending is Ending.FAILED
    assert result.counts.deletes_rejected == 3
    assert result.counts.deletes_pending > 0


def test_what_rests_does_not_fail_a_job_for_ever() -> None:
    target = Strict(*(f"E{number}" for number in range(10)))
    one = bench(target, 50, rejects={"limit": 5})

    endings = [one.run().ending for _ in range(12)]

    assert endings[0] is Ending.FAILED
    assert endings[-1] is Ending.REJECTED
    assert len(one.documents()) == 40


def test_what_is_tried_once_more_after_its_rest_does_not_fail_a_run() -> None:
    target = Strict(*(f"E{number}" for number in range(10)))
    one = bench(target, 50, rejects={"limit": 5})
    for _ in range(12):
        one.run()
    one.state.now += timedelta(days=1)
    target.asked.clear()

    assert one.run().ending is Ending.REJECTED
    assert len(target.asked) > 5


def test_many_that_are_refused_in_each_run_do_not_keep_the_others_from_going_through() -> None:
    # 404 is tried in each run: 90, then 180 of them are no news to the run after.
    target = Strict(*(f"E{number}" for number in range(180)), status=404)
    one = bench(target, 90)
    one.run()
    one.source.records = people(range(180))
    one.run()
    one.source.records = people(range(190))

    result = one.run()

    assert (result.ending, result.counts.rejected, result.counts.created) == (Ending.REJECTED, 180, 10)
