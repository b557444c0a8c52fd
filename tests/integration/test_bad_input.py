"""What goes wrong outside: each has a clear error, and nothing is lost."""

import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.errors import StateError
from daemon.sync.outcome import Ending
from tests.fakes.misbehaving import Cut, Fault, MisbehavingServer
from tests.integration.harness import Desk, wrote


def person(number: int, **fields: Any) -> dict[str, Any]:
    return {"external_id": f"E{number}", "name": f"Name {number}", "email": f"p{number}@example.test", **fields}


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with MisbehavingServer(seed=1) as one:
        yield one


def spec(host: str, *, source: dict[str, Any] | None = None, target: dict[str, Any] | None = None) -> dict[str, Any]:
    connection = {
        "host": host,
        "auth": {"type": "bearer", "token": {"env": "TOKEN"}},
        "retry": {"attempts": 3, "backoff": 0.01, "max_wait": "1s"},
        "timeout": {"connect": "2s", "read": "2s", "total": "20s"},
    }
    return {
        "connections": {"api": connection},
        "jobs": {
            "people": {
                "mode": "mirror",
                "source": {
                    "connection": "api",
                    "read": "people",
                    "records": "data.items",
                    "paginate": {
                        "type": "cursor",
                        "param": "cursor",
                        "next": "data.next_cursor",
                        "total": "data.total",
                    },
                    **(source or {}),
                },
                "key": "record.external_id",
                "map": {name: f"record.{name}" for name in ("external_id", "name", "email")},
                "target": {
                    "connection": "api",
                    "match": "external_id",
                    "lookup": {"uri": "users", "params": {"external_id": "{{ key }}"}, "records": "users"},
                    "create": "users",
                    "update": {"uri": "users/{{ target.id }}", "body": "changed"},
                    "delete": "users/{{ target.id }}",
                    **(target or {}),
                },
            }
        },
    }


class Scene:
    """A source of 350 people and an empty target on one misbehaving server."""

    def __init__(self, server: MisbehavingServer, folder: Path, **changes: Any) -> None:
        self.server = server
        self.people = server.collection("people", paging="cursor")
        self.users = server.collection("users", paging="page")
        self.people.put(person(number) for number in range(350))
        self.desk = Desk(folder, spec(server.url, **changes), secrets={"TOKEN": "canary-good"})
        server.token("canary-good")

    def is_in_step(self) -> bool:
        names = ("external_id", "name", "email")
        shown = [
            {key: {n: one[n] for n in names} for key, one in c.by_key().items()} for c in (self.people, self.users)
        ]
        return shown[0] == shown[1]


@pytest.fixture
def scene(server: MisbehavingServer, tmp_path: Path) -> Scene:
    return Scene(server, tmp_path)


def test_a_wrong_host_is_unavailable_and_named(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    desk = Desk(tmp_path, spec(f"http://127.0.0.1:{port}"), secrets={"TOKEN": "canary-good"})

    result = desk.run().result

    assert result.ending is Ending.UNAVAILABLE
    assert f"127.0.0.1:{port}" in result.error


def test_refused_credentials_fail_the_run_and_name_the_connection(scene: Scene) -> None:
    scene.desk.environment["TOKEN"] = "wrong"

    result = scene.desk.run().result

    assert result.ending is Ending.FAILED
    assert "status code 401" in result.error
    assert "connection api" in result.error
    assert "wrong" not in result.error


@pytest.mark.edge(8, 12)
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault.html(), "HTML"),
        (Fault.missing_records(), "data.items"),
        (Fault.envelope(), "data.items"),
        (Fault.repeat_page(), "same records"),
        (Fault.token_cycle(), "page"),
    ],
)
def test_an_answer_that_is_no_whole_new_page_fails_the_run_and_deletes_nothing(
    scene: Scene, fault: Fault, said: str
) -> None:
    scene.desk.run()
    for number in range(300, 350):
        scene.people.remove(f"E{number}")
    scene.server.forget()
    scene.server.fault(fault, method="GET", path="^/people", nth=2, times=3)

    result = scene.desk.run().result

    assert result.ending is Ending.FAILED
    assert said in result.error
    assert scene.server.writes() == []


@pytest.mark.edge(13)
@pytest.mark.parametrize(
    "fault",
    [
        Fault.close_before(),
        Fault.connection_reset(),
        Fault.cut_body(Cut.WRONG_LENGTH),
        Fault.cut_body(Cut.CHUNKED),
        Fault.answer(502),
        Fault.too_many(0),
    ],
)
def test_a_network_that_is_gone_in_mid_read_deletes_nothing(scene: Scene, fault: Fault) -> None:
    scene.desk.run()
    for number in range(300, 350):
        scene.people.remove(f"E{number}")
    scene.server.forget()
    scene.server.fault(fault, method="GET", path="^/people", nth=2, times=100)

    result = scene.desk.run().result

    assert result.ending is Ending.UNAVAILABLE
    assert not result.certificate.issued
    assert scene.server.writes() == []


