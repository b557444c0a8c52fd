"""Several changes in one request: put together by kind, settled together, and each judged by itself."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.endpoints.memory import MemoryTarget
from daemon.errors import (
    ConflictError,
    EndpointError,
    GoneError,
    MalformedError,
    PutOffError,
    RefusedError,
    SkippedError,
    StaleError,
    StoppedError,
    UnavailableError,
    UnknownError,
)
from daemon.sync.batches import Batches
from daemon.sync.change import Change, Fate, Kind
from daemon.sync.outcome import Ending
from daemon.sync.permits import Permits
from daemon.sync.ports import Accepted, Answer, WholeRefusedError, Written
from tests.unit.endpoints.rig import change
from tests.unit.sync.harness import Bench, job, people, person
from tests.unit.sync.test_writes import Desk

T = TypeVar("T")

SIZES = st.fixed_dictionaries({kind: st.integers(1, 5) for kind in Kind})


class Sized(MemoryTarget):
    """Takes as many of each kind as it is told."""

    def __init__(self, sizes: dict[Kind, int], **ways: Any) -> None:
        super().__init__(match="no", **ways)
        self.sizes = sizes

    def batch_size(self, kind: Kind) -> int:
        return self.sizes[kind]


def planned(kinds: Sequence[Kind]) -> Iterator[Change]:
    return iter([change(kind, f"E{seq}", seq=seq, fingerprint=b"1") for seq, kind in enumerate(kinds, start=1)])


def rows_of(bench: Bench) -> list[Change]:
    """The rows of the latest run's journal."""
    assert bench.journal is not None
    return list(vars(bench.journal)["_mine"].values())


# ---- what goes together ------------------------------------------------------------------------------------------


@given(kinds=st.lists(st.sampled_from(Kind), max_size=40), sizes=SIZES, window=st.integers(1, 7))
def test_every_change_is_handed_out_once_with_others_of_its_kind_in_order(
    kinds: list[Kind], sizes: dict[Kind, int], window: int
) -> None:
    batches = Batches(planned(kinds), Sized(sizes), Permits())

    taken = []
    while some := batches.take(window):
        assert len(some) <= window
        taken += some

    assert sorted(one.seq for batch in taken for one in batch) == list(range(1, len(kinds) + 1))
    for kind in Kind:
        of_kind = [batch for batch in taken if batch[0].kind is kind]
        assert all(one.kind is kind for batch in of_kind for one in batch)
        assert [one.seq for batch in of_kind for one in batch] == [
            seq for seq, other in enumerate(kinds, start=1) if other is kind
        ]
        assert [len(batch) for batch in of_kind[:-1]] == [sizes[kind]] * (len(of_kind) - 1)


def test_no_more_is_taken_from_the_plan_than_waits_for_others_of_its_kind() -> None:
    plan = planned([Kind.CREATE, Kind.UPDATE] * 50)
    batches = Batches(plan, Sized(dict.fromkeys(Kind, 4)), Permits())

    batches.take(1)

    assert next(plan).seq <= 9


def test_a_size_that_became_smaller_holds_for_what_is_gathered_already() -> None:
    target = Sized(dict.fromkeys(Kind, 6))
    batches = Batches(planned([Kind.CREATE] * 10), target, Permits())
    batches.take(1)
    target.sizes[Kind.CREATE] = 3

    assert [len(batch) for batch in batches.take(9)] == [3, 1]


