"""Staff in one collection, users in another, and a job of the whole program that keeps the users in step."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from daemon.sync.guards import Allowance
from daemon.sync.outcome import Result
from tests.fakes.misbehaving import MisbehavingServer
from tests.integration.harness import Desk

NAMES = ("no", "name", "email")
USER = "users/{{ target.id }}"
LIST = {"uri": "users", "records": "users", "paginate": {"type": "page", "param": "page"}}
LOOKUP = {"uri": "users", "params": {"no": "{{ key }}"}, "records": "users"}
TARGET: Mapping[str, Any] = {
    "connection": "api",
    "match": "no",
    "lookup": LOOKUP,
    "create": "users",
    "update": {"uri": USER, "body": "changed"},
    "delete": USER,
}
CONNECTION = {
    "retry": {"attempts": 3, "backoff": 0.001, "max_wait": "1s"},
    "timeout": {"connect": "2s", "read": "2s", "total": "20s"},
}
ANY = Allowance(deletes=1_000, updates=1_000)


class Pair:
    """Both systems on one server, and the folder of the job.

    `target` is laid over the usual target, `job` over the usual job, `users` over the usual collection; what is None
    in the first two is left out.
    """

    def __init__(
        self,
        server: MisbehavingServer,
        folder: Path,
        *,
        target: Mapping[str, Any] | None = None,
        users: Mapping[str, Any] | None = None,
        **job: Any,
    ) -> None:
        self.server = server
        self.staff = server.collection("staff", key="no", paging="cursor")
        self.users = server.collection("users", **{"key": "no", "paging": "page", **(users or {})})
        cursor = {"type": "cursor", "param": "cursor", "next": "data.next_cursor", "total": "data.total"}
        self.job: dict[str, Any] = {
            "mode": "mirror",
            "source": {"connection": "api", "read": "staff", "records": "data.items", "paginate": cursor},
            "key": "record.no",
            "map": {name: f"record.{name}" for name in NAMES},
            "target": given({**TARGET, **(target or {})}),
            "guards": {"deletes": "100%", "updates": "100%"},
            **job,
        }
        self.desk = Desk(folder, self.spec())

    def spec(self) -> dict[str, Any]:
        return {"connections": {"api": {"host": self.server.url, **CONNECTION}}, "jobs": {"people": given(self.job)}}

    def edit(self, **job: Any) -> None:
        """Edit the job file."""
        self.job.update(job)
        self.desk.write(self.spec())

    def run(self) -> Result:
        return self.desk.run(allowance=ANY).result

    def hire(self, *numbers: int, **fields: Any) -> None:
        self.staff.put(person(number, **fields) for number in numbers)

    def sent(self, method: str) -> list[Any]:
        """The bodies of all requests with this method that write, in order."""
        return [seen.json() for seen in self.server.writes() if seen.method == method]

    def assert_in_step(self, names: Sequence[str] = NAMES) -> None:
        """The users are the staff, in what is mapped."""
        wanted, held = ({key: pick(one, names) for key, one in c.by_key().items()} for c in (self.staff, self.users))
        assert held == wanted

    def assert_idle(self) -> Result:
        """Another run writes nothing."""
        self.server.forget()
        result = self.run()
        assert self.server.writes() == []
        assert result.counts.balanced
        return result


def person(number: int, **fields: Any) -> dict[str, Any]:
    return {"no": f"E{number}", "name": f"Name {number}", "email": f"p{number}@example.test", **fields}


def pick(record: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: record[name] for name in names if name in record}


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def maker(server: MisbehavingServer, folder: Path, count: int) -> Callable[..., Pair]:
    """Return what makes a pair of systems with some people in the source; what it takes otherwise is a pair's."""

    def made(count: int = count, **changes: Any) -> Pair:
        pair = Pair(server, folder, **changes)
        pair.hire(*range(count))
        return pair

    return made
