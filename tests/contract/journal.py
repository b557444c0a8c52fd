"""What every journal, link memory and target index must do. A subclass says how to make the place they live in."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Protocol

import pytest

from daemon.errors import StateError
from daemon.sync.change import AGAIN, Change, Fate, Kept, Kind, Link, Outcome, Reject, Retry
from daemon.sync.counts import Counts
from daemon.sync.cursor import Cursor, Progress, Reach
from daemon.sync.journal import Journal
from daemon.sync.mark import Mark
from daemon.sync.outcome import TAKEN_UP, Ending
from daemon.sync.parts import PartsDone
from daemon.sync.ports import Links, TargetIndex, TargetRecord

SETTLE = timedelta(seconds=30)
WRITES = [Kind.CREATE, Kind.UPDATE]


def a_change(seq: int, kind: Kind = Kind.CREATE, *, key: str | None = None, run: str = "run1", **facts: Any) -> Change:
    """Return a change that looks like the planner's."""
    document = None if kind is Kind.DELETE else {"name": f"Record {seq}", "n": seq}
    change = Change(
        seq=seq,
        kind=kind,
        key=key or f"k{seq}",
        target_id=None if kind is Kind.CREATE else f"t{seq}",
        version=None,
        document=document,
        before=None,
        fields=tuple(sorted(document or ())),
        fingerprint=b"" if kind is Kind.DELETE else bytes([seq % 256]) * 16,
        raw=b"" if kind is Kind.DELETE else bytes([(seq + 1) % 256]) * 16,
        owned=True,
        idempotency_key=f"{run}-{seq}",
    )
    return replace(change, **facts)


def a_link(key: str, **facts: Any) -> Link:
    """Return a link as the planner hands it over: not yet numbered."""
    return replace(Link(0, key, f"t-{key}", b"f" * 16, b"r" * 16, None, owned=True), **facts)


class World(Protocol):
    """One job's memory, shared by its runs."""

    def journal(self, run: str) -> Journal: ...

    def links(self) -> Links: ...

    def rejects(self) -> Mapping[str, tuple[Reject, int]]:
        """Return the rejects by key, each with its attempts."""

    def counts(self, run: str) -> Counts: ...

    def end(self, run: str, ending: Ending) -> None:
        """Let a run be over."""


A_MARK = Mark(
    revision="r1",
    resume='{"token": "✓"}',
    counts=Counts(seen=7, created=7),
    creates=7,
    updates=0,
    known=3,
    listed=True,
    adopted=("u9",),
    doubts=("two records have the same key",),
    seen=b"\x00\xff",
    judged=9,
    part="p7",
    done=PartsDone(6, pages=9, records=80, digest=b"\x01"),
    progress=Progress(Reach.SINCE, "2026-01-31", None, 7, Decimal("1767225600.123456789"), None, True, None),
    is_whole=False,
    tombstones=1,
)


class RejectsWorld(World, Protocol):
    """A world whose clock can be moved."""

    def move(self, time: timedelta) -> None: ...


def plan(journal: Journal, *changes: Change) -> None:
    journal.plan(changes, links=(), rejects=(), counts=Counts())


def send(journal: Journal, *changes: Change) -> None:
    plan(journal, *changes)
    journal.commit(sent=changes, outcomes=(), counts=Counts())


def settle(journal: Journal, *outcomes: Outcome) -> None:
    journal.commit(sent=(), outcomes=outcomes, counts=Counts())


