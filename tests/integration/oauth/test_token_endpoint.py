"""What stands between a client and its token endpoint: load balancers, portals, and servers with habits."""

import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from cruds.exception import ClientStoppedError, HTTPStatusError, OAuthAccessTokenError, OAuthErrorKind
from tests.integration.oauth.world import World
from tests.servers.process import free_port
from tests.servers.rewriting_proxy import Fault, error, html, late, lost, members, status

pytestmark = pytest.mark.servers

API = "https://api.example.test/"
CONFIGURATION, TEMPORARY = OAuthErrorKind.CONFIGURATION, OAuthErrorKind.TEMPORARY


def refusal(world: World, registered: str = "cc-basic", /, **options: Any) -> OAuthAccessTokenError:
    """The error of a client that asks for a token and gets none."""
    with pytest.raises(OAuthAccessTokenError) as caught:
        world.auth(registered, **({"stop": world.hurried} | options)).access_token()
    return caught.value


@pytest.mark.parametrize(
    "fault",
    [status(503), status(502), status(504), status(429), html(503), lost],
    ids=["503", "502", "504", "429", "a page with 503", "the answer lost"],
)
def test_a_passing_fault_is_waited_out(world: World, fault: Fault) -> None:
    world.proxy.next("/token", fault)

    assert world.reads(world.auth("cc-basic", stop=world.hurried))

    assert len(world.token_requests()) == 2
    assert world.api.journal[0].method == "GET"


def test_an_outage_is_given_up_after_four_tries_and_may_pass(world: World) -> None:
    world.proxy.next("/token", status(503), times=9)

    refused = refusal(world)

    assert (refused.status, refused.kind) == (503, TEMPORARY)
    assert len(world.token_requests()) == 4


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_obeyed(world: World, code: int) -> None:
    world.proxy.next("/token", status(code, Retry_After="1"))
    auth = world.auth("cc-basic")
    began = time.monotonic()

    auth.access_token()

    assert 1.0 <= time.monotonic() - began < 5.0
    assert len(world.token_requests()) == 2


def test_a_retry_after_beyond_all_patience_is_told_and_not_slept_through(world: World) -> None:
    world.proxy.next("/token", status(429, Retry_After="3600"))

    refused = refusal(world)

    assert (refused.status, refused.kind, refused.retry_after) == (429, TEMPORARY, 3600.0)
    assert len(world.token_requests()) == 1
    assert world.hurried.waits == []


def test_a_stop_ends_the_wait_for_a_retry_at_once(world: World) -> None:
    stop = threading.Event()
    world.proxy.next("/token", status(503, Retry_After="9"))
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()

    with pytest.raises(ClientStoppedError):
        world.auth("cc-basic", stop=stop).access_token()

    assert time.monotonic() - began < 6.0


def test_a_slow_endpoint_has_a_total_time_of_its_own(world: World) -> None:
    world.proxy.next("/token", late(20, world.proxy), times=9)
    auth, began = world.auth("cc-basic", timeout=1.0), time.monotonic()

    with pytest.raises(OAuthAccessTokenError) as caught:
        world.client(auth, timeout=300.0).read("people")

    assert caught.value.kind is TEMPORARY
    assert time.monotonic() - began < 10.0


def test_an_endpoint_that_is_slow_but_answers_in_time_is_waited_for(world: World) -> None:
    world.proxy.next("/token", late(0.5, world.proxy))

    assert world.reads(world.auth("cc-basic", timeout=5.0))

    assert len(world.token_requests()) == 1


def test_an_endpoint_where_nobody_listens_may_come_back(world: World) -> None:
    refused = refusal(world, url=f"http://127.0.0.1:{free_port()}/token")

    assert (refused.kind, refused.status) == (TEMPORARY, None)


@pytest.mark.parametrize(
    ("registered", "options", "code"),
    [
        ("cc-basic", {"client_secret": "wrong"}, "invalid_client"),
        ("cc-post", {"client_secret": "wrong"}, "invalid_client"),
        ("cc-basic", {"client_id": "nobody"}, "invalid_client"),
        ("cc-basic", {"client_auth": "none"}, "invalid_client"),
        ("cc-basic", {"scope": "openid"}, "invalid_scope"),
        ("cc-basic", {"resource": API, "authorization_details": {"type": "none"}}, "invalid_authorization_details"),
    ],
    ids=["wrong secret", "wrong secret in the form", "unknown client", "wrong method", "wrong scope", "wrong details"],
)
def test_a_mistake_in_the_settings_is_said_at_once_and_not_repeated(
    world: World, registered: str, options: dict[str, Any], code: str
) -> None:
    refused = refusal(world, registered, **options)

    assert (refused.error, refused.kind) == (code, CONFIGURATION)
    assert len(world.token_requests()) == 1


