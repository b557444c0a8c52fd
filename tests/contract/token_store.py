"""What every token store must do. A store's own test file subclasses the suite and says how to make one."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime

from cruds.oauth2.store import TokenState, TokenStore

OBTAINED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STATE = TokenState(
    access_token="access-1",
    refresh_token="refresh-1",
    token_type="Bearer",
    expires_at=datetime(2026, 3, 1, 13, 0, tzinfo=UTC),
    obtained_at=OBTAINED,
    scope="people.read people.write",
    grant="client_credentials",
    authorization_details='[{"type":"accounts"}]',
    issuer="https://login.example",
    client_id="id",
    subject="ada",
    began_at=datetime(2026, 2, 1, 8, 30, tzinfo=UTC),
    renewing_since=datetime(2026, 3, 1, 12, 59, 59, 123456, tzinfo=UTC),
    over_since=datetime(2026, 3, 1, 13, 0, 1, tzinfo=UTC),
    over_because="the token endpoint answered with status code 400 and invalid_grant",
)
UNSAID = TokenState("access-1", None, "Bearer", None, OBTAINED, None, "client_credentials")


class TokenStoreContract:
    """Each test gets a store of its own from `make`, empty at first."""

    def make(self) -> TokenStore:
        raise NotImplementedError

    def test_an_unknown_profile_has_no_state(self) -> None:
        assert self.make().load("hr") is None

    def test_a_saved_state_comes_back_whole(self) -> None:
        store = self.make()
        assert store.save("hr", STATE, expected_version=0)
        assert store.load("hr") == replace(STATE, version=1)

    def test_what_is_unknown_stays_unknown(self) -> None:
        store = self.make()
        store.save("hr", UNSAID, expected_version=0)
        assert store.load("hr") == replace(UNSAID, version=1)

    def test_times_come_back_aware(self) -> None:
        store = self.make()
        store.save("hr", STATE, expected_version=0)
        loaded = store.load("hr")
        assert loaded is not None
        assert loaded.obtained_at.utcoffset() is not None
        assert loaded.expires_at is not None
        assert loaded.expires_at.utcoffset() is not None

    def test_the_store_counts_the_versions(self) -> None:
        store = self.make()
        store.save("hr", replace(STATE, version=77), expected_version=0)
        store.save("hr", replace(STATE, access_token="access-2", version=0), expected_version=1)
        loaded = store.load("hr")
        assert loaded is not None
        assert (loaded.access_token, loaded.version) == ("access-2", 2)

    def test_a_save_on_a_version_that_moved_on_changes_nothing(self) -> None:
        store = self.make()
        store.save("hr", STATE, expected_version=0)
        assert not store.save("hr", replace(STATE, access_token="late"), expected_version=0)
        assert not store.save("hr", replace(STATE, access_token="early"), expected_version=2)
        loaded = store.load("hr")
        assert loaded is not None
        assert loaded.access_token == "access-1"

    def test_of_many_savers_one_wins(self) -> None:
        store = self.make()
        won: list[str] = []
        start = threading.Barrier(6)

        def save(name: str) -> None:
            start.wait()
            if store.save("hr", replace(STATE, access_token=name), expected_version=0):
                won.append(name)

        threads = [threading.Thread(target=save, args=(f"access-{n}",)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        loaded = store.load("hr")
        assert loaded is not None
        assert won == [loaded.access_token]

    def test_profiles_do_not_touch_each_other(self) -> None:
        store = self.make()
        store.save("hr", STATE, expected_version=0)
        store.save("desk", replace(STATE, access_token="other"), expected_version=0)
        store.clear("desk")
        assert store.load("desk") is None
        assert store.load("hr") == replace(STATE, version=1)

    def test_clearing_nothing_is_no_error(self) -> None:
        self.make().clear("hr")

    def test_a_cleared_profile_begins_anew(self) -> None:
        store = self.make()
        store.save("hr", STATE, expected_version=0)
        store.clear("hr")
        assert not store.save("hr", STATE, expected_version=1)
        assert store.save("hr", STATE, expected_version=0)

    def test_one_lease_at_a_time(self) -> None:
        store = self.make()
        with store.lease("hr", seconds=60) as first, store.lease("hr", seconds=60) as second:
            assert (first, second) == (True, False)

    def test_leases_of_two_profiles_are_apart(self) -> None:
        store = self.make()
        with store.lease("hr", seconds=60) as first, store.lease("desk", seconds=60) as second:
            assert (first, second) == (True, True)

    def test_a_lease_ends_with_its_block_even_by_an_error(self) -> None:
        store = self.make()
        try:
            with store.lease("hr", seconds=60):
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        with store.lease("hr", seconds=60) as again:
            assert again

    def test_who_did_not_get_the_lease_does_not_end_it(self) -> None:
        store = self.make()
        with store.lease("hr", seconds=60):
            with store.lease("hr", seconds=60) as second:
                assert not second
            with store.lease("hr", seconds=60) as third:
                assert not third

    def test_a_lease_whose_time_is_over_can_be_taken(self) -> None:
        store = self.make()
        with store.lease("hr", seconds=0.01):
            assert _eventually_ours(store)

    def test_a_late_holder_does_not_end_the_lease_of_the_next(self) -> None:
        store = self.make()
        late = store.lease("hr", seconds=0.01)
        late.__enter__()
        threading.Event().wait(0.05)
        with store.lease("hr", seconds=60) as mine:
            assert mine
            late.__exit__(None, None, None)
            with store.lease("hr", seconds=60) as other:
                assert not other

    def test_a_leased_profile_can_be_saved(self) -> None:
        store = self.make()
        with store.lease("hr", seconds=60) as mine:
            assert mine
            assert store.save("hr", STATE, expected_version=0)
        assert store.load("hr") == replace(STATE, version=1)


def _eventually_ours(store: TokenStore) -> bool:
    for _ in range(400):
        with store.lease("hr", seconds=60) as mine:
            if mine:
                return True
        threading.Event().wait(0.005)
    return False
