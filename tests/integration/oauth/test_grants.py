"""Every way to a token ends with one that the resource server takes."""

import warnings

import pytest

from cruds import OAuth2
from cruds.exception import OAuthAccessTokenError, OAuthErrorKind, ReauthorizationRequiredError
from tests.integration.oauth.person import enter
from tests.integration.oauth.world import THREADS, World, log_in_to, together

pytestmark = pytest.mark.servers

AWKWARD = ("cc-basic", "person")
"""Clients whose secrets hold `:`, `%` and `+`."""


@pytest.mark.parametrize("client_id", ["cc-basic", "cc-post", "cc-rs256", "cc-es256", "cc-eddsa"])
def test_a_machine_is_let_in_however_it_proves_who_it_is(world: World, client_id: str) -> None:
    auth = world.auth(client_id)

    assert world.reads(auth)
    assert world.oidc.introspect(auth.access_token())["client_id"] == client_id
    assert len(world.token_requests("client_credentials")) == 1


@pytest.mark.parametrize("client_id", ["person", "person-public"])
def test_a_person_who_logs_in_lets_the_client_in(world: World, client_id: str) -> None:
    auth = world.person(client_id)

    log_in_to(auth)

    assert world.reads(auth)
    assert world.oidc.introspect(auth.access_token())["sub"] == "ada"
    assert [asked.form["grant_type"] for asked in world.token_requests()] == ["authorization_code"]


def test_a_person_who_types_a_code_lets_the_device_in(world: World) -> None:
    auth = world.device(stop=world.hurried)
    login = auth.start_device_login()

    enter(login.verification_uri, login.user_code)
    auth.finish_device_login(login)

    assert world.reads(auth)
    assert world.oidc.introspect(auth.access_token())["sub"] == "ada"


@pytest.mark.parametrize("client_id", ["person", "person-public"])
def test_a_session_is_renewed_as_the_same_client_and_person(world: World, client_id: str) -> None:
    auth = world.logged_in(client_id)
    first = auth.access_token()

    second = auth.renew(first)

    told = world.oidc.introspect(second)
    assert (second != first, told["sub"], told["client_id"]) == (True, "ada", client_id)
    assert world.reads(auth)
    assert len(world.token_requests("refresh_token")) == 1


@pytest.mark.parametrize("client_id", AWKWARD)
def test_a_secret_with_colon_percent_and_plus_arrives_on_every_grant(world: World, client_id: str) -> None:
    assert set(":%+") <= set(world.oidc.clients[client_id].secret)
    auth = world.logged_in() if client_id == "person" else world.auth(client_id)

    auth.renew(auth.access_token())

    assert {asked.status for asked in world.token_requests()} == {200}
    assert len(world.token_requests()) == 2


@pytest.mark.parametrize("scope", [None, "", []], ids=["None", "empty", "an empty list"])
def test_a_machine_may_leave_its_scope_to_the_server(world: World, scope: object) -> None:
    assert world.reads(world.auth("cc-basic", scope=scope))

    assert "scope" not in world.token_requests()[0].form


def test_a_secret_sent_raw_on_purpose_is_what_this_server_refuses(world: World) -> None:
    with pytest.raises(OAuthAccessTokenError) as caught:
        world.auth("cc-basic", client_auth="basic_raw").access_token()

    assert caught.value.kind is OAuthErrorKind.CONFIGURATION


def test_a_grant_that_the_server_does_not_speak_is_an_error_of_configuration(world: World) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        auth = world.auth("cc-basic", username="ada", password="canary-s3cret")

    with pytest.raises(OAuthAccessTokenError) as caught:
        auth.access_token()

    assert (caught.value.error, caught.value.kind) == ("unsupported_grant_type", OAuthErrorKind.CONFIGURATION)
    assert len(world.token_requests()) == 1


@pytest.mark.parametrize("flow", ["person", "device"])
def test_nobody_is_asked_for_a_token_before_somebody_has_logged_in(world: World, flow: str) -> None:
    auth: OAuth2 = world.person() if flow == "person" else world.device()

    with pytest.raises(ReauthorizationRequiredError):
        world.client(auth).read("people")

    assert world.token_requests() == []
    assert world.api.journal == []


def test_sixteen_threads_at_first_use_ask_for_one_token(world: World) -> None:
    auth = world.auth("cc-basic")

    tokens = together([auth.access_token] * THREADS)

    assert len(set(tokens)) == len(world.token_requests()) == 1


def test_two_clients_of_one_session_both_get_its_next_token(world: World) -> None:
    auth = world.auth("cc-basic")
    with world.client(auth) as first, world.client(auth) as second:
        first.read("people")
        world.oidc.evict(auth.access_token())

        assert [client.read("people") for client in (first, second, first)] == [{"ok": True}] * 3

    assert world.gate.journal.by_status() == {401: 1, 200: 4}
    assert len(world.token_requests()) == 2
