"""`crudsd run` is killed between the parts of a source and inside them; the next run makes it good.

While it is killed, one parent has changed, one answers 404, one is gone, one is new and one is as it was. By default
each of the cases tries a third of the names of its steps, each once; `make faults` tries every step in each.
"""

import copy
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.clock import utc_clock
from daemon.errors import Exit
from daemon.store.database import open_database
from daemon.store.runs import RunStore
from tests.fakes.projects import ProjectsServer
from tests.faults.processes import Ended, Nursery, nursery
from tests.faults.steps import Order
from tests.faults.test_crashes import KILLED, by_name, name_of

pytestmark = pytest.mark.timeout(3600)

JOB: dict[str, Any] = {
    "mode": "mirror",
    "for_each": {"as": "project", "connection": "tracker", "read": "projects", "records": "projects"},
    "source": {
        "connection": "tracker",
        "read": "projects/{{ project.id }}/tickets",
        "records": "tickets",
        "paginate": {"type": "next_url", "next": "next"},
    },
    "key": ["project.id", "record.no"],
    "map": {"project": "project.id", "no": "record.no", "title": "record.title"},
    "target": {
        "connection": "desk",
        "match": "[project, no]",
        "list": {"uri": "desk", "records": "records"},
        "create": "desk",
        "update": {"uri": "desk/{{ target.id }}", "body": "changed"},
        "delete": "desk/{{ target.id }}",
    },
    "guards": {"deletes": "100%", "updates": "100%", "collapse": "0%"},
}
SINCE = {"params": {"since": "{{ cursor.start }}"}, "incremental": {"field": "changed", "type": "number"}}
TOUCHING = ("Journal.", "Source.", "Parts.", "Target.", "Links.", "Database.write", "observe.")
"""The steps of a run at which something of a part may be half done."""


@pytest.fixture(scope="module")
def warm() -> Iterator[Nursery]:
    with nursery() as made:
        yield made


@pytest.fixture
def server() -> Iterator[ProjectsServer]:
    with ProjectsServer({}) as server:
        yield server


def tickets(number: int) -> list[dict[str, Any]]:
    return [{"no": no, "title": f"ticket {no}", "changed": no} for no in range(number)]


class Scene:
    """Projects, a desk and a folder, and the moment before the run that is struck."""

    def __init__(self, server: ProjectsServer, path: Path, warm: Nursery, *, incremental: bool, at_once: int) -> None:
        self.server, self._warm, self.incremental = server, warm, incremental
        self.folder, self._kept, self._steps = path / "desk", path / "kept", path / "steps"
        self.folder.mkdir()
        source = {**JOB["source"], **(SINCE if incremental else {})}
        hosts = {
            "tracker": {"host": server.url, "quota": {"concurrency": at_once}, "retry": {"attempts": 1}},
            "desk": {"host": server.url, "quota": {"concurrency": 1}},
        }
        said = {"version": 1, "connections": hosts, "jobs": {"tickets": {**JOB, "source": source}}}
        (self.folder / "crudsd.yaml").write_text(json.dumps(said), encoding="utf-8")
        server.projects = {"alpha": tickets(5), "beta": tickets(3), "gamma": tickets(2), "omega": tickets(3)}
        first = self.run()
        assert first.code == Exit.DONE, first.out + first.err
        alpha = server.projects["alpha"]
        alpha[0].update(title="new", changed=10)
        del alpha[4], server.projects["gamma"]
        alpha.append({"no": 7, "title": "late", "changed": 11})
        server.projects["delta"] = tickets(3)
        server.statuses["beta"] = 404
        shutil.copytree(self.folder, self._kept)
        self._desk = copy.deepcopy(server.desk)

    def back(self) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self._kept, self.folder)
        self.server.desk = copy.deepcopy(self._desk)
        self.server.writes.clear()

    def run(self, order: Order | None = None) -> Ended:
        return self._warm.start(self.folder, ("run", "tickets"), environment={}, order=order).ended()

    def steps(self) -> list[str]:
        self.back()
        ended = self.run(Order(steps=str(self._steps), slice_changes=2))
        assert ended.code == Exit.REJECTED, ended.out + ended.err
        self.assert_in_step()
        return self._steps.read_text(encoding="utf-8").splitlines()

    def wanted(self) -> Counter[str]:
        """What the desk holds in the end, with that of which nothing is concluded."""
        held = {f"beta/{no} ticket {no}" for no in range(3)}
        if self.incremental:
            held |= {"alpha/4 ticket 4", "gamma/0 ticket 0", "gamma/1 ticket 1"}
        for project, some in self.server.projects.items():
            held |= {f"{project}/{one['no']} {one['title']}" for one in some if project != "beta"}
        return Counter(held)

    def assert_in_step(self) -> None:
        desk = self.server.desk.values()
        assert Counter(f"{one['project']}/{one['no']} {one['title']}" for one in desk) == self.wanted()
        deleted = Counter(f"{self._desk[name]['project']}/{self._desk[name]['no']}" for name in self._done("DELETE"))
        assert set(deleted) == (set() if self.incremental else {"alpha/4", "gamma/0", "gamma/1"})
        assert len(self._done("POST")) == 4, "nothing is made twice"

    def _done(self, kind: str) -> list[str]:
        return [name for method, name in self.server.writes if method == kind]

    def assert_made_good(self, *, once_more: bool) -> None:
        """Run again: all is as if nothing had happened; and `once_more`: nothing is left to do."""
        second = self.run()
        assert second.code == Exit.REJECTED, second.out + second.err
        self.assert_in_step()
        with open_database(self.folder / "crudsd.db", read_only=True) as database:
            (last,) = RunStore(database, utc_clock).recent("tickets", 1)
        assert last.counts.balanced
        assert last.certificate is not None
        assert (last.certificate.parts, last.certificate.parts_apart) == (4, 1)
        if not once_more:
            return
        self.server.writes.clear()
        assert self.run().code == Exit.REJECTED
        assert self.server.writes == []


CASES = pytest.mark.parametrize(
    ("turn", "incremental", "at_once"),
    [(0, False, 1), (1, True, 1), (2, False, 4)],
    ids=["everything", "what changed", "everything, four parts at once"],
)


@pytest.mark.edge(42)
@CASES
def test_a_run_that_is_killed_at_any_step_of_a_part_is_made_good_by_the_next(
    server: ProjectsServer,
    warm: Nursery,
    tmp_path: Path,
    turn: int,
    incremental: bool,
    at_once: int,
    long: bool,
) -> None:
    scene = Scene(server, tmp_path, warm, incremental=incremental, at_once=at_once)
    points = [step for step in scene.steps() if step.startswith(TOUCHING)]
    assert {"Parts.list gave", "Source.read gave", "Journal.mark after", "observe.PartFailed after"} <= {
        name_of(step) for step in points
    }
    if not long:
        groups = list(enumerate(by_name(points).values()))[turn::3]
        points = [group[7 * number % len(group)] for number, group in groups]

    failures = []
    for number, point in enumerate(points):
        scene.back()
        ended = scene.run(Order(at=point, slice_changes=2))
        try:
            # With several parts under way, which step is the n-th of its name is not the same each time.
            allowed = {KILLED} if at_once == 1 else {KILLED, Exit.REJECTED}
            assert ended.code in allowed, f"ended with {ended.code}: {ended.out}{ended.err}"
            scene.assert_made_good(once_more=long or number % 8 == 0)
        except AssertionError as error:
            failures.append(f"{point}: {error}")

    assert "\n".join(failures) == ""
