"""A device that shows a code, and a person who types it elsewhere, or does not."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from cruds.exception import ClientStoppedError, OAuthAccessTokenError, OAuthErrorKind, ReauthorizationRequiredError
from tests.integration.oauth.person import enter
from tests.integration.oauth.world import LateClock, World
from tests.servers.rewriting_proxy import error, lost, members, status

pytestmark = pytest.mark.servers

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


def on_wait(number: int, work: Callable[[], Any]) -> tuple[list[float], Callable[[float], None]]:
    """A list of the waits, and a listener that does some work before this one, counted from 1."""
    waits: list[float] = []

    def listen(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == number:
            work()

    return waits, listen


def test_a_device_asks_again_until_the_person_agrees(world: World) -> None:
    auth = world.device(stop=world.hurried)
    login = auth.start_device_login()
    waits, listen = on_wait(3, lambda: enter(login.verification_uri, login.user_code))

    auth.finish_device_login(login, on_wait=listen)

    assert [asked.status for asked in world.token_requests(DEVICE_CODE)] == [400, 400, 200]
    assert waits == [5.0, 5.0, 5.0]
    assert world.reads(auth)


def test_the_interval_of_the_server_is_really_waited_for(world: World) -> None:
    world.proxy.next("/device/auth", members(interval=1))
    auth = world.device()
    login = auth.start_device_login()
    enter(login.verification_uri, login.user_code)
    began = time.monotonic()

    auth.finish_device_login(login)

    assert 1.0 <= time.monotonic() - began < 4.5


def test_what_is_shown_to_the_person_is_what_the_server_said(world: World) -> None:
    login = world.device().start_device_login()

    assert login.verification_uri_complete == f"{login.verification_uri}?user_code={login.user_code}"
    assert login.device_code not in repr(login)


def test_slow_down_adds_five_seconds_for_good(world: World) -> None:
    auth = world.device(stop=world.hurried)
    login = auth.start_device_login()
    world.proxy.next("/token", error("slow_down"))
    waits, listen = on_wait(3, lambda: enter(login.verification_uri, login.user_code))

    auth.finish_device_login(login, on_wait=listen)

    assert waits == [5.0, 10.0, 10.0]


def test_a_person_who_says_no_ends_the_login_at_once(world: World) -> None:
    auth = world.device(stop=world.hurried)
    login = auth.start_device_login()
    enter(login.verification_uri, login.user_code, deny=True)

    with pytest.raises(OAuthAccessTokenError) as caught:
        auth.finish_device_login(login)

    assert (caught.value.error, caught.value.kind) == ("access_denied", OAuthErrorKind.REAUTHORIZE)
    assert len(world.token_requests()) == 1
    with pytest.raises(ReauthorizationRequiredError):
        auth.access_token()


def test_a_code_that_nobody_types_in_time_is_over(world: World) -> None:
    clock = LateClock()
    auth = world.device("device-brief", stop=world.hurried, monotonic=clock)
    login = auth.start_device_login()

    with pytest.raises(OAuthAccessTokenError) as caught:
        auth.finish_device_login(login)

    assert (caught.value.error, caught.value.kind) == ("expired_token", OAuthErrorKind.REAUTHORIZE)
    assert world.token_requests() == []


def test_a_code_that_the_server_says_is_over_is_over(world: World) -> None:
    world.proxy.next("/device/auth", members(interval=1, expires_in=600))
    auth = world.device("device-brief", stop=world.hurried)
    login = auth.start_device_login()
    waits, listen = on_wait(1, lambda: time.sleep(3.1))

    with pytest.raises(OAuthAccessTokenError) as caught:
        auth.finish_device_login(login, on_wait=listen)

    assert (caught.value.error, caught.value.kind) == ("expired_token", OAuthErrorKind.REAUTHORIZE)
    assert len(waits) == 1


def test_an_outage_in_between_is_waited_out_with_longer_pauses(world: World) -> None:
    auth = world.device(stop=world.hurried)
    login = auth.start_device_login()
    world.proxy.next("/token", status(503), times=2)
    waits, listen = on_wait(4, lambda: enter(login.verification_uri, login.user_code))

    auth.finish_device_login(login, on_wait=listen)

    assert [asked.status for asked in world.token_requests()] == [503, 503, 400, 200]
    assert waits == [5.0, 10.0, 20.0, 5.0]
    assert world.reads(auth)


def test_a_device_that_is_told_yes_and_does_not_hear_it_has_to_begin_again(world: World) -> None:
    auth = world.device(stop=world.hurried)
    login = auth.start_device_login()
    enter(login.verification_uri, login.user_code)
    world.proxy.next("/token", lost)

    with pytest.raises(OAuthAccessTokenError) as caught:
        auth.finish_device_login(login)

    assert (caught.value.error, caught.value.kind) == ("invalid_grant", OAuthErrorKind.REAUTHORIZE)


def test_a_session_of_a_device_is_renewed_like_any_other(world: World) -> None:
    auth = world.device(stop=world.hurried)
    login = auth.start_device_login()
    enter(login.verification_uri, login.user_code)
    world.oidc.evict(auth.finish_device_login(login))

    assert world.reads(auth)

    assert len(world.token_requests("refresh_token")) == 1


def test_a_stop_ends_the_wait_for_a_person_at_once(world: World) -> None:
    auth, stop = world.device(), threading.Event()
    login = auth.start_device_login()
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()

    with pytest.raises(ClientStoppedError):
        auth.finish_device_login(login, stop=stop)

    assert time.monotonic() - began < 4.5
    assert world.token_requests() == []
