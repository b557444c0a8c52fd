"""One change from its plan to its outcome, against a real server that has moved on meanwhile."""

import json
from typing import Any

import pytest

from daemon.endpoints.rest_write import RestTarget
from daemon.errors import FatalError
from daemon.sync.change import Change, Fate, Kind, Outcome
from daemon.sync.permits import Permits
from daemon.sync.write import RunStopError, carry_out, resolve
from tests.fakes.misbehaving import Collection, Fault, MisbehavingServer
from tests.unit.endpoints.rig import change, exchange
from tests.unit.endpoints.rig import target as rest_target

GET = {"uri": "users/{{ target.id }}", "version": "header:ETag"}
LOOKUP = {"uri": "users", "params": {"external_id": "{{ key }}"}, "records": "users"}
PATCH = {"uri": "users/{{ target.id }}", "body": "changed", "if_match": True}
PUT = {"uri": "users/{{ target.id }}", "replace": True, "if_match": True, "version": "header:ETag"}
WHOLE: dict[str, Any] = {
    "match": "external_id",
    "get": GET,
    "lookup": LOOKUP,
    "create": "users",
    "update": PATCH,
    "delete": {"uri": "users/{{ target.id }}", "if_match": True},
}
KNOWN = b"of the document that the target was last known to hold"


@pytest.fixture
def users(server: MisbehavingServer) -> Collection:
    made = server.collection("users", paging="page")
    made.put([{"id": "u1", "external_id": "E1", "name": "Ada", "note": "by hand"}])
    return made


def make(server: MisbehavingServer, *without: str, **target: Any) -> RestTarget:
    declared = {name: value for name, value in {**WHOLE, **target}.items() if name not in without}
    return rest_target(exchange(server.url), **declared)


def update(document: Any, **facts: Any) -> Change:
    return change(Kind.UPDATE, target_id="u1", document={"external_id": "E1", **document}, **facts)


def delete(**facts: Any) -> Change:
    return change(Kind.DELETE, target_id="u1", **{"fingerprint": KNOWN, **facts})


def done(one: Change, target: RestTarget, **permits: Any) -> Outcome:
    return carry_out(one, target, Permits(**permits))


def methods(server: MisbehavingServer) -> str:
    return " ".join(seen.method for seen in server.requests)


# ---- PUT of the whole record -------------------------------------------------------------------------------------


@pytest.mark.edge(28)
def test_a_put_keeps_what_the_job_does_not_map(server: MisbehavingServer, users: Collection) -> None:
    users.put(
        [{"external_id": "E1", "name": "Ada", "at": {"city": "Ulm", "room": 7}, "tags": [1, 2], "note": "by hand"}]
    )
    document = {"name": "Lovelace", "at": {"city": "Bonn"}, "tags": [3], "phone": None}

    outcome = done(update(document), make(server, update=PUT))

    assert (outcome.fate, methods(server)) == (Fate.DONE, "GET PUT")
    (record,) = users.records()
    assert record == {
        "id": "u1",
        "external_id": "E1",
        "name": "Lovelace",
        "at": {"city": "Bonn", "room": 7},
        "tags": [3],
        "phone": None,
        "note": "by hand",
    }


def test_a_put_demands_the_version_that_it_read_and_knows_the_new_one(
    server: MisbehavingServer, users: Collection
) -> None:
    outcome = done(update({"name": "Lovelace"}, version='"0"'), make(server, update=PUT))

    assert server.writes()[0].headers["if-match"] == '"1"'
    assert outcome.version == '"2"'


def test_a_put_of_what_the_target_holds_already_is_not_sent(server: MisbehavingServer, users: Collection) -> None:
    outcome = done(update({"name": "Ada"}), make(server, update=PUT))

    assert (outcome.fate, outcome.version) == (Fate.DONE, '"1"')
    assert methods(server) == "GET"


def test_a_put_without_get_merges_into_what_the_look_up_shows(server: MisbehavingServer, users: Collection) -> None:
    assert done(update({"name": "Lovelace"}), make(server, "get", update=PUT)).fate is Fate.DONE
    assert users.by_key()["E1"]["note"] == "by hand"


def test_a_record_that_a_look_up_does_not_show_is_neither_put_nor_doubled(
    server: MisbehavingServer, users: Collection
) -> None:
    server.fault(Fault.answer(200, '{"users": []}'), method="GET")

    outcome = done(update({"name": "Lovelace"}), make(server, "get", update=PUT))

    assert outcome.fate is Fate.FAILED
    assert "declare target.get" in outcome.reason
    assert server.writes() == []


