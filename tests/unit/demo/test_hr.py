"""The demo's HR system over the wire: tokens, cursor pages, the odd refusal."""

import json
from itertools import pairwise
from typing import Any

import pytest

from daemon.demo.hr import Hr
from tests.unit.demo.conftest import Caller, Clock, Serve, basic, log_in


def read_all(call: Caller, token: str, query: str = "status=active&page_size=30") -> list[dict[str, Any]]:
    people: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = call("GET", f"/api/employees?{query}{cursor}", Authorization=token)
        assert answer.status == 200
        data = answer.body["data"]
        people += data["items"]
        if data["next_cursor"] is None:
            assert data["total"] == len(people)
            return people
        cursor = f"&cursor={data['next_cursor']}"


def test_a_list_without_a_token_is_refused_with_a_challenge(serve: Serve) -> None:
    call = serve(Hr(employees=3))
    for given in ("", "Bearer nonsense", "nonsense"):
        answer = call("GET", "/api/employees", Authorization=given)
        assert answer.status == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("authorization", ["", "Basic", "Basic !!!", "Basic Zm9vOmJhcg==", "Bearer x"])
def test_a_token_is_given_to_the_client_only(serve: Serve, authorization: str) -> None:
    call = serve(Hr(employees=3))
    answer = call("POST", "/oauth/token", body=b"grant_type=client_credentials", Authorization=authorization)
    assert (answer.status, answer.body) == (401, {"error": "invalid_client"})
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_another_grant_is_refused(serve: Serve) -> None:
    hr = Hr(employees=3)
    answer = serve(hr)("POST", "/oauth/token", body=b"grant_type=password", Authorization=basic(hr))
    assert (answer.status, answer.body) == (400, {"error": "unsupported_grant_type"})


def test_a_token_lives_sixty_seconds(serve: Serve) -> None:
    clock = Clock()
    hr = Hr(employees=3, fault_every=None, monotonic=clock)
    call = serve(hr)
    token = log_in(call, hr)
    clock.now += 59.9
    assert call("GET", "/api/employees", Authorization=token).status == 200
    clock.now += 0.1
    assert call("GET", "/api/employees", Authorization=token).status == 401


def test_tokens_that_are_taken_back_are_refused(serve: Serve) -> None:
    hr = Hr(employees=3, fault_every=None)
    call = serve(hr)
    token = log_in(call, hr)
    hr.forget_tokens()
    assert call("GET", "/api/employees", Authorization=token).status == 401
    assert call("GET", "/api/employees", Authorization=log_in(call, hr)).status == 200
    assert hr.tokens_issued == 2


def test_the_cursor_leads_through_every_employee_once(serve: Serve) -> None:
    hr = Hr(employees=100, fault_every=None)
    call = serve(hr)
    people = read_all(call, log_in(call, hr))
    assert people == list(hr.active())
    assert all(one["employee_no"] < other["employee_no"] for one, other in pairwise(people))


def test_a_page_that_is_exactly_full_and_last_has_no_next(serve: Serve) -> None:
    hr = Hr(employees=60, fault_every=None)
    call = serve(hr)
    assert len(read_all(call, log_in(call, hr))) == 60


def test_a_leaver_between_two_pages_shifts_no_border(serve: Serve) -> None:
    hr = Hr(employees=40, fault_every=None)
    call = serve(hr)
    token = log_in(call, hr)
    first = call("GET", "/api/employees?status=active&page_size=20", Authorization=token).body["data"]
    expected = {person["employee_no"] for person in hr.active()[20:]}
    left = set(hr.leave(10))
    second = call(
        "GET", f"/api/employees?status=active&page_size=50&cursor={first['next_cursor']}", Authorization=token
    ).body["data"]
    assert {person["employee_no"] for person in second["items"]} == expected - left


@pytest.mark.parametrize(
    "query", ["cursor=%FF", "cursor=ab", "cursor=%E9", "page_size=0", "page_size=-1", "page_size=x"]
)
def test_a_bad_query_is_refused(serve: Serve, query: str) -> None:
    hr = Hr(employees=3, fault_every=None)
    call = serve(hr)
    assert call("GET", f"/api/employees?{query}", Authorization=log_in(call, hr)).status == 400


def test_the_odd_list_is_refused_with_429_then_503(serve: Serve) -> None:
    hr = Hr(employees=3)
    call = serve(hr)
    token = log_in(call, hr)
    answers = [call("GET", "/api/employees", Authorization=token) for _ in range(14)]
    refused = {number: answer.status for number, answer in enumerate(answers, 1) if answer.status != 200}
    assert refused == {3: 429, 10: 503}
    assert answers[2].headers["Retry-After"] == "1"
    assert answers[9].headers["Retry-After"] is None
    assert hr.faults == 2


def test_an_outage_is_an_empty_list_with_200(serve: Serve) -> None:
    hr = Hr(employees=30, fault_every=None)
    call = serve(hr)
    token = log_in(call, hr)
    hr.outage(True)
    answer = call("GET", "/api/employees?status=active", Authorization=token)
    assert (answer.status, answer.body) == (200, {"data": {"items": [], "next_cursor": None, "total": 0}})
    hr.outage(False)
    assert len(read_all(call, token)) == 30


def test_nobody_is_in_two_groups_of_a_turnover() -> None:
    hr = Hr(employees=50)
    before = {person["employee_no"]: person for person in hr.active()}
    change = hr.turn_over(edits=20, leavers=15, joiners=5)
    after = {person["employee_no"]: person for person in hr.active()}
    assert before.keys() - after.keys() == set(change.left)
    assert after.keys() - before.keys() == set(change.joined)
    assert {key for key in before.keys() & after.keys() if before[key] != after[key]} == set(change.edited)
    assert [len(change.left), len(change.edited), len(change.joined)] == [15, 20, 5]


def test_more_leavers_than_employees_are_all_of_them() -> None:
    hr = Hr(employees=5)
    assert len(hr.leave(9)) == 5
    assert len(hr.active()) == 0
    assert hr.edit(3) == ()


def test_the_same_seed_makes_the_same_people() -> None:
    assert Hr(employees=200).active() == Hr(employees=200).active()
    assert Hr(employees=200, seed=8).active() != Hr(employees=200).active()


def test_the_people_are_as_awkward_as_real_ones() -> None:
    people = Hr(employees=1000).active()
    text = json.dumps(people, ensure_ascii=False)
    assert not text.isascii()
    assert any("language" not in person for person in people)
    assert any(person["mobile"] is None for person in people)
    assert any(person["work_email"].isupper() for person in people)
    addresses = [person["work_email"].lower() for person in people]
    assert len(set(addresses)) == len(addresses)
    assert all(address.isascii() and " " not in address for address in addresses)