@pytest.mark.parametrize(
    ("facts", "ways", "permits", "alone"),
    [
        ({"kind": Kind.DELETE, "fingerprint": b""}, {}, {}, True),
        ({"kind": Kind.DELETE, "fingerprint": b""}, {}, {"young": frozenset({"E1"})}, False),
        ({"kind": Kind.DELETE, "fingerprint": b""}, {"looks_up": False}, {}, False),
        ({"kind": Kind.DELETE, "fingerprint": b"1"}, {}, {}, False),
        ({"kind": Kind.UPDATE}, {"replaces": True}, {}, True),
        ({"kind": Kind.UPDATE}, {}, {}, False),
        ({"kind": Kind.CREATE}, {"replaces": True}, {}, False),
    ],
)
def test_what_must_be_looked_at_first_is_sent_alone(
    facts: dict[str, Any], ways: dict[str, Any], permits: dict[str, Any], *, alone: bool
) -> None:
    changes = [replace(change(key="E1"), seq=seq, **facts) for seq in (1, 2)]
    batches = Batches(iter(changes), MemoryTarget(match="no", batch=2, **ways), Permits(**permits))

    assert [len(batch) for batch in batches.take(9)] == ([1, 1] if alone else [2])


# ---- a run in batches --------------------------------------------------------------------------------------------


def test_a_run_sends_creates_updates_and_deletes_together() -> None:
    desk = Desk(batch=4)
    bench = Bench(job(guards={"deletes": "100%", "updates": "100%"}), target=desk)
    bench.source.records = people(range(10))

    first = bench.run(window=2)
    bench.source.records = [*(person(number, name="Other") for number in range(6)), person(20)]
    second = bench.run(window=2)

    assert (first.counts.created, second.counts.updated, second.counts.deleted) == (10, 6, 4)
    assert bench.is_in_step()
    assert [(kind, len(keys)) for kind, keys in desk.batches] == [
        ("create", 4),
        ("create", 4),
        ("create", 2),
        ("update", 4),
        ("update", 2),
        ("delete", 4),
    ]


ANSWERS: dict[str, Callable[[], EndpointError]] = {
    "refused": lambda: RefusedError("bad", status=422),
    "refused for its order": lambda: RefusedError("no such manager", status=424),
    "failed": lambda: RefusedError("answered 500", status=500),
    "skipped": lambda: SkippedError("archived", status=422),
    "exists": lambda: ConflictError("it exists", status=409),
    "moved": lambda: StaleError("another version", status=412),
    "gone": lambda: GoneError("no such record", status=404),
    "lost": lambda: UnknownError("the answer was lost"),
    "malformed": lambda: MalformedError("a sign-in page"),
}


class Once(Desk):
    """Gives each answer once; the second request for the record is carried out."""

    def _answer(self, key: str) -> None:
        if key in self.answers:
            raise self.answers.pop(key)


@settings(max_examples=40, deadline=None)
@given(
    answers=st.dictionaries(st.integers(0, 11), st.sampled_from(sorted(ANSWERS)), max_size=8),
    size=st.integers(2, 6),
    ways=st.sampled_from([{}, {"idempotent": True}, {"looks_up": False}, {"lists": False, "gets": True}]),
    desk_type=st.sampled_from([Desk, Once]),
)
def test_a_run_in_batches_comes_to_what_a_run_one_by_one_comes_to(
    answers: dict[int, str], size: int, ways: dict[str, Any], desk_type: type[Desk]
) -> None:
    def ran(batch: int) -> tuple[object, ...]:
        desk = desk_type(batch=batch, **ways)
        bench = Bench(job(guards={"deletes": "100%", "updates": "100%"}), target=desk)
        bench.source.records = people(range(8))
        bench.run()
        desk.writes.clear()
        bench.source.records = [*(person(number, name="Other") for number in range(4)), *people(range(8, 12))]
        desk.answers = {f"E{number}": ANSWERS[name]() for number, name in answers.items()}
        result = bench.run()
        fates = Counter((one.key, one.fate, one.kind) for one in rows_of(bench))
        rejects = {key: (one.reason, one.status, one.retry) for key, one in bench.state.rejects.items()}
        owned = {key: link.owned for key, link in bench.state.links.items()}
        return result.ending, result.counts, fates, rejects, owned, sorted(desk.writes), bench.documents()

    assert ran(size) == ran(1)