def test_a_record_that_is_adopted_by_put_is_read_whole_since_a_look_up_may_show_a_summary(
    server: MisbehavingServer, users: Collection
) -> None:
    summary = '{"users": [{"id": "u1", "external_id": "E1"}]}'
    server.fault(Fault.answer(200, summary), method="GET", path="^/users$")

    outcome = done(change(document={"external_id": "E1", "name": "Lovelace"}), make(server, update=PUT))

    assert (outcome.fate, outcome.owned) == (Fate.DONE, False)
    assert users.by_key()["E1"] == {"id": "u1", "external_id": "E1", "name": "Lovelace", "note": "by hand"}


def test_a_put_that_cannot_read_sends_nothing(server: MisbehavingServer, users: Collection) -> None:
    server.fault(Fault.html(), method="GET")

    assert done(update({"name": "Lovelace"}), make(server, update=PUT)).fate is Fate.FAILED
    assert server.writes() == []


def test_a_put_of_the_document_alone_is_sent_as_the_job_says(server: MisbehavingServer, users: Collection) -> None:
    done(update({"name": "Lovelace"}), make(server, update={**PUT, "body": "document"}))

    assert methods(server) == "PUT"
    assert "note" not in users.by_key()["E1"]


def test_an_envelope_of_a_put_holds_the_merged_record(server: MisbehavingServer, users: Collection) -> None:
    done(update({"name": "Lovelace"}), make(server, update={**PUT, "body": {"user": "{{ document }}"}}))

    body = json.loads(server.writes()[0].body)
    assert (body["user"]["name"], body["user"]["note"]) == ("Lovelace", "by hand")


def test_a_put_to_a_record_that_is_gone_is_matched_again(server: MisbehavingServer, users: Collection) -> None:
    users.remove("E1")
    users.put([{"id": "u2", "external_id": "E1", "name": "Ada", "note": "other"}])

    outcome = done(update({"name": "Lovelace"}), make(server, update=PUT))

    assert outcome.target_id == "u2"
    assert users.by_key()["E1"]["note"] == "other"


# ---- 412, 428, 409 -----------------------------------------------------------------------------------------------


@pytest.mark.edge(29)
@pytest.mark.fact(7)
@pytest.mark.parametrize("without", [(), ("get",)], ids=["by get", "by look-up"])
def test_a_record_that_moved_on_is_read_again_and_only_what_differs_is_sent(
    server: MisbehavingServer, users: Collection, without: tuple[str, ...]
) -> None:
    users.put([{"external_id": "E1", "name": "Lovelace", "note": "edited", "rev": '"2"'}])
    one = update({"name": "Lovelace", "email": "ada@x"}, version='"1"')

    outcome = done(one, make(server, *without, lookup={**LOOKUP, "version": "rev"}))

    assert outcome.fate is Fate.DONE
    assert methods(server) == "PATCH GET PATCH"
    first, second = server.writes()
    assert (first.headers["if-match"], second.headers["if-match"]) == ('"1"', '"2"')
    assert json.loads(second.body) == {"email": "ada@x"}
    assert users.by_key()["E1"]["note"] == "edited"


def test_if_nothing_differs_any_more_it_is_done(server: MisbehavingServer, users: Collection) -> None:
    users.put([{"external_id": "E1", "name": "Lovelace"}])

    outcome = done(update({"name": "Lovelace"}, version='"1"'), make(server))

    assert (outcome.fate, outcome.version, methods(server)) == (Fate.DONE, '"2"', "PATCH GET")


@pytest.mark.edge(29)
@pytest.mark.fact(7)
@pytest.mark.parametrize("status", [409, 412, 428])
def test_a_second_refusal_is_a_reject(server: MisbehavingServer, users: Collection, status: int) -> None:
    server.fault(Fault.answer(status, '{"code": "no"}'), method="PATCH")

    outcome = done(update({"name": "Lovelace"}, version='"1"'), make(server))

    assert (outcome.fate, outcome.status, outcome.excerpt) == (Fate.FAILED, status, '{"code": "no"}')
    assert methods(server) == "PATCH GET PATCH"


def test_a_target_that_wants_a_version_that_we_do_not_know_is_read_first(server: MisbehavingServer) -> None:
    users = server.collection("users", paging="page", needs_if_match=True)
    users.put([{"id": "u1", "external_id": "E1", "name": "Ada"}])

    outcome = done(update({"name": "Lovelace"}), make(server))

    assert (outcome.fate, methods(server)) == (Fate.DONE, "PATCH GET PATCH")
    assert users.by_key()["E1"]["name"] == "Lovelace"


