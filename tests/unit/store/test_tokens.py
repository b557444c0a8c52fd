from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cruds.exception import TokenNotSavedError, TokenStateError
from cruds.oauth2.store import TokenState
from daemon.store.database import Database, open_database
from daemon.store.leases import Leases
from daemon.store.owner import Owner
from daemon.store.statements import execute
from daemon.store.tokens import SqlTokenStore
from daemon.vault.keys import KeyRing
from daemon.vault.vault import Vault
from tests.unit.store.places import NOON, ON_SQLITE, HandClock, other_owner

STATE = TokenState(
    access_token="canary-access-7f3a",
    refresh_token="canary-refresh-9b1c",
    token_type="Bearer",
    expires_at=NOON + timedelta(hours=1),
    obtained_at=NOON,
    scope="people.read",
    grant="authorization_code",
)
OLD, NEW = ("k1", b"1" * 32), ("k2", b"2" * 32)
Make = Callable[..., SqlTokenStore]


@pytest.fixture
def make(database: Database, clock: HandClock) -> Make:
    def make(
        *keys: tuple[str, bytes],
        issuer: str = "https://login.example.com",
        client: str = "me",
        owner: Owner | None = None,
    ) -> SqlTokenStore:
        leases = Leases(database, clock, owner or Owner.here())
        vault = Vault(KeyRing(keys or (OLD,)))
        return SqlTokenStore(database, vault, leases, clock=clock, issuer=issuer, client_id=client)

    return make


@ON_SQLITE
def test_no_token_can_be_read_in_the_files(database: Database, make: Make, path: Path) -> None:
    store = make()
    store.save("hr", STATE, expected_version=0)
    store.save("hr", STATE, expected_version=1)
    files = [file.read_bytes() for file in path.parent.iterdir()]
    assert len(files) == 3  # the write-ahead log and its index are there too
    assert not [content for content in files if b"canary" in content]


@ON_SQLITE
def test_a_database_that_is_locked_at_the_end_of_a_renewal_does_not_hide_what_came_of_it(
    database: Database, path: Path, clock: HandClock
) -> None:
    with open_database(path, busy_timeout_s=0.01) as ours, ExitStack() as locked:
        leases = Leases(ours, clock, Owner.here(), monotonic=clock.ticks)
        store = SqlTokenStore(ours, Vault(KeyRing((OLD,))), leases, clock=clock, issuer="i", client_id="me")

        def renew() -> None:
            with store.lease("hr", seconds=9) as mine:
                assert mine
                locked.enter_context(database.write())
                raise TokenNotSavedError("the tokens stay in memory")

        with pytest.raises(TokenNotSavedError, match="stay in memory"):
            renew()

        locked.close()
        with store.lease("hr", seconds=9) as again:
            assert not again
        clock.move(9)
        with store.lease("hr", seconds=9) as again:
            assert again


@pytest.mark.parametrize(
    "other",
    [
        {"issuer": "https://evil.example.com"},
        {"client": "somebody else"},
    ],
)
def test_a_state_does_not_open_for_another_address_or_client(make: Make, other: dict[str, str]) -> None:
    make().save("hr", STATE, expected_version=0)
    with pytest.raises(TokenStateError, match=r"token of hr .*moved.*client_id as they were"):
        make(**other).load("hr")


@pytest.mark.parametrize(
    "tamper",
    [
        "UPDATE tokens SET sealed = (SELECT sealed FROM tokens WHERE profile = 'desk') WHERE profile = 'hr'",
        "UPDATE tokens SET version = 2 WHERE profile = 'hr'",
        "UPDATE tokens SET sealed = substr(sealed, 1, 0) WHERE profile = 'hr'",
        "UPDATE tokens SET sealed = substr(sealed, 1, 40) WHERE profile = 'hr'",
    ],
)
def test_a_row_that_was_tampered_with_does_not_open(database: Database, make: Make, tamper: str) -> None:
    store = make()
    store.save("hr", STATE, expected_version=0)
    store.save("desk", STATE, expected_version=0)
    with database.write() as connection:
        execute(connection, tamper)
    with pytest.raises(TokenStateError):
        store.load("hr")
    assert store.load("desk") == replace(STATE, version=1)


def test_a_lost_key_is_named_and_the_state_is_kept(make: Make) -> None:
    make(OLD).save("hr", STATE, expected_version=0)
    with pytest.raises(TokenStateError, match=r"sealed with the key k1, .*log in again"):
        make(NEW).load("hr")
    assert not make(NEW).save("hr", STATE, expected_version=0)
    assert make(OLD).load("hr") == replace(STATE, version=1)


def test_a_state_that_another_one_takes_the_place_of_for_nothing_is_dropped_when_it_cannot_be_opened(
    database: Database, clock: HandClock, make: Make
) -> None:
    make(OLD).save("hr", STATE, expected_version=0)
    make(OLD).save("desk", STATE, expected_version=0)
    told: list[str] = []
    store = SqlTokenStore(
        database,
        Vault(KeyRing((NEW,))),
        Leases(database, clock, Owner.here()),
        clock=clock,
        issuer="https://login.example.com",
        client_id="me",
        on_drop=told.append,
    )
    assert store.load("hr") is None
    assert [message.partition(":")[0] for message in told] == ["the stored token could not be opened, and was dropped"]
    assert store.save("hr", STATE, expected_version=0)
    assert store.load("hr") == replace(STATE, version=1)
    assert make(OLD).load("desk") == replace(STATE, version=1)


def test_a_new_key_seals_at_the_next_save(make: Make) -> None:
    make(OLD).save("hr", STATE, expected_version=0)
    both = make(NEW, OLD)
    assert both.load("hr") == replace(STATE, version=1)
    assert both.save("hr", STATE, expected_version=1)
    assert make(NEW).load("hr") == replace(STATE, version=2)


def test_what_is_no_state_is_refused_without_being_quoted(database: Database, clock: HandClock, make: Make) -> None:
    context = {"profile": "hr", "version": "1", "issuer": "https://login.example.com", "client_id": "me"}
    sealed = Vault(KeyRing((OLD,))).seal(b'{"access_token":"canary"}', purpose="token-state", context=context)
    with database.write() as connection:
        execute(connection, "INSERT INTO tokens VALUES ('hr', 1, ?, ?)", (sealed, NOON.isoformat()))
    with pytest.raises(TokenStateError, match="not a token state of this version") as caught:
        make().load("hr")
    assert "canary" not in str(caught.value)


def test_the_lease_holds_across_processes_and_runs_out(make: Make, clock: HandClock) -> None:
    mine, theirs = make(), make(owner=other_owner())
    with theirs.lease("hr", seconds=20) as first:
        assert first
        with mine.lease("hr", seconds=20) as second:
            assert not second
        clock.move(21)
        with mine.lease("hr", seconds=20) as third:
            assert third
