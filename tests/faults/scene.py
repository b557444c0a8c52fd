"""A small sync with everything in it: what is about to be killed, and what must be true afterwards.

The run that is struck creates three records, changes and deletes two each, adopts one, and rejects two: one that
lacks a field, one that the target refuses. It reads four pages in several slices, with a token that has expired.
The target takes a second record of the same key without a word, so that nobody is saved from a double by a 409.
"""

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Any

from daemon.clock import utc_clock
from daemon.errors import Exit
from daemon.store.database import open_database
from daemon.store.rejects import Rejects
from daemon.store.runs import RunStore
from daemon.upkeep import generate_key
from tests.fakes.batching import Batching
from tests.fakes.misbehaving import Applied, MisbehavingServer, Moment, Seen
from tests.faults.processes import Ended, Killer, Nursery, Process, fresh
from tests.faults.steps import Order

NAMES = ("external_id", "name", "email")
JOB = "people"
AT_FIRST = 12
CHANGED = {"E1", "E5"}
GONE = ["E2", "E9"]
NEW = {"E20", "E21", "E22"}
THERE_BEFORE = "E30"
"""Stands in the target, made by somebody else, when it appears in the source."""
REFUSED = "E40"
LACKING = "E41"
FOREIGN = "F1"
"""Stands in the target and is nobody's business."""
SLICE = 3
OTHER_SECRET = "canary-s3cret-of-a-client"


class Way(StrEnum):
    """How a job clears up a create whose answer was lost."""

    KEY = "idempotency key"
    LOOKUP = "lookup"
    LIST = "list only"
    NOTHING = "nothing"
    BATCH = "lookup, after a batch"
    """Two changes or more of a kind leave in one request."""


def person(number: int, **fields: Any) -> dict[str, Any]:
    return {"external_id": f"E{number}", "name": f"Name {number}", "email": f"p{number}@example.test", **fields}


def batch(**request: str) -> dict[str, Any]:
    """Several of a request in one."""
    return {
        "uri": "batch",
        "item": {**request, "name": "{{ key }}"},
        "body": {"requests": "{{ items }}"},
        "results": "responses",
        "item_key": "name",
        "item_status": "status",
        "item_body": "body",
    }


def spec(server: MisbehavingServer, token_url: str, way: Way, *, at_once: int, settle: str) -> dict[str, Any]:
    lookup = {"uri": "users", "params": {"external_id": "{{ key }}"}, "records": "users"}
    finds: dict[Way, dict[str, Any]] = {
        Way.KEY: {"match": "external_id", "lookup": lookup},
        Way.LOOKUP: {"match": "external_id", "lookup": lookup},
        Way.LIST: {
            "match": "external_id",
            "list": {"uri": "users", "records": "users", "paginate": {"type": "page", "param": "page"}},
        },
        Way.NOTHING: {},
        Way.BATCH: {"match": "external_id", "lookup": lookup},
    }
    create: dict[str, Any] = {"uri": "users"}
    update: dict[str, Any] = {"uri": "users/{{ target.id }}", "body": "changed"}
    delete: dict[str, Any] = {"uri": "users/{{ target.id }}"}
    if way is Way.KEY:
        create["idempotency_header"] = "Idempotency-Key"
    if way is Way.BATCH:
        create["batch"] = batch(method="POST", path="/users", body="{{ document }}")
        update["batch"] = batch(method="PATCH", path="/users/{{ target.id }}", body="{{ changed }}")
        delete["batch"] = batch(method="DELETE", path="/users/{{ target.id }}")
    pages = {"type": "cursor", "param": "cursor", "next": "data.next_cursor", "total": "data.total"}
    secret = {"env": "CLIENT_SECRET"}
    return {
        "connections": {
            "api": {
                "host": server.url,
                "auth": {"type": "oauth2", "url": token_url, "client_id": "crudsd", "client_secret": secret},
                "quota": {"concurrency": at_once},
                "retry": {"attempts": 2, "backoff": 0.01, "max_wait": "1s"},
                "timeout": {"connect": "2s", "read": "10s", "total": "20s"},
            }
        },
        "jobs": {
            JOB: {
                "mode": "mirror",
                "source": {
                    "connection": "api",
                    "read": "people",
                    "params": {"since": "{{ cursor.start }}"},
                    "records": "data.items",
                    "paginate": pages,
                    # A server that does not know `since`; everything is read anyway, and the cursor goes along.
                    "incremental": {
                        "type": "number",
                        "field": "record.external_id | replace('E', '') | int",
                        "order": "ascending",
                    },
                },
                "reconcile": {"every": "1ms"},
                "key": "record.external_id",
                "map": {
                    "external_id": "record.external_id",
                    "name": "record.name",
                    "email": {"from": "record.email", "required": True},
                },
                "target": {
                    "connection": "api",
                    **finds[way],
                    "create": create,
                    "update": update,
                    "delete": delete,
                    "settle": settle,
                },
                "guards": {"deletes": "100%", "updates": "100%"},
            }
        },
    }