def test_a_record_that_cannot_be_read_again_is_a_reject_with_its_cure(
    server: MisbehavingServer, users: Collection
) -> None:
    outcome = done(update({"name": "Lovelace"}, version='"0"'), make(server, "get", "lookup"))

    assert (outcome.fate, outcome.status) == (Fate.FAILED, 412)
    assert "declare target.get" in outcome.reason
    assert methods(server) == "PATCH"


def test_a_put_whose_record_was_edited_between_read_and_write_is_read_once_more(
    server: MisbehavingServer, users: Collection
) -> None:
    server.fault(Fault.answer(412), method="PUT", nth=1)

    outcome = done(update({"name": "Lovelace"}), make(server, update=PUT))

    assert (outcome.fate, methods(server)) == (Fate.DONE, "GET PUT GET PUT")


@pytest.mark.edge(24)
def test_each_request_of_another_content_has_an_idempotency_key_of_its_own(
    server: MisbehavingServer, users: Collection
) -> None:
    users.put([{"external_id": "E1", "name": "Ada", "email": "ada@x"}])
    target = make(server, update={**PATCH, "idempotency_header": "Idempotency-Key"})

    outcome = done(update({"name": "Lovelace", "email": "ada@x"}, version='"1"', idempotency_key="run1-4"), target)

    assert [seen.headers["idempotency-key"] for seen in server.writes()] == ["run1-4", "run1-4-again"]
    assert outcome.change.idempotency_key == "run1-4"


# ---- stale links -------------------------------------------------------------------------------------------------


def test_what_is_gone_is_made_again_under_another_idempotency_key(server: MisbehavingServer, users: Collection) -> None:
    users.remove("E1")
    keyed = {"idempotency_header": "Idempotency-Key"}
    target = make(server, create={"uri": "users", **keyed}, update={**PATCH, **keyed})

    asked = done(update({"name": "Ada", "locale": "de"}), target, set_once=frozenset({("locale",)}))
    assert (asked.fate, asked.change.kind, len(server.writes())) == (Fate.SENT, Kind.CREATE, 1), (
        "the journal comes first"
    )
    outcome = done(asked.change, target, set_once=frozenset({("locale",)}))

    patch, create = server.writes()
    assert patch.headers["idempotency-key"] != create.headers["idempotency-key"]
    assert "locale" not in patch.json()
    assert create.json()["locale"] == "de"
    assert (outcome.fate, outcome.owned, outcome.change.kind) == (Fate.DONE, True, Kind.CREATE)


@pytest.mark.parametrize("update_by", [PATCH, PUT], ids=["PATCH", "PUT"])
def test_what_is_found_in_place_of_the_record_that_is_gone_was_not_made_by_us(
    server: MisbehavingServer, users: Collection, update_by: dict[str, Any]
) -> None:
    users.remove("E1")
    users.put([{"id": "u2", "external_id": "E1", "name": "Somebody's"}])

    outcome = done(update({"name": "Lovelace"}), make(server, update=update_by))

    assert (outcome.fate, outcome.target_id, outcome.owned) == (Fate.DONE, "u2", False)


def test_what_is_gone_is_not_made_again_where_the_job_only_updates(
    server: MisbehavingServer, users: Collection
) -> None:
    users.remove("E1")

    assert done(update({"name": "Ada"}), make(server), may_create=False).fate is Fate.FAILED
    assert users.records() == []


# ---- set_once ----------------------------------------------------------------------------------------------------

ONCE = frozenset({("locale",), ("profile", "locale")})
DOCUMENT = {"name": "Lovelace", "locale": "de", "profile": {"locale": "de", "city": "Ulm"}}


@pytest.mark.parametrize("body", ["changed", "document", {"user": "{{ document }}"}], ids=str)
def test_an_update_never_sends_what_is_set_once(server: MisbehavingServer, users: Collection, body: object) -> None:
    target = make(server, update={"uri": "users/{{ target.id }}?l={{ document.locale }}", "body": body})

    assert done(update(DOCUMENT), target, set_once=ONCE).fate is Fate.DONE

    (sent,) = server.writes()
    assert b"locale" not in sent.body
    assert b"Ulm" in sent.body
    assert sent.query == {"l": "de"}, "an address may be made of it all the same"


