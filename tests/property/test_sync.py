"""The laws of a run, whatever happens: both sides change, systems fail, the process dies, and it goes on.

A story is a few runs with changes and trouble between and inside them. After each run the safety laws must hold, and
nothing that was refused is tried more often than it may be; once a person has had the rejects tried again, one more run
without trouble makes the target what the source says, and another one writes nothing.

This is the wide search: the engine alone over a journal in memory, thousands of stories in a minute. `test_model.py`
has the narrow one: the whole worker on a real state file, people at work during the runs, and the wire.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.endpoints.memory import MemorySource, MemoryTarget
from daemon.errors import RefusedError, StaleError, UnavailableError, UnknownError
from daemon.sync import engine
from daemon.sync.change import Change, Fate, Kind
from daemon.sync.counts import Counts
from daemon.sync.events import Event, ReadResumed
from daemon.sync.guards import Allowance
from daemon.sync.options import Options
from daemon.sync.outcome import Ending, Result
from daemon.sync.pin import Digests, Pin
from daemon.sync.ports import Accepted, Ports, Written
from daemon.sync.retry import REST, TRIES
from tests.fakes.memory_state import MemoryIndex, MemoryJournal, MemoryLinks, MemoryState
from tests.unit.sync.harness import InlinePool, job, person

T = TypeVar("T")

NUMBERS = st.integers(0, 5)
"""Few people, so that things happen to the same one again."""
EVERYTHING = Allowance(deletes=1_000, updates=1_000)
FIELDS = ("no", "name", "email")


class CrashError(BaseException):
    """The process dies here. Nothing in the program may catch it."""


# ---- what may happen ----


@dataclass(frozen=True)
class Shape:
    """What the job declares, and so by which way a lost answer can be cleared up."""

    lists: bool
    looks_up: bool
    idempotent: bool
    compare: Literal["links", "target"] = "links"
    gets: bool = False
    replaces: bool = False
    """Whether an update is a PUT of the whole record."""
    batch: int = 1
    """How many changes go into one request."""

    @property
    def sees(self) -> bool:
        """Whether it can see at all what was at the target before."""
        return self.lists or self.looks_up


@dataclass(frozen=True)
class Trouble:
    """What goes wrong during one run; None and empty: nothing."""

    breaks_at: int | None = None
    """The source's page that does not arrive."""
    loses: frozenset[str] = frozenset()
    """Keys whose create, update or delete is carried out and not answered, once."""
    refuses: frozenset[str] = frozenset()
    moves: frozenset[str] = frozenset()
    """Keys whose record somebody edits just before each first update or delete, which gets 412."""
    fades_after: int | None = None
    """Writes until the target is unavailable."""
    asks_s: float | None = None
    """The wait that an unavailable system asks for."""
    stops_after: int | None = None
    """Writes until the operator presses Ctrl-C."""
    crash_at: int | None = None
    """The call of the journal in which the process dies."""
    crash_commits: bool = False
    """Whether that call still took effect."""


@dataclass(frozen=True)
class Edit:
    """Something that people do between two runs."""

    what: Literal[
        "join", "leave", "edit", "twin", "nobody", "note", "foreign", "claim", "drop", "spoil", "rekey", "retry", "day"
    ]
    number: int
    value: str


@dataclass(frozen=True)
class Step:
    """Some edits, and then a run."""

    edits: tuple[Edit, ...]
    trouble: Trouble
    is_plan: bool
    allowed: bool
    approved: bool
    """Whether somebody approves what the run withheld."""
    slice_changes: int
    window: int
    page_size: int
    slice_pages: int


@dataclass(frozen=True)
class Story:
    shape: Shape
    staff: frozenset[int]
    there_before: frozenset[int]
    refused: frozenset[str]
    """Keys that the target refuses in every run but the last ones."""
    steps: tuple[Step, ...]
    resumes: bool
    """Whether a read that was cut off may be gone on with."""


