"""Stories of an incremental job, found by search: late arrivals, crashes, skewed clocks, any precision, local time.

The law: after a calm run the target holds what the source holds; nothing that lives is deleted; the cursor never passes
a record that was there when the read began and is not carried out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from daemon.endpoints.envelope import encode
from daemon.errors import EndpointError, UnavailableError
from daemon.sync.certificate import End
from daemon.sync.guards import Allowance
from daemon.sync.moments import Reckoner, moment_position
from daemon.sync.outcome import Ending
from daemon.sync.ports import Page
from tests.fakes.memory_state import MemoryJournal
from tests.unit.sync.harness import Bench, job, person

ANY = Allowance(deletes=99, updates=99)
BEGINS = {"UTC": datetime(2026, 3, 1, 12, tzinfo=UTC), "Europe/Berlin": datetime(2026, 10, 25, 0, 10, tzinfo=UTC)}
"""In Berlin: some minutes before the hour that comes twice is over for the first time."""
DIGITS = (0, 3, 6, 9)


class DeadError(Exception):
    """The process died here."""


@dataclass(frozen=True)
class Kind:
    """What a source is like."""

    zone: str
    digits: int
    ascending: bool
    skew_s: int
    is_local: bool
    page_size: int
    resumes: bool
    by_text: bool
    lookback_s: int


class Server:
    """A source with a clock of its own, which filters by its own reading of a moment."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.page_size = kind.page_size
        self.records: list[Any] = []
        self.now = BEGINS[kind.zone]
        self.breaks_at: int | None = None
        self.error: EndpointError | None = None
        self.began: dict[str, Any] = {}
        """What there was when the read began that goes on, over all its runs."""
        self._tokens: list[tuple[int, int, Any]] = []
        self.stored: dict[str, datetime] = {}
        """The true moment of each record's last change."""
        self.on_page: Callable[[int], None] = lambda number: None

    def text(self, moment: datetime) -> str:
        """Return a moment as this source writes it, cut to its precision."""
        here = moment.astimezone(UTC if not self.kind.is_local else ZoneInfo(self.kind.zone))
        fraction = f".{here:%f}000"[: self.kind.digits + 1] if self.kind.digits else ""
        return f"{here:%Y-%m-%d %H:%M:%S}{fraction}{'' if self.kind.is_local else 'Z'}"

    def put(self, number: int, *, late_s: int = 0, **fields: Any) -> None:
        """Store a record now, as if it had been changed up to `late_s` ago."""
        moment = self.now - timedelta(seconds=late_s)
        record = person(number, at=self.text(moment), **fields)
        self.records = [one for one in self.records if one["no"] != record["no"]] + [record]
        self.stored[record["no"]] = moment

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any]) -> Iterator[Page | End]:
        """Give page after page of the records as they are by then: by number, or after the last one given."""
        start, number, count = scope["cursor"]["start"], 0, 0
        if resume is None:
            self.began = {one["no"]: one for one in self.records}
        if resume is not None:
            number, count, after = self._tokens[int(resume)]
        else:
            after = None
        while True:
            number += 1
            self.on_page(number)
            if number == self.breaks_at and self.error is not None:
                raise self.error
            at, live = self.now, self._live(start)
            left = (
                [one for one in live if after is None or self._place(one) > after]
                if self.kind.resumes
                else live[count:]
            )
            batch = left[: self.page_size]
            count += len(batch)
            is_last = len(left) <= self.page_size
            if batch:
                after = self._place(batch[-1])
            self._tokens.append((number, count, after))
            token = str(len(self._tokens) - 1) if self.kind.resumes and not is_last else None
            yield Page(number, tuple(encode(one) for one in batch), token, at)
            if is_last:
                yield End("no next page", number, count, None, by_number=number > 1 and not self.kind.resumes)
                return

    def _live(self, start: str | None) -> list[Any]:
        return sorted((one for one in self.records if start is None or self._is_since(one, start)), key=self._place)

    def _place(self, record: Mapping[str, Any]) -> Any:
        return (self._order(record), record["no"]) if self.kind.ascending else (record["no"],)

    def _order(self, record: Mapping[str, Any]) -> Any:
        return record["at"] if self.kind.by_text else self._true(record)

    def _is_since(self, record: Mapping[str, Any], start: str) -> bool:
        """Filter as databases do: by the text of a local time, or by the moment that it takes the text for."""
        if self.kind.by_text:
            return bool(record["at"] >= start)
        return self._true(record) >= Reckoner(self.kind.zone if self.kind.is_local else None).position(start)

    def _true(self, record: Mapping[str, Any]) -> Decimal:
        position = moment_position(self.stored[record["no"]])
        return position.quantize(Decimal(1).scaleb(-self.kind.digits), rounding="ROUND_FLOOR")


class Dying(MemoryJournal):
    """A journal whose process dies at its nth call, before or after it is carried out."""

    at: int | None = None
    after = False

    def _struck(self, do: Callable[[], Any]) -> Any:
        if Dying.at is None:
            return do()
        Dying.at -= 1
        if Dying.at == 0 and not Dying.after:
            raise DeadError
        done = do()
        if Dying.at == 0:
            raise DeadError
        return done

    def plan(self, *args: Any, **options: Any) -> None:
        self._struck(lambda: MemoryJournal.plan(self, *args, **options))

    def commit(self, *args: Any, **options: Any) -> None:
        self._struck(lambda: MemoryJournal.commit(self, *args, **options))

    def move(self, *args: Any, **options: Any) -> None:
        self._struck(lambda: MemoryJournal.move(self, *args, **options))

    def mark(self, *args: Any, **options: Any) -> None:
        self._struck(lambda: MemoryJournal.mark(self, *args, **options))