class JournalContract:
    """Each test gets a world of its own from `make`, empty at first. `run1` is older than `run2`."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    @pytest.fixture
    def journal(self, world: World) -> Journal:
        return world.journal("run1")

    # ---- plan ----

    def test_a_planned_change_comes_back_whole(self, journal: Journal) -> None:
        change = a_change(
            1,
            Kind.UPDATE,
            version='W/"7"',
            document={"price": Decimal("19.90"), "id": 2**63 + 1, "name": "Ada ✓", "deep": {"a": [1, None, True]}},
            before={"price": Decimal("19.9")},
            fields=("price",),
            owned=False,
            contest='{"price":["0f",1]}',
        )
        plan(journal, change)
        assert list(journal.planned(WRITES)) == [change]

    def test_numbers_keep_every_digit(self, journal: Journal) -> None:
        plan(journal, a_change(1, document={"price": Decimal("19.90"), "id": 12345678901234567890}))
        document = next(journal.planned(WRITES)).document
        assert document is not None
        assert (str(document["price"]), document["id"]) == ("19.90", 12345678901234567890)

    def test_planned_changes_come_in_order_and_by_kind(self, journal: Journal) -> None:
        plan(journal, a_change(2, Kind.UPDATE), a_change(1), a_change(3, Kind.DELETE))
        assert [change.seq for change in journal.planned(WRITES)] == [1, 2]
        assert [change.seq for change in journal.planned([Kind.DELETE])] == [3]

    def test_no_kinds_are_no_changes(self, journal: Journal) -> None:
        plan(journal, a_change(1))
        assert list(journal.planned([])) == []

    def test_many_changes_stream_while_others_are_committed(self, journal: Journal) -> None:
        plan(journal, *(a_change(seq) for seq in range(1, 2501)))
        met = []
        for change in journal.planned(WRITES):
            met.append(change.seq)
            if change.seq % 100 == 0:
                journal.commit(sent=[change], outcomes=(), counts=Counts())
        assert met == list(range(1, 2501))

    def test_a_change_that_was_sent_is_not_planned_any_more(self, journal: Journal) -> None:
        send(journal, a_change(1))
        plan(journal, a_change(2))
        assert [change.seq for change in journal.planned(WRITES)] == [2]

    def test_a_seq_is_given_once(self, journal: Journal) -> None:
        plan(journal, a_change(1))
        with pytest.raises(StateError):
            plan(journal, a_change(1, key="other"))

    def test_a_page_is_planned_whole_or_not_at_all(self, world: World, journal: Journal) -> None:
        plan(journal, a_change(2))
        with pytest.raises(StateError):
            journal.plan(
                [a_change(1), a_change(2)],
                links=[(a_link("x"), {"a": 1})],
                rejects=[Reject("y", "bad")],
                counts=Counts(seen=9),
            )
        assert [change.seq for change in journal.planned(WRITES)] == [2]
        assert not world.links().by_key(["x"])
        assert not world.rejects()

    def test_what_is_known_of_keys(self, journal: Journal) -> None:
        send(journal, a_change(1))
        journal.plan([a_change(2)], links=(), rejects=[Reject("bad", "no name")], counts=Counts())
        assert journal.known(["k1", "k2", "bad", "new"]) == {"k1": Fate.SENT, "k2": Fate.PLANNED, "bad": None}

    def test_a_change_says_more_than_a_reject(self, journal: Journal) -> None:
        plan(journal, a_change(1))
        journal.spoil("k1", Reject("k1", "twice"), Counts())
        assert journal.known(["k1"]) == {"k1": Fate.FAILED}

    def test_another_runs_keys_are_not_known(self, world: World, journal: Journal) -> None:
        journal.plan([a_change(1)], links=(), rejects=[Reject("bad", "no name")], counts=Counts())
        assert world.journal("run2").known(["k1", "bad"]) == {}

    def test_a_spoiled_change_is_rejected(self, world: World, journal: Journal) -> None:
        plan(journal, a_change(1), a_change(2))
        journal.spoil("k1", Reject("k1", "two records have the same key"), Counts(rejected=1))
        assert [change.seq for change in journal.planned(WRITES)] == [2]
        assert world.rejects()["k1"][0].reason == "two records have the same key"

    def test_a_change_may_be_taken_back_without_a_reject(self, world: World, journal: Journal) -> None:
        plan(journal, a_change(1, Kind.DELETE), a_change(2))
        journal.spoil("k1", None, Counts())
        assert journal.tally() == {(Kind.DELETE, Fate.DROPPED): 1, (Kind.CREATE, Fate.PLANNED): 1}
        assert not world.rejects()

    def test_only_a_planned_change_can_be_spoiled(self, world: World, journal: Journal) -> None:
        send(journal, a_change(1))
        with pytest.raises(StateError):
            journal.spoil("k1", Reject("k1", "twice"), Counts())
        assert not world.rejects()

    def test_withheld_changes_are_not_planned(self, journal: Journal) -> None:
        plan(journal, a_change(1), a_change(2, Kind.UPDATE), a_change(3, Kind.DELETE))
        journal.withhold([Kind.UPDATE, Kind.DELETE], "too many", Counts())
        assert journal.tally() == {
            (Kind.CREATE, Fate.PLANNED): 1,
            (Kind.UPDATE, Fate.WITHHELD): 1,
            (Kind.DELETE, Fate.WITHHELD): 1,
        }

    # ---- commit ----

    def test_a_done_create_leaves_link_and_document(self, world: World, journal: Journal) -> None:
        change = a_change(1)
        send(journal, change)
        settle(journal, Outcome(change, Fate.DONE, target_id="t9", version="v1"))
        link = world.links().by_key(["k1"])["k1"]
        assert replace(link, id=0) == Link(0, "k1", "t9", change.fingerprint, change.raw, "v1", owned=True)
        assert world.links().documents([link.id]) == {link.id: change.document}

    def test_creates_that_are_done_together_leave_each_its_own_link_and_document(
        self, world: World, journal: Journal
    ) -> None:
        changes = [a_change(seq, part=f"p{seq}", contest=f"c{seq}" if seq == 2 else None) for seq in range(1, 9)]
        send(journal, *changes)
        settle(journal, *(Outcome(changes[at], Fate.DONE, target_id=changes[at].key) for at in (6, 2, 0, 1, 4)))
        settle(journal, *(Outcome(changes[at], Fate.DONE, target_id=f"t{at}") for at in (7, 3)))
        links = world.links().by_key([change.key for change in changes])
        assert {key: (link.target_id, link.fingerprint, link.raw, link.part) for key, link in links.items()} == {
            change.key: (
                f"t{change.seq - 1}" if change.seq in (8, 4) else change.key,
                change.fingerprint,
                change.raw,
                change.part,
            )
            for change in changes
            if change.seq != 6
        }
        assert [links[key].contest for key in ("k1", "k2")] == [None, "c2"]
        assert world.links().documents([link.id for link in links.values()]) == {
            links[change.key].id: change.document for change in changes if change.seq != 6
        }
        assert journal.tally() == {(Kind.CREATE, Fate.DONE): 7, (Kind.CREATE, Fate.SENT): 1}

    def test_a_done_create_takes_the_place_of_the_link_of_its_key(self, world: World, journal: Journal) -> None:
        journal.plan((), links=[(a_link("k1", contest="old"), {"name": "old"})], rejects=(), counts=Counts())
        before = world.links().by_key(["k1"])["k1"]
        change = a_change(1)
        send(journal, change)
        settle(journal, Outcome(change, Fate.DONE, target_id="k1"))
        after = world.links().by_key(["k1"])["k1"]
        assert after == replace(before, target_id="k1", fingerprint=change.fingerprint, raw=change.raw, contest=None)
        assert world.links().documents([after.id]) == {after.id: change.document}

    def test_a_create_that_came_to_something_else_is_linked_as_its_outcome_says(
        self, world: World, journal: Journal
    ) -> None:
        changes = [a_change(seq) for seq in range(1, 5)]
        send(journal, *changes)
        settle(
            journal,
            Outcome(replace(changes[0], fingerprint=b"", raw=b""), Fate.DONE, target_id="k1"),
            Outcome(changes[1], Fate.DONE, target_id="k2", owned=False),
            Outcome(changes[2], Fate.DONE, target_id="k3", version="v3"),
            Outcome(changes[3], Fate.DONE, target_id="k4"),
        )
        links = world.links().by_key(["k1", "k2", "k3", "k4"])
        facts = {key: (link.fingerprint, link.owned, link.version) for key, link in links.items()}
        assert facts == {
            "k1": (b"", True, None),
            "k2": (changes[1].fingerprint, False, None),
            "k3": (changes[2].fingerprint, True, "v3"),
            "k4": (changes[3].fingerprint, True, None),
        }

    def test_creates_that_are_done_lose_their_rejects(self, world: World, journal: Journal) -> None:
        rejects = [Reject("k1", "bad"), Reject("k3", "bad")]
        world.journal("run1").plan((), links=(), rejects=rejects, counts=Counts())
        later = world.journal("run2")
        changes = [a_change(1, run="run2"), a_change(2, run="run2")]
        send(later, *changes)
        settle(later, *(Outcome(change, Fate.DONE, target_id=change.key) for change in changes))
        assert set(world.rejects()) == {"k3"}

    def test_a_done_update_keeps_its_link_id(self, world: World, journal: Journal) -> None:
        send(journal, a_change(1))
        settle(journal, Outcome(a_change(1), Fate.DONE, target_id="t1"))
        before = world.links().by_key(["k1"])["k1"]
        update = a_change(2, Kind.UPDATE, key="k1", target_id="t1", document={"name": "new"}, fingerprint=b"2" * 16)
        send(journal, update)
        settle(journal, Outcome(update, Fate.DONE, version="v2", owned=False))
        after = world.links().by_key(["k1"])["k1"]
        assert (after.id, after.target_id, after.version, after.owned) == (before.id, "t1", "v2", False)
        assert world.links().documents([after.id]) == {after.id: {"name": "new"}}

    def test_a_done_update_leaves_what_is_contested(self, world: World, journal: Journal) -> None:
        journal.plan((), links=[(a_link("k1", contest="old"), None)], rejects=(), counts=Counts())
        update = a_change(1, Kind.UPDATE, contest="new")
        send(journal, update)
        settle(journal, Outcome(update, Fate.DONE))
        assert world.links().by_key(["k1"])["k1"].contest == "new"

    @pytest.mark.parametrize("fate", [Fate.FAILED, Fate.UNKNOWN, Fate.DROPPED])
    def test_what_was_not_done_leaves_the_contest_as_it_was(self, world: World, journal: Journal, fate: Fate) -> None:
        journal.plan((), links=[(a_link("k1", contest="old"), None)], rejects=(), counts=Counts())
        update = a_change(1, Kind.UPDATE, contest="new")
        send(journal, update)
        settle(journal, Outcome(update, fate))
        assert world.links().by_key(["k1"])["k1"].contest == "old"

    def test_an_unresolved_change_knows_what_is_contested(self, world: World, journal: Journal) -> None:
        send(journal, a_change(1, Kind.UPDATE, contest="new"))
        later = world.journal("run2")
        (found,) = later.unresolved()
        later.resolve([Outcome(found, Fate.DROPPED)])
        assert found.contest == "new"

    def test_a_done_delete_leaves_nothing(self, world: World, journal: Journal) -> None:
        journal.plan([a_change(1, Kind.DELETE)], links=[(a_link("k1"), {"a": 1})], rejects=(), counts=Counts())
        link = world.links().by_key(["k1"])["k1"]
        journal.commit(sent=[a_change(1, Kind.DELETE)], outcomes=(), counts=Counts())
        settle(journal, Outcome(a_change(1, Kind.DELETE), Fate.DONE, target_id="t1"))
        assert world.links().by_key(["k1"]) == {}
        assert world.links().documents([link.id]) == {}

    @pytest.mark.parametrize("fate", [Fate.FAILED, Fate.UNKNOWN])
    def test_what_could_not_be_carried_out_is_a_reject(self, world: World, journal: Journal, fate: Fate) -> None:
        send(journal, a_change(1))
        settle(journal, Outcome(a_change(1), fate, reason="no such department", status=422, excerpt='{"error":1}'))
        reject = Reject("k1", "no such department", 422, '{"error":1}', Kind.CREATE)
        assert world.rejects() == {"k1": (reject, 1)}
        assert world.links().by_key(["k1"]) == {}

    def test_a_delete_that_was_only_promised_leaves_a_link_in_doubt(self, world: World, journal: Journal) -> None:
        journal.plan((), links=[(a_link("k1", version="v1"), {"name": "Ada"})], rejects=(), counts=Counts())
        change = a_change(1, Kind.DELETE)
        send(journal, change)

        settle(journal, Outcome(change, Fate.DONE, target_id="t1", is_doubtful=True))

        link = world.links().by_key(["k1"])["k1"]
        assert (link.target_id, link.version, link.owned) == ("t-k1", "v1", True)
        assert (link.fingerprint, link.raw) == (b"", b"")

    def test_a_skipped_change_leaves_link_and_document_as_they_were_and_no_reject(
        self, world: World, journal: Journal
    ) -> None:
        journal.plan((), links=[(a_link("k1"), {"name": "Ada"})], rejects=[Reject("k1", "before")], counts=Counts())
        change = a_change(1, Kind.UPDATE)
        send(journal, change)

        settle(journal, Outcome(change, Fate.SKIPPED, reason="the job says so"))

        link = world.links().by_key(["k1"])["k1"]
        assert (link.target_id, link.fingerprint) == ("t-k1", b"f" * 16)
        assert world.links().documents([link.id]) == {link.id: {"name": "Ada"}}
        assert world.rejects() == {}
        assert journal.tally() == {(Kind.UPDATE, Fate.SKIPPED): 1}

    def test_success_removes_the_reject(self, world: World, journal: Journal) -> None:
        send(journal, a_change(1))
        settle(journal, Outcome(a_change(1), Fate.FAILED, reason="no"))
        later = world.journal("run2")
        send(later, a_change(1, run="run2"))
        settle(later, Outcome(a_change(1, run="run2"), Fate.DONE, target_id="t1"))
        assert not world.rejects()

    def test_attempts_are_counted_once_a_run(self, world: World) -> None:
        for run in ("run1", "run2"):
            for _ in range(2):
                world.journal(run).plan((), links=(), rejects=[Reject("bad", f"in {run}")], counts=Counts())
        assert world.rejects() == {"bad": (Reject("bad", "in run2"), 2)}

    def test_a_dropped_change_leaves_nothing(self, world: World, journal: Journal) -> None:
        send(journal, a_change(1))
        settle(journal, Outcome(a_change(1), Fate.DROPPED, reason="never arrived"))
        assert journal.tally() == {(Kind.CREATE, Fate.DROPPED): 1}
        assert not world.rejects()
        assert not world.links().by_key(["k1"])

    def test_counts_are_kept_with_what_they_count(self, world: World, journal: Journal) -> None:
        journal.plan([a_change(1)], links=(), rejects=(), counts=Counts(seen=1, pending=1))
        assert world.counts("run1") == Counts(seen=1, pending=1)
        journal.commit(
            sent=[a_change(1)],
            outcomes=[Outcome(a_change(1), Fate.DONE, target_id="t1")],
            counts=Counts(seen=1, created=1),
        )
        assert world.counts("run1") == Counts(seen=1, created=1)

    def test_outcomes_and_new_sends_commit_together(self, journal: Journal) -> None:
        plan(journal, a_change(1), a_change(2))
        journal.commit(sent=[a_change(1)], outcomes=(), counts=Counts())
        done = Outcome(a_change(1), Fate.DONE, target_id="t1")
        journal.commit(sent=[a_change(2)], outcomes=[done], counts=Counts())
        assert journal.tally() == {(Kind.CREATE, Fate.DONE): 1, (Kind.CREATE, Fate.SENT): 1}

    def test_an_empty_commit_is_allowed(self, journal: Journal) -> None:
        journal.commit(sent=(), outcomes=(), counts=Counts())
        journal.plan((), links=(), rejects=(), counts=Counts())
        assert journal.tally() == {}

    def test_a_change_is_sent_once(self, journal: Journal) -> None:
        send(journal, a_change(1))
        with pytest.raises(StateError):
            journal.commit(sent=[a_change(1)], outcomes=(), counts=Counts())

    def test_a_withheld_change_is_not_sent(self, journal: Journal) -> None:
        plan(journal, a_change(1))
        journal.withhold(WRITES, "too many", Counts())
        with pytest.raises(StateError):
            journal.commit(sent=[a_change(1)], outcomes=(), counts=Counts())

    @pytest.mark.parametrize("fate", [Fate.DONE, Fate.UNKNOWN])
    def test_what_was_never_sent_has_no_outcome(self, world: World, journal: Journal, fate: Fate) -> None:
        plan(journal, a_change(1))
        with pytest.raises(StateError):
            settle(journal, Outcome(a_change(1), fate, target_id="t1"))
        assert journal.tally() == {(Kind.CREATE, Fate.PLANNED): 1}
        assert not world.links().by_key(["k1"])

    def test_one_unlawful_move_commits_nothing_of_the_rest(self, world: World, journal: Journal) -> None:
        send(journal, a_change(1))
        plan(journal, a_change(2))
        with pytest.raises(StateError):
            settle(
                journal,
                Outcome(a_change(1), Fate.DONE, target_id="t1"),
                Outcome(a_change(2), Fate.DONE, target_id="t2"),
            )
        assert journal.tally() == {(Kind.CREATE, Fate.SENT): 1, (Kind.CREATE, Fate.PLANNED): 1}
        assert not world.links().by_key(["k1", "k2"])

    def test_a_create_without_an_id_is_not_done(self, journal: Journal) -> None:
        send(journal, a_change(1))
        with pytest.raises(StateError):
            settle(journal, Outcome(a_change(1), Fate.DONE))

    # ---- tried again ----

    def refuse(self, journal: Journal, *changes: Change, status: int | None = 409) -> None:
        send(journal, *changes)
        settle(journal, *(Outcome(change, Fate.FAILED, reason="refused", status=status) for change in changes))

    def test_refused_changes_are_planned_again_under_a_new_key(self, world: World, journal: Journal) -> None:
        self.refuse(journal, a_change(1), a_change(2, Kind.UPDATE))
        before = Counts(seen=2, rejected=2)

        after = journal.again(AGAIN, after=0, attempt=2, counts=before)

        assert after == Counts(seen=2, pending=2) == world.counts("run1")
        first, second = journal.planned(WRITES)
        assert first == replace(a_change(1), idempotency_key="run1-1.2")
        assert second == replace(a_change(2, Kind.UPDATE), idempotency_key="run1-2.2")

    def test_a_delete_that_is_planned_again_counts_as_a_delete(self, journal: Journal) -> None:
        self.refuse(journal, a_change(1, Kind.DELETE))
        after = journal.again(AGAIN, after=0, attempt=2, counts=Counts(deletes_rejected=1))
        assert after == Counts(deletes_pending=1)

    def test_a_reject_stays_until_its_change_succeeds(self, world: World, journal: Journal) -> None:
        self.refuse(journal, a_change(1))
        journal.again(AGAIN, after=0, attempt=2, counts=Counts(rejected=1))
        assert world.rejects()["k1"][1] == 1
        (change,) = journal.planned(WRITES)
        journal.commit(sent=[change], outcomes=(), counts=Counts())
        settle(journal, Outcome(change, Fate.DONE, target_id="t1"))
        assert not world.rejects()
        assert journal.tally() == {(Kind.CREATE, Fate.DONE): 1}

    def test_a_second_refusal_in_one_run_is_not_a_second_attempt(self, world: World, journal: Journal) -> None:
        self.refuse(journal, a_change(1))
        journal.again(AGAIN, after=0, attempt=2, counts=Counts(rejected=1))
        (change,) = journal.planned(WRITES)
        journal.commit(sent=[change], outcomes=(), counts=Counts())
        settle(journal, Outcome(change, Fate.FAILED, reason="still", status=422))
        assert [(reject.reason, attempts) for reject, attempts in world.rejects().values()] == [("still", 1)]

    @pytest.mark.parametrize(
        ("after", "status"), [(1, 409), (0, 403), (0, None)], ids=["of a slice before", "forbidden", "not sent"]
    )
    def test_what_no_order_explains_is_not_planned_again(
        self, journal: Journal, after: int, status: int | None
    ) -> None:
        self.refuse(journal, a_change(1), status=status)
        counts = Counts(seen=1, rejected=1)
        assert journal.again(AGAIN, after=after, attempt=2, counts=counts) == counts
        assert journal.tally() == {(Kind.CREATE, Fate.FAILED): 1}

    def test_an_unknown_end_is_never_planned_again(self, journal: Journal) -> None:
        send(journal, a_change(1))
        settle(journal, Outcome(a_change(1), Fate.UNKNOWN, reason="lost", status=409))
        assert journal.again(AGAIN, after=0, attempt=2, counts=Counts()) == Counts()

    def test_a_key_that_came_twice_since_is_not_planned_again(self, journal: Journal) -> None:
        self.refuse(journal, a_change(1))
        journal.plan((), links=(), rejects=[Reject("k1", "two records have the same key")], counts=Counts())
        assert journal.again(AGAIN, after=0, attempt=2, counts=Counts()) == Counts()

    def test_another_runs_failures_are_left_alone(self, world: World, journal: Journal) -> None:
        self.refuse(journal, a_change(1))
        later = world.journal("run2")
        assert later.again(AGAIN, after=0, attempt=2, counts=Counts()) == Counts()
        assert list(later.failed(Kind.CREATE, {409}, after=0, limit=10)) == []

    def test_failed_changes_are_walked_in_order(self, journal: Journal) -> None:
        self.refuse(journal, *(a_change(seq, Kind.UPDATE) for seq in (1, 2, 3)), status=404)
        self.refuse(journal, a_change(4, Kind.UPDATE), status=410)
        self.refuse(journal, a_change(5), status=404)
        found = journal.failed(Kind.UPDATE, {404, 410}, after=1, limit=2)
        assert [change.seq for change in found] == [2, 3]
        assert [change.seq for change in journal.failed(Kind.UPDATE, {404, 410}, after=3, limit=2)] == [4]

    def test_a_mended_change_is_planned_as_it_is_given(self, world: World, journal: Journal) -> None:
        self.refuse(journal, a_change(1, Kind.UPDATE), a_change(2, Kind.UPDATE, version="v"), status=404)
        other = a_change(1, Kind.UPDATE, target_id="t9", version="v9", before={"n": 0}, fields=("n",))
        other = replace(other, owned=False)
        made = a_change(2, target_id=None, version=None, idempotency_key="run1-2.2")

        journal.mend([other, made], Counts(pending=2))

        assert list(journal.planned(WRITES)) == [other, made]
        assert world.counts("run1") == Counts(pending=2)

    def test_what_was_sent_goes_on_as_it_is_given(self, world: World, journal: Journal) -> None:
        plan(journal, a_change(1, Kind.UPDATE))
        journal.commit(sent=[a_change(1, Kind.UPDATE)], outcomes=(), counts=Counts())
        made = a_change(1, target_id=None, version=None, idempotency_key="run1-1-again")

        journal.mend([made], Counts(pending=1))

        assert list(journal.planned(WRITES)) == []
        assert journal.tally() == {(Kind.CREATE, Fate.SENT): 1}
        assert list(world.journal("run2").unresolved()) == [replace(made, fate=Fate.SENT)]

    def test_only_what_failed_or_is_sent_can_be_mended(self, journal: Journal) -> None:
        plan(journal, a_change(1, Kind.UPDATE))
        with pytest.raises(StateError):
            journal.mend([a_change(1, Kind.UPDATE, target_id="t9")], Counts())
        assert list(journal.planned(WRITES)) == [a_change(1, Kind.UPDATE)]

    # ---- marks ----

    def test_a_mark_comes_back_whole_to_the_run_after_one_that_was_cut_off(
        self, world: World, journal: Journal
    ) -> None:
        journal.mark(A_MARK)
        world.end("run1", Ending.INTERRUPTED)
        assert world.journal("run2").last_mark("r1") == A_MARK

    @pytest.mark.parametrize("ending", Ending)
    def test_only_a_run_that_could_not_go_on_leaves_its_mark(
        self, world: World, journal: Journal, ending: Ending
    ) -> None:
        journal.mark(A_MARK)
        world.end("run1", ending)
        assert (world.journal("run2").last_mark("r1") is not None) == (ending in TAKEN_UP)

    def test_another_revision_has_no_use_for_a_mark(self, world: World, journal: Journal) -> None:
        journal.mark(A_MARK)
        world.end("run1", Ending.INTERRUPTED)
        assert world.journal("run2").last_mark("r2") is None

    def test_a_later_mark_takes_the_place_of_the_one_before(self, world: World, journal: Journal) -> None:
        journal.mark(A_MARK)
        journal.mark(replace(A_MARK, resume="later"))
        world.end("run1", Ending.UNAVAILABLE)
        found = world.journal("run2").last_mark("r1")
        assert found is not None
        assert found.resume == "later"

    def test_without_a_mark_there_is_none(self, world: World, journal: Journal) -> None:
        assert journal.last_mark("r1") is None
        journal.unmark()
        journal.mark(A_MARK)
        journal.unmark()
        world.end("run1", Ending.INTERRUPTED)
        assert world.journal("run2").last_mark("r1") is None

    def test_the_rejects_before_a_mark_become_those_of_the_run_that_takes_it_up(
        self, world: World, journal: Journal
    ) -> None:
        journal.plan((), links=(), rejects=[Reject("before", "bad")], counts=Counts())
        journal.mark(A_MARK)
        journal.plan((), links=(), rejects=[Reject("after", "bad")], counts=Counts())
        world.end("run1", Ending.INTERRUPTED)
        second = world.journal("run2")
        assert list(second.behind_mark(["before", "after", "none"])) == ["before"]
        assert second.known(["before", "after"]) == {}

        second.take_up()

        assert second.known(["before", "after"]) == {"before": None}
        assert world.rejects()["before"][1] == 1

    def test_a_mark_that_was_taken_up_may_be_taken_up_again(self, world: World, journal: Journal) -> None:
        journal.plan((), links=(), rejects=[Reject("before", "bad")], counts=Counts())
        journal.mark(A_MARK)
        world.end("run1", Ending.INTERRUPTED)
        second = world.journal("run2")
        second.take_up()
        second.plan((), links=(), rejects=[Reject("after", "bad")], counts=Counts())
        world.end("run2", Ending.INTERRUPTED)
        third = world.journal("run3")
        assert third.last_mark("r1") == A_MARK
        third.take_up()
        assert third.known(["before", "after"]) == {"before": None}

    def test_a_reject_of_long_ago_is_not_before_the_mark(self, world: World, journal: Journal) -> None:
        journal.plan((), links=(), rejects=[Reject("old", "bad")], counts=Counts())
        journal.mark(A_MARK)
        world.end("run1", Ending.DONE)
        second = world.journal("run2")
        second.mark(A_MARK)
        second.plan((), links=(), rejects=[Reject("old", "bad")], counts=Counts())
        world.end("run2", Ending.INTERRUPTED)
        third = world.journal("run3")
        third.take_up()
        assert third.known(["old"]) == {}

    # ---- after a crash ----

    def test_what_an_earlier_run_sent_is_unresolved(self, world: World, journal: Journal) -> None:
        send(journal, a_change(1), a_change(2), a_change(3))
        plan(journal, a_change(4))
        settle(
            journal,
            Outcome(a_change(2), Fate.UNKNOWN, reason="timed out"),
            Outcome(a_change(3), Fate.DONE, target_id="t3"),
        )
        found = world.journal("run2").unresolved()
        assert [(change.key, change.fate, change.reason) for change in found] == [
            ("k1", Fate.SENT, ""),
            ("k2", Fate.UNKNOWN, "timed out"),
        ]
        assert journal.unresolved() == ()

    def test_a_resolved_change_has_its_link(self, world: World, journal: Journal) -> None:
        send(journal, a_change(1))
        later = world.journal("run2")
        (found,) = later.unresolved()
        later.resolve([Outcome(found, Fate.DONE, target_id="t1")])
        assert later.unresolved() == ()
        assert world.links().by_key(["k1"])["k1"].raw == a_change(1).raw
        assert journal.tally() == {(Kind.CREATE, Fate.DONE): 1}

    def test_equal_seqs_of_two_runs_are_told_apart(self, world: World) -> None:
        send(world.journal("run1"), a_change(1, key="a"))
        send(world.journal("run2"), a_change(1, key="b", run="run2"))
        later = world.journal("run3")
        first, second = later.unresolved()
        later.resolve([Outcome(first, Fate.DROPPED)])
        assert [change.key for change in later.unresolved()] == ["b"]
        assert second.key == "b"

    def test_what_nobody_can_tell_stays_unknown(self, world: World, journal: Journal) -> None:
        send(journal, a_change(1))
        for run in ("run2", "run3"):
            later = world.journal(run)
            later.resolve([Outcome(change, Fate.UNKNOWN, reason="look at it") for change in later.unresolved()])
        assert [change.fate for change in world.journal("run4").unresolved()] == [Fate.UNKNOWN]
        assert world.rejects()["k1"][1] == 2

    def test_what_is_resolved_cannot_be_resolved_again(self, world: World, journal: Journal) -> None:
        send(journal, a_change(1))
        later = world.journal("run2")
        outcome = Outcome(later.unresolved()[0], Fate.DROPPED)
        later.resolve([outcome])
        with pytest.raises(StateError):
            later.resolve([outcome])


class RejectsContract:
    """How rejects of one run meet the next one. The world's clock stands still until `move`."""

    @pytest.fixture
    def world(self) -> RejectsWorld:
        raise NotImplementedError

    def refuse(self, world: World, *runs: str, content: bytes = b"c" * 16) -> None:
        for run in runs:
            change = a_change(1, run=run)
            send(world.journal(run), change)
            outcome = Outcome(change, Fate.FAILED, reason="no", status=422, retry=Retry.RARELY, refused=content)
            settle(world.journal(run), outcome)

    def lose(self, world: World, reason: str = "lost") -> None:
        send(world.journal("run1"), a_change(1))
        settle(world.journal("run1"), Outcome(a_change(1), Fate.UNKNOWN, reason=reason, retry=Retry.PERSON))

    def test_what_was_never_rejected_is_not_kept(self, world: RejectsWorld) -> None:
        assert world.links().kept(["k1"]) == {}
        self.refuse(world, "run1")
        assert world.links().kept(["other"]) == {}
        assert world.links().kept([]) == {}

    def test_refused_content_is_tried_in_three_runs_and_rests_then(self, world: RejectsWorld) -> None:
        rested = (None, None, b"c" * 16, b"c" * 16)
        for attempts, rests_for in enumerate(rested, start=1):
            self.refuse(world, f"run{attempts}")
            assert world.links().kept(["k1"]) == {"k1": Kept(rests_for)}
            assert world.links().kept(["k1"])["k1"].attempts == attempts

    def test_other_content_begins_anew(self, world: RejectsWorld) -> None:
        self.refuse(world, "run1", "run2", "run3")
        self.refuse(world, "run4", content=b"d" * 16)
        assert world.links().kept(["k1"]) == {"k1": Kept(None)}
        assert world.rejects()["k1"][1] == 1

    def test_a_reject_for_another_cause_begins_anew(self, world: RejectsWorld) -> None:
        self.refuse(world, "run1", "run2", "run3")
        world.journal("run4").plan((), links=(), rejects=[Reject("k1", "no name")], counts=Counts())
        assert world.links().kept(["k1"]) == {"k1": Kept(None)}
        assert world.rejects()["k1"][1] == 1

    def test_a_cause_that_may_pass_never_rests(self, world: RejectsWorld) -> None:
        for run in ("run1", "run2", "run3", "run4"):
            world.journal(run).plan((), links=(), rejects=[Reject("k1", "no name")], counts=Counts())
        assert world.links().kept(["k1"]) == {"k1": Kept(None)}
        assert world.rejects()["k1"][1] == 4

    def test_resting_is_no_attempt_and_takes_no_time_from_the_rest(self, world: RejectsWorld) -> None:
        self.refuse(world, "run1", "run2", "run3")
        world.move(timedelta(hours=23))
        world.journal("run4").plan((), links=(), rejects=(), rests=["k1"], counts=Counts())
        assert world.rejects()["k1"][1] == 3
        assert world.links().kept(["k1"]) == {"k1": Kept(b"c" * 16)}
        world.move(timedelta(hours=1))
        assert world.links().kept(["k1"]) == {"k1": Kept(b"c" * 16, is_rested=True)}

    def test_what_rests_is_known_to_its_run_and_to_no_other(self, world: RejectsWorld) -> None:
        self.refuse(world, "run1", "run2", "run3")
        journal = world.journal("run4")
        journal.plan((), links=(), rejects=(), rests=["k1"], counts=Counts())
        assert journal.known(["k1"]) == {"k1": None}
        assert world.journal("run5").known(["k1"]) == {}

    def test_what_waits_for_a_person_keeps_its_first_reason_and_its_attempts(self, world: RejectsWorld) -> None:
        self.lose(world)
        for run in ("run2", "run3"):
            later = world.journal(run)
            (change,) = later.unresolved()
            later.resolve([Outcome(change, Fate.UNKNOWN, reason="still", retry=Retry.PERSON)])
            assert later.known(["k1"]) == {"k1": None}
        assert world.rejects() == {"k1": (Reject("k1", "lost", kind=Kind.CREATE, retry=Retry.PERSON), 1)}
        assert world.links().kept(["k1"]) == {"k1": Kept(None)}

    def test_what_is_known_never_to_have_arrived_waits_for_nobody(self, world: RejectsWorld) -> None:
        self.lose(world)
        later = world.journal("run2")
        (change,) = later.unresolved()
        later.resolve([Outcome(change, Fate.DROPPED, reason="looked up")])
        assert world.rejects()["k1"][0].retry is Retry.EACH_RUN