KEYS = st.frozensets(NUMBERS.map("E{}".format), max_size=4)
WAITS = st.sampled_from([None, 36_000.0])
TROUBLES = st.one_of(
    st.just(Trouble()),
    st.builds(Trouble, loses=KEYS),
    st.builds(Trouble, refuses=KEYS, loses=KEYS),
    st.builds(Trouble, moves=KEYS, loses=KEYS),
    st.builds(Trouble, breaks_at=st.integers(1, 4), asks_s=WAITS),
    st.builds(Trouble, fades_after=st.integers(0, 6), loses=KEYS, asks_s=WAITS),
    st.builds(Trouble, stops_after=st.integers(0, 6), loses=KEYS),
    st.builds(Trouble, crash_at=st.integers(1, 9), crash_commits=st.booleans()),
    st.builds(Trouble, crash_at=st.integers(1, 9), crash_commits=st.booleans(), loses=KEYS, refuses=KEYS),
)
EDITS = st.builds(
    Edit,
    what=st.sampled_from(
        [
            "join",
            "leave",
            "leave",
            "edit",
            "edit",
            "edit",
            "twin",
            "nobody",
            "note",
            "foreign",
            "claim",
            "drop",
            "spoil",
            "rekey",
            "retry",
            "day",
        ]
    ),
    number=NUMBERS,
    value=st.sampled_from("ab"),
)
STEPS = st.builds(
    Step,
    edits=st.lists(EDITS, max_size=5).map(tuple),
    trouble=TROUBLES,
    is_plan=st.sampled_from([False, False, False, True]),
    allowed=st.sampled_from([True, False]),
    approved=st.booleans(),
    slice_changes=st.integers(1, 5) | st.just(50_000),
    window=st.integers(1, 4),
    page_size=st.integers(1, 4),
    slice_pages=st.integers(1, 3) | st.just(1_000),
)
SHAPES = st.sampled_from(
    [
        Shape(lists=True, looks_up=True, idempotent=True),
        Shape(lists=True, looks_up=True, idempotent=False, compare="target"),
        Shape(lists=True, looks_up=False, idempotent=False),
        Shape(lists=True, looks_up=False, idempotent=False, compare="target"),
        Shape(lists=False, looks_up=True, idempotent=False),
        Shape(lists=True, looks_up=True, idempotent=False, gets=True),
        Shape(lists=False, looks_up=True, idempotent=True, gets=True, replaces=True),
        Shape(lists=False, looks_up=False, idempotent=True),
        Shape(lists=True, looks_up=True, idempotent=False, batch=3),
        Shape(lists=True, looks_up=False, idempotent=False, batch=2),
        Shape(lists=False, looks_up=False, idempotent=True, batch=4),
    ]
)
STORIES = st.builds(
    Story,
    shape=SHAPES,
    staff=st.frozensets(NUMBERS),
    there_before=st.frozensets(NUMBERS, max_size=4),
    refused=st.frozensets(NUMBERS.map("E{}".format), max_size=2),
    steps=st.lists(STEPS, min_size=1, max_size=6).map(tuple),
    resumes=st.booleans(),
)


CUT_OFF = st.one_of(
    st.builds(Trouble, breaks_at=st.integers(2, 7), loses=KEYS, refuses=KEYS),
    st.builds(Trouble, stops_after=st.integers(1, 6), loses=KEYS, refuses=KEYS),
    st.builds(Trouble, crash_at=st.integers(4, 25), crash_commits=st.booleans(), loses=KEYS, refuses=KEYS),
    st.builds(Trouble, fades_after=st.integers(1, 6), loses=KEYS),
)
LONG_READS = st.builds(
    Story,
    shape=SHAPES,
    staff=st.frozensets(NUMBERS, min_size=3),
    there_before=st.frozensets(NUMBERS, max_size=2),
    refused=st.frozensets(NUMBERS.map("E{}".format), max_size=1),
    steps=st.lists(
        st.builds(
            Step,
            edits=st.lists(EDITS, max_size=3).map(tuple),
            trouble=CUT_OFF,
            is_plan=st.just(False),
            allowed=st.sampled_from([True, True, False]),
            slice_changes=st.integers(1, 3),
            window=st.integers(1, 3),
            page_size=st.integers(1, 2),
            slice_pages=st.integers(1, 2),
        ),
        min_size=1,
        max_size=5,
    ).map(tuple),
    resumes=st.just(True),
)
"""Reads of many pages that are cut off again and again, and gone on with."""


