"""Tokens that run out while they are in use."""

import time

import pytest

from cruds import OAuth2
from cruds.exception import OAuthAccessTokenError
from tests.integration.oauth.world import CROSSING_S, THREADS, Hurried, LateClock, World, together, wait_until_dead
from tests.servers.rewriting_proxy import members, status

pytestmark = pytest.mark.servers


def read_on(world: World, auth: OAuth2, seconds: float) -> int:
    """Read until the time is over; how many reads that were."""
    until, count = time.monotonic() + seconds, 0
    with world.client(auth, retries=0) as client:
        while time.monotonic() < until:
            assert client.read("people") == {"ok": True}
            count += 1
            time.sleep(0.01)
    return count


@pytest.mark.edge(47)
@pytest.mark.suffering(14)
def test_a_loop_of_reads_crosses_the_end_of_a_token_and_none_of_them_fails(world: World) -> None:
    count = read_on(world, world.auth("cc-5s"), CROSSING_S)

    assert count > 50
    assert world.gate.journal.by_status() == {200: count}
    assert len(world.token_requests("client_credentials")) == 2


def test_sixteen_threads_cross_the_end_of_a_persons_token_without_a_replay(world: World) -> None:
    auth, families = world.logged_in("person-5s"), world.oidc.families_revoked()

    counts = together([lambda: read_on(world, auth, CROSSING_S)] * THREADS)

    assert world.gate.journal.by_status() == {200: sum(counts)}
    assert len(world.token_requests("refresh_token")) == 1
    assert world.oidc.families_revoked() == families
    assert world.reads(auth)


def test_a_token_of_33_seconds_is_used_for_29_and_renewed_before_it_ends(world: World) -> None:
    clock = LateClock()
    auth = world.auth("cc-33s", monotonic=clock)
    first = auth.access_token()

    clock.ahead_s = 29.0
    assert auth.access_token() == first
    clock.ahead_s = 30.0
    assert auth.access_token() != first

    assert len(world.token_requests()) == 2


def test_a_renewal_that_fails_leaves_a_token_in_use_that_is_still_good(world: World) -> None:
    clock = LateClock()
    auth = world.auth("cc-33s", monotonic=clock, stop=Hurried())
    first = auth.access_token()
    clock.ahead_s = 30.0
    world.proxy.next("/token", status(503), times=4)

    assert auth.access_token() == first

    assert world.reads(auth)
    assert len(world.token_requests()) == 5


def test_once_the_token_is_over_a_renewal_that_fails_is_an_error(world: World) -> None:
    clock = LateClock()
    auth = world.auth("cc-33s", monotonic=clock, stop=Hurried())
    auth.access_token()
    clock.ahead_s = 33.0
    world.proxy.next("/token", status(503), times=4)

    with pytest.raises(OAuthAccessTokenError) as caught:
        auth.access_token()

    assert caught.value.status == 503
    assert world.reads(auth)


@pytest.mark.edge(47)
def test_a_token_that_says_it_lives_longer_than_it_does_is_renewed_when_it_is_refused(world: World) -> None:
    auth = world.auth("cc-5s")
    world.proxy.next("/token", members(expires_in=3600))
    wait_until_dead(world.oidc, auth.access_token())

    assert world.reads(auth)

    assert world.gate.journal.by_status() == {401: 1, 200: 1}
    assert len(world.token_requests()) == 2


def test_a_token_that_does_not_say_its_life_has_the_one_that_was_set(world: World) -> None:
    clock = LateClock()
    world.proxy.next("/token", members(expires_in=...))
    auth = world.auth("cc-basic", monotonic=clock, default_expires_in=100)
    first = auth.access_token()

    clock.ahead_s = 89.0
    assert auth.access_token() == first
    clock.ahead_s = 90.5
    assert auth.access_token() != first
