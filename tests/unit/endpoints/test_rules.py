"""What a job's rules make of an answer: `on_response`, asked before the status counts."""

from collections.abc import Iterable
from typing import Any

import pytest

from daemon.endpoints.exchange import Exchange
from daemon.errors import (
    AuthError,
    ConflictError,
    EndpointError,
    FatalError,
    GoneError,
    RefusedError,
    SkippedError,
    UnavailableError,
    UnknownError,
)
from daemon.spec import Rule
from daemon.sync.ports import Page
from tests.fakes.misbehaving import Fault, MisbehavingServer
from tests.unit.endpoints.rig import change, exchange
from tests.unit.endpoints.rig import source as rest_source
from tests.unit.endpoints.rig import target as rest_target

PATIENT = {"attempts": 3, "backoff": 0.001, "max_wait": "1s"}
BUSY = Fault.envelope('{"ok": false, "error": "busy"}')
LOOKUP = {"uri": "users", "params": {"external_id": "{{ key }}"}, "records": "users"}


@pytest.fixture(autouse=True)
def _there_are_users(server: MisbehavingServer) -> None:
    server.collection("users", paging="page").put([{"id": "u1", "external_id": "E1"}])


def creating(api: Exchange, *rules: dict[str, Any], **create: Any) -> Any:
    return rest_target(api, create={"uri": "users", "on_response": list(rules), **create})


def caught(server: MisbehavingServer, *rules: dict[str, Any], **connection: Any) -> EndpointError:
    with pytest.raises(EndpointError) as info:
        creating(exchange(server.url, **connection), *rules).create(change(key="E2"))
    return info.value


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        ("skip", SkippedError),
        ("reject", RefusedError),
        ("exists", ConflictError),
        ("gone", GoneError),
        ("fail", FatalError),
        ("retry", UnavailableError),
        ("refresh_auth", AuthError),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_each_word_has_its_meaning_whatever_the_status(
    server: MisbehavingServer, then: str, expected: type[EndpointError], status: int
) -> None:
    server.fault(Fault.answer(status, '{"error": {"code": "no"}}'))

    error = caught(server, {"status": status, "then": then})

    assert type(error) is expected
    assert (error.status, error.excerpt) == (status, '{"error": {"code": "no"}}')
    assert str(error).startswith(f"api: POST {server.url}/users answered with status code {status}")
    assert f"on_response says {then}" in str(error)


def test_success_takes_the_answer_as_it_is(server: MisbehavingServer) -> None:
    server.fault(Fault.answer(409, '{"id": "u9"}'))

    written = creating(exchange(server.url), {"status": 409, "then": "success"}).create(change(key="E2"))

    assert written.id == "u9"


def test_the_first_rule_that_fits_decides_and_without_one_the_status(server: MisbehavingServer) -> None:
    server.fault(Fault.answer(422, '{"code": "duplicate", "n": 3}', headers={"X-Reason": "twin"}))
    fits_not = {"status": [400, "5xx"], "then": "fail"}
    also_not = {"status": 422, "when": "response.body.code == 'other'", "then": "fail"}

    by_body = caught(server, fits_not, also_not, {"when": "response.body.n > 2", "then": "exists"})
    by_header = caught(server, {"status": "4xx", "when": "response.headers['x-reason'] == 'twin'", "then": "skip"})
    by_status = caught(server, fits_not, also_not)

    assert (type(by_body), type(by_header), type(by_status)) == (ConflictError, SkippedError, RefusedError)


@pytest.mark.parametrize(
    ("body", "when"),
    [
        ("", "response.body is undefined"),
        ("duplicate key", "'duplicate' in response.body"),
        ('"text"', "response.body == 'text'"),
        ("[1, 2]", "response.body | length == 2"),
        ('{"id": 9007199254740993}', "response.body.id == 9007199254740993"),
        ("{}", "response.body.missing.deep is undefined and response.status == 422"),
    ],
)
def test_a_body_is_json_or_else_text_or_else_missing(server: MisbehavingServer, body: str, when: str) -> None:
    server.fault(Fault.answer(422, body))

    assert type(caught(server, {"when": when, "then": "skip"})) is SkippedError