@pytest.mark.parametrize("code", ["invalid_client", "unauthorized_client", "invalid_scope", "access_denied"])
def test_an_error_inside_a_200_is_an_error(world: World, code: str) -> None:
    world.proxy.next("/token", error(code, 200))

    refused = refusal(world)

    assert (refused.error, refused.status, refused.kind) == (code, 200, CONFIGURATION)
    assert len(world.token_requests()) == 1


@pytest.mark.parametrize("code", ["temporarily_unavailable", "server_error"])
@pytest.mark.parametrize("http_status", [200, 400])
def test_an_error_that_says_it_will_pass_may_be_asked_again(world: World, code: str, http_status: int) -> None:
    world.proxy.next("/token", error(code, http_status))
    auth = world.auth("cc-basic")

    with pytest.raises(OAuthAccessTokenError) as caught:
        auth.access_token()

    assert (caught.value.error, caught.value.kind) == (code, TEMPORARY)
    assert world.reads(auth)


@pytest.mark.parametrize("code", [200, 401, 404, 500])
def test_a_page_instead_of_a_token_is_an_error_that_says_so(world: World, code: int) -> None:
    world.proxy.next("/token", html(code), times=9)

    refused = refusal(world)

    assert refused.status == code
    assert str(code) in str(refused)
    assert "text/html" in str(refused)
    assert "Sign in to the network" not in str(refused)


def test_a_redirect_of_the_token_endpoint_is_not_followed(world: World) -> None:
    world.proxy.next("/token", status(307, Location=f"{world.gate.url}/people"))

    refused = refusal(world)

    assert refused.status == 307
    assert world.gate.journal.entries == ()


@pytest.mark.edge(47)
@pytest.mark.parametrize(
    "life", ["600", 600.0, None, ..., "soon", True, [], -1], ids=["text", "float", "null", "absent", *"abcd"]
)
def test_whatever_expires_in_is_the_token_is_used_until_it_is_refused(world: World, life: Any) -> None:
    world.proxy.next("/token", members(expires_in=life))
    auth = world.auth("cc-basic")
    assert world.reads(auth)
    assert world.reads(auth)
    assert len(world.token_requests()) == 1

    world.oidc.revoke(auth.access_token(), "cc-basic")

    assert world.reads(auth)
    assert len(world.token_requests()) == 2


def test_any_success_is_a_success(world: World) -> None:
    world.proxy.next("/token", lambda forward: replace(forward(), status=201))

    assert world.reads(world.auth("cc-basic"))


def test_an_answer_without_end_is_cut_off(world: World) -> None:
    world.proxy.next("/token", status(200, b"{" + b" " * 4_000_000, Content_Type="application/json"), times=9)

    assert refusal(world).kind is CONFIGURATION


@pytest.mark.parametrize("spelling", ["bearer", "BEARER"])
def test_the_spelling_of_bearer_does_not_matter(world: World, spelling: str) -> None:
    world.proxy.next("/token", members(token_type=spelling))

    assert world.reads(world.auth("cc-basic"))


@pytest.mark.parametrize(
    "spoilt",
    [{"token_type": "mac"}, {"access_token": ...}, {"access_token": ""}, {"access_token": None}, {"access_token": 7}],
    ids=["another type", "no token", "an empty token", "null", "a number"],
)
def test_an_answer_without_a_bearer_token_is_an_error_and_leaves_nothing_behind(
    world: World, spoilt: dict[str, Any]
) -> None:
    world.proxy.next("/token", members(**spoilt))
    auth = world.auth("cc-basic")

    with pytest.raises(OAuthAccessTokenError):
        auth.access_token()

    assert not auth.is_valid()
    assert world.store.load("") is None
    assert world.reads(auth)


def test_a_bad_answer_to_a_renewal_does_not_cost_the_session(world: World) -> None:
    auth = world.logged_in()
    kept = world.kept()
    world.proxy.next("/token", html(200))

    with pytest.raises(OAuthAccessTokenError):
        auth.renew(auth.access_token())

    assert world.kept().renewing_since is not None  # nobody can say whether the server has used it up
    assert replace(world.kept(), version=kept.version, renewing_since=None) == kept
    assert world.reads(auth)


def test_a_client_error_of_the_api_is_not_mistaken_for_one_of_the_token_endpoint(world: World) -> None:
    auth = world.auth("cc-basic")

    with pytest.raises(HTTPStatusError) as caught:
        world.client(auth).read("nowhere")

    assert caught.value.status == 599
    assert len(world.token_requests()) == 1