@pytest.mark.edge(23, 32)
def test_creates_of_a_lost_batch_are_looked_up_and_made_once() -> None:
    class Deaf(Desk):
        def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
            super().write(changes[:2])
            raise UnknownError("the answer was lost")

    desk = Deaf(batch=4)
    bench = Bench(target=desk)
    bench.source.records = people(range(4))

    result = bench.run()

    assert (result.ending, result.counts.created, result.counts.rejected) == (Ending.DONE, 4, 0)
    assert Counter(desk.writes) == {("create", f"E{number}"): 1 for number in range(4)}
    assert all(link.owned for link in bench.state.links.values())


def test_a_target_that_answers_too_few_says_nothing_of_any() -> None:
    class Terse(Desk):
        def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
            return super().write(changes)[1:]

    bench = Bench(target=Terse(batch=4))
    bench.source.records = people(range(4))

    assert bench.run().counts.created == 4
    assert bench.is_in_step()


def test_a_system_that_goes_away_in_the_middle_keeps_what_it_said_before() -> None:
    """The first two are done, the rest was surely not carried out: nothing is a reject, and the next run does it."""

    class Leaving(Desk):
        away = True

        def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
            if not self.away:
                return super().write(changes)
            return [*super().write(changes[:2]), *[UnavailableError("connection refused")] * (len(changes) - 2)]

    desk = Leaving(batch=5)
    bench = Bench(target=desk)
    bench.source.records = people(range(10))

    first = bench.run(window=1)
    desk.away = False
    second = bench.run(window=1)

    assert (first.ending, first.counts.created, bench.state.rejects) == (Ending.UNAVAILABLE, 2, {})
    assert (second.ending, second.counts.created, second.counts.unchanged) == (Ending.DONE, 8, 2)


def test_what_needs_another_request_waits_for_the_next_run_when_the_system_is_away() -> None:
    """Nobody asks a system that is away about each of a hundred."""

    class Leaving(Desk):
        looked_up = 0

        def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
            answers = super().write(changes[:1])
            return [*answers, UnknownError("lost"), ConflictError("it exists"), UnavailableError("connection refused")]

        def lookup(self, key: str, document: Any) -> Any:
            self.looked_up += 1
            return super().lookup(key, document)

    desk = Leaving(batch=4)
    bench = Bench(target=desk)
    bench.source.records = people(range(4))

    result = bench.run()

    fates = {one.key: one.fate for one in rows_of(bench)}
    assert fates == {"E0": Fate.DONE, "E1": Fate.UNKNOWN, "E2": Fate.DROPPED, "E3": Fate.DROPPED}
    assert (result.ending, desk.looked_up) == (Ending.UNAVAILABLE, 0)


def test_what_a_batch_put_off_is_sent_alone_in_the_same_run() -> None:
    class Busy(Desk):
        def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
            return [*super().write(changes[:2]), *[PutOffError("later", status=429)] * (len(changes) - 2)]

    bench = Bench(target=Busy(batch=4))
    bench.source.records = people(range(4))

    result = bench.run()

    assert (result.ending, result.counts.created, bench.is_in_step()) == (Ending.DONE, 4, True)


def test_a_whole_that_is_refused_is_taken_apart_and_each_part_is_a_write_of_its_own() -> None:
    class Whole(Desk):
        def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
            if any(one.key == "E2" for one in changes):
                self.batches.append((changes[0].kind, tuple(one.key for one in changes)))
                raise WholeRefusedError(RefusedError("one of them is bad", status=400))
            return super().write(changes)

    desk = Whole(batch=4)
    desk.answers = {"E2": RefusedError("E2 is bad", status=422)}
    bench = Bench(target=desk)
    bench.source.records = people(range(4))

    result = bench.run()

    assert (result.counts.created, result.counts.rejected) == (3, 1)
    assert bench.state.rejects["E2"].reason == "E2 is bad"
    assert [len(keys) for _, keys in desk.batches] == [4, 2, 2]