# ---- where it happens ----


class Desk(MemoryTarget):
    """A target with moods, which notes what must never be asked of it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(
            match="no",
            lists=shape.lists,
            looks_up=shape.looks_up,
            gets=shape.gets,
            replaces=shape.replaces,
            idempotent=shape.idempotent,
            batch=shape.batch,
        )
        self.trouble = Trouble()
        self.employed: frozenset[str] = frozenset()
        self.is_certain = True
        """Whether the source's list is one from which absence may be concluded."""
        self.made: dict[str, str] = {}
        """Ids and keys of the records that were created over the API."""
        self.wrongs: list[str] = []
        self.asked = 0
        self.refusals: dict[str, tuple[bytes, int]] = {}
        """By key: the content that was refused last, and how often it was, one run after another."""
        self._lost: set[str] = set()
        self._moved: set[str] = set()

    def begin(self, trouble: Trouble, employed: frozenset[str], *, is_certain: bool) -> None:
        self.trouble, self.employed, self.is_certain = trouble, employed, is_certain
        self.asked = 0
        self._lost = set()
        self._moved = set()
        self._refused: set[str] = set()
        if not is_certain:
            # Two records with one key are another cause to reject it, and the tries of the first begin anew.
            self.refusals.clear()

    def create(self, change: Change) -> Written:
        self._arrive(change)
        is_repeat = self.has_idempotency and change.idempotency_key in self._answers
        if not is_repeat and any(record["no"] == change.key for record in self.records.values()):
            self.wrongs.append(f"a second create of {change.key}")
        written = super().create(change)
        self.made[written.id or ""] = change.key
        self._answer(change)
        return written

    def update(self, change: Change) -> Written:
        self._arrive(change)
        self._move_on(change)
        written = super().update(change)
        self._answer(change)
        return written

    def delete(self, change: Change) -> Accepted | None:
        self._arrive(change)
        self._move_on(change)
        if change.key in self.employed:
            self.wrongs.append(f"a delete of {change.key}, who is in the source")
        if not self.is_certain:
            self.wrongs.append(f"a delete of {change.key} after a read that proves nothing")
        if change.target_id in self.records and self.records[change.target_id]["no"] in self.employed:
            self.wrongs.append(f"a delete of {self.records[change.target_id]['no']} by the name of {change.key}")
        if change.target_id in self.records and change.target_id not in self.made:
            self.wrongs.append(f"a delete of {change.key}, which somebody else had made")
        super().delete(change)
        self._answer(change)
        return None

    def _arrive(self, change: Change) -> None:
        if self.trouble.fades_after is not None and self.asked >= self.trouble.fades_after:
            raise UnavailableError("connection refused", retry_after_s=self.trouble.asks_s)
        self.asked += 1
        if change.key in self.trouble.refuses:
            self._count(change)
            raise RefusedError("answered with status code 422", status=422)

        self.refusals.pop(change.key, None)

    def _count(self, change: Change) -> None:
        if change.key in self._refused:
            return  # once a run, however often it is tried again for its order
        self._refused.add(change.key)
        content = b"" if change.kind is Kind.DELETE else change.fingerprint
        before, times = self.refusals.get(change.key, (content, 0))
        times = times + 1 if content == before else 1
        # What is repeated to clear up a lost answer is not a try of its content.
        if change.fate is Fate.PLANNED:
            self.refusals[change.key] = content, times
            if times > TRIES:
                self.wrongs.append(f"try {times} of what {change.key} was refused")

    def _move_on(self, change: Change) -> None:
        if change.key in self.trouble.moves - self._moved:
            self._moved.add(change.key)
            raise StaleError("the record is another version by now", status=412)

    def _answer(self, change: Change) -> None:
        if change.key in self.trouble.loses - self._lost:
            self._lost.add(change.key)
            raise UnknownError("the answer was lost")


