"""Sessions that outlive their process, and stores that do not keep what they are given."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cruds import OAuth2
from cruds.exception import (
    OAuthAccessTokenError,
    OAuthErrorKind,
    ReauthorizationRequiredError,
    TokenNotSavedError,
    TokenStateError,
)
from cruds.oauth2.store import MemoryTokenStore, TokenState
from tests.integration.oauth.process import sealed_store
from tests.integration.oauth.world import World, log_in_to
from tests.servers.exchange import Answer
from tests.servers.rewriting_proxy import Forward, error, lost, status

pytestmark = pytest.mark.servers

LONG_AGO = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CLIENTS = pytest.mark.parametrize("client_id", ["cc-basic", "person"])


def session(world: World, client_id: str, **options: Any) -> OAuth2:
    """A session with a token, made as this client makes them."""
    auth = world.logged_in(**options) if client_id == "person" else world.auth(client_id, **options)
    auth.access_token()
    return auth


def again(world: World, client_id: str, **options: Any) -> OAuth2:
    """The same client in another process: nothing of the first but its store."""
    return world.person(**options) if client_id == "person" else world.auth(client_id, **options)


@CLIENTS
def test_after_a_restart_a_token_that_is_still_good_is_used(world: World, client_id: str) -> None:
    token = session(world, client_id).access_token()

    auth = again(world, client_id)

    assert world.reads(auth)
    assert auth.access_token() == token
    assert len(world.token_requests()) == 1


@pytest.mark.parametrize("hours", [-1, 1], ids=["back", "forward"])
@CLIENTS
def test_after_a_restart_with_the_clock_set_wrong_reads_go_on(world: World, client_id: str, hours: int) -> None:
    session(world, client_id)

    auth = again(world, client_id, clock=lambda: datetime.now(UTC) + timedelta(hours=hours))

    assert world.reads(auth)
    assert world.gate.journal.by_status() == {200: 1}


def test_after_a_restart_with_a_wrong_secret_the_session_waits_for_the_right_one(world: World) -> None:
    world.oidc.evict(session(world, "person").access_token())
    kept = world.kept()

    with pytest.raises(OAuthAccessTokenError) as caught:
        world.reads(again(world, "person", client_secret="wrong"))

    assert caught.value.kind is OAuthErrorKind.CONFIGURATION
    assert replace(world.kept(), version=kept.version) == kept
    assert world.reads(again(world, "person"))


def test_after_a_restart_a_persons_session_is_renewed(world: World) -> None:
    world.oidc.evict(session(world, "person").access_token())

    assert world.reads(again(world, "person"))

    assert [asked.form["grant_type"] for asked in world.token_requests()] == ["authorization_code", "refresh_token"]


def test_after_a_restart_a_persons_session_is_renewed_out_of_the_daemons_sealed_file(
    world: World, tmp_path: Path
) -> None:
    place = (tmp_path / "state.db", f"{world.proxy.url}/token", "person")
    with sealed_store(*place) as store:
        token = session(world, "person", store=store).access_token()
    world.oidc.evict(token)

    with sealed_store(*place) as store:
        assert world.reads(again(world, "person", store=store))

    assert len(world.token_requests("refresh_token")) == 1
    assert token.encode() not in b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())


def test_a_sealed_store_in_memory_serves_like_an_open_one(world: World) -> None:
    auth = session(world, "person", store=None, encryption_key="a passphrase of some length")
    world.oidc.evict(auth.access_token())

    assert world.reads(auth)


class Watched(MemoryTokenStore):
    """A store that lets the test look, or break something, before each save."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[], object] = bool

    def save(self, profile: str, state: TokenState, *, expected_version: int) -> bool:
        self.before()
        return super().save(profile, state, expected_version=expected_version)


def full() -> None:
    """What a full disk does."""
    raise TokenStateError("no space left on the device")


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_new_token_that_could_not_be_saved_is_never_used(world: World, watched: Watched) -> None:
    auth = session(world, "cc-basic", store=watched)
    world.oidc.evict(auth.access_token())
    watched.before = full

    for _ in range(2):
        with pytest.raises(TokenStateError, match="no space left"):
            world.reads(auth)

    assert world.gate.journal.by_status() == {401: 2}
    assert world.api.journal == []