def test_adopting_and_reading_again_send_nothing_that_is_set_once(server: MisbehavingServer, users: Collection) -> None:
    target = make(server)
    create = change(document={"external_id": "E1", **DOCUMENT})

    adopted = done(create, target, set_once=ONCE)
    again = done(update({**DOCUMENT, "name": "Countess"}, version='"0"'), target, set_once=ONCE)

    assert (adopted.fate, adopted.owned, again.fate) == (Fate.DONE, False, Fate.DONE)
    assert [b"locale" in seen.body for seen in server.writes()] == [True, False, False, False]
    assert "locale" not in users.by_key()["E1"]


def test_a_put_keeps_the_targets_own_value_of_what_is_set_once(server: MisbehavingServer, users: Collection) -> None:
    users.put([{"external_id": "E1", "locale": "fr", "profile": {"locale": "fr", "city": "Bonn"}}])

    done(update(DOCUMENT), make(server, update=PUT), set_once=ONCE)

    record = users.by_key()["E1"]
    assert (record["locale"], record["profile"]) == ("fr", {"locale": "fr", "city": "Ulm"})


def test_a_job_that_only_creates_links_what_is_there_and_does_not_touch_it(
    server: MisbehavingServer, users: Collection
) -> None:
    outcome = done(change(document={"external_id": "E1", "name": "Lovelace"}), make(server), may_update=False)

    assert (outcome.fate, outcome.target_id, outcome.owned) == (Fate.DONE, "u1", False)
    assert outcome.change.fingerprint == b""
    assert users.by_key()["E1"]["name"] == "Ada"


# ---- creates -----------------------------------------------------------------------------------------------------


@pytest.mark.fact(11)
def test_the_id_that_the_answer_carries_wins_over_the_one_that_was_sent(server: MisbehavingServer) -> None:
    server.fault(Fault.answer(201, '{"id": "renamed"}'), method="PUT")
    target = make(server, create={"uri": "users/{{ key }}", "method": "PUT"}, update={**PATCH, "id": "id"})

    assert done(change(), target).target_id == "renamed"

    server.fault(Fault.answer(200, '{"id": "moved"}'), method="PATCH")
    assert done(update({"name": "Ada"}), target).target_id == "moved"


@pytest.mark.parametrize("status", [409, 422])
def test_a_key_that_the_server_saw_with_another_body_is_looked_up_and_never_created_anew(
    server: MisbehavingServer, users: Collection, status: int
) -> None:
    keyed = {"uri": "users", "idempotency_header": "Idempotency-Key"}
    server.fault(Fault.answer(status, '{"code": "idempotency_key_reused"}'), method="POST")
    lost = change(document={"external_id": "E1", "name": "Ada"}, idempotency_key="run1-1")

    seen = resolve(lost, make(server, create=keyed), Permits())
    blind = resolve(lost, make(server, "lookup", create=keyed), Permits())

    assert (seen.fate, seen.target_id) == (Fate.DONE, "u1")
    assert blind.fate is Fate.UNKNOWN
    assert {sent.headers["idempotency-key"] for sent in server.writes()} == {"run1-1"}


# ---- deletes -----------------------------------------------------------------------------------------------------


def test_a_delete_of_what_moved_on_is_made_with_the_version_of_now(
    server: MisbehavingServer, users: Collection
) -> None:
    outcome = done(delete(version='"0"'), make(server))

    assert (outcome.fate, methods(server)) == (Fate.DONE, "DELETE GET DELETE")
    assert users.records() == []


@pytest.mark.edge(34)
def test_a_record_that_became_somebody_elses_is_not_deleted(server: MisbehavingServer, users: Collection) -> None:
    users.put([{"id": "u1", "external_id": "E2"}])

    outcome = done(delete(version='"0"'), make(server))

    assert (outcome.fate, methods(server)) == (Fate.FAILED, "DELETE GET")
    assert "another record" in outcome.reason


def test_what_is_gone_when_it_is_read_again_is_deleted(server: MisbehavingServer, users: Collection) -> None:
    users.remove("E1")
    server.fault(Fault.answer(412), method="DELETE")

    assert done(delete(version='"0"'), make(server)).fate is Fate.DONE


@pytest.mark.parametrize("status", [403, 409])
def test_a_refused_delete_is_a_reject(server: MisbehavingServer, users: Collection, status: int) -> None:
    server.fault(Fault.answer(status), method="DELETE")

    assert done(delete(), make(server)).fate is Fate.FAILED
    assert len(users.records()) == 1


