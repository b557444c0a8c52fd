"""The same world with the wire between: the program's own REST endpoints, and a server that misbehaves on request.

People edit between the runs, since only the server knows in which order it carries things out. What it did is taken
from its own journal, and judged there.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

from hypothesis import strategies as st

from daemon.endpoints.rest_read import RestSource
from daemon.endpoints.rest_write import RestTarget
from daemon.runtime.both_sides import Endpoints
from daemon.spec import RequestSource, RequestTarget
from daemon.sync.certificate import End
from daemon.sync.change import Change, Kind
from daemon.sync.parts import NOTHING
from daemon.sync.ports import Accepted, Answer, Page, Written
from tests.fakes.batching import Batching, inner
from tests.fakes.misbehaving import Cut, Fault, MisbehavingServer, Moment, Seen
from tests.fakes.misbehaving_records import Paging
from tests.property.mishaps import Script, Where
from tests.property.model import Feed, Shape
from tests.property.model_world import Tally, World
from tests.unit.endpoints.rig import exchange

PAGINATE: dict[Paging, dict[str, Any]] = {
    "cursor": {
        "records": "data.items",
        "paginate": {"type": "cursor", "param": "cursor", "next": "data.next_cursor", "total": "data.total"},
    },
    "page": {"records": "employees", "paginate": {"type": "page", "param": "page", "total": "total"}},
    "offset": {"records": "employees", "paginate": {"type": "offset", "param": "offset", "total": "total"}},
    "link": {"paginate": {"type": "link", "total": "header:X-Total-Count"}},
    "next_url": {"records": "employees", "paginate": {"type": "next_url", "next": "next"}},
    "none": {"records": "employees", "paginate": {"type": "none"}},
}
PAGINGS = tuple(PAGINATE)

ANY_ANSWER = (
    *(Fault.answer(status, applied=applied) for status in (500, 502, 503, 504) for applied in (False, True)),
    *(Fault.answer(status) for status in (400, 401, 403, 408, 422, 423, 429)),
    Fault.delay(0.005),
    Fault.late(0.005),
    Fault.close_before(),
    Fault.close_after(),
    Fault.connection_reset(),
    Fault.connection_reset(applied=True),
    *(Fault.cut_body(how) for how in Cut),
    Fault.drip(64, 0.001),
    Fault.html(),
    Fault.html(applied=True),
    Fault.html(status=503),
    Fault.too_many(),
    Fault.too_many(0),
    Fault.too_many(36_000),
    Fault.too_many("soon"),
    Fault.too_many(datetime(2001, 1, 1, tzinfo=UTC)),
    Fault.too_many(36_000, status=503),
    *(Fault.rate_limit(10, 9, 1, dialect=dialect) for dialect in ("ietf", "draft-03", "x-delta", "x-epoch")),
    Fault.rate_limit(10, 0, 36_000),
    Fault.with_headers({"RateLimit": "nonsense", "ETag": "", "Link": "<;"}),
)
LIST_ANSWER = (
    Fault.envelope(),
    Fault.repeat_page(),
    Fault.token_cycle(),
    Fault.clamp_last_page(),
    Fault.drift(),
    Fault.missing_records(),
)
"""What befalls lists only. (An update that is answered 200 and was not made is believed, unless a rule of the job file
says how such a body looks.)"""


@dataclass(frozen=True)
class Blow:
    """A fault, and the requests that it strikes."""

    fault: Fault
    method: str
    nth: int
    times: int


BLOWS = st.lists(
    st.builds(
        Blow,
        fault=st.sampled_from(ANY_ANSWER),
        method=st.sampled_from(("GET", "POST", "PATCH", "PUT", "DELETE")),
        nth=st.integers(1, 6),
        times=st.sampled_from((1, 1, 2, 5)),
    )
    | st.builds(
        Blow, fault=st.sampled_from(LIST_ANSWER), method=st.just("GET"), nth=st.integers(1, 6), times=st.integers(1, 3)
    ),
    max_size=4,
)


class RestWorld(World):
    """A world whose systems are asked over HTTP."""

    def __init__(self, folder: Path, shape: Shape, feed: Feed, *, tally: Tally, paging: Paging, doubles: bool) -> None:
        self._open = ExitStack()
        self.server = self._open.enter_context(MisbehavingServer(seed=1, idempotent=shape.idempotent))
        self._source = self.server.collection(
            "employees", key="no", paging=paging, page_size=feed.page_size, doubles=True
        )
        self._target = self.server.collection("users", key="no", paging="page", page_size=4, doubles=doubles)
        self._paging, self._shape = paging, shape
        if shape.batch > 1:
            self.server.batching = Batching(atomic=shape.atomic)
        self._keys: set[str] = set()
        """Idempotency keys that the server has seen."""
        super().__init__(folder, shape, feed, tally=tally)
        self.server.watch(self._judge)

    def close(self) -> None:
        super().close()
        self._open.close()

    def blows(self, blows: list[Blow]) -> None:
        """Let requests of the next run go wrong."""
        self.server.behave()
        for blow in blows:
            self.server.fault(blow.fault, method=blow.method, nth=blow.nth, times=blow.times)
            self.tally.note("faults")

    # ---- the systems ----

    def _job(self) -> dict[str, Any]:
        uri, lookup = "users/{{ target.id }}", {"uri": "users", "params": {"no": "{{ key }}"}, "records": "users"}
        create: Any = {"uri": "users", "idempotency_header": "Idempotency-Key"} if self._shape.idempotent else "users"
        update = {"uri": uri, "replace": True} if self._shape.replaces else {"uri": uri, "body": "changed"}
        target: dict[str, Any] = {
            "connection": "desk",
            "match": "no",
            "create": create,
            "update": update,
            "delete": uri,
        }
        if self._shape.batch > 1:
            for kind in ("create", "update", "delete"):
                single = target[kind] if isinstance(target[kind], dict) else {"uri": target[kind]}
                target[kind] = {**single, "batch": self._batch(kind)}
        if self._shape.lists:
            listed = {"type": "page", "param": "page", "total": "total"}
            target["list"] = {"uri": "users", "records": "users", "paginate": listed}
        if self._shape.looks_up:
            target["lookup"] = lookup
        if self._shape.gets:
            target["get"] = uri
        source = {"connection": "hr", "read": "employees", **PAGINATE[self._paging]}
        return {**super()._job(), "source": source, "target": target}

    def _batch(self, kind: str) -> dict[str, Any]:
        key = {"headers": {"Idempotency-Key": "{{ idempotency_key }}"}} if self._shape.idempotent else {}
        atomic = {"atomic": True, "failures": "data.requests"} if self._shape.atomic else {}
        return {
            "uri": "batch",
            "size": self._shape.batch,
            "item": {**INNER[kind], **key, "name": "{{ key }}"},
            "body": {"requests": "{{ items }}"},
            "results": "responses",
            "item_key": "name",
            "item_status": "status || response.status",
            "item_body": "body",
            **atomic,
        }

    def _endpoints(self, script: Script, stop: Event) -> Endpoints:
        # The client tries each call three times; a budget of its own would outlive the process.
        retry = {"attempts": 3, "backoff": 0.001, "max_wait": "1s"}
        made = exchange(self.server.url, stop=stop, retry=retry, quota={"concurrency": 1})
        self._closing.callback(made.client.close)
        assert isinstance(self.job.source, RequestSource)
        assert isinstance(self.job.target, RequestTarget)
        source, target = RestSource(made, self.job.source.request), RestTarget(made, self.job.target)
        return Endpoints(Steps(source, script), Writes(target, script), shown=target.shown)

    def _begin(self) -> None:
        """Put what people did on the wire."""
        self._closing = ExitStack()
        rows = {f"r{row.place}": {**row.record, "id": f"r{row.place}"} for row in self.feed.rows}
        if rows != {one["id"]: one for one in self._source.records()}:
            self._source.restore(rows.values())
        records = {one: {**record, "id": one} for one, record in self.desk.records.items()}
        if records != {one["id"]: one for one in self._target.records()}:
            self._target.restore(records.values())
        self.server.forget()

    def _end(self) -> None:
        """Take from the server's own journal what was done."""
        self._closing.close()
        self.server.behave()
        for one in self.server.applied:
            self.desk.writes.append((one.kind, one.key))
            if one.kind == "create":
                self.desk.made[one.id] = one.key
        self.desk.records = {one["id"]: {**one} for one in self._target.records()}
        for record in self.desk.records.values():
            del record["id"]  # type: ignore[attr-defined]
        self.desk.asked = len(self.server.writes())

    def _judge(self, moment: Moment, seen: Seen) -> None:
        """Look at a write before the server does anything."""
        if moment is not Moment.ARRIVED or seen.method == "GET":
            return
        for one in map(inner, seen.json()["requests"]) if seen.path == "/batch" else (seen,):
            self._judge_one(one)

    def _judge_one(self, seen: Seen) -> None:
        held = {one["id"]: one for one in self._target.records()}
        record_id = seen.path.rpartition("/")[2]
        if not self.rows("SELECT 1 FROM changes WHERE fate IN ('sent', 'unknown') LIMIT 1"):
            self.desk.wrongs.append(f"a {seen.method} that the journal does not know of")
        if seen.method == "POST":
            self._judge_create(seen, Counter(one["no"] for one in held.values() if self._is_made(one["id"])))
        if seen.method == "DELETE" and record_id in held:
            key = held[record_id]["no"]
            if self.feed.of(key):
                self.desk.wrongs.append(f"a delete of {key}, who is in the source")
            if not self.is_certain:
                self.desk.wrongs.append(f"a delete of {key} after a read that proves nothing")
            if not self._is_made(record_id):
                self.desk.wrongs.append(f"a delete of {key}, which somebody else had made")

    def _judge_create(self, seen: Seen, made: Counter[str]) -> None:
        if not self._is_journalled(seen.json()["no"], Kind.CREATE):
            self.desk.wrongs.append(f"a create of {seen.json()['no']} that the journal does not know for one")
        key = seen.headers.get("idempotency-key")
        # The server answers a repeated idempotency key as it did before, and does nothing.
        if made[seen.json()["no"]] and key not in self._keys:
            self.desk.wrongs.append(f"a second create of {seen.json()['no']}")
        if key is not None:
            self._keys.add(key)

    def _is_made(self, record_id: str) -> bool:
        now = {one.id for one in self.server.applied if one.kind == "create"}
        return record_id in self.desk.made or record_id in now

    @property
    def is_certain(self) -> bool:
        """Whether every record of the source has a key of its own."""
        return len(self.feed.keys()) == len(self.feed.rows)