def test_a_persons_new_token_is_saved_as_soon_as_the_store_works_again_and_not_used_before(
    world: World, watched: Watched
) -> None:
    auth = session(world, "person", store=watched, stop=world.hurried)
    world.oidc.evict(auth.access_token())
    saves: list[int] = []

    def fills_up() -> None:
        saves.append(1)
        if len(saves) > 1:  # the first says that a renewal begins
            full()

    watched.before = fills_up
    for tries in (15, 1):  # as long as the lease lasts; then once, whenever the session is to be used
        before = len(saves)
        with pytest.raises(TokenNotSavedError, match=r"no space left on the device\. They are not used, and stay"):
            world.reads(auth)
        assert len(saves) - before in {tries, tries + 1}
    assert world.gate.journal.by_status() == {401: 2}
    assert len(world.token_requests("refresh_token")) == 1

    watched.before = bool

    assert world.reads(auth)
    assert len(world.token_requests("refresh_token")) == 1
    assert world.reads(again(world, "person", store=watched))


def test_a_token_is_not_in_use_before_the_store_has_it(world: World, watched: Watched) -> None:
    auth = world.auth("cc-basic", store=watched)
    seen: list[bool] = []
    watched.before = lambda: seen.append(auth.is_valid())

    auth.access_token()

    assert (seen, auth.is_valid()) == ([False], True)


def test_a_machine_whose_store_works_again_works_again(world: World, watched: Watched) -> None:
    auth = world.auth("cc-basic", store=watched)
    watched.before = full
    with pytest.raises(TokenStateError):
        world.reads(auth)

    watched.before = bool

    assert world.reads(auth)


def test_a_login_that_could_not_be_saved_is_no_login(world: World, watched: Watched) -> None:
    watched.before = full

    with pytest.raises(TokenStateError):
        world.logged_in(store=watched)

    assert watched.load("") is None


@pytest.mark.edge(48)
@pytest.mark.parametrize("is_beaten", [True, False], ids=["beaten", "alone"])
def test_a_refused_refresh_token_is_looked_up_again_before_the_person_is_asked(world: World, is_beaten: bool) -> None:
    auth = session(world, "person")
    before = world.kept()

    def refuse(forward: Forward) -> Answer:
        if is_beaten:  # another process has used the token and saved its successor, and this one comes too late
            new = world.oidc.refresh(world.refresh_token(), "person").json()
            successor = replace(before, access_token=new["access_token"], refresh_token=new["refresh_token"])
            assert world.store.save("", successor, expected_version=world.kept().version)
        return error("invalid_grant")(forward) or pytest.fail("no answer")

    world.proxy.next("/token", refuse)
    world.oidc.evict(before.access_token)

    if is_beaten:
        assert world.reads(auth)
    else:
        with pytest.raises(ReauthorizationRequiredError):
            world.reads(auth)
    assert len(world.token_requests("refresh_token")) == 1
    assert world.kept().is_over is not is_beaten


@pytest.mark.edge(48)
def test_a_session_that_is_over_is_over_for_every_process_and_every_restart_until_somebody_logs_in(
    world: World,
) -> None:
    auth = session(world, "person")
    before = world.kept()
    world.end_family()
    with pytest.raises(ReauthorizationRequiredError, match="invalid_grant"):
        world.reads(auth)

    over = world.kept()
    assert (over.access_token, over.refresh_token, over.scope) == ("", None, before.scope)
    assert (over.began_at, over.obtained_at) == (before.began_at, before.obtained_at)
    assert over.over_since is not None
    said = rf"over since {over.over_since:%Y-%m-%d %H:%M:%S} UTC: the token endpoint answered .*; log in again"
    for other in (auth, again(world, "person"), again(world, "person")):
        with pytest.raises(ReauthorizationRequiredError, match=said):
            world.reads(other)
    assert not again(world, "person").is_valid()
    assert len(world.token_requests("refresh_token")) == 1

    fresh = again(world, "person")
    log_in_to(fresh)

    assert world.reads(auth)
    assert not world.kept().is_over


def test_a_session_that_is_over_can_be_given_up(world: World) -> None:
    auth = session(world, "person", revocation_url=f"{world.proxy.url}/token/revocation")
    world.end_family()
    with pytest.raises(ReauthorizationRequiredError):
        world.reads(auth)

    auth.revoke()

    assert world.proxy.asked("/token/revocation") == []
    assert world.store.load("") is None