# ---- the journal and the window ----------------------------------------------------------------------------------


def test_the_window_counts_requests_and_every_change_of_them_is_a_row_before() -> None:
    seen: list[tuple[int, set[Fate]]] = []

    class Watched(Desk):
        def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
            rows = {one.key: one.fate for one in rows_of(bench)}
            seen.append((len(changes), {rows[one.key] for one in changes}))
            return super().write(changes)

    bench = Bench(target=Watched(batch=5))
    bench.source.records = people(range(20))

    bench.run(window=2)

    assert seen == [(5, {Fate.SENT})] * 4


def test_what_a_batch_came_to_is_one_commit() -> None:
    bench = Bench(target=Desk(batch=10))
    bench.source.records = people(range(50))

    bench.run(window=1)

    assert bench.journal is not None
    assert bench.journal.commits == 6  # five leave; what each came to is committed with the next one's leaving


def test_a_run_that_is_to_stop_finishes_the_batch_in_hand_and_begins_no_other() -> None:
    stopping = False

    class Watched(Desk):
        def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
            nonlocal stopping
            stopping = True
            return super().write(changes)

    desk = Watched(batch=5)
    bench = Bench(target=desk)
    bench.source.records = people(range(20))

    result = bench.run(window=1, stopping=lambda: stopping)

    assert (len(desk.batches), result.counts.created) == (1, 5)


def test_rejects_in_batches_stop_a_run_at_its_limit() -> None:
    desk = Desk(batch=50)
    desk.answers = {f"E{number}": RefusedError("bad", status=418) for number in range(400)}
    bench = Bench(target=desk)
    bench.source.records = people(range(400))

    result = bench.run(window=1)

    assert result.ending is Ending.FAILED
    assert len(desk.batches) == 3  # a hundred refusals may be; the third batch passes that


def test_an_update_that_met_no_record_is_made_again_after_its_batch() -> None:
    desk = Desk(batch=5)
    bench = Bench(target=desk)
    bench.source.records = people(range(5))
    bench.run()
    del desk.records["2"]
    bench.source.records = [person(number, name="Other") for number in range(5)]

    result = bench.run(allowance=None)

    assert (result.counts.created, result.counts.updated, bench.is_in_step()) == (1, 4, True)


def test_a_promised_delete_of_a_batch_keeps_its_link() -> None:
    class Later(Desk):
        def delete(self, change: Change) -> Accepted | None:
            return Accepted()

    bench = Bench(job(guards={"deletes": "100%"}), target=Later(batch=5))
    bench.source.records = people(range(5))
    bench.run()
    bench.source.records = people(range(3))

    bench.run()

    assert bench.state.links["E3"].fingerprint == b""


def test_what_is_set_once_stays_out_of_a_batch_of_updates() -> None:
    sent: list[Any] = []

    class Watched(Desk):
        def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
            sent.extend(dict(one.sent) for one in changes)
            return super().write(changes)

        def create(self, change: Change) -> Written:
            return super().create(change)

    once = {"from": "record.email", "set_once": True}
    bench = Bench(job(map={"no": "record.no", "name": "record.name", "email": once}), target=Watched(batch=5))
    bench.source.records = people(range(5))
    bench.run()
    sent.clear()
    bench.source.records = [person(number, name="Other") for number in range(5)]

    bench.run(allowance=None)

    assert all(set(one) == {"no", "name"} for one in sent)


def test_a_stop_while_waiting_for_the_system_leaves_the_rest_for_the_next_run() -> None:
    class Stopped(Desk):
        def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
            return [*super().write(changes[:1]), *[StoppedError("asked to stop")] * (len(changes) - 1)]

    bench = Bench(target=Stopped(batch=4))
    bench.source.records = people(range(4))

    result = bench.run()

    assert (result.ending, result.counts.created, bench.state.rejects) == (Ending.INTERRUPTED, 1, {})