class MortalJournal(MemoryJournal):
    """A journal whose process may die in any of its writes."""

    def __init__(self, state: MemoryState, run: str, trouble: Trouble, *, writes: bool) -> None:
        super().__init__(state, run, writes=writes)
        self._trouble = trouble
        self._calls = 0

    def plan(self, changes: Sequence[Change], **more: Any) -> None:
        self._mortally(lambda: super(MortalJournal, self).plan(changes, **more))

    def spoil(self, *arguments: Any) -> None:
        self._mortally(lambda: super(MortalJournal, self).spoil(*arguments))

    def commit(self, **more: Any) -> None:
        self._mortally(lambda: super(MortalJournal, self).commit(**more))

    def withhold(self, *arguments: Any) -> None:
        self._mortally(lambda: super(MortalJournal, self).withhold(*arguments))

    def resolve(self, *arguments: Any) -> None:
        self._mortally(lambda: super(MortalJournal, self).resolve(*arguments))

    def mend(self, *arguments: Any) -> None:
        self._mortally(lambda: super(MortalJournal, self).mend(*arguments))

    def again(self, *arguments: Any, counts: Counts, **more: Any) -> Counts:
        reopened = [counts]
        self._mortally(
            lambda: reopened.append(super(MortalJournal, self).again(*arguments, counts=counts, **more)),
        )
        return reopened[-1]

    def mark(self, *arguments: Any) -> None:
        self._mortally(lambda: super(MortalJournal, self).mark(*arguments))

    def take_up(self) -> None:
        self._mortally(super().take_up)

    def unmark(self) -> None:
        self._mortally(super().unmark)

    def _mortally(self, work: Callable[[], None]) -> None:
        self._calls += 1
        dies = self._calls == self._trouble.crash_at
        if not dies or self._trouble.crash_commits:
            work()
        if dies:
            raise CrashError


@dataclass
class Approval:
    """Somebody's word for what a run withheld."""

    digests: Digests
    seen: set[tuple[object, ...]]
    """What was withheld, one by one: the oracle."""
    runs: set[str] = field(default_factory=set)
    """The runs under it so far."""


