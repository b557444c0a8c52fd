"""Refresh tokens that may be used once: the server ends the whole session when it sees one twice."""

import pytest

from cruds.exception import ReauthorizationRequiredError
from cruds.oauth2.store import TokenState
from tests.integration.oauth.world import THREADS, World, together
from tests.servers.rewriting_proxy import lost, members, status

pytestmark = pytest.mark.servers

ROUNDS = 6


def test_sixteen_threads_never_use_a_refresh_token_twice(world: World) -> None:
    auth, families = world.logged_in(), world.oidc.families_revoked()

    for _ in range(ROUNDS):
        world.oidc.evict(auth.access_token())
        assert together([lambda: world.reads(auth)] * THREADS) == [True] * THREADS

    used = [asked.form["refresh_token"] for asked in world.token_requests("refresh_token")]
    assert len(used) == len(set(used)) == ROUNDS
    assert world.oidc.families_revoked() == families
    assert world.oidc.is_active(auth.access_token())


def test_four_clients_that_share_a_store_never_use_a_refresh_token_twice(world: World) -> None:
    crowd = [world.logged_in(), *(world.person() for _ in range(3))]
    families = world.oidc.families_revoked()

    for _ in range(ROUNDS):
        world.oidc.evict(world.kept().access_token)
        reads = [lambda auth=auth: world.reads(auth) for auth in crowd]
        assert together(reads * (THREADS // len(crowd))) == [True] * THREADS

    used = [asked.form["refresh_token"] for asked in world.token_requests("refresh_token")]
    assert len(used) == len(set(used)) == ROUNDS
    assert world.oidc.families_revoked() == families


def test_every_renewal_brings_the_next_refresh_token_into_the_store(world: World) -> None:
    auth = world.logged_in()
    seen: list[TokenState] = [world.kept()]

    for _ in range(3):
        auth.renew(auth.access_token())
        seen.append(world.kept())

    assert len({state.refresh_token for state in seen}) == len({state.access_token for state in seen}) == 4
    assert [state.version for state in seen] == [1, 3, 5, 7]  # that a renewal begins is saved, too


def test_a_refresh_token_used_by_a_thief_ends_in_a_login_and_not_in_another_principal(world: World) -> None:
    auth = world.logged_in()
    world.oidc.refresh(world.refresh_token(), "person").expect(200)

    with pytest.raises(ReauthorizationRequiredError) as caught:
        auth.renew(auth.access_token())

    assert caught.value.error == "invalid_grant"
    assert world.token_requests("client_credentials") == []


def test_a_renewal_whose_answer_was_lost_ends_in_a_login_where_a_replay_is_punished(world: World) -> None:
    auth = world.logged_in(stop=world.hurried)
    world.proxy.next("/token", lost)

    with pytest.raises(ReauthorizationRequiredError) as caught:
        auth.renew(auth.access_token())

    assert caught.value.error == "invalid_grant"
    assert [asked.status for asked in world.token_requests("refresh_token")] == [0, 400]


def test_a_renewal_that_met_an_outage_is_tried_again_with_the_same_token(world: World) -> None:
    auth, families = world.logged_in(stop=world.hurried), world.oidc.families_revoked()
    world.proxy.next("/token", status(503), times=2)

    auth.renew(auth.access_token())

    assert [asked.status for asked in world.token_requests("refresh_token")] == [503, 503, 200]
    assert world.oidc.families_revoked() == families
    assert world.reads(auth)


def test_a_refused_refresh_token_is_not_offered_again(world: World) -> None:
    auth = world.logged_in()
    token = auth.access_token()
    world.end_family()

    for _ in range(3):
        with pytest.raises(ReauthorizationRequiredError):
            auth.renew(token)

    assert len(world.token_requests("refresh_token")) == 1


def test_a_refresh_token_that_is_not_replaced_is_kept(world: World) -> None:
    auth = world.logged_in("person-fixed")
    kept = world.refresh_token()
    world.proxy.next("/token", members(refresh_token=...), times=3)

    for _ in range(3):
        auth.renew(auth.access_token())

    assert {asked.form["refresh_token"] for asked in world.token_requests("refresh_token")} == {kept}
    assert world.refresh_token() == kept


def test_a_person_whose_session_cannot_be_renewed_is_asked_and_nobody_else(world: World) -> None:
    auth = world.logged_in("person-once")
    assert world.kept().refresh_token is None
    world.oidc.evict(auth.access_token())

    with pytest.raises(ReauthorizationRequiredError):
        world.reads(auth)

    assert [asked.form["grant_type"] for asked in world.token_requests()] == ["authorization_code"]