@pytest.mark.edge(13)
def test_a_passing_fault_is_ridden_out(scene: Scene) -> None:
    scene.server.fault(Fault.answer(503), method="GET", nth=2, times=1)
    scene.server.fault(Fault.cut_body(Cut.WRONG_LENGTH), method="GET", path="^/people", nth=3, times=1)
    scene.server.fault(Fault.too_many(0), method="POST", nth=5, times=2)

    result = scene.desk.run().result

    assert result.ending is Ending.DONE
    assert scene.is_in_step()
    assert max(scene.server.creates_by_key("users").values()) == 1


@pytest.mark.edge(23)
@pytest.mark.fact(8)
def test_a_create_that_was_carried_out_and_never_answered_is_not_doubled(scene: Scene) -> None:
    scene.server.fault(Fault.close_after(), method="POST", path="^/users", every=7)

    result = scene.desk.run().result

    assert result.ending is Ending.DONE
    assert scene.is_in_step()
    assert max(scene.server.creates_by_key("users").values()) == 1


@pytest.mark.edge(17)
def test_a_record_without_its_key_and_two_with_one_are_rejected_with_reasons(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    scene = Scene(server, tmp_path, source={"read": "odd"})
    odd = server.collection("odd", key="row", paging="cursor")
    rows = [person(1), person(2), {"name": "Nobody"}, person(2, name="Twin"), person(3)]
    odd.put({"row": number, **row} for number, row in enumerate(rows))

    result = scene.desk.run().result

    assert result.ending is Ending.REJECTED
    assert (result.counts.created, result.counts.rejected) == (2, 3)
    assert "no usable key" in str(result.certificate)


def test_a_target_that_rejects_one_record_takes_the_others(scene: Scene) -> None:
    scene.users.reject("E7", 422)

    result = scene.desk.run().result

    assert result.ending is Ending.REJECTED
    assert wrote(result.counts) == (349, 0, 0)
    assert result.counts.rejected == 1

    scene.users.accept("E7")
    assert scene.desk.run().result.ending is Ending.DONE
    assert scene.is_in_step()


def test_a_reject_whose_record_left_the_source_is_no_reject_any_more(scene: Scene) -> None:
    scene.users.reject("E7", 422)
    scene.desk.run()
    assert scene.desk.rejects() == ["E7"]
    scene.people.remove("E7")

    scene.desk.run()

    assert scene.desk.rejects() == []


def test_a_target_that_goes_away_in_mid_write_is_finished_by_the_next_run(scene: Scene) -> None:
    scene.server.fault(Fault.answer(503), method="POST", nth=100, times=1000)
    first = scene.desk.run().result
    scene.server.behave()

    second = scene.desk.run().result

    assert first.ending is Ending.UNAVAILABLE
    assert first.counts.created + second.counts.created == 350
    assert max(scene.server.creates_by_key("users").values()) == 1
    assert scene.is_in_step()


@pytest.mark.edge(41)
def test_a_state_file_that_may_not_be_written_sends_nothing(scene: Scene) -> None:
    scene.desk.run()
    scene.server.forget()
    scene.desk.state.chmod(0o400)
    # Root may write anything, so the file is also made unwritable as SQLite sees it.
    scene.desk.state.write_bytes(b"not a database" * 100)

    with pytest.raises(StateError, match=r"crudsd\.db"):
        scene.desk.run()

    assert scene.server.writes() == []


@pytest.mark.edge(41)
def test_a_locked_state_file_sends_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.desk.run()
    scene.server.forget()
    monkeypatch.setattr("daemon.store.database.BUSY_TIMEOUT_S", 0.2)
    other = sqlite3.connect(scene.desk.state, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    try:
        with pytest.raises(StateError, match=r"lock|busy|writing"):
            scene.desk.run()
    finally:
        other.close()

    assert scene.server.writes() == []


@pytest.mark.edge(45)
def test_a_plan_writes_nothing_anywhere(scene: Scene) -> None:
    scene.desk.run()
    scene.people.remove("E1")
    scene.people.put([person(2, name="Other"), person(900)])
    scene.server.forget()
    before = dump(scene.desk.state)

    result = scene.desk.plan()

    assert (result.counts.pending, result.counts.deletes_pending) == (2, 1)
    assert scene.server.writes() == []
    assert dump(scene.desk.state) == before


def dump(state: Path) -> list[str]:
    with sqlite3.connect(state) as connection:
        return list(connection.iterdump())