class Steps:
    """A source, each page of which is a step."""

    def __init__(self, source: RestSource, script: Script) -> None:
        self._source, self._script = source, script

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any] = NOTHING) -> Iterator[Page | End]:
        for step in self._source.read(resume, scope=scope):
            self._script.reach(Where.PAGE)
            yield step


INNER: dict[str, dict[str, Any]] = {
    "create": {"method": "POST", "path": "/users", "body": "{{ document }}"},
    "update": {"method": "PATCH", "path": "/users/{{ target.id }}", "body": "{{ changed }}"},
    "delete": {"method": "DELETE", "path": "/users/{{ target.id }}"},
}


class Writes(RestTarget):
    """A target, each write of which is a step before and a step after."""

    def __init__(self, target: RestTarget, script: Script) -> None:
        self.__dict__.update(vars(target))
        self._script = script

    def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
        self._script.reach(Where.ARRIVED)
        answers = super().write(changes)
        self._script.reach(Where.ANSWERED)
        return answers

    def create(self, change: Change) -> Written:
        self._script.reach(Where.ARRIVED)
        written = super().create(change)
        self._script.reach(Where.ANSWERED)
        return written

    def update(self, change: Change) -> Written:
        self._script.reach(Where.ARRIVED)
        written = super().update(change)
        self._script.reach(Where.ANSWERED)
        return written

    def delete(self, change: Change) -> Accepted | None:
        self._script.reach(Where.ARRIVED)
        accepted = super().delete(change)
        self._script.reach(Where.ANSWERED)
        return accepted
