"""Several changes in one REST request: what its answer says of each, however it says it."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.endpoints.rest_write import RestTarget
from daemon.errors import (
    AuthError,
    ConflictError,
    EndpointError,
    GoneError,
    PutOffError,
    RefusedError,
    SkippedError,
    StaleError,
    UnavailableError,
    UnknownError,
)
from daemon.sync.change import Change, Kind
from daemon.sync.ports import Accepted, Answer, Written
from daemon.sync.together import answers
from tests.fakes.batching import Batching, Results
from tests.fakes.misbehaving import Collection, Fault, MisbehavingServer
from tests.unit.endpoints.rig import change, exchange
from tests.unit.endpoints.rig import target as rest_target

Made = Callable[..., RestTarget]
LOOKUP = {"uri": "users", "params": {"external_id": "{{ key }}"}, "records": "users"}
ITEMS: dict[str, dict[str, Any]] = {
    "create": {"method": "POST", "path": "/users", "body": "{{ document }}"},
    "update": {"method": "PATCH", "path": "/users/{{ target.id }}", "body": "{{ changed }}"},
    "delete": {"method": "DELETE", "path": "/users/{{ target.id }}"},
}
SINGLES: dict[str, dict[str, Any]] = {
    "create": {"uri": "users"},
    "update": {"uri": "users/{{ target.id }}", "body": "changed"},
    "delete": {"uri": "users/{{ target.id }}"},
}


@pytest.fixture(scope="module")
def shared() -> Iterator[MisbehavingServer]:
    with MisbehavingServer(seed=3) as made:
        yield made


@pytest.fixture
def server(shared: MisbehavingServer, monkeypatch: pytest.MonkeyPatch) -> MisbehavingServer:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    shared.behave()
    shared.forget()
    shared.batching = Batching()
    return shared


@pytest.fixture
def users(server: MisbehavingServer) -> Collection:
    return server.collection("users", paging="page")


@pytest.fixture
def made(server: MisbehavingServer, users: Collection) -> Iterator[Made]:
    """Targets of a job that sends changes of one kind to /batch."""
    del users
    clients = []

    def make(kind: Kind = Kind.CREATE, *, alone: bool = False, request: Any = None, **batch: Any) -> RestTarget:
        api = exchange(server.url, warn=lambda name, message: told.append(message))
        clients.append(api.client)
        how = {
            "uri": "batch",
            "item": {**ITEMS[kind], "name": "{{ key }}"},
            "body": {"requests": "{{ items }}"},
            "results": "responses",
            "item_key": "name",
            "item_status": "status",
            "item_body": "body",
            **batch,
        }
        block = {
            **(SINGLES[kind] if alone else {}),
            **(request or {}),
            "batch": {key: one for key, one in how.items() if one},
        }
        made = rest_target(api, match="external_id", lookup=LOOKUP, **{kind: block})
        vars(made)["told"] = told
        return made

    told: list[str] = []
    yield make
    for client in clients:
        client.close()


def creates(*keys: str) -> list[Change]:
    return [change(key=key) for key in keys]


def of(users: Collection, kind: Kind, *keys: str) -> list[Change]:
    ids = {key: one["id"] for key, one in users.by_key().items()}
    document = None if kind is Kind.DELETE else {"name": "Lovelace"}
    return [change(kind, key, target_id=ids.get(key, "nobody"), document=document) for key in keys]


def sent(target: RestTarget, changes: list[Change]) -> list[Answer]:
    """What becomes of changes: sent together, in parts where the whole is refused, alone where they were put off."""
    first = answers(changes, target)
    return [
        answers([one], target)[0] if isinstance(said, PutOffError) else said
        for one, said in zip(changes, first, strict=True)
    ]


def types(given: list[Answer] | Any) -> list[type]:
    return [type(one) for one in given]


# ---- which result is whose ---------------------------------------------------------------------------------------


def test_reordered_results_are_found_by_their_keys(server: MisbehavingServer, users: Collection, made: Made) -> None:
    server.batching = Batching(mangle=lambda results: results[::-1])

    said_of = sent(made(), creates("E1", "E2", "E3"))

    ids = {key: one["id"] for key, one in users.by_key().items()}
    assert said_of == [Written(ids["E1"]), Written(ids["E2"]), Written(ids["E3"])]


@pytest.mark.edge(32)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(5)), times=st.lists(st.integers(0, 2), min_size=5, max_size=5), extra=st.booleans())
def test_only_a_change_with_just_one_result_is_known(
    server: MisbehavingServer, users: Collection, made: Made, order: list[int], times: list[int], *, extra: bool
) -> None:
    def mangle(results: Results) -> Results:
        return [results[one] for one in order for _ in range(times[one])] + [{"name": "X", "status": 201}] * extra

    for key in list(users.by_key()):
        users.remove(key)
    server.forget()
    server.batching = Batching(mangle=mangle)
    target = made()

    said_of = sent(target, creates(*(f"E{number}" for number in range(5))))

    assert types(said_of) == [Written if one == 1 else UnknownError for one in times]
    assert ("results are of no change" in "".join(vars(target)["told"])) is extra
    assert Counter(one.key for one in server.applied) == {f"E{number}": 1 for number in range(5)}
    vars(target)["told"].clear()


@pytest.mark.parametrize("mangle", [lambda results: results[:-1], lambda results: results * 2], ids=["fewer", "more"])
def test_by_order_a_wrong_number_of_results_says_nothing_of_any(
    server: MisbehavingServer, made: Made, mangle: Callable[[Results], Results]
) -> None:
    server.batching = Batching(mangle=mangle)

    said_of = sent(made(item_key=None, by="order"), creates("E1", "E2"))

    assert types(said_of) == [UnknownError] * 2
    assert "2 changes were sent" in str(said_of[0])


def test_results_are_found_by_the_target_s_id(server: MisbehavingServer, users: Collection, made: Made) -> None:
    users.put([{"external_id": "E1"}, {"external_id": "E2"}])
    server.batching = Batching(mangle=lambda results: [{**one["body"], "status": 200} for one in results[::-1]])

    said_of = sent(made(Kind.UPDATE, item_key=None, by="id", item_body=None), of(users, Kind.UPDATE, "E1", "E2"))

    assert types(said_of) == [Written] * 2


@pytest.mark.parametrize(
    "answer", [b"<html>", b"{}", b'{"responses": {}}', b'{"responses": null}', b'{"responses": [{']
)
def test_an_answer_without_a_list_of_results_says_nothing(server: MisbehavingServer, made: Made, answer: bytes) -> None:
    server.fault(Fault.answer(200, answer, applied=True), path="batch")

    said_of = sent(made(), creates("E1", "E2"))

    assert types(said_of) == [UnknownError] * 2


# ---- what a result says ------------------------------------------------------------------------------------------


def said(server: MisbehavingServer, result: Any, **facts: Any) -> None:
    """Let the first result say this."""

    def mangle(results: Results) -> Results:
        return [{**results[0], "status": result, **facts}, *results[1:]]

    server.batching = Batching(mangle=mangle)


@pytest.mark.fact(6)
@pytest.mark.parametrize(
    ("kind", "status", "answer"),
    [
        (Kind.CREATE, 201, Written),
        (Kind.CREATE, "201", Written),
        (Kind.CREATE, "created", Written),
        (Kind.CREATE, 409, ConflictError),
        (Kind.CREATE, "422", RefusedError),
        (Kind.CREATE, 500, UnknownError),
        (Kind.CREATE, "queued", UnknownError),
        (Kind.CREATE, None, UnknownError),
        (Kind.CREATE, True, UnknownError),
        (Kind.CREATE, 401, AuthError),
        (Kind.CREATE, 429, UnavailableError),
        (Kind.UPDATE, 200, Written),
        (Kind.UPDATE, 404, GoneError),
        (Kind.UPDATE, 412, StaleError),
        (Kind.DELETE, 204, type(None)),
        (Kind.DELETE, 404, type(None)),
        (Kind.DELETE, 202, Accepted),
        (Kind.DELETE, 403, RefusedError),
    ],
    ids=str,
)
def test_a_status_means_what_it_means_in_an_answer_of_its_own(
    server: MisbehavingServer, users: Collection, made: Made, kind: Kind, status: Any, answer: type
) -> None:
    if kind is not Kind.CREATE:
        users.put([{"external_id": "E1"}, {"external_id": "E2"}])
    target = made(kind, ok=["created"])
    changes = creates("E1", "E2") if kind is Kind.CREATE else of(users, kind, "E1", "E2")
    said(server, status)

    said_of = sent(target, changes)

    assert types(said_of) == [answer, type(None) if kind is Kind.DELETE else Written]


@pytest.mark.fact(6)
def test_a_word_with_an_error_is_a_refusal_in_the_target_s_words(server: MisbehavingServer, made: Made) -> None:
    said(server, "error", message="the name is too long")

    (answer, _) = sent(made(item_error="message"), creates("E1", "E2"))

    assert isinstance(answer, RefusedError)
    assert (answer.status, str(answer).endswith("says error: the name is too long")) == (422, True)


def test_a_success_with_an_error_is_neither(server: MisbehavingServer, made: Made) -> None:
    said(server, 200, message="half of it")

    (answer, _) = sent(made(item_error="message"), creates("E1", "E2"))

    assert isinstance(answer, UnknownError)


def test_without_a_status_an_error_alone_is_a_refusal(server: MisbehavingServer, made: Made) -> None:
    said(server, None, errors=["bad"])

    said_of = sent(made(item_status=None, item_error="errors"), creates("E1", "E2"))

    assert types(said_of) == [RefusedError, Written]


@pytest.mark.parametrize(
    ("then", "answer"),
    [("exists", ConflictError), ("skip", SkippedError), ("reject", RefusedError), ("retry", UnavailableError)],
)
def test_the_rules_of_the_request_judge_its_results(
    server: MisbehavingServer, made: Made, then: str, answer: type
) -> None:
    said(server, 400, body={"code": "taken"})
    rule = {"status": 400, "when": "response.body.code == 'taken'", "then": then}

    said_of = sent(made(request={"on_response": [rule]}), creates("E1", "E2"))

    assert types(said_of) == [answer, Written]


def test_id_and_version_are_read_where_the_batch_says(server: MisbehavingServer, made: Made) -> None:
    said(server, 201, made={"as": 77}, etag='"5"')

    (answer, _) = sent(made(item_id="made.as || body.id", item_version="etag"), creates("E1", "E2"))

    assert answer == Written("77", '"5"')


def test_a_result_that_has_no_time_for_a_change_has_it_sent_alone(
    server: MisbehavingServer, users: Collection, made: Made
) -> None:
    users.put([{"external_id": "E1"}, {"external_id": "E2"}])
    target = made(Kind.UPDATE, alone=True)
    said(server, 429)

    said_of = sent(target, of(users, Kind.UPDATE, "E1", "E2"))

    assert types(said_of) == [Written, Written]
    assert [seen.method for seen in server.writes()] == ["POST", "PATCH"]


# ---- the whole is refused ----------------------------------------------------------------------------------------


@pytest.mark.edge(32)
@pytest.mark.parametrize("names", [True, False], ids=["named", "not named"])
def test_one_bad_record_of_an_atomic_batch_stands_alone_in_the_end(
    server: MisbehavingServer, users: Collection, made: Made, *, names: bool
) -> None:
    server.batching = Batching(atomic=True, names_the_bad=names)
    users.reject("E5")
    target = made(alone=True, atomic=True, failures="data.requests", item_status="status || response.status")

    said_of = sent(target, creates(*(f"E{number}" for number in range(8))))

    assert types(said_of) == [RefusedError if number == 5 else Written for number in range(8)]
    assert isinstance(said_of[5], EndpointError)
    assert said_of[5].status == 422
    assert set(server.creates_by_key().values()) == {1}
    assert len(server.writes()) <= (2 if names else 7)


def test_a_refused_batch_of_creates_is_not_repeated_where_some_may_have_been_made(
    server: MisbehavingServer, made: Made
) -> None:
    server.fault(Fault.answer(400, b"{}", applied=True), path="batch")

    said_of = sent(made(alone=True), creates("E1", "E2"))

    assert types(said_of) == [UnknownError] * 2
    assert len(server.writes()) == 1


def test_a_refused_batch_of_updates_is_repeated_in_parts(
    server: MisbehavingServer, users: Collection, made: Made
) -> None:
    users.put([{"external_id": f"E{number}"} for number in range(4)])
    server.fault(Fault.answer(500, b"{}", applied=True), path="batch", times=1)

    said_of = sent(made(Kind.UPDATE), of(users, Kind.UPDATE, "E0", "E1", "E2", "E3"))

    assert types(said_of) == [Written] * 4
    assert len(server.writes()) == 3


def test_a_batch_that_is_too_large_makes_the_next_ones_smaller(server: MisbehavingServer, made: Made) -> None:
    server.batching = Batching(largest=3)
    target = made(size=8)

    said_of = sent(target, creates(*(f"E{number}" for number in range(8))))

    assert types(said_of) == [Written] * 8
    assert (target.batch_size(Kind.CREATE), set(server.creates_by_key().values())) == (2, {1})


def test_a_batch_address_that_is_not_there_deletes_nothing(
    server: MisbehavingServer, users: Collection, made: Made
) -> None:
    users.put([{"external_id": "E1"}, {"external_id": "E2"}])

    said_of = sent(made(Kind.DELETE, uri="bath"), of(users, Kind.DELETE, "E1", "E2"))

    assert types(said_of) == [RefusedError] * 2


def test_a_lost_answer_to_a_batch_of_creates_says_nothing_of_any(server: MisbehavingServer, made: Made) -> None:
    server.fault(Fault.connection_reset(applied=True), path="batch")

    said_of = sent(made(), creates("E1", "E2"))

    assert types(said_of) == [UnknownError] * 2


@pytest.mark.parametrize(("status", "error"), [(401, AuthError), (429, UnavailableError), (503, UnavailableError)])
def test_a_system_that_takes_nothing_now_is_told_of_each(
    server: MisbehavingServer, made: Made, status: int, error: type
) -> None:
    server.fault(Fault.answer(status, b"{}"), path="batch")

    assert types(sent(made(), creates("E1", "E2"))) == [error] * 2


def test_a_success_of_all_or_nothing_is_the_success_of_each(
    server: MisbehavingServer, users: Collection, made: Made
) -> None:
    users.put([{"external_id": "E1"}, {"external_id": "E2"}])
    server.fault(Fault(status=204, body=b""), path="batch")
    how = {"item_key": None, "results": None, "item_status": None, "item_body": None}

    said_of = sent(made(Kind.DELETE, atomic=True, **how), of(users, Kind.DELETE, "E1", "E2"))

    assert said_of == [None, None]
    assert users.records() == []


# ---- what is sent ------------------------------------------------------------------------------------------------


def test_a_change_that_cannot_be_put_into_words_is_left_out_of_its_batch(server: MisbehavingServer, made: Made) -> None:
    bad = change(key="E2", document={"external_id": "E2"})
    item = {**ITEMS["create"], "name": "{{ key }}", "path": "/users{{ document.name[:0] }}"}

    said_of = sent(made(item=item), [*creates("E1"), bad, *creates("E3")])

    assert types(said_of) == [Written, RefusedError, Written]
    assert len(server.writes()) == 1


def test_a_number_that_json_does_not_know_spoils_no_other_record(server: MisbehavingServer, made: Made) -> None:
    bad = change(key="E2", document={"external_id": "E2", "score": float("nan")})

    said_of = sent(made(alone=True), [*creates("E1"), bad, *creates("E3")])

    assert types(said_of) == [Written, RefusedError, Written]
    assert set(server.creates_by_key()) == {"E1", "E3"}


def test_items_carry_version_and_idempotency_key_where_they_are_asked_for(
    server: MisbehavingServer, users: Collection, made: Made
) -> None:
    users.put([{"external_id": "E1"}])
    known = change(Kind.UPDATE, "E1", target_id=users.by_key()["E1"]["id"], version='"9"', document={"name": "L"})
    unknown = change(Kind.UPDATE, "E2", target_id="nobody", document={"name": "L"})
    headers = {"If-Match": "{{ version }}", "Idempotency-Key": "{{ idempotency_key }}"}

    said_of = sent(
        made(Kind.UPDATE, item={**ITEMS["update"], "name": "{{ key }}", "headers": headers}), [known, unknown]
    )

    headers_sent = [one["headers"] for one in server.writes()[0].json()["requests"]]
    assert headers_sent == [{"If-Match": '"9"', "Idempotency-Key": "run1-E1"}, {"Idempotency-Key": "run1-E2"}]
    assert types(said_of) == [StaleError, GoneError]


def test_a_batch_has_one_key_for_the_same_changes_and_another_for_others(server: MisbehavingServer, made: Made) -> None:
    target = made(idempotency_header="Idempotency-Key", atomic=True)
    server.fault(Fault.answer(400, b"{}"), path="batch")

    sent(target, creates("E1", "E2"))
    sent(target, creates("E1", "E2"))

    keys = [seen.headers["idempotency-key"] for seen in server.writes()]
    assert keys[:3] == keys[3:]
    assert len(set(keys)) == 3


def test_without_an_item_each_change_says_what_it_is(server: MisbehavingServer, users: Collection, made: Made) -> None:
    users.put([{"external_id": "E1"}])
    one_of_them = change(Kind.UPDATE, "E1", target_id="a", document={"name": "L", "no": 1}, fields=("name",))

    target = made(
        Kind.UPDATE, item=None, body={"all": "{{ items }}", "keys": "{{ keys }}", "ids": "{{ ids | join(',') }}"}
    )
    sent(target, [one_of_them, one_of_them])

    item = {"key": "E1", "id": "a", "document": {"name": "L", "no": 1}, "changed": {"name": "L"}}
    assert server.writes()[0].json() == {"all": [item, item], "keys": ["E1", "E1"], "ids": "a,a"}


def test_people_are_shown_the_batch_with_this_change_alone_in_it(made: Made) -> None:
    (sending,) = made(alone=True).shown(change())

    assert sending.url.endswith("/batch")
    assert '"path":"/users"' in sending.body


# ---- what a lost create may be cleared up by ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alone", "request_", "item", "is_repeatable"),
    [
        (False, {}, {}, False),
        (False, {}, {"key": "{{ idempotency_key }}"}, True),
        (True, {"idempotency_header": "Idempotency-Key"}, {}, False),
        (True, {"idempotency_header": "Idempotency-Key"}, {"key": "{{ idempotency_key }}"}, True),
        (True, {}, {"key": "{{ idempotency_key }}"}, False),
    ],
)
def test_a_create_may_be_repeated_only_if_both_ways_of_sending_it_may(
    made: Made, *, alone: bool, request_: dict[str, Any], item: dict[str, Any], is_repeatable: bool
) -> None:
    target = made(alone=alone, request=request_, item={**ITEMS["create"], "name": "{{ key }}", **item})

    assert target.has_idempotency is is_repeatable
