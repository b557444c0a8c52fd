"""Edge cases of updates, order, keys and appending, through the whole program."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import main
from daemon.sync.key_change import KeyChange
from daemon.sync.outcome import Ending
from tests.edge_cases.pair import LIST, NAMES, USER, Pair, maker, person
from tests.fakes.misbehaving import Fault, MisbehavingServer, Moment, Seen
from tests.fakes.patches import MERGE, OPERATIONS
from tests.integration.harness import wrote

POST_USERS: Any = {"method": "POST", "path": "^/users"}
GET = {"uri": USER, "version": "header:ETag"}

Make = Callable[..., Pair]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MisbehavingServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with MisbehavingServer(seed=6) as one:
        yield one


@pytest.fixture
def make(server: MisbehavingServer, tmp_path: Path) -> Make:
    return maker(server, tmp_path, 8)


# ---- 28: the dialects of an update ---------------------------------------------------------------------------------

CLEARS = {
    "no": "record.no",
    "name": "record.name",
    "email": "record.email",
    "phone": {"from": "record.phone", "when_null": "clear"},
}
OPERATION = [
    {"op": "add", "path": "/name", "value": "{{ document.name }}"},
    {"op": "replace", "path": "/email", "value": "{{ document.email }}"},
]
DIALECTS = [
    pytest.param({"body": "changed"}, {}, id="PATCH of what changed"),
    pytest.param({"body": "document"}, {}, id="PATCH of the document"),
    pytest.param({"body": "changed", "headers": {"Content-Type": MERGE}}, {}, id="merge-patch"),
    pytest.param({"body": "changed", "headers": {"content-type": MERGE}}, {}, id="merge-patch in small letters"),
    pytest.param({"body": OPERATION, "headers": {"Content-Type": OPERATIONS}}, {}, id="JSON Patch"),
    pytest.param({"replace": True, "if_match": True}, {"get": GET}, id="PUT, read by get"),
    pytest.param({"replace": True}, {}, id="PUT, read by look-up"),
]


@pytest.mark.edge(28)
@pytest.mark.suffering(17)
@pytest.mark.parametrize(("update", "target"), DIALECTS)
def test_an_update_in_any_dialect_keeps_what_is_not_mapped_and_makes_nothing_null(
    make: Make, update: dict[str, Any], target: dict[str, Any]
) -> None:
    pair = make(target={**target, "update": {"uri": USER, **update}}, map=CLEARS)
    pair.run()
    pair.users.put({**one, "note": "by hand", "phone": "0123"} for one in pair.users.records())
    pair.hire(3, name="Other")

    result = pair.run()

    assert (result.ending, wrote(result.counts)) == (Ending.DONE, (0, 1, 0))
    record = pair.users.by_key()["E3"]
    assert (record["name"], record["note"], record["phone"]) == ("Other", "by hand", "0123")
    assert None not in record.values()
    pair.assert_in_step()
    pair.assert_idle()


@pytest.mark.edge(28)
@pytest.mark.parametrize(
    ("update", "cleared"),
    [
        pytest.param({"body": "changed"}, {"phone": None}, id="PATCH"),
        pytest.param({"body": "changed", "headers": {"Content-Type": MERGE}}, {}, id="merge-patch"),
        pytest.param({"replace": True}, {"phone": None}, id="PUT"),
    ],
)
def test_null_is_sent_where_the_job_clears_and_nowhere_else(
    make: Make, update: dict[str, Any], cleared: dict[str, Any]
) -> None:
    pair = make(target={"update": {"uri": USER, **update}}, map=CLEARS)
    pair.hire(3, phone="0123")
    pair.hire(4, phone="0123")
    pair.run()
    pair.hire(3, phone=None, email=None)
    pair.staff.put([{"no": "E4", "name": "Name 4"}])

    result = pair.run()

    assert wrote(result.counts) == (0, 1, 0)
    held = pair.users.by_key()
    assert {name: held["E3"][name] for name in ("phone", "email") if name in held["E3"]} == {
        "email": person(3)["email"],
        **cleared,
    }
    assert (held["E4"]["phone"], held["E4"]["email"]) == ("0123", person(4)["email"])
    pair.assert_idle()


# ---- 29: a person edits the record meanwhile -----------------------------------------------------------------------


def edits(pair: Pair, number: int, method: str, **fields: Any) -> None:
    """Let somebody edit a user each time just before a request of this method is looked at."""
    count = iter(range(100))

    def edit(moment: Moment, seen: Seen) -> None:
        if moment is Moment.ARRIVED and seen.method == method:
            theirs = {name: f"{value} {next(count)}" for name, value in fields.items()}
            pair.users.put([{**pair.users.by_key()[f"E{number}"], **theirs}])

    pair.server.watch(edit)


VERSIONED = {"create": {"uri": "users", "version": "header:ETag"}, "get": GET}
PUT = {"uri": USER, "replace": True, "if_match": True, "version": "header:ETag"}
PATCH = {"uri": USER, "body": "changed", "if_match": True, "version": "header:ETag"}


@pytest.mark.edge(29)
@pytest.mark.fact(7)
@pytest.mark.parametrize("update", [PUT, PATCH], ids=["PUT", "PATCH"])
def test_an_edit_between_read_and_write_survives_in_what_is_not_mapped(
    make: Make, server: MisbehavingServer, update: dict[str, Any]
) -> None:
    pair = make(target={**VERSIONED, "update": update})
    pair.run()
    pair.hire(3, name="Other")
    server.forget()
    edited = iter([True])

    def edit(moment: Moment, seen: Seen) -> None:
        if moment is Moment.ARRIVED and seen.method in {"PUT", "PATCH"} and next(edited, False):
            pair.users.put([{**pair.users.by_key()["E3"], "note": "meanwhile", "email": "hand@x"}])

    server.watch(edit)

    result = pair.run()

    assert (result.ending, wrote(result.counts)) == (Ending.DONE, (0, 1, 0))
    assert len(server.writes()) == 2
    assert pair.users.by_key()["E3"]["note"] == "meanwhile"
    pair.assert_in_step()
    server.watch(None)
    pair.assert_idle()


@pytest.mark.edge(29)
@pytest.mark.parametrize("update", [PUT, PATCH], ids=["PUT", "PATCH"])
def test_a_record_that_is_edited_before_every_try_is_a_reject_and_done_later(
    make: Make, server: MisbehavingServer, update: dict[str, Any]
) -> None:
    pair = make(target={**VERSIONED, "update": update})
    pair.run()
    pair.hire(3, name="Other")
    edits(pair, 3, "PUT" if update is PUT else "PATCH", note="again")

    result = pair.run()

    assert (result.ending, pair.desk.rejects()) == (Ending.REJECTED, ["E3"])
    assert pair.users.by_key()["E3"]["name"] == "Name 3"
    server.watch(None)
    assert pair.run().ending is Ending.DONE
    assert pair.users.by_key()["E3"]["note"].startswith("again")
    pair.assert_in_step()
    pair.assert_idle()


@pytest.mark.edge(29)
def test_an_edit_of_a_mapped_field_is_told_before_it_is_overruled(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = make(compare="target", target={"list": LIST})
    pair.run()
    pair.users.put([{**pair.users.by_key()["E3"], "email": "hand@x", "note": "theirs"}])
    pair.server.forget()

    main(["--config", str(pair.desk.settings.config), "plan", "people"])

    shown = capsys.readouterr().out
    assert "~ update  E3" in shown
    assert "email: hand@x → p3@example.test" in shown.replace("'", "").replace('"', "")
    assert pair.server.writes() == []
    pair.run()
    pair.assert_in_step()
    assert pair.users.by_key()["E3"]["note"] == "theirs"
    pair.assert_idle()


# ---- 30: the target keeps values in its own way --------------------------------------------------------------------


def lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def rounded(value: Any) -> Any:
    return round(value, 1) if isinstance(value, float) else value


WAYS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "lower-cases": ("A@X.test", lower),
    "trims": (" a ", lambda value: value.strip()),
    "rounds": (19.949, rounded),
    "sorts lists": (["b", "a"], sorted),
    "null to []": (None, lambda value: [] if value is None else value),
    "drops null": (None, lambda value: value),
    "text for numbers": (7, str),
    "adds a default inside": ({"city": "Ulm"}, lambda value: {"country": "DE", **value}),
}
ADDED = {"adds a default inside", "drops null"}
"""Ways that make no difference: fields that the target adds never count."""


@pytest.mark.edge(30)
@pytest.mark.suffering(18)
@pytest.mark.parametrize("compare", ["links", "target"])
@pytest.mark.parametrize("way", WAYS)
def test_a_target_that_keeps_values_in_its_own_way_is_left_alone_and_the_field_named(
    make: Make, way: str, compare: str
) -> None:
    value, keep = WAYS[way]
    mapped = {"no": "record.no", "name": "record.name", "extra": {"from": "record.extra", "when_null": "clear"}}
    pair = make(0, users={"normalise": {"extra": keep}}, target={"list": LIST}, compare=compare, map=mapped)
    pair.hire(1, 2, extra=value)
    pair.hire(3, extra="plain" if way == "lower-cases" else value)
    runs = [pair.run() for _ in range(3)]

    result = pair.assert_idle()

    assert {one.ending for one in [*runs, result]} == {Ending.DONE}
    assert result.counts.unchanged == 3
    if compare == "links":
        assert [wrote(one.counts) for one in runs[1:]] == [(0, 0, 0), (0, 0, 0)]
    told = {} if compare == "links" or way in ADDED else {"extra": 2 if way == "lower-cases" else 3}
    assert {one.field: one.records for one in result.contests} == told


@pytest.mark.edge(30)
@pytest.mark.suffering(18)
@pytest.mark.parametrize("compare", ["links", "target"])
def test_fields_that_the_target_fills_in_never_matter(make: Make, server: MisbehavingServer, compare: str) -> None:
    pair = make(target={"list": LIST}, compare=compare)
    pair.run()
    pair.users.put({**one, "created_at": "2026-01-01", "active": True, "roles": []} for one in pair.users.records())

    result = pair.assert_idle()

    assert (result.counts.unchanged, result.contests) == (8, ())


# ---- 33: order -----------------------------------------------------------------------------------------------------


@pytest.mark.edge(33)
def test_a_chain_of_unique_values_is_handed_on_in_one_run(make: Make) -> None:
    pair = make(users={"unique": ["email"]})
    pair.run()
    # In the order of the list each wants what the next one still holds.
    for number in range(7):
        pair.hire(number, email=person(number + 1)["email"])
    pair.hire(7, email="free@example.test")

    result = pair.run()

    assert (result.ending, wrote(result.counts)) == (Ending.DONE, (0, 8, 0))
    pair.assert_in_step()
    assert pair.desk.rejects() == []
    pair.assert_idle()


@pytest.mark.edge(33)
def test_two_that_swap_a_unique_value_are_both_kept_as_rejects_and_nothing_else_is_lost(make: Make) -> None:
    pair = make(users={"unique": ["email"]})
    pair.run()
    pair.hire(1, email=person(2)["email"])
    pair.hire(2, email=person(1)["email"])
    pair.hire(5, name="Other")

    result = pair.run()

    assert (result.ending, sorted(pair.desk.rejects()), result.counts.updated) == (Ending.REJECTED, ["E1", "E2"], 1)
    assert pair.users.by_key()["E1"]["email"] == person(1)["email"]
    # A person parks one of the values; the rest goes by itself.
    pair.users.put([{**pair.users.by_key()["E1"], "email": "parked@example.test"}])
    assert pair.run().ending is Ending.DONE
    pair.assert_in_step()
    assert pair.desk.rejects() == []
    pair.assert_idle()


@pytest.mark.edge(33)
@pytest.mark.parametrize("concurrency", [1, 4])
def test_managers_are_made_before_and_deleted_after_their_reports(make: Make, concurrency: int) -> None:
    pair = make(0, users={"refers": "manager"}, map={name: f"record.{name}" for name in (*NAMES, "manager")})
    spec = pair.spec()
    spec["connections"]["api"]["quota"] = {"concurrency": concurrency}
    pair.desk.write(spec)
    for number in range(6):
        pair.hire(number, manager=f"E{number + 1}")
    pair.hire(6)

    first = pair.run()

    assert (first.ending, first.counts.created, first.counts.rejected) == (Ending.DONE, 7, 0)
    pair.assert_in_step((*NAMES, "manager"))
    pair.assert_idle()
    for number in range(3, 7):
        pair.staff.remove(f"E{number}")
    pair.staff.put([{**person(2), "manager": "E1"}])
    pair.hire(9, manager="E2")

    last = pair.run()

    assert (last.ending, wrote(last.counts)) == (Ending.DONE, (1, 1, 4))
    pair.assert_in_step((*NAMES, "manager"))
    pair.assert_idle()


# ---- 35: another key -----------------------------------------------------------------------------------------------


@pytest.mark.edge(35)
def test_a_changed_key_is_shown_as_such_and_is_a_delete_and_a_create(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = make()
    pair.run()
    pair.staff.remove("E3")
    pair.staff.put([{**person(3), "no": "X3"}])

    main(["--config", str(pair.desk.settings.config), "plan", "people"])

    shown = capsys.readouterr().out
    assert "+ create  X3" in shown
    assert shown.count("(looks like a key change from E3 to X3)") == 2
    result = pair.run()
    assert (wrote(result.counts), result.key_changes) == ((1, 0, 1), (KeyChange("E3", "X3"),))
    pair.assert_in_step()
    pair.assert_idle()


@pytest.mark.edge(35)
def test_a_key_that_was_changed_on_both_sides_keeps_its_record(make: Make) -> None:
    pair = make()
    pair.run()
    before = pair.users.by_key()["E3"]["id"]
    pair.staff.remove("E3")
    pair.staff.put([{**person(3), "no": "X3"}])
    pair.users.restore([{**one, "no": "X3"} if one["no"] == "E3" else one for one in pair.users.records()])

    result = pair.run()

    assert (result.ending, wrote(result.counts)) == (Ending.DONE, (0, 0, 0))
    assert pair.users.by_key()["X3"]["id"] == before
    pair.assert_in_step()
    pair.assert_idle()


# ---- 36: appending -------------------------------------------------------------------------------------------------

BLIND = {"lookup": None, "match": None, "update": None, "delete": None}
EVENT = {"no": "{{ key }}", "name": "{{ document.name }}", "email": "{{ document.email }}"}


@pytest.mark.edge(36)
def test_what_was_appended_is_never_looked_at_again(make: Make) -> None:
    pair = make(mode="append", target=BLIND, users={"doubles": True})
    assert wrote(pair.run().counts) == (8, 0, 0)
    pair.hire(3, name="Other")
    pair.staff.remove("E4")
    pair.users.remove("E5")
    pair.hire(8)

    result = pair.run()

    assert (result.ending, wrote(result.counts)) == (Ending.DONE, (1, 0, 0))
    assert (pair.users.by_key()["E3"]["name"], "E4" in pair.users.by_key()) == ("Name 3", True)
    assert pair.server.creates_by_key("users") == {f"E{number}": 1 for number in range(9)}


@pytest.mark.edge(36)
@pytest.mark.parametrize(
    "create",
    [
        pytest.param({"uri": "users", "body": {**EVENT, "dedupe": "{{ idempotency_key }}"}}, id="in the body"),
        pytest.param({"uri": "users", "headers": {"X-Dedupe": "{{ idempotency_key }}"}}, id="in a header"),
    ],
)
def test_the_same_key_goes_with_every_repetition_so_that_others_can_tell_it_by(
    make: Make, server: MisbehavingServer, create: dict[str, Any]
) -> None:
    rule = {"when": "response.body.error == 'busy'", "then": "retry"}
    pair = make(2, mode="append", target={**BLIND, "create": {**create, "on_response": [rule]}})
    server.fault(Fault.envelope('{"error": "busy"}') | Fault(applied=True), **POST_USERS, every=2)

    pair.run()

    keys: dict[str, set[str]] = {}
    for seen in server.writes():
        keys.setdefault(seen.json()["no"], set()).add(seen.headers.get("x-dedupe") or seen.json()["dedupe"])
    assert len(server.writes()) > 2
    assert [len(each) for each in keys.values()] == [1, 1]
    assert len(set.union(*keys.values())) == 2


@pytest.mark.edge(36)
@pytest.mark.parametrize(
    ("create", "times"),
    [
        pytest.param({"uri": "users", "headers": {"Idempotency-Key": "{{ key }}"}}, 1, id="by the record's key"),
        pytest.param({"uri": "users", "idempotency_header": "Idempotency-Key"}, 2, id="by the change's key"),
    ],
)
def test_after_a_lost_state_everything_is_appended_again_and_only_the_records_own_key_tells(
    tmp_path: Path, create: dict[str, Any], times: int
) -> None:
    with MisbehavingServer(seed=6, idempotent=True) as server:
        pair = Pair(server, tmp_path, mode="append", target={**BLIND, "create": create}, users={"doubles": True})
        pair.hire(*range(5))
        pair.run()
        pair.desk.state.unlink()

        result = pair.run()

        assert result.counts.created == 5
        assert set(server.creates_by_key("users").values()) == {times}


# ---- marking in place of deleting; asking by POST ------------------------------------------------------------------


@pytest.mark.suffering(5)
@pytest.mark.parametrize("method", ["PATCH", "PUT", "POST"])
def test_a_delete_may_mark_the_record_and_leave_it_there(make: Make, server: MisbehavingServer, method: str) -> None:
    marks = {"uri": USER, "method": method, "body": {"active": False, "no": "{{ key }}"}}
    if method == "POST":
        marks["uri"] = "archived"
        server.collection("archived", key="no", paging="page")
    mapped = {**{name: f"record.{name}" for name in NAMES}, "active": "true"}
    pair = make(target={"delete": marks, "delete_adopted": True}, map=mapped)
    pair.run()
    pair.staff.remove("E3")

    result = pair.run()

    assert (result.ending, result.counts.deleted) == (Ending.DONE, 1)
    assert server.writes()[-1].json() == {"active": False, "no": "E3"}
    assert pair.users.by_key()["E3"]["active"] is (method == "POST")
    assert len(pair.users.records()) == 8
    pair.assert_idle()
    pair.hire(3)
    assert pair.run().ending is Ending.DONE
    assert pair.users.by_key()["E3"]["active"] is True
    pair.assert_idle()


@pytest.mark.edge(23)
def test_a_look_up_may_ask_by_post_and_is_repeated_like_any_read(make: Make, server: MisbehavingServer) -> None:
    asks = {"uri": "search", "method": "POST", "body": {"filter": {"no": "{{ key }}"}}, "records": "users"}
    pair = make(3, target={"lookup": asks}, users={"doubles": True})
    spec = pair.spec()
    spec["connections"]["api"]["quota"] = {"concurrency": 1}
    pair.desk.write(spec)
    pair.users.put([person(1, name="By hand")])
    server.fault(Fault.answer(200, '{"users": []}'), path="^/search")
    server.fault(Fault.answer(200, json.dumps({"users": pair.users.records()})), path="^/search", nth=2)
    server.fault(Fault.close_before(), path="^/search", nth=3)

    result = pair.run()

    assert (result.ending, wrote(result.counts), result.counts.adopted) == (Ending.DONE, (2, 1, 0), 1)
    asked = [seen.json() for seen in server.requests if seen.path == "/search"]
    assert asked == [{"filter": {"no": f"E{number}"}} for number in (0, 1, 2, 2)]
    pair.assert_in_step()
