"""A person who agrees in a browser, and everybody who would like to be them."""

from base64 import urlsafe_b64encode
from hashlib import sha256

import pytest

from cruds import OAuth2
from cruds.exception import OAuthAccessTokenError, OAuthErrorKind, OAuthStateError, ReauthorizationRequiredError
from tests.integration.oauth.person import log_in
from tests.integration.oauth.world import LateClock, World, log_in_to, query
from tests.servers.exchange import ask
from tests.servers.oidc import CALLBACK
from tests.servers.rewriting_proxy import lost

pytestmark = pytest.mark.servers


@pytest.fixture
def auth(world: World) -> OAuth2:
    return world.person(issuer=world.oidc.issuer)


def test_a_login_sends_a_challenge_and_the_exchange_its_verifier(world: World, auth: OAuth2) -> None:
    url = auth.get_authorization_url()

    auth.exchange_code_for_token(*auth.parse_authorization_response(log_in(url)))

    [exchange] = world.token_requests("authorization_code")
    challenge = urlsafe_b64encode(sha256(exchange.form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
    asked = query(url)
    assert (asked["code_challenge"], asked["code_challenge_method"]) == (challenge, "S256")
    assert exchange.form["redirect_uri"] == asked["redirect_uri"] == CALLBACK
    assert world.reads(auth)


def test_a_login_without_pkce_is_what_this_server_refuses(world: World, auth: OAuth2) -> None:
    url = auth.get_authorization_url()
    challenge = query(url)["code_challenge"]

    back = ask("GET", url.replace(f"&code_challenge={challenge}&code_challenge_method=S256", ""))

    assert query(back.headers["Location"])["error"] == "invalid_request"


def test_two_logins_at_once_each_keep_their_own_verifier(world: World, auth: OAuth2) -> None:
    first, second = log_in(auth.get_authorization_url()), log_in(auth.get_authorization_url())

    for back in (second, first):
        assert world.oidc.is_active(auth.exchange_code_for_token(*auth.parse_authorization_response(back)))

    verifiers = {asked.form["code_verifier"] for asked in world.token_requests()}
    assert len(verifiers) == 2


def test_a_code_of_another_login_does_not_fit_a_state_of_ours(world: World, auth: OAuth2) -> None:
    strange = query(log_in(auth.get_authorization_url()))["code"]
    state = query(auth.get_authorization_url())["state"]

    with pytest.raises(OAuthAccessTokenError) as caught:
        auth.exchange_code_for_token(strange, state)

    assert (caught.value.error, caught.value.kind) == ("invalid_grant", OAuthErrorKind.REAUTHORIZE)
    assert not auth.is_valid()


@pytest.mark.parametrize("wrong", ["", "x", "ÿ" * 40])
def test_a_state_that_is_not_ours_is_refused_before_anything_is_sent(world: World, auth: OAuth2, wrong: str) -> None:
    code = query(log_in(auth.get_authorization_url()))["code"]

    with pytest.raises(OAuthStateError):
        auth.exchange_code_for_token(code, wrong)

    assert world.token_requests() == []


def test_a_state_is_good_once(world: World, auth: OAuth2) -> None:
    answer = auth.parse_authorization_response(log_in(auth.get_authorization_url()))
    auth.exchange_code_for_token(*answer)

    with pytest.raises(OAuthStateError):
        auth.exchange_code_for_token(*answer)

    assert len(world.token_requests()) == 1
    assert world.reads(auth)


def test_a_state_is_too_old_after_ten_minutes(world: World) -> None:
    clock = LateClock()
    auth = world.person(monotonic=clock)
    answer = auth.parse_authorization_response(log_in(auth.get_authorization_url()))
    clock.ahead_s = 601.0

    with pytest.raises(OAuthStateError):
        auth.exchange_code_for_token(*answer)

    assert world.token_requests() == []


def test_a_code_replayed_by_a_thief_ends_the_session_and_asks_for_the_person(world: World, auth: OAuth2) -> None:
    log_in_to(auth)
    [exchange] = world.token_requests()
    form = {name: value for name, value in exchange.form.items() if name != "grant_type"}
    replayed = world.oidc.ask_token("person", grant_type="authorization_code", **form)
    assert replayed.json()["error"] == "invalid_grant"

    with pytest.raises(ReauthorizationRequiredError):
        world.reads(auth)

    assert world.token_requests("client_credentials") == []


def test_an_answer_of_another_issuer_is_refused_and_its_login_is_over(world: World, auth: OAuth2) -> None:
    back = log_in(auth.get_authorization_url())
    forged = back[: back.index("&iss=")] + "&iss=https%3A%2F%2Fevil.example.test"

    with pytest.raises(OAuthStateError):
        auth.parse_authorization_response(forged)
    with pytest.raises(OAuthStateError):
        auth.exchange_code_for_token(query(back)["code"], query(back)["state"])

    assert world.token_requests() == []


def test_an_answer_without_an_issuer_is_refused_where_the_server_promises_one(world: World) -> None:
    auth = world.discovered("person", redirect_uri=CALLBACK)
    back = log_in(auth.get_authorization_url())

    with pytest.raises(OAuthStateError):
        auth.parse_authorization_response(back[: back.index("&iss=")])


def test_a_person_who_says_no_is_an_error_that_asks_for_another_login(world: World, auth: OAuth2) -> None:
    back = log_in(auth.get_authorization_url(), answer="deny")

    with pytest.raises(OAuthAccessTokenError) as caught:
        auth.parse_authorization_response(back)

    assert (caught.value.error, caught.value.kind) == ("access_denied", OAuthErrorKind.REAUTHORIZE)
    assert world.token_requests() == []


def test_a_no_to_a_second_login_leaves_the_first_session_alone(world: World, auth: OAuth2) -> None:
    log_in_to(auth)

    with pytest.raises(OAuthAccessTokenError):
        log_in_to(auth, answer="deny")

    assert world.reads(auth)


def test_a_second_login_takes_the_place_of_the_first(world: World, auth: OAuth2) -> None:
    first = log_in_to(auth)

    second = log_in_to(auth)

    assert first != second == auth.access_token()
    assert world.reads(auth)
    world.oidc.evict(second)
    assert world.reads(auth)


def test_a_person_who_grants_less_is_told_to_the_client(world: World) -> None:
    told: list[object] = []
    auth = world.person(on_narrowed=told.append)

    log_in_to(auth, scope="people.read")

    assert (auth.granted_scope, auth.missing_scope) == ("people.read", ("people.write",))
    assert len(told) == 1
    assert world.reads(auth)


def test_a_renewal_asks_for_what_was_granted_and_not_for_more(world: World) -> None:
    auth = world.person()
    log_in_to(auth, scope="people.read")

    auth.renew(auth.access_token())

    [renewal] = world.token_requests("refresh_token")
    assert (renewal.form["scope"], renewal.status) == ("people.read", 200)


def test_an_exchange_whose_answer_was_lost_does_not_pass_for_a_session(world: World) -> None:
    auth = world.person(stop=world.hurried)
    world.proxy.next("/token", lost)

    with pytest.raises(OAuthAccessTokenError):
        log_in_to(auth)

    assert not auth.is_valid()
    assert log_in_to(auth)
    assert world.reads(auth)