@dataclass
class World:
    """Both systems, what is remembered, and what people did behind the program's back."""

    shape: Shape
    source: MemorySource = field(default_factory=MemorySource)
    state: MemoryState = field(default_factory=MemoryState)
    notes: dict[str, str] = field(default_factory=dict)
    """Target ids and what somebody wrote into a field that the job does not map."""
    foreign: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The records that are not the job's business, as they must stay."""
    unlike_before: set[str] = field(default_factory=set)
    """Keys whose record was dropped at the target; only a value that was never there shows it to a job that compares
    with its links, so these get no other."""
    left: set[str] = field(default_factory=set)
    """Keys that left once. Where the target cannot be seen, nobody can tell whether a delete without an answer was
    made, and who comes back after it is a case for a person."""
    retired: set[str] = field(default_factory=set)
    """Keys that were changed to others on both sides. Given to somebody else before the next run, such a key would
    still lead to the record that had it: no run can tell the two people apart, so it is given to nobody."""
    runs: int = 0
    others: int = 0
    went_on: bool = False
    """Whether the last run went on with the read of another."""
    approval: "Approval | None" = None
    """What waits for the next run."""

    def __post_init__(self) -> None:
        self.target = Desk(self.shape)
        guards = {"deletes": "30%", "updates": "60%"}
        self.job = job(compare=self.shape.compare, guards=guards)

    # ---- people ----

    def happens(self, edit: Edit) -> None:
        getattr(self, f"_{edit.what}")(f"E{edit.number}", edit)

    def put(self, number: int, value: str = "a") -> None:
        key = f"E{number}"
        if key in self.retired:
            return
        if key in self.unlike_before:
            self.others += 1
            value = f"new {self.others}"
        self._forget(key)
        self.source.records.append(person(number, name=f"{key} {value}"))

    def _join(self, key: str, edit: Edit) -> None:
        if self.shape.sees or key not in self.left:
            self.put(edit.number)

    def _edit(self, key: str, edit: Edit) -> None:
        if key in self.employed():
            self.put(edit.number, edit.value)

    def _leave(self, key: str, edit: Edit) -> None:
        self.left.add(key)
        self._forget(key)

    def _forget(self, key: str) -> None:
        self.source.records = [record for record in self.source.records if record.get("no") != key]

    def _twin(self, key: str, edit: Edit) -> None:
        if key in self.employed():
            self.source.records.append(person(edit.number, name=f"{key} twin"))

    def _nobody(self, key: str, edit: Edit) -> None:
        self.source.records.append({"name": f"Nobody {edit.value}"})

    def _note(self, key: str, edit: Edit) -> None:
        if (target_id := self._id_of(key)) is not None:
            self.target.records[target_id] = {**self.target.records[target_id], "note": edit.value}
            self.notes[target_id] = edit.value

    def _foreign(self, key: str, edit: Edit) -> None:
        self.others += 1
        self.foreign[f"f{self.others}"] = self.target.records[f"f{self.others}"] = {"no": f"X{self.others}"}

    def _claim(self, key: str, edit: Edit) -> None:
        """Somebody makes a record of ours by hand, unless one is there or may be under way."""
        under_way = {one.key for one in self.state.changes.values() if one.fate in {Fate.SENT, Fate.UNKNOWN}}
        taken = {*under_way, *self.state.links, *self.retired}
        if self.shape.sees and self._id_of(key) is None and key not in taken:
            self.others += 1
            self.target.records[f"c{self.others}"] = {"no": key, "name": f"{key} {edit.value}"}

    def _drop(self, key: str, edit: Edit) -> None:
        target_id = self._id_of(key)
        if target_id is None or not (self.shape.looks_up or self.shape.compare == "target"):
            return
        del self.target.records[target_id]
        self.notes.pop(target_id, None)
        if self.shape.compare == "links":
            self.unlike_before.add(key)
            if key in self.employed():
                self.put(edit.number)

    def _spoil(self, key: str, edit: Edit) -> None:
        target_id = self._id_of(key)
        if target_id is not None and self.shape.compare == "target":
            # Never the same twice: who sets the same value back before each run is let have it (test_convergence).
            self.others += 1
            self.target.records[target_id] = {**self.target.records[target_id], "name": f"spoilt {self.others}"}

    def _rekey(self, key: str, edit: Edit) -> None:
        """Somebody gives a person another key on both sides; where the target is not seen, nobody could tell."""
        target_id = self._id_of(key)
        other = f"E{(edit.number + 1) % 6}"
        under_way = {one.key for one in self.state.changes.values() if one.fate in {Fate.SENT, Fate.UNKNOWN}}
        taken = {other, key} & under_way or {other} & {*self.employed(), *self.state.links, *self.retired}
        if taken or not self.shape.sees or target_id is None or key not in self.employed() or self._id_of(other):
            return
        self._forget(key)
        self.retired.add(key)
        self.source.records.append(person((edit.number + 1) % 6, name=f"{other} {edit.value}"))
        self.target.records[target_id] = {**self.target.records[target_id], "no": other}
        if target_id in self.target.made:
            self.target.made[target_id] = other

    def _retry(self, key: str, edit: Edit) -> None:
        self.make_due()

    def _day(self, key: str, edit: Edit) -> None:
        self.state.now += REST
        self.target.refusals.clear()

    def make_due(self) -> None:
        """Somebody looks at the rejects and has them tried again."""
        self.state.retry_all()
        self.target.refusals.clear()

    def employed(self) -> frozenset[str]:
        return frozenset(record["no"] for record in self.source.records if "no" in record)

    def is_tidy(self) -> bool:
        """Whether every record of the source has a key of its own."""
        return len(self.employed()) == len(self.source.records)

    def tidy(self) -> None:
        """Somebody clears up the source: the first of two records with one key is the right one."""
        records = {record["no"]: record for record in reversed(self.source.records) if "no" in record}
        self.source.records = [record for record in self.source.records if record is records.get(record.get("no"))]

    def _id_of(self, key: str) -> str | None:
        return next((one for one, record in self.target.records.items() if record["no"] == key), None)

    # ---- the program ----

    def approve(self, held: Result) -> None:
        """Approve what the latest run withheld."""
        changes = [one for (run, _), one in self.state.changes.items() if run == f"run{self.runs}"]
        seen = {written(one) for one in changes if one.fate is Fate.WITHHELD}
        self.approval = Approval(held.withheld, seen)

    def _pin(self) -> Pin | None:
        approval = self.approval
        if approval is None:
            return None
        changes = self.state.changes
        return Pin(
            "the approval",
            approval.digests,
            earlier=lambda: [one for (run, _), one in changes.items() if run in approval.runs],
            runs=frozenset(approval.runs),
        )

    def _check_released(self, run: str, result: Result | None) -> None:
        """Take note of a kind of change that the approval let pass, and was not what had been seen."""
        released = {one.guard for one in result.verdicts if "allowed by" in one.message} if result else set()
        kinds = {Kind.UPDATE if guard == "updates" else Kind.DELETE for guard in released}
        for (other, _), one in self.state.changes.items():
            approved = self.approval is not None and written(one) in self.approval.seen
            if other == run and one.kind in kinds and one.fate is Fate.DONE and not approved:
                self.target.wrongs.append(f"a {one.kind} of {one.key} that nobody approved")

    def run(
        self, trouble: Trouble, *, writes: bool = True, allowance: Allowance = EVERYTHING, **options: Any
    ) -> Result | None:
        """Do one run, under the approval that waits for it; None when its process died."""
        self.runs += 1
        run = f"run{self.runs}"
        pin = self._pin() if writes else None
        self.source.breaks_at, self.source.error = (
            trouble.breaks_at,
            UnavailableError("gone", retry_after_s=trouble.asks_s),
        )
        self.target.begin(trouble, self.employed(), is_certain=self.is_tidy())
        ports = Ports(
            source=self.source,
            target=self.target,
            links=MemoryLinks(self.state),
            journal=MortalJournal(self.state if writes else MemoryState(), run, trouble, writes=writes),
            index=MemoryIndex(),
            pool=InlinePool(),
            observe=self._note_resumed,
        )
        self.went_on = False
        stops = trouble.stops_after
        result = dying_is_none(
            lambda: engine.run(
                self.job,
                ports,
                Options(
                    run=run,
                    writes=writes,
                    allowance=allowance,
                    pin=pin,
                    stopping=lambda: stops is not None and self.target.asked >= stops,
                    **options,
                ),
            )
        )
        if result is None:
            self.target.refusals.clear()  # what died with the process was not counted
        for key, reject in self.state.rejects.items():
            if reject.status is None:  # rejected for another reason since, and so counted anew
                self.target.refusals.pop(key, None)
        if pin is not None and self.approval is not None:
            self._check_released(run, result)
            self.approval.runs.add(run)
            if result is not None and result.pin_is_spent:
                self.approval = None
        if result is not None and writes and result.selection is not None:
            self.state.seen = result.counts.seen
            self.state.selection = result.selection
        if result is not None:
            self.state.endings[run] = result.ending
        return result

    def _note_resumed(self, event: Event) -> None:
        self.went_on = self.went_on or isinstance(event, ReadResumed)


