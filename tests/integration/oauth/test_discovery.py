"""A client that knows its issuer and nothing else."""

import pytest

from cruds import OAuth2
from cruds.exception import OAuthAccessTokenError, OAuthErrorKind
from tests.integration.oauth.person import enter, log_in
from tests.integration.oauth.world import THREADS, World, log_in_to, query, together
from tests.servers.oidc import CALLBACK
from tests.servers.rewriting_proxy import html, members, status

pytestmark = pytest.mark.servers

RFC_8414 = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"


def test_nothing_is_asked_before_a_token_is_needed(world: World) -> None:
    world.oidc.journal.forget()

    world.discovered("cc-basic")

    assert world.oidc.journal.entries == ()


def test_an_issuer_is_enough_for_a_machine(world: World) -> None:
    auth = world.discovered("cc-basic")

    assert world.reads(auth)
    assert auth.server_metadata().token_endpoint == world.oidc.token_url


def test_an_issuer_is_enough_for_a_client_that_signs(world: World) -> None:
    auth = world.discovered("cc-es256")

    assert world.reads(auth)


def test_an_issuer_is_enough_for_a_person(world: World) -> None:
    auth = world.discovered("person", redirect_uri=CALLBACK)

    log_in_to(auth)

    assert world.reads(auth)


def test_an_issuer_is_enough_for_a_device(world: World) -> None:
    auth = world.discovered("device", grant="device_code", stop=world.hurried)
    login = auth.start_device_login()
    enter(login.verification_uri, login.user_code)

    auth.finish_device_login(login)

    assert world.reads(auth)


def test_an_issuer_is_enough_to_revoke(world: World) -> None:
    auth = world.discovered("cc-basic")
    token = auth.access_token()

    auth.revoke()

    assert not world.oidc.is_active(token)


def test_the_metadata_is_read_once_however_many_threads_begin(world: World) -> None:
    auth = world.discovered("cc-basic")
    world.oidc.journal.forget()

    tokens = together([auth.access_token] * THREADS)
    auth.renew(tokens[0])

    assert world.oidc.journal.count("GET", "/.well-known/") == 1
    assert world.oidc.journal.count("POST", "/token") == 2


def test_metadata_of_another_issuer_are_refused_before_a_secret_is_sent(world: World) -> None:
    # The proxy passes on what the server says, and the server says that it is somebody else.
    auth = world.discovered("cc-basic", issuer=world.proxy.url)

    with pytest.raises(OAuthAccessTokenError) as caught:
        auth.access_token()

    assert caught.value.kind is OAuthErrorKind.CONFIGURATION
    assert world.token_requests() == []


def through_the_proxy(world: World) -> OAuth2:
    """A client for which the proxy is the issuer."""
    return world.discovered("cc-basic", issuer=world.proxy.url, stop=world.hurried)


def test_metadata_that_are_only_where_openid_puts_them_are_found(world: World) -> None:
    world.proxy.next(RFC_8414, status(404))
    world.proxy.next(OPENID, members(issuer=world.proxy.url))

    assert world.reads(through_the_proxy(world))


def test_an_outage_of_the_metadata_is_waited_out(world: World) -> None:
    world.proxy.next(RFC_8414, status(503), members(issuer=world.proxy.url))

    assert world.reads(through_the_proxy(world))


def test_pages_instead_of_metadata_are_an_error_and_no_secret_is_sent(world: World) -> None:
    world.proxy.next(RFC_8414, html(200), times=9)
    world.proxy.next(OPENID, html(200), times=9)

    with pytest.raises(OAuthAccessTokenError):
        through_the_proxy(world).access_token()

    assert world.token_requests() == []


def test_a_token_endpoint_in_the_clear_is_refused(world: World) -> None:
    world.proxy.next(
        RFC_8414, members(issuer=world.proxy.url, token_endpoint="http://login.example.test/token"), times=9
    )

    with pytest.raises(Exception, match="clear"):
        through_the_proxy(world).access_token()

    assert world.token_requests() == []


def test_a_server_that_takes_secrets_only_in_the_form_gets_them_there(world: World) -> None:
    methods = ["client_secret_post", "private_key_jwt"]
    changed = members(issuer=world.proxy.url, token_endpoint_auth_methods_supported=methods)
    world.proxy.next(RFC_8414, changed)
    auth = world.discovered("cc-post", issuer=world.proxy.url)

    assert world.reads(auth)

    [asked] = world.token_requests()
    assert (asked.authorization, "client_secret" in asked.form) == (None, True)


def test_an_authorization_endpoint_keeps_the_query_it_came_with(world: World) -> None:
    endpoint = f"{world.proxy.url}/auth?tenant=acme"
    world.proxy.next(RFC_8414, members(issuer=world.proxy.url, authorization_endpoint=endpoint))
    auth = world.discovered("person", issuer=world.proxy.url, redirect_uri=CALLBACK)

    url = auth.get_authorization_url()

    assert (url.startswith(f"{endpoint}&"), query(url)["tenant"]) == (True, "acme")
    assert query(log_in(url)).keys() >= {"code", "state"}