class CursorsContract:
    """How far each part was read."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def test_a_cursor_comes_back_as_the_source_wrote_it(self, world: World) -> None:
        for value in ("2026-03-01T12:00:00.123456789+02:00", 9007199254740993, Decimal("1.50"), "✓"):
            world.journal("run1").move([Cursor("", value, "r1", base=value)], whole=False)

            found = world.links().cursor("")

            assert found is not None
            assert (found.value, found.base, found.revision, found.run) == (value, value, "r1", "run1")
            assert found.moved_at is not None

    def test_parts_have_cursors_of_their_own(self, world: World) -> None:
        world.journal("run1").move([Cursor("a", 1, "r1"), Cursor("b", 2, "r1", is_disordered=True)], whole=False)
        world.journal("run2").move([Cursor("b", 3, "r1", base=2)], whole=False)

        links = world.links()
        a, b = links.cursor("a"), links.cursor("b")

        assert links.cursor("c") is None
        assert a is not None
        assert (a.value, a.base, a.run) == (1, None, "run1")
        assert b is not None
        assert (b.value, b.base, b.is_disordered, b.run) == (3, 2, False, "run2")

    def test_a_cursor_without_a_value_is_forgotten(self, world: World) -> None:
        journal = world.journal("run1")
        journal.move([Cursor("a", 1, "r1"), Cursor("b", 2, "r1")], whole=False)

        journal.move([Cursor("a", None, "r1")], whole=False)

        assert world.links().cursor("a") is None
        assert world.links().cursor("b") is not None

    def test_a_whole_read_is_remembered_until_the_next(self, world: World) -> None:
        assert world.links().last_whole() is None
        world.journal("run1").move([], whole=True)
        world.journal("run2").move([Cursor("", 1, "r1")], whole=False)

        last = world.links().last_whole()

        assert last is not None
        assert last.run == "run1"
        world.journal("run3").move([], whole=True)
        last = world.links().last_whole()
        assert last is not None
        assert last.run == "run3"


class LinksContract:
    """What every memory of links must do. Links get there through a journal."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def remember(self, world: World, *links: tuple[Link, dict[str, Any] | None]) -> None:
        world.journal("run1").plan((), links=links, rejects=(), counts=Counts())

    def test_an_unknown_job_has_no_links(self, world: World) -> None:
        assert (world.links().count(), world.links().highest()) == (0, 0)
        assert world.links().by_key(["x"]) == {}
        assert world.links().by_key([]) == {}
        assert world.links().documents([1]) == {}
        assert list(world.links().range(0, 10**9, 10)) == []
        assert world.links().last_seen() is None
        assert world.links().last_selection() is None

    def test_links_are_counted(self, world: World) -> None:
        self.remember(world, (a_link("a"), None), (a_link("b", owned=False), None))
        assert world.links().count() == 2
        assert world.links().highest() == world.links().by_key(["b"])["b"].id

    def test_links_are_found_by_their_part_and_by_the_parts_within_it(self, world: World) -> None:
        parts = ["", "a", "a/b", "ab", "a%", "ä/ö", "A"]
        self.remember(world, *((a_link(f"k{part}", part=part), None) for part in parts))
        ids = {link.id: link.part for link in world.links().by_key([f"k{part}" for part in parts]).values()}

        def found(part: str, *, within: bool = False) -> set[str]:
            return {ids[one] for one in world.links().in_part(part, within=within)}

        assert set(ids.values()) == set(parts)
        assert found("a") == {"a"}
        assert found("a", within=True) == {"a", "a/b"}
        assert found("ä", within=True) == {"ä/ö"}
        assert found("") == {""}
        self.remember(world, (a_link("ka", part="A"), None))
        assert len(list(world.links().in_part("A"))) == 2

    def test_links_are_found_by_their_ids_where_they_are_of_this_job(self, world: World) -> None:
        self.remember(world, *((a_link(f"k{number}"), None) for number in range(5)))
        ids = [link.id for link in world.links().range(0, 10**9, 10)]

        assert [link.key for link in world.links().by_id([ids[3], ids[1], ids[-1] + 100])] == ["k1", "k3"]
        assert list(world.links().by_id([])) == []

    def test_raw_fingerprints_are_read_in_the_order_in_which_links_came_to_be(self, world: World) -> None:
        self.remember(world, *((a_link(f"k{number}", part="p" * (number % 2)), None) for number in range(5)))
        links = world.links().range(0, 10**9, 10)
        rows = [(link.id, link.raw, link.part) for link in links]

        assert [tuple(row) for row in world.links().raws(0, 10)] == rows
        assert [tuple(row) for row in world.links().raws(links[1].id, 2)] == rows[2:4]
        assert list(world.links().raws(links[-1].id, 2)) == []

    def test_links_are_numbered_in_order_of_arrival(self, world: World) -> None:
        self.remember(world, (a_link("z"), None), (a_link("a"), None))
        found = world.links().by_key(["a", "z"])
        assert 0 < found["z"].id < found["a"].id

    def test_thousands_of_keys_are_found_at_once(self, world: World) -> None:
        self.remember(world, *((a_link(f"k{n}"), None) for n in range(2500)))
        keys = [f"k{n}" for n in range(5000)]
        assert set(world.links().by_key(keys)) == {f"k{n}" for n in range(2500)}

    def test_keys_are_texts_and_not_patterns(self, world: World) -> None:
        odd = ["a'b", 'a"b', "100%", "a_b", "ä\x1fb", "01", "1"]
        self.remember(world, *((a_link(key), {"key": key}) for key in odd))
        assert set(world.links().by_key(odd)) == set(odd)
        assert world.links().by_key(["A'B", "a%", "001"]) == {}

    def test_a_link_takes_the_place_of_the_one_before(self, world: World) -> None:
        self.remember(world, (a_link("a"), {"n": 1}))
        before = world.links().by_key(["a"])["a"]
        self.remember(world, (a_link("a", target_id="t2", raw=b"", version="v"), {"n": 2}))
        after = world.links().by_key(["a"])["a"]
        assert after == replace(before, target_id="t2", raw=b"", version="v")
        assert world.links().documents([after.id]) == {after.id: {"n": 2}}

    def test_a_link_remembers_its_contest_until_it_is_told_otherwise(self, world: World) -> None:
        self.remember(world, (a_link("a", contest="x"), None), (a_link("b"), None))
        links = world.links()
        assert [link.contest for link in links.range(0, links.highest(), 10)] == ["x", None]
        self.remember(world, (a_link("a"), None))
        assert world.links().by_key(["a"])["a"].contest is None

    def test_links_are_found_by_their_target_records(self, world: World) -> None:
        self.remember(world, (a_link("a"), None), (a_link("b", target_id="t-a"), None), (a_link("c"), None))
        found = world.links().by_target(["t-a", "t-x"])
        assert {target: sorted(link.key for link in links) for target, links in found.items()} == {"t-a": ["a", "b"]}

    def test_a_forgotten_link_is_gone_with_its_document(self, world: World) -> None:
        self.remember(world, (a_link("a"), {"n": 1}), (a_link("b"), {"n": 2}))
        before = world.links().by_key(["a"])["a"]
        world.journal("run1").plan((), links=(), rejects=(), counts=Counts(), forgotten=["a", "x"])
        assert set(world.links().by_key(["a", "b"])) == {"b"}
        assert world.links().documents([before.id]) == {}

    def test_no_document_leaves_the_remembered_one(self, world: World) -> None:
        self.remember(world, (a_link("a"), {"n": 1}), (a_link("b"), None))
        self.remember(world, (a_link("a", raw=b"2" * 16), None))
        links = world.links().by_key(["a", "b"])
        assert world.links().documents([link.id for link in links.values()]) == {links["a"].id: {"n": 1}}

    def test_an_empty_document_is_a_document(self, world: World) -> None:
        self.remember(world, (a_link("a"), {}))
        link = world.links().by_key(["a"])["a"]
        assert world.links().documents([link.id]) == {link.id: {}}

    def test_a_range_is_walked_in_order(self, world: World) -> None:
        self.remember(world, *((a_link(f"k{n}"), None) for n in range(7)))
        highest, after, met = world.links().highest(), 0, []
        while batch := world.links().range(after, highest, 3):
            met += [link.key for link in batch]
            after = batch[-1].id
        assert met == [f"k{n}" for n in range(7)]
        assert [link.key for link in world.links().range(0, highest - 1, 100)] == met[:-1]

    def young(self, world: RejectsWorld) -> set[str]:
        return set(world.links().young(SETTLE))

    def test_a_record_is_young_from_its_write_until_the_target_has_settled(self, world: RejectsWorld) -> None:
        journal = world.journal("run1")
        send(journal, a_change(1), a_change(2, Kind.UPDATE), a_change(3), a_change(4, Kind.DELETE))
        settle(
            journal,
            Outcome(a_change(1), Fate.DONE, target_id="t1"),
            Outcome(a_change(2, Kind.UPDATE), Fate.DONE),
            Outcome(a_change(3), Fate.FAILED, status=422),
            Outcome(a_change(4, Kind.DELETE), Fate.DONE),
        )
        world.move(timedelta(seconds=29.9))
        assert self.young(world) == {"k1", "k2"}
        world.move(timedelta(seconds=0.1))
        assert self.young(world) == set()

    def test_to_be_linked_is_not_to_be_written(self, world: RejectsWorld) -> None:
        self.remember(world, (a_link("a"), {"n": 1}))
        assert self.young(world) == set()

    def test_a_link_that_is_stored_again_is_as_young_as_before(self, world: RejectsWorld) -> None:
        journal = world.journal("run1")
        send(journal, a_change(1))
        settle(journal, Outcome(a_change(1), Fate.DONE, target_id="t1"))
        world.move(timedelta(seconds=10))
        self.remember(world, (a_link("k1"), None))
        world.move(timedelta(seconds=19))
        assert self.young(world) == {"k1"}
        world.move(timedelta(seconds=1))
        assert self.young(world) == set()

    def test_a_change_of_which_nobody_knows_is_as_old_as_the_loss_of_its_answer(self, world: RejectsWorld) -> None:
        journal = world.journal("run1")
        send(journal, a_change(1))
        world.move(timedelta(seconds=20))
        settle(journal, Outcome(a_change(1), Fate.UNKNOWN))
        world.move(timedelta(seconds=20))
        world.end("run1", Ending.REJECTED)
        later = world.journal("run2")
        later.resolve([Outcome(change, Fate.UNKNOWN) for change in later.unresolved()])
        world.move(timedelta(seconds=9))
        assert self.young(world) == {"k1"}
        world.move(timedelta(seconds=1))
        assert self.young(world) == set()

    def test_a_change_that_was_sent_again_is_as_young_as_that(self, world: RejectsWorld) -> None:
        send(world.journal("run1"), a_change(1))
        for run in ("run2", "run3"):
            world.move(timedelta(seconds=20))
            later = world.journal(run)
            later.resolve([Outcome(one, Fate.UNKNOWN, sent_again=True) for one in later.unresolved()])
        world.move(timedelta(seconds=20))
        assert self.young(world) == {"k1"}

    def test_a_change_that_was_left_as_sent_is_as_old_as_the_end_of_its_run(self, world: RejectsWorld) -> None:
        send(world.journal("run1"), a_change(1))
        world.move(timedelta(seconds=40))
        world.end("run1", Ending.INTERRUPTED)
        world.move(timedelta(seconds=29))
        assert self.young(world) == {"k1"}
        world.move(timedelta(seconds=1))
        assert self.young(world) == set()

    def test_the_link_of_a_change_that_is_planned_anew_counts_as_written(self, world: RejectsWorld) -> None:
        self.remember(world, (a_link("k1"), {"n": 1}))
        send(world.journal("run1"), a_change(1, Kind.UPDATE))
        world.move(timedelta(seconds=40))
        later = world.journal("run2")
        later.resolve([Outcome(change, Fate.DROPPED) for change in later.unresolved()])
        world.move(timedelta(seconds=29))
        assert self.young(world) == {"k1"}
        world.move(timedelta(seconds=1))
        assert self.young(world) == set()