def written(change: Change) -> tuple[object, ...]:
    """Return what a change does to the target, however many of the fields it sends."""
    target_id = None if change.kind is Kind.CREATE else change.target_id
    return change.kind, change.key, target_id, b"" if change.kind is Kind.DELETE else change.fingerprint


def dying_is_none(work: Callable[[], T]) -> T | None:
    try:
        return work()
    except CrashError:
        return None


# ---- the laws ----


@pytest.mark.edge(15)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STORIES)
def test_whatever_happens_nothing_is_doubled_or_wrongly_deleted_and_one_good_run_mends_it(story: Story) -> None:
    the_laws_hold(story)


@pytest.mark.edge(15)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LONG_READS)
def test_a_read_that_is_cut_off_and_gone_on_with_keeps_the_same_laws(story: Story) -> None:
    the_laws_hold(story)


def the_laws_hold(story: Story) -> None:
    world = beginning(story)
    for step in story.steps:
        for edit in step.edits:
            world.happens(edit)
        world.source.page_size = step.page_size
        writes = len(world.target.writes)
        result = world.run(
            replace(step.trouble, refuses=step.trouble.refuses | story.refused),
            writes=not step.is_plan,
            allowance=EVERYTHING if step.allowed else Allowance(),
            slice_changes=step.slice_changes,
            slice_pages=step.slice_pages,
            window=step.window,
        )
        assert result is None or result.counts.balanced, result
        assert result is None or it_tells_how_long(result, step.trouble), result
        assert not step.is_plan or len(world.target.writes) == writes
        it_is_safe(world)
        if result is not None and result.withheld and step.approved and not step.is_plan:
            world.approve(result)

    world.tidy()
    world.make_due()
    last = world.run(Trouble())
    if world.went_on:
        # What changed before the place where it was taken up is for the run after it.
        assert last is not None
        it_is_safe(world)
        last = world.run(Trouble())

    assert last is not None
    assert not world.went_on
    assert last.ending in {Ending.DONE, Ending.HELD}, last
    it_is_settled(last.counts)
    it_is_safe(world)
    it_is_in_step(world)

    again = world.run(Trouble())

    assert again is not None
    assert again.counts.wrote == 0
    assert world.target.asked == 0
    it_is_in_step(world)


