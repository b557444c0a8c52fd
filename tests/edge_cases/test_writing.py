"""Edge cases of writing, through the whole program: each ends equal, at rest, or with the exact reject."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.sync.outcome import Ending
from tests.edge_cases.pair import LIST, USER, Pair
from tests.fakes.misbehaving import Fault, MisbehavingServer

POST_USERS = {"method": "POST", "path": "^/users"}
KEYED = {"uri": "users", "idempotency_header": "Idempotency-Key"}
GET = {"uri": USER, "version": "header:ETag"}

Make = Callable[..., Pair]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MisbehavingServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with MisbehavingServer(seed=5) as one:
        yield one


@pytest.fixture
def make(server: MisbehavingServer, tmp_path: Path) -> Make:
    """Make a pair of systems with twenty people in the source; `users` and `target` as in `Pair`."""

    def made(count: int = 20, **changes: Any) -> Pair:
        pair = Pair(server, tmp_path, **changes)
        pair.hire(*range(count))
        return pair

    return made


# ---- 23, 24: answers that are lost ---------------------------------------------------------------------------------

LOST = [
    pytest.param(Fault.close_after(), id="cut"),
    pytest.param(Fault.connection_reset(applied=True), id="reset"),
    pytest.param(Fault.answer(502, b"bad gateway", applied=True), id="502"),
    pytest.param(Fault.answer(500, b"{}", applied=True), id="500"),
    pytest.param(Fault.answer(408, b"{}", applied=True), id="408"),
]


@pytest.mark.edge(23)
@pytest.mark.suffering(17)
@pytest.mark.fact(8)
@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("way", ["lookup", "list"])
def test_a_create_that_was_carried_out_and_not_answered_is_one_record(
    make: Make, server: MisbehavingServer, way: str, fault: Fault
) -> None:
    finds = {"lookup": {}, "list": {"lookup": None, "list": LIST}}[way]
    pair = make(target=finds, users={"doubles": True})
    server.fault(fault, **POST_USERS, nth=3, times=2)

    pair.run()
    pair.run()

    assert server.creates_by_key("users") == {f"E{number}": 1 for number in range(20)}
    pair.assert_in_step()
    assert pair.assert_idle().ending is Ending.DONE
    assert pair.desk.rejects() == []


@pytest.mark.edge(23)
def test_without_any_way_to_ask_a_lost_create_waits_for_a_person(make: Make, server: MisbehavingServer) -> None:
    pair = make(target={"lookup": None, "match": None}, users={"doubles": True})
    server.fault(Fault.close_after(), **POST_USERS, nth=3, times=1)

    results = [pair.run(), pair.run()]

    assert [one.ending for one in results] == [Ending.REJECTED, Ending.REJECTED]
    assert [one.counts.rejected for one in results] == [1, 1]
    assert max(server.creates_by_key("users").values()) == 1


@pytest.mark.edge(23, 24)
def test_the_key_of_a_create_stays_the_same_over_retries_and_runs(tmp_path: Path) -> None:
    with MisbehavingServer(seed=5, idempotent=True) as server:
        pair = Pair(server, tmp_path, target={"lookup": None, "match": None, "create": KEYED}, users={"doubles": True})
        pair.hire(1)
        server.fault(Fault.close_after(), **POST_USERS)
        first = pair.run()
        server.behave()
        server.fault(Fault.close_after(), **POST_USERS, nth=1)

        second = pair.run()

        assert (first.counts.rejected, second.counts.rejected) == (1, 0)
        keys = [seen.headers["idempotency-key"] for seen in server.writes()]
        assert len(keys) > 3
        assert len(set(keys)) == 1
        assert server.creates_by_key("users") == {"E1": 1}
        pair.assert_in_step()
        pair.assert_idle()


@pytest.mark.edge(24)
def test_another_content_is_another_intent_with_another_key(tmp_path: Path) -> None:
    with MisbehavingServer(seed=5, idempotent=True) as server:
        pair = Pair(
            server,
            tmp_path,
            target={"create": KEYED, "update": {"uri": USER, "idempotency_header": "Idempotency-Key"}},
            users={"doubles": True},
        )
        pair.hire(1)
        server.fault(Fault.close_after(), **POST_USERS)
        pair.run()
        server.behave()
        pair.hire(1, name="Other")

        result = pair.run()

        creates = [seen for seen in server.writes() if seen.method == "POST"]
        (update,) = [seen for seen in server.writes() if seen.method == "PATCH"]
        assert len({(seen.headers["idempotency-key"], seen.body) for seen in creates}) == 1
        assert update.headers["idempotency-key"] != creates[0].headers["idempotency-key"]
        assert (result.ending, server.creates_by_key("users")) == (Ending.DONE, {"E1": 1})
        pair.assert_in_step()
        pair.assert_idle()


@pytest.mark.edge(23, 24)
@pytest.mark.suffering(17)
@pytest.mark.parametrize("status", [400, 409, 422, 425, 429])
@pytest.mark.parametrize("finds", [{}, {"lookup": None, "match": None}], ids=["lookup", "no lookup"])
def test_a_repetition_that_is_refused_does_not_hide_the_create_before_it(
    tmp_path: Path, finds: dict[str, Any], status: int
) -> None:
    with MisbehavingServer(seed=5, idempotent=True) as server:
        pair = Pair(server, tmp_path, target={"create": KEYED, **finds}, users={"doubles": True})
        pair.hire(*range(20))
        server.fault(Fault.close_after(), **POST_USERS, nth=3)
        # "A request with this key is under way", for instance.
        server.fault(Fault.answer(status, '{"code": "busy"}'), **POST_USERS, nth=4, times=40)
        pair.run()
        server.behave()

        result = pair.run()

        assert server.creates_by_key("users") == {f"E{number}": 1 for number in range(20)}
        assert result.ending is Ending.DONE
        pair.assert_in_step()
        pair.assert_idle()