def test_a_rule_that_cannot_be_asked_is_passed_over_and_told_once(server: MisbehavingServer) -> None:
    told: list[str] = []
    api = exchange(server.url, warn=lambda name, message: told.append(f"{name}: {message}"))
    server.fault(Fault.answer(422, '{"code": "secret-of-a-person"}'))
    target = creating(api, {"when": "response.body.code > 3", "then": "skip"}, {"status": 422, "then": "exists"})

    for _ in range(3):
        with pytest.raises(ConflictError):
            target.create(change(key="E2"))

    (message,) = told
    assert message.startswith("api: rule 1 of on_response of users could not be asked and was passed over")
    assert "secret-of-a-person" not in message


# ---- retry and refresh_auth --------------------------------------------------------------------------------------


def test_retry_repeats_even_a_create_as_often_as_the_connection_does(server: MisbehavingServer) -> None:
    server.fault(BUSY, times=2)
    rule = {"when": "response.body.ok == false", "then": "retry"}

    written = creating(exchange(server.url, retry=PATIENT), rule).create(change(key="E2"))

    assert written.id
    assert len(server.writes()) == 3


def test_after_the_last_try_the_system_is_unavailable_and_its_wish_is_told(server: MisbehavingServer) -> None:
    server.fault(BUSY | Fault.with_headers({"Retry-After": "1"}))

    error = caught(server, {"when": "response.body.ok == false", "then": "retry"}, retry={**PATIENT, "max_wait": "5ms"})

    assert isinstance(error, UnavailableError)
    assert error.retry_after_s == 1


def test_an_operator_can_say_that_a_503_of_this_api_means_not_carried_out(server: MisbehavingServer) -> None:
    server.fault(Fault.answer(503))

    error = caught(server, {"status": 503, "then": "retry"}, retry=PATIENT)

    assert isinstance(error, UnavailableError)
    assert not error.may_be_done


def test_a_retry_says_nothing_of_an_attempt_before_it_whose_answer_was_lost(server: MisbehavingServer) -> None:
    server.fault(Fault.close_after(), nth=1)
    server.fault(BUSY, nth=2, times=9)
    rule = {"when": "response.body.ok == false", "then": "retry"}
    target = creating(exchange(server.url, retry=PATIENT), rule, idempotency_header="Key")

    with pytest.raises(UnknownError, match="an attempt before that may have been carried out"):
        target.create(change(key="E2"))


@pytest.mark.parametrize("then", ["reject", "skip", "fail"])
def test_no_rule_says_anything_of_an_attempt_before_whose_answer_was_lost(server: MisbehavingServer, then: str) -> None:
    server.fault(Fault.close_after(), nth=1)
    server.fault(BUSY, nth=2, times=9)
    rule = {"when": "response.body.ok == false", "then": then}
    target = creating(exchange(server.url, retry=PATIENT), rule, idempotency_header="Key")

    with pytest.raises(UnknownError, match="an attempt before that may have been carried out"):
        target.create(change(key="E2"))


def test_an_answer_that_a_rule_repeats_leaves_no_doubt_behind(server: MisbehavingServer) -> None:
    server.fault(Fault.answer(500, '{"code": "deadlock"}'), nth=1)
    server.fault(Fault.too_many(), nth=2, times=9)

    error = caught(server, {"when": "response.body.code == 'deadlock'", "then": "retry"}, retry=PATIENT)

    assert type(error) is UnavailableError


def test_an_answer_with_a_rule_is_not_repeated_for_its_status(server: MisbehavingServer) -> None:
    server.fault(Fault.answer(503))

    assert type(caught(server, {"status": 503, "then": "reject"}, retry=PATIENT)) is RefusedError
    assert len(server.requests) == 1