KINDS = st.builds(
    Kind,
    zone=st.sampled_from(sorted(BEGINS)),
    digits=st.sampled_from(DIGITS),
    ascending=st.booleans(),
    skew_s=st.sampled_from([-600, 0, 600]),
    is_local=st.booleans(),
    page_size=st.integers(1, 4),
    resumes=st.booleans(),
    by_text=st.booleans(),
    lookback_s=st.sampled_from([0, 60]),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 9), st.integers(0, 50), st.text("abc", max_size=2)),
        st.tuples(st.just("bury"), st.integers(0, 9)),
        st.tuples(st.just("tick"), st.integers(0, 2_000_000)),
        st.tuples(st.just("tick"), st.integers(0, 1_500_000_000)),
        st.tuples(st.just("run")),
        st.tuples(st.just("full")),
        st.tuples(st.just("crash"), st.integers(1, 8), st.booleans()),
        st.tuples(st.just("cut"), st.integers(1, 3)),
        st.tuples(st.just("change_meanwhile"), st.integers(1, 3), st.integers(0, 9)),
    ),
    min_size=4,
    max_size=14,
)


class Story:
    """One job over one source, and the laws of it."""

    def __init__(self, kind: Kind) -> None:
        rules: dict[str, Any] = {"field": "at", "lookback": f"{kind.lookback_s}s"}
        rules |= {"order": "ascending"} if kind.ascending else {}
        rules |= {"timezone": kind.zone} if kind.is_local else {}
        source = {
            "connection": "hr",
            "read": "x?s={{ cursor.start }}",
            "incremental": rules,
            "tombstone": "record.gone",
        }
        guards = {"deletes": "100%", "updates": "100%", "collapse": "0%"}
        self.bench = Bench(job(mode="upsert", source=source, guards=guards))
        self.server = self.bench.source = Server(kind)  # type: ignore[assignment]  # another source of the same port
        self.kind = kind
        self.bench.journal_of = Dying

    def run(self, **options: Any) -> Ending | None:
        """Do a run; None where its process died."""
        ours = self.server.now + timedelta(seconds=self.kind.skew_s)
        try:
            ending = self.bench.run(now=ours, slice_changes=3, slice_pages=2, allowance=ANY, **options).ending
        except DeadError:
            ending = None
        finally:
            Dying.at = None
            self.server.breaks_at = None
            self.server.on_page = lambda number: None
        self._check_cursor(self.server.began)
        return ending

    def _check_cursor(self, began: Mapping[str, Mapping[str, Any]]) -> None:
        """What was there when the read began, and lies before the cursor, is carried out."""
        cursor = self.bench.state.cursors.get("")
        if cursor is None or self.bench.journal is None or cursor.run != self.bench.journal.run:
            return  # it was not moved, and what came late since then is the lookback's
        reckoner = Reckoner(self.kind.zone if self.kind.is_local else None)
        held = self.bench.documents()
        now = {one["no"]: one for one in self.server.records}
        for no, record in began.items():
            if record == now[no] and reckoner.position(record["at"]) < reckoner.position(cursor.value):
                wanted = None if record.get("gone") else record["name"]
                assert held.get(no, {}).get("name") == wanted, (no, cursor)

    def is_in_step(self) -> bool:
        wanted = {one["no"]: one["name"] for one in self.server.records if not one.get("gone")}
        return {no: one["name"] for no, one in self.bench.documents().items()} == wanted

    def do(self, step: tuple[Any, ...]) -> None:
        getattr(self, f"_{step[0]}")(*step[1:])

    def _put(self, number: int, late_s: int, name: str) -> None:
        self.server.put(number, late_s=min(late_s, max(self.kind.lookback_s - 5, 0)), name=name)

    def _bury(self, number: int) -> None:
        if f"E{number}" in self.server.stored:
            self.server.put(number, gone=True)

    def _tick(self, microseconds: int) -> None:
        self.server.now += timedelta(microseconds=microseconds)

    def _run(self) -> None:
        self.run()

    def _full(self) -> None:
        self.run(full=True)

    def _crash(self, at: int, after: bool) -> None:
        Dying.at, Dying.after = at, after
        event("died" if self.run() is None else "survived")

    def _cut(self, page: int) -> None:
        self.server.breaks_at, self.server.error = page, UnavailableError("down")
        self.run()

    def _change_meanwhile(self, page: int, number: int) -> None:
        self.server.on_page = lambda at: self._meanwhile(at == page, number)
        self.run()

    def _meanwhile(self, is_now: bool, number: int) -> None:
        if is_now:
            self.server.now += timedelta(seconds=3)
            self.server.put(number, name="meanwhile")


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(KINDS, STEPS)
def test_nothing_is_lost_and_the_cursor_passes_nothing_that_is_not_settled(
    kind: Kind, steps: list[tuple[Any, ...]]
) -> None:
    story = Story(kind)
    for step in steps:
        story.do(step)

    # Two runs: the first may have to go on with a read that was cut off, and what changed before its mark is later's.
    story.run()
    assert story.run() in {Ending.DONE, Ending.REJECTED}

    assert story.is_in_step(), (story.bench.documents(), story.server.records)
    creates = [key for what, key in story.bench.target.writes if what == "create"]
    deletes = [key for what, key in story.bench.target.writes if what == "delete"]
    assert all(creates.count(key) <= deletes.count(key) + 1 for key in creates)
