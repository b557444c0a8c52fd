"""What a REST target sends, byte by byte, and what it takes from an answer."""

import json
from decimal import Decimal
from typing import Any

import pytest

from daemon.endpoints.rest_write import RestTarget
from daemon.endpoints.texts import entity_tag
from daemon.errors import ConflictError, MalformedError, RefusedError, StaleError
from daemon.sync.certificate import End
from daemon.sync.change import Change, Kind
from tests.fakes.misbehaving import Collection, Fault, MisbehavingServer, Seen
from tests.unit.endpoints.rig import change, exchange
from tests.unit.endpoints.rig import target as rest_target

UPDATE = {"uri": "users/{{ target.id }}", "body": "changed"}


@pytest.fixture
def users(server: MisbehavingServer) -> Collection:
    return server.collection("users", paging="page")


@pytest.fixture(autouse=True)
def _there_are_users(users: Collection) -> None:
    users.put([{"id": "u1", "external_id": "E1", "name": "Ada"}])


def make(server: MisbehavingServer, **target: Any) -> RestTarget:
    return rest_target(exchange(server.url), **target)


def sent(server: MisbehavingServer) -> Seen:
    (one,) = server.requests
    return one


def create(key: str = "E2", **facts: Any) -> Change:
    return change(key=key, **facts)


def update(**facts: Any) -> Change:
    return change(Kind.UPDATE, target_id="u1", **facts)


def test_every_digit_arrives(server: MisbehavingServer) -> None:
    document = {
        "external_id": "E2",
        "id64": 9007199254740993,
        "price": Decimal("19.90"),
        "huge": 10**30,
    }

    make(server, create="users").create(create(document=document))

    assert sent(server).body == (
        b'{"external_id":"E2","id64":9007199254740993,"price":19.90,"huge":1000000000000000000000000000000}'
    )
    assert sent(server).headers["content-type"] == "application/json"


def test_every_digit_of_an_answer_is_kept(server: MisbehavingServer) -> None:
    body = '{"users": [{"id": 9007199254740993, "external_id": 12345678901234567890123, "price": 19.90}]}'
    server.fault(Fault.answer(200, body))
    target = make(server, match="external_id", list={"uri": "users", "records": "users"})

    page, _ = target.list()

    assert not isinstance(page, End)
    (record,) = page
    assert (record.id, record.match) == ("9007199254740993", "12345678901234567890123")
    assert str(record.document["price"]) == "19.90"


def test_a_body_may_be_an_envelope_with_constants_and_templates(server: MisbehavingServer) -> None:
    body = {
        "user": "{{ document }}",
        "meta": {"by": "crudsd", "key": "{{ key }}", "label": "user {{ document.name }}", "n": 1, "none": None},
        "price": "{{ document.price }}",
    }
    document = {"name": "Ada", "price": Decimal("19.90")}

    make(server, create={"uri": "users", "body": body}).create(create(document=document))

    assert sent(server).body == (
        b'{"user":{"name":"Ada","price":19.90},'
        b'"meta":{"by":"crudsd","key":"E2","label":"user Ada","n":1,"none":null},"price":19.90}'
    )


def test_an_update_may_send_what_changed_the_whole_document_or_a_patch_dialect(server: MisbehavingServer) -> None:
    document = {"external_id": "E1", "name": "Lovelace"}
    one = update(document=document, fields=("name",), before={"name": "Ada"})
    dialect = [{"op": "replace", "path": "/name", "value": "{{ document.name }}"}]

    make(server, update=UPDATE).update(one)
    make(server, update={**UPDATE, "replace": True, "body": "document"}).update(one)
    server.fault(Fault.answer(200, "{}"))
    make(server, update={**UPDATE, "body": dialect}).update(one)

    patch, put, other = server.requests
    assert (patch.method, patch.body) == ("PATCH", b'{"name":"Lovelace"}')
    assert (put.method, put.body) == ("PUT", b'{"external_id":"E1","name":"Lovelace"}')
    assert (other.method, json.loads(other.body)) == (
        "PATCH",
        [{"op": "replace", "path": "/name", "value": "Lovelace"}],
    )


def test_the_known_version_goes_as_if_match_and_the_new_one_comes_back(server: MisbehavingServer) -> None:
    target = make(server, update={**UPDATE, "if_match": True, "version": "header:ETag"})

    written = target.update(update(version='"1"'))

    assert sent(server).headers["if-match"] == '"1"'
    assert written.version == '"2"'


def test_a_version_that_moved_on_is_stale(server: MisbehavingServer) -> None:
    target = make(server, update={**UPDATE, "if_match": True})

    with pytest.raises(StaleError) as caught:
        target.update(update(version='"0"'))

    assert caught.value.status == 412


def test_without_a_known_version_nothing_is_demanded(server: MisbehavingServer) -> None:
    make(server, update={**UPDATE, "if_match": True}).update(update())

    assert "if-match" not in sent(server).headers