class Scene:
    """Both systems, a folder, and a moment to which all three can be put back: just before the run that is struck."""

    def __init__(
        self,
        server: MisbehavingServer,
        path: Path,
        nursery: Nursery,
        way: Way,
        *,
        at_once: int = 1,
        settle: str = "0s",
        incremental: bool = True,
    ) -> None:
        self.server, self.way = server, way
        server.batching = Batching()
        self.folder = path / "desk"
        self.folder.mkdir(parents=True)
        self._nursery, self._steps = nursery, path / "steps"
        self.environment = {"CLIENT_SECRET": OTHER_SECRET}
        self.people = server.collection("people", paging="cursor", page_size=4)
        self.users = server.collection("users", paging="page", doubles=True)
        token_url = server.oauth_client("crudsd", OTHER_SECRET)
        said = spec(server, token_url, way, at_once=at_once, settle=settle)
        if not incremental:
            job = said["jobs"][JOB]
            del job["reconcile"], job["source"]["incremental"], job["source"]["params"]
        text = json.dumps({"version": 1, **said}, indent=1)
        (self.folder / "crudsd.yaml").write_text(text, encoding="utf-8")
        generate_key(self.folder / "crudsd.key")
        self._kept = path / "kept"
        self._before: tuple[Applied, ...] = ()
        self._crashes = 0
        """How many runs have been struck in all, when the next one is."""
        self._prepare()

    @property
    def state(self) -> Path:
        return self.folder / "crudsd.db"

    # ---- what happens ----

    def _prepare(self) -> None:
        """Be in step, then let both sides change."""
        self.people.put(person(number) for number in range(AT_FIRST))
        self.users.put([{"external_id": FOREIGN, "name": "Nobody's business", "email": ""}])
        first = self.run()
        assert first.code == Exit.DONE, first.out + first.err
        self.people.put(person(int(key[1:]), name="Changed") for key in sorted(CHANGED))
        for key in GONE:
            self.people.remove(key)
        self.people.put(person(int(key[1:])) for key in sorted(NEW))
        if self.way is not Way.NOTHING:
            self.people.put([person(int(THERE_BEFORE[1:]))])
            self.users.put([{**person(int(THERE_BEFORE[1:])), "name": "By hand"}])
        self.people.put([person(int(REFUSED[1:])), person(int(LACKING[1:]), email="")])
        self.users.reject(REFUSED, 422)
        self.server.forget()
        self.keep()

    def keep(self) -> None:
        """Let this be the moment to come back to."""
        shutil.rmtree(self._kept, ignore_errors=True)
        shutil.copytree(self.folder, self._kept)
        self._users, self._before = self.users.records(), (*self._before, *self.server.applied)
        self._crashes += 1

    def back(self) -> None:
        """Come back to that moment, with a token that has expired since."""
        shutil.rmtree(self.folder)
        shutil.copytree(self._kept, self.folder)
        self.users.restore(self._users)
        self.server.forget()
        self.server.expire_token()

    def start(self, order: Order | None = None, *, by: Nursery | None = None) -> Process:
        """Start a run; `by` is another nursery, where the scene's own waits for a process that is paused."""
        return (by or self._nursery).start(self.folder, ("run", JOB), environment=self.environment, order=order)

    def run(self, order: Order | None = None, *, by: Nursery | None = None) -> Ended:
        return self.start(order, by=by).ended()

    def run_afresh(self, order: Order | None = None, *, prefix: Sequence[str] = ()) -> Ended:
        """Do a run by the `crudsd` script on an interpreter of its own."""
        return fresh(self.folder, ("run", JOB), environment=self.environment, order=order, prefix=prefix)

    def steps(self) -> list[str]:
        """Do the run that is to be struck, to its end, and return its steps in order."""
        self.back()
        ended = self.run(Order(steps=str(self._steps), slice_changes=SLICE))
        assert ended.code == Exit.REJECTED, ended.out + ended.err
        return self._steps.read_text(encoding="utf-8").splitlines()

    def boundaries(self) -> list[str]:
        """Do that run, and return the moments of its requests in order."""
        self.back()
        ended, reached = self._watched("")
        assert ended.code == Exit.REJECTED, ended.out + ended.err
        return reached

    def struck_at(self, boundary: str) -> Ended:
        """Kill the run when a request has come this far."""
        return self._watched(boundary)[0]

    def _watched(self, boundary: str) -> tuple[Ended, list[str]]:
        counts: Counter[str] = Counter()
        reached: list[str] = []
        killer = Killer()

        def note(moment: Moment, seen: Seen) -> None:
            what = f"{seen.method} {seen.path.rpartition('/')[0] or seen.path} {moment}"
            counts[what] += 1
            reached.append(f"{what} #{counts[what]}")
            if reached[-1] == boundary:
                killer.strike()

        self.server.watch(note)
        try:
            process = self.start(Order(slice_changes=SLICE))
            killer.is_for(process.pid)
            return process.ended(), reached
        finally:
            self.server.watch(None)

    # ---- what must be true ----

    def in_doubt(self) -> frozenset[str]:
        """The keys whose create left and was not settled: nobody but a person can tell what became of them."""
        if self.way is not Way.NOTHING:
            return frozenset()
        sql = "select key from changes where fate in ('sent', 'unknown') and kind = 'create'"
        return frozenset(key for (key,) in self.rows(sql))

    def assert_made_good(
        self,
        in_doubt: frozenset[str] = frozenset(),
        *,
        by: Callable[[], Ended] | None = None,
        once_more: bool = True,
    ) -> None:
        """Run again (by `by`), and `once_more`: all is as if nothing had happened."""
        second = (by or self.run)()
        assert second.code == Exit.REJECTED, second.out + second.err
        self._assert_equal(in_doubt)
        self._assert_remembered(in_doubt)
        if not once_more:
            return
        self.server.forget()
        third = self.run()
        assert third.code == Exit.REJECTED, third.out + third.err
        assert self.server.applied == ()
        assert {seen.json()["external_id"] for seen in self.server.writes()} <= {REFUSED}

    def is_in_step(self, in_doubt: frozenset[str] = frozenset()) -> bool:
        left_out = {FOREIGN, REFUSED, LACKING, *in_doubt}
        held = [pick(one) for one in self.users.records() if one["external_id"] not in left_out]
        wanted = [pick(one) for one in self.people.records() if one["external_id"] not in left_out]
        return sorted(held) == sorted(wanted)

    def _assert_equal(self, in_doubt: frozenset[str]) -> None:
        """The target holds what the source holds; nothing was made twice, or deleted without need."""
        assert self.is_in_step(in_doubt), sorted(map(pick, self.users.records()))
        applied = (*self._before, *self.server.applied)
        created = Counter(one.key for one in applied if one.kind == "create")
        assert {key for key, times in created.items() if times > 1} == set()
        assert set(created) - in_doubt == NEW - in_doubt
        assert sorted(one.key for one in applied if one.kind == "delete") == GONE
        updated = Counter(one.key for one in applied if one.kind == "update")
        assert set(updated) - CHANGED <= {THERE_BEFORE}
        assert max(updated.values(), default=0) <= 1 + self._crashes
        assert [one["name"] for one in self.users.records() if one["external_id"] == FOREIGN] == ["Nobody's business"]

    def _assert_remembered(self, in_doubt: frozenset[str]) -> None:
        """The ledger balances, nothing is left open but what a person must see, and every record has its owner."""
        with open_database(self.state, read_only=True) as database:
            (last,) = RunStore(database, utc_clock).recent(JOB, 1)
            rejects = {row.reject.key for row in Rejects(database).list(JOB, 100)}
        assert last.counts.balanced, last.counts
        assert last.counts.seen == len(self.people.records())
        assert last.certificate is not None
        assert last.certificate.issued
        assert rejects == {REFUSED, LACKING, *in_doubt}
        assert self.rows("select count(*) from runs where phase <> 'over'") == [(0,)]
        assert self.rows("select count(*) from changes where fate in ('planned', 'sent')") == [(0,)]
        unknown = {key for (key,) in self.rows("select key from changes where fate = 'unknown'")}
        assert unknown == in_doubt
        links = dict(self.rows("select key, owned from links"))
        expected = {one["external_id"]: True for one in self.people.records()} | {THERE_BEFORE: False}
        left_out = {REFUSED, LACKING, *in_doubt}
        if self.way is Way.NOTHING:
            left_out.add(THERE_BEFORE)
        assert {key: bool(owned) for key, owned in links.items()} == {
            key: owned for key, owned in expected.items() if key not in left_out
        }

    def rows(self, query: str) -> Sequence[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.state)) as connection:
            return connection.execute(query).fetchall()


def pick(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(record.get(name) for name in NAMES)
