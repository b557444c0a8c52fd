"""What the two observers make of a run's events."""

import io

import pytest

from daemon.report.noticed import KEPT, Noticed
from daemon.report.progress import Progress, Standing, line
from daemon.sync.change import Fate, Kind, Outcome, Reject
from daemon.sync.counts import Counts
from daemon.sync.events import ChangesSettled, PageDone, PhaseBegan, RecordsRejected, Resolved, TargetListed
from daemon.sync.outcome import Phase
from tests.unit.report.samples import create, delete


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_tells_phase_figures_rate_and_time() -> None:
    standing = Standing().after(PhaseBegan(Phase.READ)).after(PageDone(12, Counts(seen=2400, pending=3, rejected=1)))

    assert line(standing, 10.0) == "reading  12 pages, 2,400 seen, 3 to write, 1 rejected  240 records/s  0:00:10"


def test_while_writing_the_rate_counts_writes() -> None:
    standing = Standing().after(TargetListed(7)).after(PhaseBegan(Phase.APPLY))
    standing = standing.after(ChangesSettled((), Counts(seen=9, created=6, updated=2, deleted=1)))

    assert line(standing, 3.0) == (
        "writing  7 in the target, 9 seen, 6 created, 2 updated, 1 deleted  3 writes/s  0:00:03"
    )


def test_in_the_first_second_there_is_no_rate_to_tell() -> None:
    assert line(Standing(), 0.0) == "waiting  0 seen  0:00:00"


def test_off_a_terminal_nothing_is_drawn() -> None:
    stream = io.StringIO()

    with Progress(stream) as progress:
        progress(PageDone(1, Counts(seen=1)))

    assert stream.getvalue() == ""


def test_a_dumb_terminal_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()

    with Progress(stream) as progress:
        progress(PageDone(1, Counts(seen=1)))

    assert stream.getvalue() == ""


def test_on_a_terminal_the_line_is_drawn_and_wiped_and_the_cursor_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()

    with Progress(stream, seconds=iter(range(0, 1000, 10)).__next__) as progress:
        progress(PageDone(1, Counts(seen=1)))

    drawn = stream.getvalue()
    assert "1 page, 1 seen" in drawn
    assert drawn.rindex("\x1b[?25h") > drawn.rindex("\x1b[?25l")


def test_rejects_of_records_and_of_changes_are_noticed_in_their_order() -> None:
    noticed = Noticed()

    noticed(RecordsRejected((Reject("1", "no key"),)))
    noticed(
        ChangesSettled(
            (
                Outcome(create("2"), Fate.FAILED, reason="taken", status=409),
                Outcome(create("3"), Fate.DONE),
                Outcome(delete("4"), Fate.UNKNOWN),
            ),
            Counts(),
        )
    )
    noticed(Resolved(Outcome(create("5"), Fate.FAILED, reason="gone")))

    assert [(one.key, one.kind, one.status) for one in noticed.rejects] == [
        ("1", None, None),
        ("2", Kind.CREATE, 409),
        ("4", Kind.DELETE, None),
        ("5", Kind.CREATE, None),
    ]
    assert "looks for it" in noticed.rejects[2].reason


def test_what_was_refused_and_went_through_later_is_no_reject() -> None:
    noticed = Noticed()
    refused = Outcome(create("1"), Fate.FAILED, reason="taken", status=409)

    noticed(ChangesSettled((refused, Outcome(create("2"), Fate.FAILED, reason="bad", status=422)), Counts()))
    noticed(ChangesSettled((Outcome(create("1"), Fate.DONE),), Counts()))
    noticed(ChangesSettled((Outcome(create("2"), Fate.FAILED, reason="still", status=422),), Counts()))

    assert [(one.key, one.reason) for one in noticed.rejects] == [("2", "still")]


def test_a_change_that_is_tried_again_counts_for_its_last_outcome_only() -> None:
    noticed = Noticed()

    def settled(*fates: Fate) -> None:
        outcomes = [Outcome(create(key), fate, reason="no", status=422) for key, fate in zip("123", fates, strict=True)]
        noticed(ChangesSettled(tuple(outcomes), Counts()))

    noticed(RecordsRejected((Reject("1", "another record has the same key"),) * 2))
    settled(Fate.FAILED, Fate.FAILED, Fate.FAILED)
    settled(Fate.DONE, Fate.FAILED, Fate.FAILED)

    assert [(cause.number, cause.example.key, cause.example.kind) for cause in noticed.causes] == [
        (2, "1", None),
        (2, "2", Kind.CREATE),
    ]


def test_a_flood_of_rejects_does_not_fill_the_memory() -> None:
    noticed = Noticed()

    for _ in range(3):
        noticed(RecordsRejected(tuple(Reject(str(number), "no") for number in range(KEPT - 1))))

    assert len(noticed.rejects) == KEPT