def test_a_version_may_stand_in_the_body(server: MisbehavingServer) -> None:
    server.fault(Fault.answer(200, '{"user": {"revision": 7}}'))

    assert make(server, update={**UPDATE, "version": "user.revision"}).update(update()).version == '"7"'


@pytest.mark.parametrize(
    ("found", "tag"), [(7, '"7"'), ("abc", '"abc"'), ('"abc"', '"abc"'), ('W/"1"', 'W/"1"')], ids=repr
)
def test_a_version_from_a_body_is_quoted_once(found: object, tag: str) -> None:
    assert entity_tag(found) == tag


def test_the_idempotency_key_is_the_changes_own_and_stays_the_same(server: MisbehavingServer) -> None:
    server.fault(Fault.close_before(), times=1)
    api = exchange(server.url, retry={"attempts": 3, "backoff": 0.001, "max_wait": "1s"})
    target = rest_target(api, create={"uri": "users", "idempotency_header": "Idempotency-Key"})

    target.create(create(idempotency_key="run7-42"))
    with pytest.raises(ConflictError):
        target.create(create(idempotency_key="run7-42"))

    assert [seen.headers["idempotency-key"] for seen in server.requests] == ["run7-42"] * 3


@pytest.mark.parametrize(
    ("target_id", "path"),
    [
        ("a/b?c", "/users/a%2Fb%3Fc"),
        ("a b#c", "/users/a%20b%23c"),
        ("50%", "/users/50%25"),
        ("ü", "/users/%C3%BC"),
        ("a;b=c&d", "/users/a%3Bb%3Dc%26d"),
    ],
)
def test_a_value_in_a_path_stays_one_step_of_it(server: MisbehavingServer, target_id: str, path: str) -> None:
    make(server, delete="users/{{ target.id }}").delete(change(Kind.DELETE, target_id=target_id))

    assert sent(server).path == path
    assert sent(server).query == {}


@pytest.mark.parametrize("target_id", [".", ".."])
def test_an_id_of_dots_would_be_another_address_and_is_refused(server: MisbehavingServer, target_id: str) -> None:
    with pytest.raises(RefusedError, match="is dots"):
        make(server, delete="users/{{ target.id }}").delete(change(Kind.DELETE, target_id=target_id))

    assert server.requests == ()


def test_values_of_a_query_are_encoded_and_nulls_left_out(server: MisbehavingServer) -> None:
    lookup = {
        "uri": "users",
        "params": {"external_id": "{{ key }}", "none": "{{ document.email }}", "n": 1},
        "records": "users",
    }

    make(server, match="external_id", lookup=lookup).lookup("a&b=c d", {"email": None})

    assert sent(server).query == {"external_id": "a&b=c d", "n": "1"}


def test_a_lookup_believes_the_match_field_and_not_the_filter(server: MisbehavingServer, users: Collection) -> None:
    users.put([{"external_id": "E2"}, {"external_id": "E3"}])
    target = make(server, match="external_id", lookup={"uri": "users", "records": "users"})

    assert [record.match for record in target.lookup("E2", {})] == ["E2"]


@pytest.mark.parametrize(
    ("records", "body"),
    [
        (None, '{"id": "u1", "name": "Ada"}'),
        ("user", '{"user": {"id": "u1", "name": "Ada"}}'),
        ("users", '{"users": [{"id": "u1", "name": "Ada"}]}'),
        ("users[?id=='u1']", '{"users": [{"id": "u1", "name": "Ada"}, {"id": "u2"}]}'),
        (None, '[{"id": "u1", "name": "Ada"}]'),
    ],
)
def test_a_get_finds_the_one_record_in_its_answer(server: MisbehavingServer, records: str | None, body: str) -> None:
    server.fault(Fault.answer(200, body))
    target = make(server, get={"uri": "users/{{ target.id }}", "records": records})

    record = target.get("u1", "E1", {})

    assert sent(server).path == "/users/u1"
    assert record is not None
    assert (record.id, record.document["name"]) == ("u1", "Ada")


@pytest.mark.parametrize(("status", "body"), [(404, "{}"), (410, ""), (200, "[]")])
def test_a_get_of_what_is_not_there_is_no_record(server: MisbehavingServer, status: int, body: str) -> None:
    server.fault(Fault.answer(status, body))

    assert make(server, get="users/{{ target.id }}").get("u1", "E1", {}) is None


@pytest.mark.parametrize(
    "body", ["", "null", '{"user": null}', '{"error": "try later"}', '{"user": [{"id": 1}, {"id": 2}]}', "<html>"]
)
def test_a_get_that_does_not_show_one_record_proves_nothing(server: MisbehavingServer, body: str) -> None:
    server.fault(Fault.answer(200, body))

    with pytest.raises(MalformedError):
        make(server, get={"uri": "users/{{ target.id }}", "records": "user"}).get("u1", "E1", {})