def test_a_renewal_that_was_cut_off_is_tried_once_with_the_old_refresh_token(world: World) -> None:
    """As a server with a grace time takes it: the request never arrived, or the answer may be asked for again."""
    auth = session(world, "person")
    world.store.save("", replace(world.kept(), renewing_since=LONG_AGO), expected_version=world.kept().version)
    world.oidc.evict(auth.access_token())

    assert world.reads(again(world, "person"))

    assert world.kept().renewing_since is None
    assert len(world.token_requests("refresh_token")) == 1


def test_a_renewal_that_was_cut_off_after_its_answer_is_named_as_the_cause_of_the_login(world: World) -> None:
    session(world, "person")
    world.oidc.refresh(world.refresh_token(), "person").expect(200)
    world.store.save(
        "",
        replace(world.kept(), renewing_since=LONG_AGO, expires_at=LONG_AGO),
        expected_version=world.kept().version,
    )

    for _ in range(2):
        with pytest.raises(
            ReauthorizationRequiredError, match=r"refresh was interrupted at 2026-03-01 12:00:00 UTC, .*invalid_grant"
        ):
            world.reads(again(world, "person"))

    assert len(world.token_requests("refresh_token")) == 1


def test_a_renewal_that_surely_did_not_happen_leaves_no_doubt_behind(world: World) -> None:
    auth = session(world, "person", stop=world.hurried)
    world.oidc.evict(auth.access_token())
    world.proxy.next("/token", status(503), times=4)
    with pytest.raises(OAuthAccessTokenError):
        world.reads(auth)
    assert world.kept().renewing_since is None

    world.proxy.next("/token", lost, times=4)
    with pytest.raises(OAuthAccessTokenError):
        world.reads(auth)
    assert world.kept().renewing_since is not None


def test_a_machine_logs_in_again_by_itself_and_its_session_is_never_over(world: World) -> None:
    auth = session(world, "cc-basic")
    world.store.save(
        "", replace(world.kept(), refresh_token="gone", expires_at=LONG_AGO), expected_version=world.kept().version
    )
    world.proxy.next("/token", error("invalid_grant"))

    assert world.reads(again(world, "cc-basic"))

    assert not world.kept().is_over
    assert world.reads(auth)


def test_a_login_takes_the_place_of_a_state_that_cannot_be_opened(world: World, tmp_path: Path) -> None:
    token_url = f"{world.proxy.url}/token"
    with sealed_store(tmp_path / "state.db", "https://elsewhere.example", "person") as store:
        session(world, "person", store=store)
    with sealed_store(tmp_path / "state.db", token_url, "person") as store:
        auth = again(world, "person", store=store)
        with pytest.raises(TokenStateError):
            auth.access_token()

        log_in_to(auth)

        assert world.reads(again(world, "person", store=store))


def test_a_renewal_waits_for_the_one_that_holds_the_lease_and_takes_what_it_brought(world: World) -> None:
    auth = session(world, "person")
    world.oidc.evict(auth.access_token())
    before = world.kept()

    with world.store.lease("", seconds=30) as is_ours:
        assert is_ours
        new = world.oidc.refresh(world.refresh_token(), "person").json()
        successor = replace(before, access_token=new["access_token"], refresh_token=new["refresh_token"])
        world.store.save("", successor, expected_version=before.version)
        assert world.reads(auth)

    assert world.token_requests("refresh_token") == []


def test_a_lease_that_is_never_given_back_ends_in_an_error_that_may_pass(world: World) -> None:
    auth = again(world, "cc-basic", timeout=0.3)

    with world.store.lease("", seconds=30), pytest.raises(OAuthAccessTokenError) as caught:
        auth.access_token()

    assert caught.value.kind is OAuthErrorKind.TEMPORARY
    assert world.reads(auth)


def test_a_persons_session_is_never_taken_over_by_a_machine(world: World) -> None:
    persons = session(world, "person", profile="shared").access_token()

    machine = world.auth("cc-basic", profile="shared")

    assert world.oidc.introspect(machine.access_token())["client_id"] == "cc-basic"
    assert machine.access_token() != persons


def test_two_profiles_of_a_store_do_not_touch_each_other(world: World) -> None:
    hr, it = (world.logged_in(profile=name) for name in ("hr", "it"))
    hr.clear_state()

    with pytest.raises(ReauthorizationRequiredError):
        world.reads(hr)

    assert world.reads(it)


def test_a_session_at_one_token_endpoint_is_not_offered_to_another(world: World) -> None:
    session(world, "person")
    elsewhere = world.person(url=world.oidc.token_url)

    with pytest.raises(ReauthorizationRequiredError):
        elsewhere.access_token()

    assert len(world.token_requests()) == 1
