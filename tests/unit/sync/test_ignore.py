"""Fields that are no news: a record whose only change is one of them costs neither mapping nor a write anywhere."""

from typing import Any

import pytest

from daemon.sync.mapping import JobMapping
from tests.fakes.memory_state import MemoryState
from tests.unit.sync.harness import Bench, job, person


def record(number: int, **fields: Any) -> dict[str, Any]:
    return person(number, fetched_at=1, meta={"views": 1, "lang": "en"}, lines=[{"views": 1, "n": 1}], **fields)


def viewed(one: dict[str, Any]) -> dict[str, Any]:
    return {
        **one,
        "fetched_at": 2,
        "meta": {**one["meta"], "views": 2},
        "lines": [{**line, "views": 2} for line in one["lines"]],
    }


IGNORE = ["fetched_at", "meta.views", "lines.views"]


def after_a_first_run(**changes: Any) -> Bench:
    bench = Bench(job(**{"ignore": IGNORE, **changes}))
    bench.source.records = [record(number) for number in range(20)]
    bench.run()
    bench.target.writes.clear()
    return bench


def test_a_change_of_an_ignored_field_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = after_a_first_run()
    bench.source.records = [viewed(one) for one in bench.source.records]
    touched: list[str] = []
    monkeypatch.setattr(JobMapping, "document", lambda *_: touched.append("mapped"))
    monkeypatch.setattr(MemoryState, "put", lambda *_: touched.append("linked"))

    result = bench.run()

    assert result.counts.unchanged == 20
    assert bench.target.writes == []
    assert touched == []


def test_without_ignore_the_same_change_is_mapped_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = after_a_first_run(ignore=[])
    bench.source.records = [viewed(one) for one in bench.source.records]
    touched: list[str] = []
    monkeypatch.setattr(MemoryState, "put", lambda *_: touched.append("linked"))

    assert bench.run().counts.unchanged == 20
    assert len(touched) == 20


def test_a_change_beside_an_ignored_field_is_carried_over() -> None:
    bench = after_a_first_run()
    bench.source.records[3] = viewed(record(3, name="ignored")) | {"name": "Other"}

    assert bench.run().counts.updated == 1
    assert bench.documents()["E3"]["name"] == "Other"


def test_without_a_map_ignored_fields_are_not_sent() -> None:
    bench = after_a_first_run(map=None)

    document = bench.documents()["E1"]

    assert "fetched_at" not in document
    assert (document["meta"], document["lines"]) == ({"lang": "en"}, [{"n": 1}])


def test_a_field_that_begins_to_be_ignored_is_mapped_once_more_and_written_nowhere() -> None:
    bench = after_a_first_run(ignore=[])
    bench.job = job(ignore=IGNORE)

    assert bench.run().counts.unchanged == 20
    assert bench.target.writes == []


def test_what_is_ignored_and_not_there_is_no_fault() -> None:
    bench = Bench(job(ignore=["nothing", "name.first", "email.x.y"]))
    bench.source.records = [person(1), person(2, email=" a@x ")]

    assert bench.run().counts.created == 2


def test_the_record_that_was_read_is_left_as_it_was() -> None:
    one = record(1)

    heard = JobMapping(job(ignore=IGNORE)).heard(one)

    assert one == record(1)
    assert heard == {**person(1), "meta": {"lang": "en"}, "lines": [{"n": 1}]}
