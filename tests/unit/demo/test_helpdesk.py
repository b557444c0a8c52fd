"""The demo's help desk over the wire: numbered pages, writes, idempotency keys, lost answers."""

import http.client
from typing import Any

import pytest

from daemon.demo.helpdesk import OWN_USERS, Helpdesk
from daemon.demo.http import Journal
from tests.unit.demo.conftest import Answer, Caller, Serve


class Desk:
    def __init__(self, serve: Serve, lose_every: int | None = 300) -> None:
        self.system = Helpdesk(lose_every=lose_every)
        self.caller: Caller = serve(self.system)

    def __call__(self, method: str, path: str, document: Any = None, idempotency_key: str = "") -> Answer:
        named = {"Idempotency_Key": idempotency_key} if idempotency_key else {}
        return self.caller(method, path, document, b"", Authorization=f"Bearer {self.system.token}", **named)

    @property
    def journal(self) -> Journal:
        return self.caller.server.journal


@pytest.fixture
def desk(serve: Serve) -> Desk:
    return Desk(serve)


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", "Bearer é"])
def test_nothing_goes_without_the_token(desk: Desk, given: str) -> None:
    answer = desk.caller("GET", "/v1/users", Authorization=given.encode().decode("latin-1"))
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_user_gets_fields_of_the_help_desks_own(desk: Desk) -> None:
    answer = desk("POST", "/v1/users", {"external_id": "E1", "name": "Zoë"})
    user = answer.body["user"]
    assert answer.status == 201
    assert user.items() >= {"external_id": "E1", "name": "Zoë", "role": "requester"}.items()
    assert user.keys() == {"id", "external_id", "name", "role", "created_at", "updated_at"}
    assert desk("GET", f"/v1/users/{user['id']}").body == {"user": user}


def test_numbered_pages_hold_every_user_once(desk: Desk) -> None:
    for number in range(203):
        desk("POST", "/v1/users", {"external_id": f"E{number}", "name": "x"})
    pages = [desk("GET", f"/v1/users?page={page}").body for page in (1, 2, 3, 4)]
    assert [len(page["users"]) for page in pages] == [100, 100, 5, 0]
    assert [page["page"] for page in pages] == [1, 2, 3, 4]
    assert {page["total"] for page in pages} == {203 + len(OWN_USERS)}
    assert len({user["id"] for page in pages for user in page["users"]}) == 203 + len(OWN_USERS)
    assert desk("GET", "/v1/users?page=0").status == 400


def test_a_user_is_found_by_external_id(desk: Desk) -> None:
    made = desk("POST", "/v1/users", {"external_id": "E1", "name": "x"}).body["user"]
    assert desk("GET", "/v1/users?external_id=E1").body == {"users": [made], "page": 1, "total": 1}
    assert desk("GET", "/v1/users?external_id=E2").body["users"] == []


def test_a_second_user_of_one_external_id_is_refused(desk: Desk) -> None:
    desk("POST", "/v1/users", {"external_id": "E1", "name": "x"})
    assert desk("POST", "/v1/users", {"external_id": "E1", "name": "y"}, idempotency_key="other").status == 409
    assert desk.system.created == 1
    assert len(desk.system.users()) == 1 + len(OWN_USERS)


def test_the_same_idempotency_key_gets_the_same_answer(desk: Desk) -> None:
    document = {"external_id": "E1", "name": "x"}
    first, second = (desk("POST", "/v1/users", document, idempotency_key="k1") for _ in range(2))
    assert (first.status, first.body) == (second.status, second.body) == (201, first.body)
    assert (desk.system.created, desk.system.replayed) == (1, 1)


def test_an_idempotency_key_belongs_to_one_body(desk: Desk) -> None:
    desk("POST", "/v1/users", {"name": "x"}, idempotency_key="k1")
    assert desk("POST", "/v1/users", {"name": "y"}, idempotency_key="k1").status == 422


def test_a_lost_answer_was_carried_out_and_is_given_to_who_asks_again(serve: Serve) -> None:
    desk = Desk(serve, lose_every=2)
    desk("POST", "/v1/users", {"external_id": "E1", "name": "x"}, idempotency_key="k1")
    with pytest.raises(http.client.RemoteDisconnected):
        desk("POST", "/v1/users", {"external_id": "E2", "name": "y"}, idempotency_key="k2")
    desk.caller.connection.close()
    again = desk("POST", "/v1/users", {"external_id": "E2", "name": "y"}, idempotency_key="k2")
    assert again.status == 201
    assert (desk.system.created, desk.system.lost_answers, desk.system.replayed) == (2, 1, 1)
    assert desk.journal.count(status=0) == 1


def test_a_user_needs_a_name(desk: Desk) -> None:
    assert desk("POST", "/v1/users", {"external_id": "E1"}).status == 422
    assert desk("POST", "/v1/users", [1]).status == 400


def test_an_update_sets_what_it_names_and_nothing_else(desk: Desk) -> None:
    made = desk("POST", "/v1/users", {"external_id": "E1", "name": "x", "phone": "1"}).body["user"]
    answer = desk("PATCH", f"/v1/users/{made['id']}", {"phone": None, "id": 99, "created_at": "never"})
    assert answer.status == 200
    assert answer.body["user"] == {**made, "phone": None, "updated_at": answer.body["user"]["updated_at"]}
    assert desk("PATCH", f"/v1/users/{made['id']}", {"external_id": "E2"}).status == 422


def test_a_deleted_user_is_gone_and_its_external_id_is_free(desk: Desk) -> None:
    path = f"/v1/users/{desk('POST', '/v1/users', {'external_id': 'E1', 'name': 'x'}).body['user']['id']}"
    assert desk("DELETE", path).status == 204
    for method in ("DELETE", "GET", "PATCH"):
        assert desk(method, path, {"name": "y"} if method == "PATCH" else None).status == 404
    assert desk("POST", "/v1/users", {"external_id": "E1", "name": "x"}).status == 201
    assert desk.system.deleted == ["E1"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/users/abc", 404),
        ("GET", "/v1/users/0", 404),
        ("PUT", "/v1/users", 405),
        ("POST", "/v1/users/1", 405),
    ],
)
def test_what_is_not_there_is_said(desk: Desk, method: str, path: str, status: int) -> None:
    assert desk(method, path).status == status


def test_the_journal_counts_writes_that_arrived_whatever_became_of_them(desk: Desk) -> None:
    desk("GET", "/v1/users")
    desk("POST", "/v1/users", {"external_id": "E1", "name": "x"})
    desk("POST", "/v1/users", {"external_id": "E1", "name": "x"})
    desk("DELETE", "/v1/users/999")
    assert desk.journal.writes == 3
    assert desk.journal.count() == 4
    assert desk.journal.count(method="POST", status=409) == 1
