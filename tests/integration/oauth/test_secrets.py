"""What must not be read in a log, an error or a printed object, whatever its level."""

import logging
from collections.abc import Iterable

import pytest

from cruds import OAuth2
from cruds.exception import CrudsError, OAuthAccessTokenError
from tests.integration.oauth.person import enter, log_in
from tests.integration.oauth.world import World, query
from tests.servers.oidc import pem

pytestmark = pytest.mark.servers


def told(caplog: pytest.LogCaptureFixture, *objects: object) -> str:
    """All that an operator could come to see."""
    errors = (one.__cause__ or one for one in objects if isinstance(one, CrudsError))
    return " ".join([caplog.text, *map(repr, objects), *map(str, objects), *map(str, errors)])


def used(world: World) -> set[str]:
    """Every value that went to the token endpoint and is nobody's business."""
    public = {"grant_type", "client_id", "scope", "redirect_uri", "client_assertion_type"}
    return {value for asked in world.token_requests() for name, value in asked.form.items() if name not in public}


def assert_untold(secrets: Iterable[str], text: str) -> None:
    assert [secret for secret in secrets if len(secret) >= 6 and secret in text] == []


def test_a_login_in_a_browser_tells_no_secret(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    auth = world.person()
    back = log_in(auth.get_authorization_url())
    first = auth.exchange_code_for_token(*auth.parse_authorization_response(back))
    second = auth.renew(first)
    world.reads(auth)

    secrets = {first, second, world.refresh_token(), query(back)["code"], query(back)["state"], *used(world)}

    assert_untold({*secrets, world.oidc.clients["person"].secret}, told(caplog, auth, world.kept()))


def test_a_login_on_a_device_tells_no_secret(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    auth = world.device(stop=world.hurried)
    login = auth.start_device_login()
    enter(login.verification_uri, login.user_code)
    token = auth.finish_device_login(login)

    assert_untold({token, world.refresh_token(), *used(world)}, told(caplog, auth, login, world.kept()))


def test_a_client_that_signs_tells_no_secret(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    auth = world.auth("cc-es256")
    token = auth.access_token()

    key = [line for line in pem("ES256").splitlines() if not line.startswith("-")]

    assert_untold({token, *key, *used(world)}, told(caplog, auth, world.kept()))


@pytest.mark.parametrize("client_id", ["cc-basic", "cc-post"])
def test_a_refusal_tells_no_secret(world: World, client_id: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    auth: OAuth2 = world.auth(client_id, client_secret="wrong-and-still-secret")

    with pytest.raises(OAuthAccessTokenError) as caught:
        world.reads(auth)

    [asked] = world.token_requests()
    assert_untold({"wrong-and-still-secret", asked.authorization or "", *used(world)}, told(caplog, auth, caught.value))
