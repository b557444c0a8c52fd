"""What the end of a run and the history of runs say, to the letter."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from daemon.report import shown, table, text
from daemon.sync.change import Kind, Reject
from daemon.sync.contest import Contested
from daemon.sync.counts import Counts
from daemon.sync.outcome import Ending, Phase, Verdict
from daemon.sync.pin import Digest
from daemon.values import MISSING
from tests.unit.report.samples import BROKEN, GUARD, Finished, Row, caused, result

BEGAN = datetime(2026, 11, 22, 3, 15, tzinfo=UTC)


def test_a_run_ends_with_a_ledger_that_balances() -> None:
    counts = Counts(seen=412, created=3, updated=1, unchanged=407, skipped=1, deleted=2)

    assert "\n".join(text.finish(Finished(result(counts=counts, verdicts=(GUARD,))))) == (
        "Run 01KAN5 of people-to-helpdesk: done after 3.2 s\n"
        "\n"
        "412 seen = 3 created + 1 updated + 407 unchanged + 1 skipped\n"
        "2 deleted\n"
        "\n"
        "✓ guard updates: 1 of 411 known records would be updated, the limit is 50 %\n"
        "✓ certificate: complete: 412 of 412 records on 3 pages, ended by no next cursor\n"
        "\n"
        "Done: the target is in step."
    )


def test_a_run_that_had_nothing_to_write_says_so() -> None:
    *_, last = text.finish(Finished(result(counts=Counts(seen=2, unchanged=2))))

    assert last == "Done: nothing to write, the target was in step."


def test_a_ledger_that_does_not_balance_is_called_a_defect() -> None:
    assert text.ledger(Counts(seen=3, created=1)) == (
        "✗ 3 seen = 1 created + 0 updated + 0 unchanged: this does not balance, which is a defect of crudsd; "
        "please report it"
    )


def test_a_field_that_does_not_converge_is_told_with_an_example_and_a_cure() -> None:
    contests = (Contested("email", 12, "E17", "A@x", "a@x"), Contested("note", 1, "a\x1fb\x1b", "y" * 99, MISSING))

    *_, first, second, _, _, _, last = text.finish(
        Finished(result(counts=Counts(seen=2, unchanged=2), contests=contests))
    )

    assert first == (
        "≠ does not converge: email (12 records, e.g. E17: wrote 'A@x', the target shows 'a@x'): "
        "map it as the target keeps it, or drop it from the map"
    )
    assert second == (
        f"≠ does not converge: note (1 record, e.g. a/b\\x1b: wrote 'yyy{'y' * 55}…, the target shows (missing)): "
        "map it as the target keeps it, or drop it from the map"
    )
    assert last == "Done: nothing to write, the target was in step, but for what does not converge."


def test_rejects_with_one_cause_are_one_line_with_an_example() -> None:
    answers = [json.dumps({"detail": f"email p{number}@example.test is not valid"}) for number in range(212)]
    rejects = [
        Reject("#1f", "the key is missing"),
        *(Reject(f"E{n}", f"PATCH /users/{n} answered", 422, said, Kind.UPDATE) for n, said in enumerate(answers)),
        Reject("E900", "POST /users answered", 422, "name is too long", Kind.CREATE),
        *(Reject(f"E{number}", f"name is required and E{number} has none") for number in (7, 8)),
    ]
    counts = Counts(seen=216, rejected=216)

    lines = list(text.finish(Finished(result(Ending.REJECTED, counts=counts)), caused(*rejects)))

    assert lines[5:10] == [
        "216 rejects, the others are not affected:",
        "! 212 × update HTTP 422: email p0@example.test is not valid  (one is E0)",
        "! 2 × name is required and E7 has none  (one is E7)",
        "! reject  #1f  the key is missing",
        "! reject  create E900  HTTP 422: name is too long",
    ]
    assert lines[-1].startswith("Next: mend the rejected records")


def test_ten_causes_are_shown_and_the_others_counted() -> None:
    rejects = [Reject("1", f"{letter} is required and is missing") for letter in "abcdefghijkl"]

    lines = list(text.finish(Finished(result(Ending.REJECTED, counts=Counts(seen=12, rejected=12))), caused(*rejects)))

    assert lines[6] == "! reject  1  a is required and is missing"
    assert lines[16] == "! 2 more, kept with their reasons: crudsd rejects list people-to-helpdesk"


def test_what_rests_is_counted_apart_with_the_way_to_have_it_tried() -> None:
    counts = Counts(seen=20, unchanged=7, rejected=12, deletes_rejected=1, resting=12)

    lines = list(text.finish(Finished(result(Ending.REJECTED, counts=counts)), caused(Reject("1", "the key is null"))))

    assert lines[5:8] == [
        "13 rejects, the others are not affected:",
        "! reject  1  the key is null",
        "! 12 rest until they change; crudsd rejects retry people-to-helpdesk --all has them tried in the next run",
    ]


def test_a_run_that_broke_off_does_not_claim_that_the_others_went_through() -> None:
    failed = result(Ending.FAILED, counts=Counts(seen=9, rejected=1, pending=8), error="101 of 200 were rejected")

    assert "1 reject:" in list(text.finish(Finished(failed), caused(Reject("1", "no"))))


def test_withheld_and_kept_deletes_are_told_beside_the_deleted() -> None:
    counts = Counts(deleted=1, deletes_withheld=2, deletes_rejected=3, deletes_pending=4, kept=5)

    assert text.deletions(counts) == (
        "1 deleted (2 withheld, 3 rejected, 4 not carried out, "
        "5 kept: gone from the source, but not this job's to delete)"
    )


@pytest.mark.parametrize("guard", ["empty_source", "min_records", "collapse"])
def test_a_trip_on_the_source_says_how_to_lift_it_and_how_not_to(guard: str) -> None:
    held = result(
        Ending.HELD,
        counts=Counts(deletes_withheld=411),
        verdicts=(Verdict(guard, tripped=True, message="the source looks wrong; nothing is deleted"),),
        withheld={Kind.DELETE: Digest(411, 7)},
    )

    lines = list(text.finish(Finished(held)))

    assert lines[-3:-1] == [
        "Cure: if they are right: crudsd approve 01KAN5, and the next run carries out just these 411 deletes",
        "Cure: for a source that never stands still, allow a number: crudsd run people-to-helpdesk --allow-deletes 411",
    ]
    assert lines[-1] == "Next: crudsd plan people-to-helpdesk shows what is withheld."


def test_a_missing_certificate_is_cured_by_a_whole_read_and_by_nothing_else() -> None:
    verdict = Verdict("certificate", tripped=True, message="7 records did not appear in the source")
    held = result(Ending.HELD, counts=Counts(deletes_withheld=7), certificate=BROKEN, verdicts=(verdict,))

    lines = list(text.finish(Finished(held)))

    assert "✗ guard certificate: 7 records did not appear in the source" in lines
    assert any(line.startswith("Cure: a read that arrives whole") for line in lines)
    assert not any("--allow-deletes" in line or "crudsd approve" in line for line in lines)


def test_a_saved_plan_that_did_not_fit_is_cured_by_a_new_one() -> None:
    verdict = Verdict("saved_plan", tripped=True, message="nothing was written")

    lines = list(text.finish(Finished(result(Ending.HELD, verdicts=(verdict,)))))

    assert any(line.startswith("Cure: look at the plan of now and save it: crudsd plan") for line in lines)
    assert not any("crudsd approve" in line for line in lines)


def test_an_interrupted_run_says_that_the_next_one_finishes_the_work() -> None:
    counts = Counts(seen=5, created=2, pending=3)

    lines = list(text.finish(Finished(result(Ending.INTERRUPTED, counts=counts, error="the run was asked to stop"))))

    assert "5 seen = 2 created + 0 updated + 0 unchanged + 3 not carried out" in lines
    assert "✗ error: the run was asked to stop" in lines
    assert lines[-1] == "Next: crudsd run people-to-helpdesk finishes the work; what was begun is committed."


def test_a_run_that_withheld_something_never_claims_to_be_in_step() -> None:
    *_, last = text.finish(Finished(result(counts=Counts(created=1, seen=1, deletes_withheld=9))))

    assert last == "Done: what was allowed. Next: crudsd plan people-to-helpdesk shows what is still withheld."


@pytest.mark.parametrize("ending", Ending)
def test_every_ending_has_a_last_word(ending: Ending) -> None:
    *_, last = text.finish(Finished(result(ending)))

    assert last.startswith(("Done: ", "Next: "))


def test_a_waiting_run_says_when_it_goes_on() -> None:
    until = BEGAN + timedelta(hours=10)

    *_, last = text.finish(Finished(result(Ending.WAITING, wait_s=36_000.0), resume_at=until))
    rows = list(table.runs([Row(ending=Ending.WAITING, error="HTTP 429", started_at=BEGAN, resume_at=until)]))

    assert last == (
        f"Next: crudsd serve goes on at {until:%Y-%m-%d %H:%M:%S} UTC; "
        "crudsd run people-to-helpdesk tries it now. What was done stays done."
    )
    assert rows[-2:] == ["    ✗ HTTP 429", f"    goes on at {until:%Y-%m-%d %H:%M:%S} UTC"]


def test_past_runs_are_a_table_with_errors_below() -> None:
    rows = [
        Row(id="02", ending=None, phase=Phase.READ, started_at=BEGAN, counts=Counts(seen=1200)),
        Row(
            id="01",
            job="people-to-helpdesk",
            ending=Ending.FAILED,
            started_at=BEGAN,
            ended_at=BEGAN + timedelta(seconds=245),
            counts=Counts(seen=10, rejected=1, deletes_rejected=1, withheld=2, deletes_withheld=3),
            error="hr refused the credentials\n(401)",
        ),
    ]

    assert list(table.runs(rows)) == [
        (
            "RUN  JOB                 STARTED (UTC)        TOOK        ENDING  SEEN"
            "  CREATED  UPDATED  DELETED  REJECTED  WITHHELD"
        ),
        (
            "02   people              2026-11-22 03:15:00  -           (read)  1200"
            "        0        0        0         0         0"
        ),
        (
            "01   people-to-helpdesk  2026-11-22 03:15:00  4 min 05 s  failed    10"
            "        0        0        0         2         5"
        ),
        "    ✗ hr refused the credentials\\n(401)",
    ]


def test_no_runs_are_said_in_words() -> None:
    assert list(table.runs([])) == ["No runs yet."]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 00 s"), (3599.6, "1 h 00 min"), (9000, "2 h 30 min")],
)
def test_a_length_of_time_is_told_in_the_units_of_a_clock(seconds: float, words: str) -> None:
    assert shown.duration(seconds) == words
