"""The real program between the two systems of the model: worker, journal, runs, leases and approvals on a real file.

Each run is a process of its own, as far as it shows: an owner of leases of its own, and nothing of what died in it but
what it had committed. Only the connections to the file are handed on, since opening them costs more than a run.
"""

import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from unittest import mock

from daemon.errors import StateError
from daemon.runtime.approving import approve
from daemon.runtime.both_sides import Endpoints
from daemon.runtime.reject_desk import RejectDesk
from daemon.runtime.saved_plan import SavedPlan, open_plan, save_plan
from daemon.runtime.worker import Finished, Planned, Worker
from daemon.spec import Job, Spec, job_revision
from daemon.store import schema
from daemon.store.approvals import Approvals
from daemon.store.database import Database, open_database
from daemon.store.journal import SqlJournal
from daemon.store.leases import TTL_S, Leases
from daemon.store.owner import Owner
from daemon.store.rejects import Rejects
from daemon.store.run_row import Trigger
from daemon.store.runs import RunStore
from daemon.sync import engine
from daemon.sync.change import Change, Fate, Kind
from daemon.sync.events import Event, ReadResumed
from daemon.sync.guards import Allowance
from daemon.sync.options import Asked, Options
from daemon.sync.outcome import SETTLED, Result
from daemon.sync.ports import Ports
from daemon.sync.retry import REST
from tests.property.mishaps import Clock, CrashError, Mishap, MortalDatabase, Script, What
from tests.property.model import Desk, Feed, Shape
from tests.property.people import People
from tests.unit.sync.harness import JOB, InlinePool

NAME = "people"
EVERYTHING = Allowance(deletes=1_000, updates=1_000)
PAST_THE_LEASE = timedelta(seconds=TTL_S + 1)
CONNECTION = {"host": "https://nobody.example.test"}


@dataclass(frozen=True)
class Pace:
    """In how small steps a run goes."""

    slice_changes: int = 50_000
    slice_pages: int = 1_000
    window: int = 4


@dataclass
class Tally:
    """What was done in all, to be told at the end of a long search."""

    counts: Counter[str] = field(default_factory=Counter)

    def note(self, what: str) -> None:
        self.counts[what] += 1


def made_state(folder: Path) -> Path:
    """Return a new state file, to be copied: the tables take a while."""
    path = folder / "template.db"
    if not path.exists():
        with open_database(path) as database:
            schema.upgrade(database)
    return path