@pytest.mark.parametrize(("version", "expected"), [("header:ETag", '"7"'), ("revision", '"5"'), (None, None)])
def test_a_get_knows_the_version_by_header_or_field(
    server: MisbehavingServer, version: str | None, expected: str | None
) -> None:
    server.fault(Fault.answer(200, '{"id": "u1", "revision": 5}', headers={"ETag": '"7"'}))

    record = make(server, get={"uri": "users/{{ target.id }}", "version": version}).get("u1", "E1", {})

    assert record is not None
    assert record.version == expected


def test_an_id_is_read_where_the_create_says(server: MisbehavingServer) -> None:
    server.fault(Fault.answer(201, '{"result": {"user-id": 9007199254740993}}'))

    written = make(server, create={"uri": "users", "id": 'result."user-id"'}).create(create())

    assert written.id == "9007199254740993"


@pytest.mark.parametrize("body", ["", " \n", "{}", '{"id": null}'])
def test_an_answer_without_an_id_is_told_as_such(server: MisbehavingServer, body: str) -> None:
    server.fault(Fault.answer(201, body))

    assert make(server, create="users").create(create()).id is None


@pytest.mark.parametrize("body", ["Created", '"u1"', "<html>", '{"id": [1]}', '{"id": true}', '{"id": '])
def test_an_answer_that_is_no_object_with_an_id_is_malformed(server: MisbehavingServer, body: str) -> None:
    server.fault(Fault.answer(201, body))

    with pytest.raises(MalformedError):
        make(server, create="users").create(create())


def test_further_statuses_may_mean_success(server: MisbehavingServer) -> None:
    server.fault(Fault.answer(409, '{"id": "u1"}'))

    assert make(server, create={"uri": "users", "ok": [409]}).create(create()).id == "u1"


@pytest.mark.parametrize("status", [404, 410])
def test_a_delete_of_what_is_gone_is_a_success(server: MisbehavingServer, status: int) -> None:
    server.fault(Fault.answer(status))

    make(server, delete="users/{{ target.id }}").delete(change(Kind.DELETE, target_id="u1"))

    assert len(server.requests) == 1


def test_a_delete_of_what_moved_on_is_stale(server: MisbehavingServer) -> None:
    server.fault(Fault.answer(412))

    with pytest.raises(StaleError):
        make(server, delete="users/{{ target.id }}").delete(change(Kind.DELETE, target_id="u1"))


def test_what_the_job_does_not_declare_is_refused_without_a_request(server: MisbehavingServer) -> None:
    target = make(server)

    with pytest.raises(RefusedError, match=r"no target\.create"):
        target.create(create())
    with pytest.raises(RefusedError, match=r"no target\.update"):
        target.update(update())
    with pytest.raises(RefusedError, match=r"no target\.delete"):
        target.delete(change(Kind.DELETE, target_id="u1"))

    assert server.requests == ()


def test_a_template_that_finds_nothing_refuses_the_change_and_names_it(server: MisbehavingServer) -> None:
    target = make(server, create="teams/{{ document.team }}/users")

    with pytest.raises(RefusedError, match=r"teams/\{\{ document\.team \}\}/users"):
        target.create(create())

    assert server.requests == ()


@pytest.mark.parametrize("value", ["a\ud800", {"x": ["\udfff"]}], ids=ascii)
def test_a_text_that_no_json_can_hold_refuses_the_one_change(server: MisbehavingServer, value: object) -> None:
    with pytest.raises(RefusedError, match="cannot be made"):
        make(server, create="users").create(create(document={"name": value}))

    assert server.requests == ()


@pytest.mark.parametrize("number", [Decimal("NaN"), Decimal("Infinity"), float("nan"), float("inf")], ids=repr)
def test_a_number_that_no_json_can_hold_is_never_sent_as_null_or_worse(
    server: MisbehavingServer, number: object
) -> None:
    with pytest.raises(RefusedError, match="cannot be made"):
        make(server, create="users").create(create(document={"score": {"now": [number]}}))

    assert server.requests == ()


def test_a_header_that_would_end_its_line_refuses_the_change(server: MisbehavingServer) -> None:
    target = make(server, create={"uri": "users", "headers": {"X-Name": "{{ document.name }}"}})

    with pytest.raises(RefusedError):
        target.create(create(document={"name": "Ada\r\nX-Evil: 1"}))

    assert server.requests == ()


def test_a_target_record_without_its_id_is_malformed_and_tells_what_there_is(server: MisbehavingServer) -> None:
    target = make(server, id="uuid", match="external_id", list={"uri": "users", "records": "users"})

    with pytest.raises(MalformedError, match=r"'uuid'.*external_id"):
        list(target.list())
