"""The JSON forms keep their keys and the digits of their numbers."""

import json
from datetime import UTC, datetime
from decimal import Decimal

from daemon.report import json as forms
from daemon.sync.change import Kind, Reject
from daemon.sync.contest import Contested
from daemon.sync.counts import Counts
from daemon.sync.key_change import KeyChange
from daemon.sync.outcome import Ending
from daemon.values import MISSING
from tests.unit.report.samples import BROKEN, GUARD, Finished, Row, create, delete, planned, result, update

RESULT_KEYS = {"ending", "exit_code", "error", "wait_s", "counts", "certificate", "verdicts", "rejects"}
RESULT_KEYS |= {"contests", "withheld", "cures", "reach", "since", "doubted"}


def test_a_plan_is_one_object_with_its_changes() -> None:
    plan = planned(
        result(counts=Counts(seen=2, pending=2), verdicts=(GUARD,)),
        create("a\x1fb", id=2**70, price=Decimal("19.90")),
        update("2", None, name="Ada"),
        delete("3"),
    )

    told = json.loads(b"".join(forms.plan(plan)), parse_float=str)

    assert told.keys() == {"job", "summary", "total_changes", "unresolved", "held_run", "changes"} | RESULT_KEYS
    assert told["summary"] == {"create": 1, "update": 1, "delete": 1}
    assert told["changes"][0] == {
        "seq": 1,
        "kind": "create",
        "key": "a/b",
        "target_id": None,
        "fate": "planned",
        "reason": "",
        "fields": ["id", "price"],
        "before": None,
        "document": {"id": 2**70, "price": "19.90"},
        "key_change": None,
    }
    assert told["verdicts"] == [{"guard": "updates", "tripped": False, "message": GUARD.message}]
    assert told["certificate"]["issued"] is True


def test_a_key_change_stands_on_both_of_its_changes() -> None:
    looks_like = KeyChange("a\x1f1", "a\x1f2")
    plan = planned(
        result(key_changes=(looks_like,)), create("a\x1f2", name="Ada"), create("3"), delete("a\x1f1"), delete("a\x1f2")
    )

    told = json.loads(b"".join(forms.plan(plan)))

    both = {"from": "a/1", "to": "a/2"}
    assert [one["key_change"] for one in told["changes"]] == [both, None, both, None]


def test_a_plan_without_changes_is_an_object_too() -> None:
    assert json.loads(b"".join(forms.plan(planned(result()))))["changes"] == []


def test_a_limit_shortens_the_list_and_not_the_figures() -> None:
    told = json.loads(b"".join(forms.plan(planned(result(), delete("1"), delete("2")), limit=1)))

    assert (len(told["changes"]), told["total_changes"]) == (1, 2)


def test_the_end_of_a_run_tells_its_exit_code_and_its_rejects() -> None:
    end = result(Ending.UNAVAILABLE, certificate=BROKEN, error="HTTP 502")

    told = json.loads(forms.finish(Finished(end), [Reject("a\x1fb", "no", status=422, kind=Kind.CREATE)]))

    assert told.keys() == {"job", "run", "took_s", "resume_at"} | RESULT_KEYS
    assert (told["ending"], told["exit_code"], told["error"]) == ("unavailable", 6, "HTTP 502")
    assert told["rejects"] == [
        {"key": "a/b", "reason": "no", "status": 422, "excerpt": "", "kind": "create", "retry": "each_run"}
    ]
    assert told["certificate"] == {
        "issued": False,
        "text": str(BROKEN),
        "doubts": ["the read broke off: HTTP 502 from hr"],
        "readings": 1,
        "parts": 0,
        "parts_apart": 0,
        "apart": [],
        "ended_by": None,
        "pages": None,
        "records": None,
        "total": None,
    }


def test_a_contested_field_has_an_example_without_found_where_the_target_shows_none() -> None:
    contests = (
        Contested("price", 12, "a\x1fb", Decimal("19.90"), None),
        Contested("note", 1, "7", "x", MISSING),
    )

    told = json.loads(forms.finish(Finished(result(contests=contests))), parse_float=str)

    assert told["contests"] == [
        {"field": "price", "records": 12, "key": "a/b", "wanted": "19.90", "found": None},
        {"field": "note", "records": 1, "key": "7", "wanted": "x"},
    ]


def test_a_run_that_goes_on_has_no_ending() -> None:
    row = Row(ending=None, certificate=None, started_at=datetime(2026, 11, 22, 3, 15, tzinfo=UTC))

    (told,) = json.loads(forms.runs([row]))["runs"]

    assert (told["ending"], told["certificate"], told["ended_at"]) == (None, None, None)
    assert told["started_at"] == "2026-11-22T03:15:00Z"


def test_a_waiting_run_tells_when_it_goes_on() -> None:
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)

    ended = json.loads(forms.finish(Finished(result(Ending.WAITING, wait_s=36_000.0), resume_at=noon)))
    (row,) = json.loads(forms.runs([Row(ending=Ending.WAITING, resume_at=noon)]))["runs"]

    assert (ended["ending"], ended["exit_code"], ended["wait_s"]) == ("waiting", 6, 36_000.0)
    assert ended["resume_at"] == row["resume_at"] == "2026-11-22T12:00:00Z"