def test_refresh_auth_fetches_another_token_once(server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server.oauth_client("me", "canary-pa55 word&more")
    auth = {"type": "oauth2", "url": url, "client_id": "me", "client_secret": {"env": "PASSWORD"}}
    rule = {"status": 403, "when": "response.body.code == 'expired'", "then": "refresh_auth"}
    expired = Fault.answer(403, '{"code": "expired"}')

    server.fault(expired, path="users", times=1)
    creating(exchange(server.url, auth=auth), rule).create(change(key="E2"))
    server.fault(expired, path="users")
    error = caught(server, rule, auth=auth)

    assert isinstance(error, AuthError)
    assert "another token did not help" in str(error)
    assert len(server.token_requests()) == 4
    assert len(server.writes()) == 4


# ---- reading -----------------------------------------------------------------------------------------------------


def test_a_page_that_is_an_error_envelope_is_asked_for_again(server: MisbehavingServer) -> None:
    server.fault(BUSY, times=2)
    rules = [{"when": "response.body.ok == false", "then": "retry"}]
    source = rest_source(exchange(server.url, retry=PATIENT), read="users", records="users", on_response=rules)

    page, _ = source.read()

    assert isinstance(page, Page)
    assert len(page.records) == 1


def test_the_reads_own_rules_come_before_those_beside_it(server: MisbehavingServer) -> None:
    server.fault(Fault.answer(404))
    own = {"uri": "users", "on_response": [{"status": 404, "then": "gone"}]}
    source = rest_source(exchange(server.url), read=own, on_response=[{"status": 404, "then": "fail"}])

    with pytest.raises(GoneError):
        list(source.read())


@pytest.mark.parametrize("place", ["list", "source"])
def test_a_page_that_is_gone_is_an_error_and_never_an_empty_page(server: MisbehavingServer, place: str) -> None:
    server.fault(Fault.answer(400, '{"code": "no such list"}'))
    request = {"uri": "users", "records": "users", "on_response": [{"status": 400, "then": "gone"}]}
    api = exchange(server.url)

    listed: Iterable[object] = (
        rest_target(api, match="external_id", list=request).list()
        if place == "list"
        else rest_source(api, read=request).read()
    )
    with pytest.raises(GoneError):
        list(listed)


def test_what_is_gone_for_a_look_up_or_a_get_is_no_record(server: MisbehavingServer) -> None:
    server.fault(Fault.answer(400, '{"code": "unknown user"}'))
    rules = [{"status": 400, "then": "gone"}]
    target = rest_target(
        exchange(server.url),
        match="external_id",
        lookup={**LOOKUP, "on_response": rules},
        get={"uri": "users/{{ target.id }}", "on_response": rules},
    )

    assert target.lookup("E1", {}) == ()
    assert target.get("u1", "E1", {}) is None


def test_a_look_up_that_is_gone_in_mid_list_proves_nothing(server: MisbehavingServer) -> None:
    server.fault(Fault.answer(404), nth=2)
    paged = {**LOOKUP, "paginate": {"type": "page", "param": "page"}, "on_response": [{"status": 404, "then": "gone"}]}

    with pytest.raises(EndpointError, match="in the middle of its pages"):
        rest_target(exchange(server.url), match="external_id", lookup=paged).lookup("E1", {})


def test_a_get_that_a_rule_rejects_is_not_taken_for_no_record(server: MisbehavingServer) -> None:
    server.fault(Fault.answer(404))
    get = {"uri": "users/{{ target.id }}", "on_response": [{"status": 404, "then": "reject"}]}

    with pytest.raises(RefusedError):
        rest_target(exchange(server.url), get=get).get("u1", "E1", {})


# ---- the model ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "takes"),
    [
        (None, [200, 404, 499, 500, 599]),
        (404, [404]),
        ("4xx", [404, 499]),
        ([200, "5xx"], [200, 500, 599]),
    ],
)
def test_a_rule_takes_a_status_a_class_or_a_list_of_both(status: Any, takes: list[int]) -> None:
    rule = Rule.model_validate({"status": status, "when": "true", "then": "skip"})

    assert [one for one in (200, 404, 499, 500, 599) if rule.takes(one)] == takes


