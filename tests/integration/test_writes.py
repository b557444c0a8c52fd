"""How changes are carried out, over a real configuration, database and server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.sync.outcome import Ending
from tests.fakes.misbehaving import Collection, Fault, MisbehavingServer
from tests.integration.harness import Desk, wrote

QUICK = {"attempts": 3, "backoff": 0.001, "max_wait": "1s"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MisbehavingServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with MisbehavingServer(seed=7) as one:
        yield one


@pytest.fixture
def staff(server: MisbehavingServer) -> Collection:
    made = server.collection("staff", key="no", paging="cursor")
    made.put({"no": f"E{number}", "name": f"Name {number}"} for number in range(20))
    return made


@pytest.fixture
def users(server: MisbehavingServer) -> Collection:
    return server.collection("users", key="no", paging="page", needs_if_match=True, deletes_later=True)


@pytest.fixture
def desk(tmp_path: Path, server: MisbehavingServer, staff: Collection, users: Collection) -> Desk:
    cursor = {"type": "cursor", "param": "cursor", "next": "data.next_cursor", "total": "data.total"}
    source = {"connection": "api", "read": "staff", "records": "data.items", "paginate": cursor}
    version = {"version": "header:ETag"}
    uri = "users/{{ target.id }}"
    target: dict[str, Any] = {
        "connection": "api",
        "match": "no",
        "lookup": {"uri": "users", "params": {"no": "{{ key }}"}, "records": "users"},
        "get": {"uri": uri, **version},
        "create": {
            "uri": "users",
            **version,
            "on_response": [
                {"when": "response.body.error == 'busy'", "then": "retry"},
                {"status": 422, "then": "skip"},
            ],
        },
        "update": {"uri": uri, "replace": True, "if_match": True, **version},
        "delete": {"uri": uri, "if_match": True},
    }
    job = {
        "mode": "mirror",
        "source": source,
        "key": "record.no",
        "map": {"no": "record.no", "name": "record.name", "origin": {"from": "'hr'", "set_once": True}},
        "target": target,
    }
    return Desk(tmp_path, {"connections": {"api": {"host": server.url, "retry": QUICK}}, "jobs": {"people": job}})


@pytest.mark.edge(26, 28)
@pytest.mark.fact(7)
def test_a_mirror_by_put_with_versions_rules_and_promised_deletes(
    desk: Desk, server: MisbehavingServer, staff: Collection, users: Collection
) -> None:
    server.fault(Fault.envelope('{"error": "busy"}'), method="POST", every=5)
    users.reject("E7")

    first = desk.run().result

    assert (first.ending, wrote(first.counts), first.counts.skipped) == (Ending.DONE, (19, 0, 0), 1)
    assert desk.rejects() == []
    server.behave()
    users.accept("E7")
    users.put({**record, "note": "by hand", "origin": "desk"} for record in users.records())
    staff.put([{"no": "E3", "name": "Other"}])
    staff.remove("E19")

    second = desk.run().result

    assert (second.ending, wrote(second.counts)) == (Ending.DONE, (1, 1, 1))
    record = users.by_key()["E3"]
    assert (record["name"], record["note"], record["origin"]) == ("Other", "by hand", "desk")
    assert "E19" in users.by_key()
    server.finish_deletes(users)
    server.forget()

    third = desk.run().result

    assert third.ending is Ending.DONE
    assert server.writes() == []
    assert sum(seen.path.startswith("/users/") for seen in server.requests) == 1
    server.forget()
    assert wrote(desk.run().result.counts) == (0, 0, 0)
    assert [seen.path for seen in server.requests] == ["/staff"]