@pytest.mark.parametrize("without", [("lookup",), ("get",)], ids=["by get", "by look-up"])
def test_a_promised_delete_is_doubtful_and_the_next_one_asks_first(
    server: MisbehavingServer, without: tuple[str, ...]
) -> None:
    users = server.collection("users", paging="page", deletes_later=True)
    users.put([{"id": "u1", "external_id": "E1"}])
    target = make(server, *without)

    promised = done(delete(), target)
    still_there = done(delete(fingerprint=b""), target)
    server.finish_deletes(users)
    gone = done(delete(fingerprint=b""), target)

    assert [one.fate for one in (promised, still_there, gone)] == [Fate.DONE] * 3
    assert [one.is_doubtful for one in (promised, still_there, gone)] == [True, True, False]
    assert methods(server) == "DELETE GET DELETE GET"


def test_a_promised_delete_is_believed_where_nobody_can_be_asked(server: MisbehavingServer) -> None:
    server.collection("users", paging="page", deletes_later=True).put([{"id": "u1", "external_id": "E1"}])

    assert not done(delete(), make(server, "get", "lookup")).is_doubtful


@pytest.mark.parametrize("asks", [{}, {"method": "POST"}], ids=["GET", "POST"])
def test_a_look_up_by_a_field_of_the_document_proves_nothing_for_a_delete(
    server: MisbehavingServer, users: Collection, asks: dict[str, Any]
) -> None:
    by = {"external_id": "{{ document.external_id }}"}
    lookup = {"uri": "users", "records": "users", **asks, "body" if asks else "params": by}

    outcome = done(delete(fingerprint=b""), make(server, "get", lookup=lookup))

    assert (outcome.fate, methods(server)) == (Fate.DONE, "DELETE")


# ---- what rules say ----------------------------------------------------------------------------------------------


def test_a_rule_ends_the_run_and_the_change_in_hand_is_a_reject(server: MisbehavingServer, users: Collection) -> None:
    server.fault(Fault.answer(403, '{"code": "licence"}'), method="PATCH")
    rules = [{"status": 403, "when": "response.body.code == 'licence'", "then": "fail"}]

    with pytest.raises(RunStopError) as stop:
        done(update({"name": "Lovelace"}), make(server, update={**PATCH, "on_response": rules}))

    assert isinstance(stop.value.cause, FatalError)
    assert (stop.value.outcome.fate, stop.value.outcome.status) == (Fate.FAILED, 403)


@pytest.mark.parametrize("place", ["create", "update", "delete", "get"])
def test_a_rule_may_leave_the_record_out(server: MisbehavingServer, users: Collection, place: str) -> None:
    method = {"create": "POST", "update": "PATCH", "delete": "DELETE", "get": "GET"}[place]
    server.fault(Fault.answer(422, '{"code": "archived"}'), method=method)
    uri: Any = WHOLE[place] if isinstance(WHOLE[place], dict) else {"uri": WHOLE[place]}
    declared: Any = {place: {**uri, "on_response": [{"status": 422, "then": "skip"}]}}
    if place == "get":
        declared["update"] = PUT
    one = {"create": change(), "update": update({"name": "x"}), "delete": delete(), "get": update({"name": "x"})}[place]

    outcome = done(one, make(server, **declared))

    assert (outcome.fate, outcome.status) == (Fate.SKIPPED, 422)


def test_a_rule_may_say_that_a_record_exists_or_is_gone(server: MisbehavingServer, users: Collection) -> None:
    duplicate = {"status": 400, "when": "'duplicate' in response.body", "then": "exists"}
    gone = {"when": "response.body.deleted", "then": "gone"}
    target = make(
        server,
        create={"uri": "users", "on_response": [duplicate]},
        update={**PATCH, "on_response": [gone]},
        delete={"uri": "users/{{ target.id }}", "on_response": [gone]},
    )
    server.fault(Fault.answer(400, "duplicate key", headers={"Content-Type": "text/plain"}), method="POST")
    server.fault(Fault.answer(200, '{"deleted": true}'), method="DELETE")
    server.fault(Fault.answer(200, '{"deleted": true}'), method="PATCH", nth=1)

    assert done(change(), target).target_id == "u1"
    assert done(delete(), target).fate is Fate.DONE
    outcome = done(update({"name": "Countess"}), target)
    assert (outcome.fate, users.by_key()["E1"]["name"]) == (Fate.DONE, "Countess")
    assert methods(server).endswith("PATCH GET PATCH"), "matched again by look-up"
