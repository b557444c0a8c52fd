"""How credentials stand, from what is kept alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cruds.oauth2.store import MemoryTokenStore, TokenState
from daemon.endpoints.standing import AuthStatus, Standing, static_status, token_status, unreadable_status
from daemon.spec import OAuth2Auth, RestConnection

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def auth(grant: str = "authorization_code", **more: Any) -> OAuth2Auth:
    given = {"type": "oauth2", "grant": grant, "url": "https://login.example.com/token", "client_id": "c1"}
    return OAuth2Auth.model_validate(given | {"scope": "a b"} | more)


def kept(left: timedelta | None, *, refresh: str | None = "r", **more: Any) -> TokenState:
    """A token of an hour of which so much is left."""
    expires_at = None if left is None else NOW + left
    facts = {"scope": None, "grant": "authorization_code", "obtained_at": NOW - HOUR + (left or HOUR)}
    return TokenState(
        access_token="secret-a", refresh_token=refresh, token_type="Bearer", expires_at=expires_at, **(facts | more)
    )


def status_of(settings: OAuth2Auth, state: TokenState | None) -> AuthStatus:
    """How a connection stands of which this is kept."""
    store = MemoryTokenStore()
    if state is not None:
        assert store.save("hr", state, expected_version=0)
    return token_status("hr", settings, "c1", store, now=NOW)


@pytest.mark.parametrize(
    ("grant", "state", "standing"),
    [
        ("authorization_code", None, Standing.NEEDS_LOGIN),
        ("device_code", None, Standing.NEEDS_LOGIN),
        ("client_credentials", None, Standing.NOT_USED),
        ("jwt_bearer", None, Standing.NOT_USED),
        ("authorization_code", kept(HOUR / 2), Standing.VALID),
        ("authorization_code", kept(None), Standing.VALID),
        ("authorization_code", kept(-HOUR), Standing.EXPIRED),
        ("authorization_code", kept(HOUR / 2, refresh=None), Standing.VALID),
        ("authorization_code", kept(-HOUR, refresh=None), Standing.NEEDS_LOGIN),
        ("client_credentials", kept(-HOUR, refresh=None, grant="client_credentials"), Standing.EXPIRED),
        ("authorization_code", kept(HOUR / 2, grant="client_credentials"), Standing.NEEDS_LOGIN),
        ("client_credentials", kept(HOUR / 2), Standing.NOT_USED),
    ],
)
def test_the_standing_follows_from_what_is_kept(grant: str, state: TokenState | None, standing: Standing) -> None:
    status = status_of(auth(grant), state)

    assert status.standing is standing
    assert status.is_well is (standing is not Standing.NEEDS_LOGIN)
    assert bool(status.reason) is (standing is Standing.NEEDS_LOGIN)


def test_a_session_that_ended_with_its_token_needs_a_login_since_then() -> None:
    status = status_of(auth(), kept(-HOUR, refresh=None))

    assert status.since == NOW - HOUR


def test_a_session_that_the_server_has_ended_needs_a_login_since_then_and_says_why() -> None:
    over = replace(kept(HOUR), over_since=NOW - HOUR, over_because="the server refused to renew it")

    status = status_of(auth(), over)

    assert (status.standing, status.since) == (Standing.NEEDS_LOGIN, NOW - HOUR)
    assert status.reason == "the server refused to renew it"
    assert (status.expires_at, status.renews) == (None, False)


@pytest.mark.parametrize(("granted", "missing"), [("a b", ()), ("b", ("a",)), ("c", ("a", "b")), (None, ())])
def test_what_was_granted_is_held_against_what_was_asked(granted: str | None, missing: tuple[str, ...]) -> None:
    status = status_of(auth(), kept(HOUR, scope=granted))

    assert (status.scope_asked, status.scope_missing) == (("a", "b"), missing)


@pytest.mark.parametrize(
    ("settings", "subject", "who"),
    [
        ({}, None, "client c1"),
        ({}, "ada", "ada"),
        ({"grant": "jwt_bearer", "subject": "bot@example.com"}, None, "bot@example.com"),
        ({"grant": "jwt_bearer"}, "c1", "client c1"),
        ({"grant": "password", "username": "ada", "password": {"env": "P"}}, None, "ada"),
        ({"grant": "password", "username": {"env": "U"}, "password": {"env": "P"}}, None, "client c1"),
    ],
)
def test_who_it_is_is_told_by_the_best_name_that_is_known(
    settings: dict[str, Any], subject: str | None, who: str
) -> None:
    status = status_of(auth(**settings), kept(HOUR, subject=subject))

    assert status.who == who


def test_a_session_without_a_refresh_token_renews_only_where_no_person_made_it() -> None:
    personal = status_of(auth(), kept(HOUR, refresh=None))
    machine = status_of(auth("client_credentials"), kept(HOUR, refresh=None, grant="client_credentials"))

    assert (personal.renews, machine.renews) == (False, True)


@pytest.mark.parametrize(
    ("settings", "kind", "who"),
    [
        ({"type": "none"}, "none", None),
        ({"type": "bearer", "token": {"env": "T"}}, "bearer", None),
        ({"type": "basic", "username": "sync", "password": {"env": "T"}}, "basic", "sync"),
        ({"type": "basic", "username": {"env": "U"}, "password": {"env": "T"}}, "basic", None),
        ({"type": "header", "name": "X-Key", "value": {"env": "T"}}, "header", None),
    ],
)
def test_other_credentials_are_static(settings: dict[str, Any], kind: str, who: str | None) -> None:
    status = static_status("hr", RestConnection.model_validate({"host": "https://hr.example.com", "auth": settings}))

    assert (status.kind, status.who, status.standing, status.is_well) == (kind, who, Standing.STATIC, True)


def test_a_token_that_cannot_be_opened_is_not_well_and_says_why() -> None:
    status = unreadable_status("hr", auth(), "c1", "there is no key")

    assert (status.standing, status.reason, status.is_well) == (Standing.UNREADABLE, "there is no key", False)


def test_nothing_of_a_token_is_in_it() -> None:
    assert "secret" not in repr(status_of(auth(), kept(HOUR, refresh="secret-r")))
