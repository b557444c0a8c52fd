"""What a token is for: resources, audiences, and rich authorization requests."""

import pytest

from tests.integration.oauth.person import enter
from tests.integration.oauth.world import World, log_in_to

pytestmark = pytest.mark.servers

API = "https://api.example.test/"
ASKED = {"type": "people", "actions": ["read", "delete"]}
GRANTED = {"type": "people", "actions": ["read"]}
"""This server lets nobody delete."""


def test_the_resource_is_the_audience_of_the_token(world: World) -> None:
    auth = world.auth("cc-basic", resource=API)

    assert world.oidc.introspect(auth.access_token())["aud"] == API
    assert world.reads(auth)


def test_a_machines_next_token_is_for_the_same_resource(world: World) -> None:
    auth = world.auth("cc-basic", resource=API, audience="people-api")

    second = auth.renew(auth.access_token())

    assert world.oidc.introspect(second)["aud"] == API
    targets = [(asked.form["resource"], asked.form["audience"]) for asked in world.token_requests()]
    assert targets == [(API, "people-api")] * 2


def test_a_persons_renewed_token_is_for_the_same_resource(world: World) -> None:
    auth = world.logged_in(resource=API)
    first = auth.access_token()

    second = auth.renew(first)

    assert {world.oidc.introspect(token)["aud"] for token in (first, second)} == {API}
    assert {asked.form["resource"] for asked in world.token_requests()} == {API}


def test_without_a_resource_the_token_is_for_nobody_in_particular(world: World) -> None:
    assert "aud" not in world.oidc.introspect(world.auth("cc-basic").access_token())


@pytest.mark.parametrize("details", [ASKED, [ASKED]], ids=["one object", "a list"])
def test_details_reach_the_server_as_json_and_the_token_has_what_was_granted(world: World, details: object) -> None:
    auth = world.auth("cc-basic", resource=API, authorization_details=details)

    assert world.oidc.introspect(auth.access_token())["authorization_details"] == [GRANTED]


def test_details_that_were_not_granted_are_told_to_the_client(world: World) -> None:
    told: list[object] = []
    auth = world.auth("cc-basic", resource=API, authorization_details=ASKED, on_narrowed=told.append)

    auth.access_token()

    assert auth.granted_authorization_details == [GRANTED]
    assert auth.missing_authorization_details == (ASKED,)
    assert len(told) == 1


def test_details_that_were_granted_leave_nothing_to_tell(world: World) -> None:
    told: list[object] = []
    auth = world.auth("cc-basic", resource=API, authorization_details=GRANTED, on_narrowed=told.append)

    auth.access_token()

    assert (auth.missing_authorization_details, told) == ((), [])


def test_a_persons_details_are_kept_through_a_renewal(world: World) -> None:
    auth = world.person(resource=API, authorization_details=[ASKED])
    log_in_to(auth)

    second = auth.renew(auth.access_token())

    assert world.oidc.introspect(second)["authorization_details"] == [GRANTED]
    assert auth.granted_authorization_details == [GRANTED]


def test_a_machine_that_is_granted_a_part_of_its_scope_is_told(world: World) -> None:
    auth = world.auth("cc-basic", resource=API, scope=["people.read", "people.admin"])

    auth.access_token()

    assert (auth.granted_scope, auth.missing_scope) == ("people.read", ("people.admin",))


def test_a_device_asks_for_a_resource_and_details_like_everybody_else(world: World) -> None:
    auth = world.device(resource=API, authorization_details=ASKED, stop=world.hurried)
    login = auth.start_device_login()
    enter(login.verification_uri, login.user_code)

    auth.finish_device_login(login)

    told = world.oidc.introspect(auth.renew(auth.access_token()))
    assert (told["aud"], told["authorization_details"]) == (API, [GRANTED])


def test_further_parameters_go_along_with_every_token_request(world: World) -> None:
    auth = world.logged_in(extra_params={"tenant": "acme & sons"})

    auth.renew(auth.access_token())

    assert [asked.form["tenant"] for asked in world.token_requests()] == ["acme & sons"] * 2
