"""One job over in-memory ports, run as often as a test likes."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from daemon.endpoints.memory import MemorySource, MemoryTarget
from daemon.spec import Job
from daemon.sync import engine
from daemon.sync.events import Event
from daemon.sync.guards import Allowance
from daemon.sync.options import Options
from daemon.sync.outcome import Result
from daemon.sync.parts import WHOLE, Parts
from daemon.sync.ports import Pool, Ports
from tests.fakes.memory_state import MemoryIndex, MemoryJournal, MemoryLinks, MemoryState

T = TypeVar("T")

JOB: Mapping[str, Any] = {
    "mode": "mirror",
    "source": {"connection": "hr", "read": "employees"},
    "key": "record.no",
    "map": {"no": "record.no", "name": "record.name", "email": "record.email | trim | lower"},
    "target": {
        "connection": "desk",
        "match": "no",
        "list": "users",
        "lookup": "users?no={{ key }}",
        "create": "users",
        "update": {"uri": "users/{{ target.id }}", "body": "changed"},
        "delete": "users/{{ target.id }}",
    },
    "guards": {"deletes": "10%", "updates": "50%"},
}


def job(**changes: Any) -> Job:
    """Return the job above with some keys changed."""
    return Job.model_validate({**JOB, **changes})


def person(number: int, **fields: Any) -> dict[str, Any]:
    """Return a record of the source."""
    return {"no": f"E{number}", "name": f"Name {number}", "email": f" P{number}@Example.test", **fields}


def people(numbers: Iterable[int]) -> list[dict[str, Any]]:
    """Return several records of the source."""
    return [person(number) for number in numbers]


class InlinePool:
    """Does the work at once, on the caller's thread: deterministic."""

    def submit(self, work: Callable[..., T], /, *arguments: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(work(*arguments))
        except BaseException as error:
            future.set_exception(error)
        return future


class Bench:
    """A source, a target and what is remembered between runs."""

    def __init__(self, spec: Job | None = None, *, target: MemoryTarget | None = None) -> None:
        self.job = spec or job()
        self.source = MemorySource(page_size=7)
        self.parts: Parts = WHOLE
        self.ahead = 1
        self.target = target or MemoryTarget(match="no")
        self.state = MemoryState()
        self.events: list[Event] = []
        self.journal: MemoryJournal | None = None
        self.journal_of: Callable[..., MemoryJournal] = MemoryJournal
        self.pool: Pool = InlinePool()
        self._runs = 0

    def run(
        self, *, writes: bool = True, allowance: Allowance | None = None, slice_changes: int = 50_000, **options: Any
    ) -> Result:
        self._runs += 1
        run = f"run{self._runs}"
        self.journal = self.journal_of(self.state, run, writes=writes)
        ports = Ports(
            source=self.source,
            target=self.target,
            links=MemoryLinks(self.state),
            journal=self.journal,
            index=MemoryIndex(),
            pool=self.pool,
            observe=self.events.append,
            parts=self.parts,
            ahead=self.ahead,
        )
        result = engine.run(
            self.job,
            ports,
            Options(run=run, writes=writes, allowance=allowance or Allowance(), slice_changes=slice_changes, **options),
        )
        if writes and result.selection is not None:
            self.state.seen = result.counts.seen
            self.state.selection = result.selection
        self.state.endings[run] = result.ending
        self.state.ended_at[run] = self.state.now
        assert result.counts.balanced, result.counts
        return result

    def documents(self) -> dict[str, Any]:
        """Return what the target holds, by key."""
        return {record["no"]: record for record in self.target.records.values()}

    def is_in_step(self) -> bool:
        """Say whether the target holds just what the source says."""
        wanted = {
            record["no"]: {"no": record["no"], "name": record["name"], "email": record["email"].strip().lower()}
            for record in self.source.records
        }
        return self.documents() == wanted
