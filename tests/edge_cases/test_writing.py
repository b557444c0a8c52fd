"""Edge cases of writing, through the whole program: each ends equal, at rest, or with the exact reject."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.sync.outcome import Ending
from tests.edge_cases.pair import LIST, USER, Pair, maker, person
from tests.fakes.misbehaving import Fault, MisbehavingServer, Moment, Seen
from tests.integration.harness import wrote

POST_USERS: Any = {"method": "POST", "path": "^/users"}
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
    return maker(server, tmp_path, 20)


# ---- 23, 24: answers that are lost ---------------------------------------------------------------------------------

LOST = [
    pytest.param(Fault.close_after(), id="cut"),
    pytest.param(Fault.connection_reset(applied=True), id="reset"),
    pytest.param(Fault.answer(502, b"bad gateway", applied=True), id="502"),
    # A gateway that lost the system behind it says so, without Retry-After: "upstream connect error or disconnect".
    pytest.param(Fault.answer(503, b"upstream reset", applied=True), id="503"),
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


@pytest.mark.edge(23, 25)
@pytest.mark.parametrize(
    "fault",
    [Fault.answer(503, b"upstream reset", applied=True), Fault.answer(502, applied=True), Fault.html(applied=True)],
    ids=["503", "502", "a page"],
)
@pytest.mark.parametrize("way", ["lookup", "list", "key"])
@pytest.mark.parametrize("stays", [True, False], ids=["and stays", "and leaves"])
def test_a_create_that_was_carried_out_and_not_answered_is_one_record_and_ours_to_delete(
    tmp_path: Path, stays: bool, way: str, fault: Fault
) -> None:
    ways: dict[str, dict[str, Any]] = {
        "lookup": {},
        "list": {"lookup": None, "list": LIST},
        "key": {"lookup": None, "match": None, "create": KEYED},
    }
    with MisbehavingServer(seed=5, idempotent=way == "key") as server:
        pair = Pair(server, tmp_path, target=ways[way], users={"doubles": True})
        spec = pair.spec()
        spec["connections"]["api"]["quota"] = {"concurrency": 1}
        pair.desk.write(spec)
        pair.hire(*range(10))
        server.fault(fault, **POST_USERS, nth=3, times=3)  # all tries of the third create
        pair.run()
        server.behave()
        if stays:
            pair.run()
            pair.assert_in_step()
        pair.staff.remove("E2")

        pair.run()

        assert max(server.creates_by_key("users").values()) == 1
        pair.assert_in_step()


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
    tmp_path: Path, finds: dict[str, Any], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.endpoints.throttle._FIRST_PAUSE_S", 0.01)
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


# ---- 25, 34: records that are there already ------------------------------------------------------------------------


def by_hand(number: int, **fields: Any) -> dict[str, Any]:
    return {**person(number), "name": "By hand", "note": "theirs", **fields}


DUPLICATE = [
    pytest.param(400, '{"code": "validation_not_unique"}', {"when": "response.body.code == 'validation_not_unique'"}),
    pytest.param(409, '{"code": "duplicate"}', None),
    pytest.param(422, '{"errors": ["no has already been taken"]}', {"status": 422}),
    pytest.param(500, "ORA-00001: unique constraint violated", {"when": "'unique constraint' in response.body"}),
]


@pytest.mark.edge(25, 34)
@pytest.mark.fact(12)
@pytest.mark.parametrize(("status", "body", "rule"), DUPLICATE)
def test_a_duplicate_key_is_adopted_in_whatever_way_it_is_told(
    make: Make, server: MisbehavingServer, status: int, body: str, rule: dict[str, Any] | None
) -> None:
    rules = [] if rule is None else [{**rule, "then": "exists"}]
    pair = make(target={"create": {"uri": "users", "on_response": rules}})

    def appear(moment: Moment, seen: Seen) -> None:
        """Somebody makes the record between our look-up and our create."""
        if moment is Moment.ARRIVED and seen.method == "POST" and seen.json()["no"] == "E3":
            pair.users.put([by_hand(3)])

    server.watch(appear)
    server.fault(Fault.answer(status, body), **POST_USERS)
    first = pair.run()
    server.watch(None)
    server.behave()

    assert first.counts.rejected == 19
    assert pair.users.by_key()["E3"]["note"] == "theirs"
    pair.run()
    pair.assert_in_step()
    pair.assert_idle()
    pair.staff.remove("E3")
    pair.staff.remove("E4")

    last = pair.run()

    assert (last.counts.deleted, last.counts.kept) == (1, 1)
    assert "E3" in pair.users.by_key()
    assert "E4" not in pair.users.by_key()


@pytest.mark.edge(25)
@pytest.mark.parametrize("status", [409, 422])
def test_a_record_that_conflicts_in_another_field_is_not_adopted(
    make: Make, server: MisbehavingServer, status: int
) -> None:
    rules = [{"status": [409, 422], "then": "exists"}]
    pair = make(users={"unique": ["email"]}, target={"create": {"uri": "users", "on_response": rules}})
    theirs = {"no": "X1", "name": "Somebody", "email": person(3)["email"]}
    pair.users.put([theirs])
    if status == 422:
        server.fault(Fault.answer(422, '{"error": "email is taken"}'), **POST_USERS)

    result = pair.run()

    assert (result.ending, "E3" in pair.desk.rejects()) == (Ending.REJECTED, True)
    assert {**pair.users.by_key()["X1"], **theirs} == pair.users.by_key()["X1"]
    assert "E3" not in pair.users.by_key()
    assert pair.server.creates_by_key("users")["E3"] == 0


@pytest.mark.edge(34)
@pytest.mark.parametrize("finds", [{}, {"lookup": None, "list": LIST}], ids=["lookup", "list"])
@pytest.mark.parametrize("delete_adopted", [False, True])
def test_a_record_of_somebody_else_is_kept_in_step_and_deleted_only_if_the_job_says_so(
    make: Make, finds: dict[str, Any], *, delete_adopted: bool
) -> None:
    pair = make(target={**finds, "delete_adopted": delete_adopted})
    pair.users.put([by_hand(3), {"no": "X1", "name": "Nobody's business"}])

    first = pair.run()

    assert (wrote(first.counts), first.counts.adopted) == ((19, 1, 0), 1)
    assert pair.users.by_key()["E3"] == {**pair.users.by_key()["E3"], **person(3), "note": "theirs"}
    pair.staff.remove("E3")
    pair.staff.remove("E4")

    second = pair.run()

    assert (second.counts.deleted, second.counts.kept) == ((2, 0) if delete_adopted else (1, 1))
    assert ("E3" in pair.users.by_key()) is not delete_adopted
    assert "X1" in pair.users.by_key()
    pair.assert_idle()


@pytest.mark.edge(27, 34)
@pytest.mark.parametrize("finds", [{}, {"lookup": None, "list": LIST}], ids=["lookup", "list"])
def test_a_record_that_somebody_made_in_place_of_ours_is_never_deleted(make: Make, finds: dict[str, Any]) -> None:
    pair = make(target=finds)
    pair.run()
    pair.users.remove("E3")
    pair.users.put([by_hand(3)])
    pair.hire(3, name="Other")
    pair.run()
    pair.assert_in_step()
    pair.staff.remove("E3")

    result = pair.run()

    assert (result.counts.deleted, result.counts.kept) == (0, 1)
    assert pair.users.by_key()["E3"]["note"] == "theirs"


# ---- 26, 27: deletes and updates that are refused, put off or too late ---------------------------------------------


@pytest.mark.edge(26)
@pytest.mark.parametrize("status", [404, 410])
def test_a_delete_of_what_is_gone_is_done(make: Make, server: MisbehavingServer, status: int) -> None:
    pair = make()
    pair.run()
    pair.staff.remove("E3")
    pair.users.remove("E3")
    server.fault(Fault.answer(status), method="DELETE")

    result = pair.run()

    assert (result.ending, result.counts.deleted) == (Ending.DONE, 1)
    pair.assert_in_step()
    pair.assert_idle()


@pytest.mark.edge(26)
@pytest.mark.parametrize("status", [400, 403, 409, 422])
def test_a_refused_delete_is_a_reject_and_is_made_once_it_is_allowed(
    make: Make, server: MisbehavingServer, status: int
) -> None:
    pair = make()
    pair.run()
    pair.staff.remove("E3")
    server.fault(Fault.answer(status, '{"code": "has_open_tickets"}'), method="DELETE")

    refused = [pair.run(), pair.run()]

    assert [(one.ending, one.counts.deletes_rejected) for one in refused] == [(Ending.REJECTED, 1)] * 2
    assert pair.desk.rejects() == ["E3"]
    assert "E3" in pair.users.by_key()
    server.behave()
    assert pair.run().counts.deleted == 1
    assert pair.desk.rejects() == []
    pair.assert_in_step()
    pair.assert_idle()


@pytest.mark.edge(26)
@pytest.mark.parametrize("way", [{}, {"get": GET}], ids=["lookup", "get"])
def test_a_promised_delete_is_looked_after_and_the_record_is_not_made_again(
    make: Make, server: MisbehavingServer, way: dict[str, Any]
) -> None:
    pair = make(target=way, users={"deletes_later": True, "doubles": True})
    pair.run()
    pair.staff.remove("E3")
    assert pair.run().counts.deleted == 1
    server.finish_deletes(pair.users)
    server.forget()

    verified = pair.run()

    assert (verified.ending, server.writes()) == (Ending.DONE, [])
    pair.assert_in_step()
    pair.assert_idle()
    assert [seen.path for seen in server.requests] == ["/staff"]


@pytest.mark.edge(27)
@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("finds", [{}, {"lookup": None, "list": LIST}], ids=["lookup", "list"])
def test_an_update_of_what_is_gone_makes_it_again_and_links_it(
    make: Make, server: MisbehavingServer, finds: dict[str, Any], status: int
) -> None:
    pair = make(target=finds, users={"doubles": True})
    pair.run()
    pair.users.remove("E3")
    pair.hire(3, name="Other")
    server.fault(Fault.answer(status), method="PATCH")

    result = pair.run()

    assert (result.ending, result.counts.rejected) == (Ending.DONE, 0)
    pair.assert_in_step()
    pair.assert_idle()
    pair.staff.remove("E3")
    assert pair.run().counts.deleted == 1
    pair.assert_in_step()


@pytest.mark.edge(27)
@pytest.mark.suffering(17)
def test_a_job_that_only_updates_makes_nothing_again(make: Make, server: MisbehavingServer) -> None:
    pair = make(mode="update_only")
    pair.users.put(person(number, name="Old") for number in range(10))
    assert wrote(pair.run().counts) == (0, 10, 0)
    pair.users.remove("E3")
    pair.hire(3, name="Other")

    result = pair.run()

    assert (result.ending, pair.desk.rejects()) == (Ending.REJECTED, ["E3"])
    assert server.creates_by_key("users") == {}
