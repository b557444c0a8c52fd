"""What a plan says, to the letter."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from daemon.report import text
from daemon.sync.change import Change, Fate, Kind, Reject
from daemon.sync.contest import Contested
from daemon.sync.counts import Counts
from daemon.sync.key_change import KeyChange
from daemon.sync.outcome import Ending, Verdict
from daemon.sync.pin import Digest
from daemon.values import MISSING
from tests.unit.report.samples import BROKEN, GUARD, Planned, caused, create, delete, planned, result, update, withheld


def test_a_plan_shows_each_change_then_its_proofs_then_its_sum() -> None:
    plan = planned(
        result(counts=Counts(seen=412, pending=2, unchanged=410, deletes_pending=1), verdicts=(GUARD,)),
        create("4711", name="Ada", active=True),
        update("4712", {"email": "old@example.com"}, email="new@example.com"),
        delete("4713"),
    )

    assert "\n".join(text.plan(plan)) == (
        "Plan of people-to-helpdesk\n"
        "\n"
        "+ create  4711  name='Ada' active=true\n"
        "~ update  4712\n"
        "    email: 'old@example.com' → 'new@example.com'\n"
        "- delete  4713\n"
        "= 410 unchanged\n"
        "\n"
        "✓ guard updates: 1 of 411 known records would be updated, the limit is 50 %\n"
        "✓ certificate: complete: 412 of 412 records on 3 pages, ended by no next cursor\n"
        "\n"
        "Plan: 1 to create, 1 to update, 1 to delete (of 412).\n"
        "Next: crudsd run people-to-helpdesk"
    )


def test_a_plan_without_changes_says_that_there_is_nothing_to_do() -> None:
    lines = list(text.plan(planned(result(counts=Counts(seen=2, unchanged=1, skipped=1)))))

    assert lines[2] == "= 1 unchanged, 1 skipped"
    assert lines[-2:] == [
        "Plan: 0 to create, 0 to update, 0 to delete (of 2).",
        "Nothing to do: the target is in step.",
    ]


def test_a_long_plan_is_cut_and_says_how_to_see_the_rest() -> None:
    plan = planned(result(), *[delete(str(number)) for number in range(105)])

    lines = list(text.plan(plan))

    assert len([line for line in lines if line.startswith("- delete")]) == 100
    assert "… and 5 more changes (--limit 105 shows all)" in lines


def test_no_more_of_the_stream_is_read_than_is_shown() -> None:
    def endless() -> Iterator[Change]:
        yield delete("1")
        raise AssertionError("one change too many was asked for")

    plan = Planned("people", result(), endless(), {(Kind.DELETE, Fate.PLANNED): 1_000_000})

    assert "… and 999999 more changes (--limit 1000000 shows all)" in list(text.plan(plan, limit=1))
    assert "… and 1000000 more changes (--limit 1000000 shows all)" in list(text.plan(plan, limit=0))


def test_an_update_whose_old_values_are_not_known_shows_only_the_new_ones() -> None:
    assert list(text.change(update("1", None, email="new"))) == ["~ update  1", "    email: 'new'"]


def test_a_field_that_was_not_there_is_missing_and_not_null() -> None:
    before = {"b": None, "c": MISSING}

    lines = list(text.change(update("1", before, a=1, b=None, c=Decimal("19.90"))))

    assert lines[1:] == ["    a: (missing) → 1", "    b: null → null", "    c: (missing) → 19.90"]


def test_long_values_are_cut_and_many_fields_are_counted() -> None:
    (line,) = text.change(create("1", a="x" * 500, b="y" * 500, c=1, d={"e": [1]}))

    assert line == f"+ create  1  a='{'x' * 58}… … 3 more fields"


def test_data_cannot_steer_the_terminal() -> None:
    (line,) = text.change(create("a\x1b[2Jb\x1fc", name="\x1b]0;title\x07\n", **{"x\u202e": ["\x9b1m"]}))

    assert line.isprintable()
    assert line == "+ create  a\\x1b[2Jb/c  name='\\x1b]0;title\\x07\\n' x\\u202e=[\"\\x9b1m\"]"


def test_a_withheld_plan_names_the_guard_and_what_a_run_would_still_do() -> None:
    plan = planned(
        result(
            Ending.HELD,
            counts=Counts(seen=2, pending=1, unchanged=1, deletes_withheld=1),
            verdicts=(Verdict("deletes", tripped=True, message="too many"),),
            withheld={Kind.DELETE: Digest(1, 7)},
        ),
        create("1", name="Ada"),
        withheld(delete("2")),
    )

    lines = list(text.plan(plan))

    assert "- delete  2  (withheld)" in lines
    assert "✗ guard deletes: too many" in lines
    assert lines[-4:] == [
        "Plan: 1 to create, 0 to update, 0 to delete (of 2), 1 withheld.",
        "Cure: to carry out just this plan: crudsd plan people-to-helpdesk --out FILE, then crudsd apply FILE",
        "Cure: for a source that never stands still, allow a number: crudsd run people-to-helpdesk --allow-deletes 1",
        "Next: crudsd run people-to-helpdesk carries out the other 1 change.",
    ]


def test_a_plan_that_a_held_run_had_too_names_the_run_to_approve() -> None:
    held = result(Ending.HELD, withheld={Kind.DELETE: Digest(1, 7), Kind.UPDATE: Digest(12, 8)})

    lines = list(text.plan(replace(planned(held), held_run="01KAN5")))

    cure = "crudsd approve 01KAN5, and the next run carries out just these 12 updates and 1 delete"
    assert f"Cure: if they are right: {cure}" in lines


@pytest.mark.parametrize(("number", "words"), [(1, "! 1 change of earlier runs has no"), (3, "! 3 changes of earlier")])
def test_a_plan_says_that_earlier_changes_have_no_known_outcome(number: int, words: str) -> None:
    lines = list(text.plan(replace(planned(result(), create("1", name="Ada")), unresolved=number)))

    assert [line for line in lines if line.startswith(words)] != []
    assert lines[-1] == "Next: crudsd run people-to-helpdesk"


def test_rejects_are_told_with_their_reasons() -> None:
    failed = replace(create("1", name="Ada"), fate=Fate.FAILED, reason="another record has the same key")
    plan = planned(result(Ending.REJECTED, counts=Counts(seen=3, rejected=3)), failed)

    lines = list(text.plan(plan, caused(Reject("2", "email is required but null"), Reject("3", "no", status=422))))

    assert lines[2] == "! reject  create 1  another record has the same key"
    assert lines[5:9] == [
        "3 rejects, the others are not affected:",
        "! reject  2  email is required but null",
        "! reject  3  no (HTTP 422)",
        "! 1 more",
    ]
    assert lines[-1].startswith("Next: mend the rejected records")


def test_a_key_change_is_told_on_both_of_its_lines() -> None:
    plan = planned(
        result(key_changes=(KeyChange("E17", "E99"),)), create("E99", name="Ada"), withheld(delete("E17")), delete("E3")
    )

    lines = list(text.plan(plan))

    assert lines[2:5] == [
        "+ create  E99  name='Ada'  (looks like a key change from E17 to E99)",
        "- delete  E17  (withheld)  (looks like a key change from E17 to E99)",
        "- delete  E3",
    ]


def test_a_plan_with_a_field_that_does_not_converge_never_claims_to_be_in_step() -> None:
    contests = (Contested("email", 1, "E17", "A@x", "a@x"),)

    lines = list(text.plan(planned(result(counts=Counts(seen=1, unchanged=1), contests=contests))))

    assert lines[3].startswith("≠ does not converge: email (1 record, e.g. E17: ")
    assert lines[-1] == "Nothing to do: the target is in step, but for what does not converge."


def test_a_plan_whose_read_broke_off_concludes_nothing() -> None:
    error = "GET employees on hr: HTTP 502"

    lines = list(text.plan(planned(result(Ending.UNAVAILABLE, certificate=BROKEN, error=error))))

    assert "✗ certificate: not complete: the read broke off: HTTP 502 from hr" in lines
    assert f"✗ error: {error}" in lines
    assert lines[-1].endswith("This plan is not complete, and nothing was written.")