# ---- rules of a connection: what counts as an auth failure there ---------------------------------------------------

EXPIRED = {
    "with a body": Fault.answer(403, '{"code": "expired"}'),
    "without one": Fault.answer(403, ""),
    "with success": Fault.answer(200, '{"code": "expired"}'),
}


@pytest.mark.parametrize("fault", EXPIRED.values(), ids=EXPIRED.keys())
def test_a_connection_says_what_an_expired_token_looks_like_for_all_its_requests(
    server: MisbehavingServer, fault: Fault
) -> None:
    url = server.oauth_client("me", "canary-pa55 word&more")
    auth = {"type": "oauth2", "url": url, "client_id": "me", "client_secret": {"env": "PASSWORD"}}
    rules = [
        {"status": [200, 403], "when": "response.body.code == 'expired'", "then": "refresh_auth"},
        {"status": 403, "when": "response.body is undefined", "then": "refresh_auth"},
    ]
    api = exchange(server.url, auth=auth, on_response=rules)

    server.fault(fault, path="users", times=1)
    creating(api).create(change(key="E2"))
    server.fault(fault, path="users", times=1)
    page, _ = rest_source(api, read="users", records="users").read()

    assert isinstance(page, Page)
    assert len(server.token_requests()) == 3, "one at first, and one for each that had expired"


def test_what_no_rule_of_the_connection_means_is_judged_by_its_status(server: MisbehavingServer) -> None:
    rules = [{"status": 403, "when": "response.body.code == 'expired'", "then": "refresh_auth"}]
    server.fault(Fault.answer(403, '{"code": "not yours"}'))

    assert type(caught(server, on_response=rules)) is RefusedError


def test_a_request_s_own_rules_are_asked_before_those_of_its_connection(server: MisbehavingServer) -> None:
    server.fault(Fault.answer(401, '{"code": "locked"}'))
    of_connection = [{"status": "4xx", "then": "fail"}]

    by_request = caught(server, {"status": 401, "then": "skip"}, on_response=of_connection)
    by_connection = caught(server, {"status": 422, "then": "skip"}, on_response=of_connection)

    assert (type(by_request), type(by_connection)) == (SkippedError, FatalError)


def test_a_rule_of_a_connection_that_cannot_be_asked_says_whose_it_is(server: MisbehavingServer) -> None:
    told: list[str] = []
    api = exchange(
        server.url,
        warn=lambda name, message: told.append(message),
        on_response=[{"when": "response.body.code > 3", "then": "fail"}],
    )
    server.fault(Fault.answer(422, '{"code": "text"}'))

    with pytest.raises(RefusedError):
        creating(api).create(change(key="E2"))

    assert told[0].startswith("rule 1 of on_response of connection api could not be asked")


def test_a_token_of_too_little_scope_ends_the_run_and_is_not_fetched_again(server: MisbehavingServer) -> None:
    """RFC 6750 section 3.1: every other record would be refused alike, and another token has the same scope."""
    url = server.oauth_client("me", "canary-pa55 word&more")
    auth = {"type": "oauth2", "url": url, "client_id": "me", "client_secret": {"env": "PASSWORD"}}
    challenge = {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="people.write"'}
    server.fault(Fault.answer(403, "", headers=challenge), path="users")

    error = caught(server, auth=auth)

    assert isinstance(error, AuthError)
    assert "ask for more in auth.scope of connection api" in str(error)
    assert len(server.token_requests()) == 1