@pytest.mark.edge(39)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SHAPES, st.frozensets(st.integers(0, 19), max_size=12), st.integers(1, 20), st.booleans(), st.booleans())
def test_an_approval_lets_its_plan_pass_whatever_cuts_the_run_off(
    shape: Shape, leavers: frozenset[int], cut_after: int, dies: bool, commits: bool
) -> None:
    world = World(shape)
    for number in range(20):
        world.put(number)
    world.run(Trouble())
    few = len(leavers) <= 6  # too few to trip the guard: then everybody else gets a new name, which trips the other
    for number in range(20):
        world.happens(Edit("leave" if number in leavers else "edit", number, "b" if few else "a"))
    held = world.run(Trouble(), allowance=Allowance())
    assert held is not None
    assert held.withheld
    world.approve(held)

    cut = Trouble(crash_at=cut_after, crash_commits=commits) if dies else Trouble(stops_after=cut_after)
    world.run(cut, allowance=Allowance())
    last = world.run(Trouble(), allowance=Allowance())

    assert last is not None
    assert last.withheld == {}, last
    assert world.approval is None
    it_is_safe(world)
    it_is_in_step(world)


def beginning(story: Story, made: type[World] = World) -> World:
    world = made(story.shape)
    world.source.resumes = story.resumes
    for number in sorted(story.staff):
        world.put(number)
    for number in sorted(story.there_before if story.shape.sees else ()):
        world.happens(Edit("claim", number, "a" if number % 2 else "b"))
    world.happens(Edit("foreign", 0, "a"))
    return world


def it_tells_how_long(result: Result, trouble: Trouble) -> bool:
    """Whether the run is waiting just when the system that ended it asked for a wait."""
    waits = result.ending is Ending.WAITING
    cut = result.ending in {Ending.WAITING, Ending.UNAVAILABLE}
    return (result.wait_s == trouble.asks_s if waits else result.wait_s is None) and (
        not cut or waits == (trouble.asks_s is not None)
    )


def it_is_safe(world: World) -> None:
    held = Counter(record["no"] for record in world.target.records.values())
    assert world.target.wrongs == []
    assert [key for key, number in held.items() if number > 1] == []
    assert {one: world.target.records.get(one) for one in world.foreign} == world.foreign
    notes = {one: record["note"] for one, record in world.target.records.items() if "note" in record}
    assert notes == {one: note for one, note in world.notes.items() if one in world.target.records}


def it_is_settled(counts: Counts) -> None:
    assert counts.balanced
    assert (counts.pending, counts.deletes_pending, counts.withheld, counts.deletes_withheld) == (0, 0, 0, 0), counts
    assert not counts.any_rejected, counts


def it_is_in_step(world: World) -> None:
    """The target holds each record of the source as it should be, and of the others only what somebody else made."""
    wanted = {
        record["no"]: {"no": record["no"], "name": record["name"], "email": record["email"].strip().lower()}
        for record in world.source.records
    }
    held = {record["no"]: record for record in world.target.records.values()}
    assert {key: {name: held.get(key, {}).get(name) for name in FIELDS} for key in wanted} == wanted
    stale = {key for one, key in world.target.made.items() if one in world.target.records} - set(wanted)
    assert stale == set(), "records of ours whose people have left"
