"""Tokens that the server ends before their time, and sessions that the client ends itself."""

import pytest

from cruds import OAuth2
from cruds.exception import HTTPStatusError, OAuthAccessTokenError, OAuthErrorKind, ReauthorizationRequiredError
from tests.fakes.scripted import Reply
from tests.integration.oauth.world import THREADS, World, log_in_to, together
from tests.servers.rewriting_proxy import error, status

pytestmark = pytest.mark.servers


def session(world: World, client_id: str, **options: object) -> OAuth2:
    """A session with a token, made as this client makes them."""
    auth = world.logged_in(client_id, **options) if client_id == "person" else world.auth(client_id, **options)
    auth.access_token()
    return auth


def end(world: World, auth: OAuth2, client_id: str) -> None:
    """End the token in use at the server. To revoke a person's would end their session with it."""
    if client_id == "person":
        world.oidc.evict(auth.access_token())
    else:
        world.oidc.revoke(auth.access_token(), client_id)


@pytest.mark.parametrize("client_id", ["cc-basic", "person"])
def test_after_a_revocation_at_the_server_the_next_read_recovers(world: World, client_id: str) -> None:
    auth = session(world, client_id)
    end(world, auth, client_id)

    assert world.reads(auth)

    assert world.gate.journal.by_status() == {401: 1, 200: 1}
    assert len(world.token_requests()) == 2


@pytest.mark.parametrize("client_id", ["cc-basic", "person"])
def test_after_a_revocation_a_post_is_carried_out_exactly_once(world: World, client_id: str) -> None:
    auth = session(world, client_id)
    end(world, auth, client_id)

    answer = world.client(auth).create("people", {"name": "Ada"})

    assert answer == {"ok": True}
    assert [(seen.method, seen.body) for seen in world.api.journal] == [("POST", b'{"name":"Ada"}')]
    assert world.gate.journal.by_status() == {401: 1, 200: 1}


@pytest.mark.parametrize("client_id", ["cc-basic", "person"])
def test_a_storm_of_401_on_sixteen_threads_makes_one_renewal(world: World, client_id: str) -> None:
    auth = session(world, client_id)
    end(world, auth, client_id)

    answers = together([lambda: world.reads(auth)] * THREADS)

    assert answers == [True] * THREADS
    assert len(world.token_requests()) == 2
    assert world.gate.journal.by_status()[200] == THREADS


def test_an_api_that_refuses_every_token_is_asked_twice_and_no_more(world: World) -> None:
    world.api.route("/people", Reply(401))
    auth = world.auth("cc-basic")

    with pytest.raises(HTTPStatusError) as caught:
        world.client(auth).read("people")

    assert caught.value.status == 401
    assert len(world.api.journal) == len(world.token_requests()) == 2


def test_a_session_whose_family_was_revoked_asks_for_its_person_and_nobody_else(world: World) -> None:
    auth = world.logged_in()
    first = auth.access_token()
    world.end_family()

    with pytest.raises(ReauthorizationRequiredError) as caught:
        world.reads(auth)

    assert caught.value.error == "invalid_grant"
    assert not world.oidc.is_active(first)
    assert world.token_requests("client_credentials") == []


def test_sixteen_threads_on_a_session_that_is_over_ask_for_its_renewal_once(world: World) -> None:
    auth = world.logged_in()
    world.end_family()

    def refused() -> bool:
        with pytest.raises(ReauthorizationRequiredError):
            world.reads(auth)
        return True

    assert together([refused] * THREADS) == [True] * THREADS
    assert len(world.token_requests("refresh_token")) == 1


def test_a_session_that_is_over_begins_anew_with_a_login(world: World) -> None:
    auth = world.logged_in()
    world.end_family()
    with pytest.raises(ReauthorizationRequiredError):
        world.reads(auth)

    log_in_to(auth)

    assert world.reads(auth)


@pytest.mark.parametrize("client_id", ["cc-basic", "cc-post", "cc-es256"])
def test_revoking_a_machines_token_kills_it_at_the_server(world: World, client_id: str) -> None:
    auth = session(world, client_id, revocation_url=f"{world.proxy.url}/token/revocation")
    token = auth.access_token()
    assert world.oidc.is_active(token)

    auth.revoke()

    assert not world.oidc.is_active(token)
    assert not auth.is_valid()


@pytest.mark.parametrize("client_id", ["person", "person-public"])
def test_revoking_a_persons_session_kills_its_access_token_and_its_refresh_token(world: World, client_id: str) -> None:
    auth = world.logged_in(client_id, revocation_url=f"{world.proxy.url}/token/revocation")
    access, refresh = auth.access_token(), world.refresh_token()

    auth.revoke()

    assert not world.oidc.is_active(access)
    assert world.oidc.refresh(refresh, client_id).json()["error"] == "invalid_grant"
    assert world.store.load("") is None


def test_after_a_revocation_of_its_own_a_persons_session_does_not_log_in_by_itself(world: World) -> None:
    auth = world.logged_in(revocation_url=f"{world.proxy.url}/token/revocation")
    auth.revoke()
    before = len(world.token_requests())

    with pytest.raises(ReauthorizationRequiredError):
        world.reads(auth)

    assert len(world.token_requests()) == before


def test_a_revocation_that_is_not_heard_keeps_the_session_and_may_be_asked_again(world: World) -> None:
    auth = session(world, "cc-basic", revocation_url=f"{world.proxy.url}/token/revocation", stop=world.hurried)
    token = auth.access_token()
    world.proxy.next("/token/revocation", status(503), times=9)

    with pytest.raises(OAuthAccessTokenError) as caught:
        auth.revoke()
    assert (caught.value.kind, auth.is_valid()) == (OAuthErrorKind.TEMPORARY, True)
    world.proxy.forgive("/token/revocation")
    auth.revoke()

    assert not world.oidc.is_active(token)


def test_a_server_that_cannot_revoke_this_kind_of_token_does_not_keep_us_from_forgetting_it(world: World) -> None:
    auth = session(world, "person", revocation_url=f"{world.proxy.url}/token/revocation")
    world.proxy.next("/token/revocation", error("unsupported_token_type"), times=2)

    auth.revoke()

    assert not auth.is_valid()
    assert world.store.load("") is None


def test_a_revocation_without_an_endpoint_keeps_the_session(world: World) -> None:
    auth = session(world, "cc-basic")

    with pytest.raises(RuntimeError):
        auth.revoke()

    assert world.reads(auth)


@pytest.mark.parametrize("code", [401, 403])
def test_a_token_whose_scope_does_not_reach_is_not_renewed(world: World, code: int) -> None:
    world.api.route("/people", Reply(code, {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}))
    auth = session(world, "cc-basic")

    with pytest.raises(HTTPStatusError) as caught:
        world.client(auth).read("people")

    assert caught.value.status == code
    assert len(world.api.journal) == len(world.token_requests()) == 1


def test_forgetting_a_session_leaves_its_token_alive_at_the_server(world: World) -> None:
    auth = world.logged_in()
    token = auth.access_token()

    auth.clear_state()

    assert world.oidc.is_active(token)
    assert world.store.load("") is None