class World:
    """Both systems, the people, the state on its disk, and one process after another."""

    def __init__(self, folder: Path, shape: Shape, feed: Feed, *, tally: Tally) -> None:
        self.folder, self.tally = folder, tally
        self.path = folder / "crudsd.db"
        shutil.copy(made_state(folder.parent), self.path)
        self._rows = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self._database = open_database(self.path)
        self._shape = shape
        self.job = Job.model_validate(self._job())
        connections = dict.fromkeys(("hr", "desk"), CONNECTION)
        self.spec = Spec.model_validate({"version": 1, "connections": connections, "jobs": {NAME: self.job}})
        self.clock = Clock()
        self.feed = feed
        self.desk = Desk(shape, feed, is_journalled=self._is_journalled)
        self.people = People(shape, feed, self.desk, linked=self._linked, under_way=self._under_way)
        self.went_on = False
        """Whether the latest run went on with the read of another."""
        self.last: Finished | None = None
        self._seen: set[tuple[object, ...]] = set()
        """What the run that is approved withheld, one by one."""

    def close(self) -> None:
        self._rows.close()
        self._database.close()

    # ---- how the program reaches the two systems ----

    def _job(self) -> dict[str, Any]:
        return {**JOB, "guards": {"deletes": "30%", "updates": "60%"}, "compare": self._shape.compare}

    def _endpoints(self, script: Script, stop: threading.Event) -> Endpoints:
        del stop
        self.feed.script = self.desk.script = script
        return Endpoints(self.feed, self.desk)

    def _begin(self) -> None:
        """A process begins."""

    def _end(self) -> None:
        """It is over."""

    # ---- the state, read behind the program's back ----

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self._rows.execute(sql, values).fetchall()

    def _is_journalled(self, key: str, kind: Kind) -> bool:
        """Whether a write of this key stands in the journal; a create as such, since only so it is known for ours."""
        kinds = (Kind.CREATE,) if kind is Kind.CREATE else tuple(Kind)
        found = self.rows("SELECT kind FROM changes WHERE key = ? AND fate IN ('sent', 'unknown')", key)
        return any(one in kinds for (one,) in found)

    def _linked(self) -> frozenset[str]:
        return frozenset(key for (key,) in self.rows("SELECT key FROM links"))

    def _under_way(self) -> frozenset[str]:
        return frozenset(key for (key,) in self.rows("SELECT key FROM changes WHERE fate IN ('sent', 'unknown')"))

    # ---- processes ----

    @contextmanager
    def _process(self, planned: Sequence[Mishap]) -> Iterator[tuple[Worker, Script]]:
        stop = threading.Event()
        script = Script(
            planned,
            edit=self.people.do,
            stop=stop.set,
            pause=lambda: self.clock.sleep(PAST_THE_LEASE),
            overtake=self._overtake,
        )
        around = self.feed.script, self.people.is_running, self.desk.asked
        self.feed.current, self.people.is_running, self.desk.asked = None, True, 0
        self._begin()
        try:
            yield self._worker(cast("Database", MortalDatabase(self._database, script)), script, stop), script
        finally:
            self._end()
            self.tally.counts.update(f"{what}" for what in script.happened)
            self.feed.script = self.desk.script = around[0]
            self.feed.current, self.people.is_running = None, around[1]

    def _worker(self, database: Database, script: Script, stop: threading.Event) -> Worker:
        # Of a process that is not there: so a later one takes its lease at once, as after a kill -9.
        owner = replace(Owner.here(), started="another time")
        return Worker(
            self.spec,
            database,
            Leases(database, self.clock, owner),
            RunStore(database, self.clock),
            lambda *_: self._endpoints(script, stop),
            self.clock,
            stop,
        )

    @property
    def writes_asked(self) -> int:
        """Writes that the latest process sent."""
        return self.desk.asked

    def _overtake(self) -> None:
        self.clock.sleep(PAST_THE_LEASE)
        asked = self.desk.asked
        assert self.run(allowance=EVERYTHING) is not None
        self.desk.asked = asked

    def run(
        self,
        planned: Sequence[Mishap] = (),
        *,
        allowance: Allowance = EVERYTHING,
        pace: Pace = Pace(),
        saved: SavedPlan | None = None,
    ) -> Finished | None:
        """Do one run; None when its process died, or found that it may not go on."""
        self.tally.note("engine runs")
        self.went_on = False
        finished: Finished | None = None
        writes = len(self.desk.writes)
        with self._process(planned) as (worker, script), paced(pace):
            try:
                finished = worker.run(
                    NAME, self.job, observe=self._note, trigger=Trigger.MANUAL, asked=Asked(allowance), saved=saved
                )
            except CrashError:
                assert script.dead
            except StateError:
                assert {What.FULL, What.OVERTAKE} & set(script.happened)
        if finished is not None and not script.overtaken:
            self._check(finished, self.desk.writes[writes:])
        self.last = finished
        self._check_state()
        return finished

    def _note(self, event: Event) -> None:
        self.went_on = self.went_on or isinstance(event, ReadResumed)

    @contextmanager
    def plan(self, planned: Sequence[Mishap] = ()) -> Iterator[Planned | None]:
        """Make a plan, which writes nothing anywhere; None when its process died."""
        self.tally.note("plans")
        writes, state = len(self.desk.writes), self._dump()
        edited = any(one.what is What.OVERTAKE for one in planned)
        with self._process(planned) as (worker, script):
            try:
                with worker.plan(NAME, self.job, observe=lambda event: None) as made:
                    assert made.result.counts.balanced
                    yield made
            except CrashError:
                yield None
            assert script.overtaken or edited or (len(self.desk.writes), self._dump()) == (writes, state)

    def _dump(self) -> list[tuple[Any, ...]]:
        tables = ("runs", "changes", "links", "documents", "rejects", "reads", "approvals", "leases")
        return [row for table in tables for row in self.rows(f"SELECT '{table}', * FROM {table}")]

    # ---- what operators do ----

    def approve(self) -> None:
        """Approve what the latest run withheld."""
        runs, approvals = RunStore(self._database, self.clock), Approvals(self._database, self.clock)
        given = approve(NAME, {NAME: self.job}, runs, approvals)
        withheld = self._changes(given.run, Fate.WITHHELD)
        self._seen = {written(one) for one in withheld}
        self.tally.note("approvals")

    def _changes(self, run: str, fate: Fate) -> list[Change]:
        journal = SqlJournal(self._database, run=run, job=NAME, lease=None, clock=self.clock)
        return [one for one in journal.changes() if one.fate is fate]

    def save(self, planned: Planned) -> SavedPlan:
        path = self.folder / "plan.jsonl"
        save_plan(path, planned, (), revision=job_revision(self.job), clock=self.clock)
        return open_plan(path, {NAME: self.job})

    def retry_all(self) -> None:
        """Somebody has all rejects tried again."""
        RejectDesk(NAME, Rejects(self._database)).retry_all()

    def rest(self) -> None:
        self.clock.sleep(REST)

    # ---- what must be true ----

    def _check(self, finished: Finished, writes: Sequence[tuple[str, str]]) -> None:
        """The counts balance in the result and in the row, and agree with each other and with the journal."""
        result, counts = finished.result, finished.result.counts
        row = RunStore(self._database, self.clock).get(finished.run)
        done = self._changes(finished.run, Fate.DONE)
        assert row is not None
        assert counts.balanced, result
        assert (row.counts, row.ending, row.certificate) == (counts, result.ending, result.certificate)
        if result.ending in SETTLED:
            assert (counts.pending, counts.deletes_pending) == (0, 0), result
        kinds = Counter(one.kind for one in done)
        if not self.went_on:  # else the counts are of all the runs that the read took
            by_kind = counts.created, counts.updated, counts.deleted
            assert (kinds[Kind.CREATE], kinds[Kind.UPDATE], kinds[Kind.DELETE]) == by_kind, result
        assert result.certificate.issued or "delete" not in {kind for kind, _ in writes}
        self._check_released(result, done)

    def _check_released(self, result: Result, done: Sequence[Change]) -> None:
        """A kind of change that an approval let pass was what had been seen."""
        released = {one.guard for one in result.verdicts if "allowed by the approval" in one.message}
        kinds = {Kind.UPDATE if guard == "updates" else Kind.DELETE for guard in released}
        unseen = [one for one in done if one.kind in kinds and written(one) not in self._seen]
        assert unseen == [], "nobody approved this"

    def _check_state(self) -> None:
        assert (
            self.rows("SELECT run FROM changes, runs WHERE run = runs.id AND phase = 'over' AND fate = 'planned'") == []
        )
        self.people.assert_safe()


def written(change: Change) -> tuple[object, ...]:
    """Return what a change does to the target, however many of the fields it sends."""
    target_id = None if change.kind is Kind.CREATE else change.target_id
    return change.kind, change.key, target_id, b"" if change.kind is Kind.DELETE else change.fingerprint


@contextmanager
def paced(pace: Pace) -> Iterator[None]:
    """Let the worker's engine go in these steps, and one after another: so a search can be repeated."""
    run: Callable[..., Result] = engine.run
    steps: Mapping[str, int] = {
        "slice_changes": pace.slice_changes,
        "slice_pages": pace.slice_pages,
        "window": pace.window,
    }

    def call(job: Job, ports: Ports, options: Options) -> Result:
        return run(job, replace(ports, pool=InlinePool()), replace(options, **cast("Any", steps)))

    with mock.patch.object(engine, "run", call):
        yield