class TargetIndexContract:
    """What every target index must do."""

    @pytest.fixture
    def index(self) -> TargetIndex:
        raise NotImplementedError

    def test_an_empty_index_finds_nothing(self, index: TargetIndex) -> None:
        assert index.count() == 0
        assert index.by_match(["x"]) == {}
        assert index.by_id(["x"]) == {}

    def test_records_are_found_by_match_and_by_id(self, index: TargetIndex) -> None:
        ada = TargetRecord("1", "ada", {"name": "Ada", "pay": Decimal("1.10")}, "v1")
        bob = TargetRecord("2", None, {}, None)
        index.put([ada])
        index.put([bob])
        assert index.by_match(["ada", "none"]) == {"ada": (ada,)}
        assert index.by_id(["1", "2", "3"]) == {"1": ada, "2": bob}
        assert index.count() == 2

    def test_two_records_for_one_match_are_both_told(self, index: TargetIndex) -> None:
        index.put([TargetRecord(n, "ada", {}, None) for n in ("1", "2")])
        assert [record.id for record in index.by_match(["ada", "ada"])["ada"]] == ["1", "2"]

    def test_a_record_met_on_two_pages_counts_once(self, index: TargetIndex) -> None:
        index.put([TargetRecord("1", "ada", {"n": 1}, None)])
        index.put([TargetRecord("1", "ada", {"n": 2}, None)])
        assert index.count() == 1
        assert [record.document for record in index.by_match(["ada"])["ada"]] == [{"n": 2}]

    def test_thousands_are_found_at_once(self, index: TargetIndex) -> None:
        index.put([TargetRecord(f"t{n}", f"k{n}", {"n": n}, None) for n in range(2500)])
        assert len(index.by_match([f"k{n}" for n in range(5000)])) == 2500
        assert len(index.by_id([f"t{n}" for n in range(5000)])) == 2500
