"""A source of parents and their children, in memory: what a job with for_each reads."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from daemon.endpoints.memory import MemorySource
from daemon.errors import EndpointError
from daemon.spec import Job
from daemon.sync.canonical import decode
from daemon.sync.certificate import End
from daemon.sync.parents import ParentParts
from daemon.sync.parts import NOTHING
from daemon.sync.ports import Page
from tests.unit.sync.harness import Bench, job


class Families:
    """Children by their parent's id. A parent that is no more answers nothing: only its list does not name it."""

    def __init__(self, children: Mapping[Any, list[Any]], *, page_size: int = 100, **changes: Any) -> None:
        self.children = {
            parent: MemorySource(some, page_size=page_size, **changes) for parent, some in children.items()
        }
        self.parents = MemorySource([{"id": parent} for parent in children], resumes=True)
        self.failing: dict[Any, EndpointError] = {}
        self.page_size = page_size
        self.asked: list[Any] = []
        """Parents whose children were asked for, in order."""
        self.starts: list[Any] = []
        """From where each of them was asked for."""

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any] = NOTHING) -> Iterator[Page | End]:
        """Yield the pages of one parent's children."""
        parent = scope["project"]["id"]
        self.asked.append(parent)
        start = scope.get("cursor", NOTHING).get("start")
        self.starts.append(start)
        if parent in self.failing:
            raise self.failing[parent]
        for step in self.children[parent].read(resume, scope=scope):
            yield step if start is None or isinstance(step, End) else since(step, start)

    def add(self, parent: Any, children: list[Any]) -> None:
        """Add a parent with its children."""
        self.children[parent] = MemorySource(children, page_size=self.page_size)
        self.parents.records.append({"id": parent})

    def remove(self, parent: Any) -> list[Any]:
        """Take a parent off the list, and return its children."""
        self.parents.records[:] = [one for one in self.parents.records if one["id"] != parent]
        return self.children.pop(parent).records


def since(page: Page, start: Any) -> Page:
    """Return a page of a source that gives only what changed, by the field `at`."""
    return replace(page, records=tuple(raw for raw in page.records if decode(raw)["at"] >= start))


FOR_EACH = {"as": "project", "connection": "hr", "read": "projects"}
BY_PROJECT = ["project.id", "record.no"]


def family_job(**changes: Any) -> Job:
    """Return a job that mirrors the children of each project, by keys that name the project."""
    said = {
        "for_each": FOR_EACH,
        "key": BY_PROJECT,
        "map": {"no": "project.id ~ '-' ~ record.no", "name": "record.name"},
        "guards": {"deletes": "100%", "updates": "100%", "collapse": "0%"},
        **changes,
    }
    return job(**said)


def family_bench(families: Families, spec: Job | None = None, *, ahead: int = 1) -> Bench:
    """Return a bench over them, with parts that the job's own for_each makes."""
    bench = Bench(spec or family_job())
    assert bench.job.for_each is not None
    bench.source = families  # type: ignore[assignment]  # another source of the same port
    bench.parts = ParentParts(bench.job.for_each, families.parents)
    bench.ahead = ahead
    return bench
