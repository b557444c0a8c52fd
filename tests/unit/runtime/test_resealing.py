"""Re-sealing changes the key of every record and nothing else, whoever writes meanwhile."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cruds.oauth2.store import TokenState
from daemon.clock import utc_clock
from daemon.runtime.key_desk import check_state, missing_keys
from daemon.runtime.resealing import Resealed, Resealing
from daemon.runtime.sealed_records import Binding, SealedRecords, key_id
from daemon.runtime.secret_desk import SealedSecrets
from daemon.spec import SecretError
from daemon.store.database import Database
from daemon.store.leases import Leases
from daemon.store.owner import Owner
from daemon.store.sealed import Holding, SealedRows
from daemon.store.secrets import SqlSecrets
from daemon.store.statements import execute
from daemon.store.tokens import SqlTokenStore
from daemon.values import Secret
from daemon.vault.keys import KeyRing
from daemon.vault.vault import Vault
from tests.unit.store.places import NOON, other_owner, ready

K1, K2, K3 = (f"k{number}".encode() * 16 for number in (1, 2, 3))
ONE, BOTH, TWO = KeyRing((("k1", K1),)), KeyRing((("k2", K2), ("k1", K1))), KeyRing((("k2", K2),))
BINDINGS = {
    "hr": Binding("https://login.example.com", "me", is_personal=True),
    "desk": Binding("https://login.example.com", "me", is_personal=False),
}
STATE = TokenState(
    access_token="access",
    refresh_token="refresh",
    token_type="Bearer",
    expires_at=NOON + timedelta(hours=1),
    obtained_at=NOON,
    scope=None,
    grant="authorization_code",
)


class State:
    """A state database with sealed records in it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.rows = SealedRows(database)

    def tokens(self, ring: KeyRing | Vault, *, client: str = "me", owner: Owner | None = None) -> SqlTokenStore:
        vault = ring if isinstance(ring, Vault) else Vault(ring)
        leases = Leases(self.database, utc_clock, owner or Owner.here())
        return SqlTokenStore(
            self.database, vault, leases, clock=utc_clock, issuer="https://login.example.com", client_id=client
        )

    def secrets(self, ring: KeyRing) -> SealedSecrets:
        return SealedSecrets(SqlSecrets(self.database, utc_clock), Vault(ring))

    def rotate(self, ring: KeyRing, *, patience_s: float = 0, drop_unreadable: bool = False) -> Resealed:
        records = SealedRecords(Vault(ring), BINDINGS)
        leases = Leases(self.database, utc_clock, Owner.here())
        return Resealing(self.rows, records, leases, patience_s).run(drop_unreadable=drop_unreadable)

    def keys(self) -> dict[str, str]:
        return {f"{row.holding} {row.name}": key_id(row) for row in self.rows.all()}

    def change(self, sql: str) -> None:
        with self.database.write() as connection:
            execute(connection, sql)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """Give a state in which everything is sealed with k1: two tokens, two secrets, the canary."""
    with ready(tmp_path / "state.db") as database:
        state = State(database)
        Vault(ONE).check_canary(database)
        for profile in BINDINGS:
            state.tokens(ONE).save(profile, STATE, expected_version=0)
        for name in ("pass", "token"):
            state.secrets(ONE).set(name, Secret(f"{name} of old"))
            state.secrets(ONE).set(name, Secret(f"{name} of now"))
        yield state


def test_all_is_sealed_with_the_first_key_and_the_old_one_may_go(state: State) -> None:
    assert state.rotate(BOTH) == Resealed("k2", resealed=5, already=0, dropped=(), left=())

    assert set(state.keys().values()) == {"k2"}
    assert len(state.keys()) == 5
    assert check_state(TWO, state.rows, BINDINGS) == ()
    assert [state.secrets(TWO).look_up(name).reveal() for name in ("pass", "token")] == ["pass of now", "token of now"]
    assert [state.tokens(TWO).load(profile) for profile in BINDINGS] == [replace(STATE, version=1)] * 2
    Vault(TWO).check_canary(state.database)


def test_a_second_time_changes_nothing(state: State) -> None:
    state.rotate(BOTH)
    rows = state.rows.all()

    assert state.rotate(BOTH) == Resealed("k2", resealed=0, already=5, dropped=(), left=())

    assert state.rows.all() == rows


def test_a_version_stays_so_that_a_renewal_under_way_can_be_saved(state: State) -> None:
    daemon = state.tokens(BOTH)
    before = daemon.load("hr")
    assert before is not None

    state.rotate(BOTH)

    assert daemon.save("hr", replace(STATE, access_token="renewed"), expected_version=before.version)


def test_a_record_that_changes_under_the_hand_is_not_put_back(state: State) -> None:
    class Meddling(SealedRows):
        """The daemon renews a token, and somebody sets a secret, just before they are swapped."""

        def swap(self, row, sealed):  # type: ignore[no-untyped-def]
            if row.holding is Holding.TOKEN and row.version == 1:
                state.tokens(ONE).save(row.name, replace(STATE, access_token="renewed"), expected_version=1)
            if row.holding is Holding.SECRET and row.version == 2:
                state.secrets(ONE).set(row.name, Secret("newest"))
            return super().swap(row, sealed)

    state.rows = Meddling(state.database)

    done = state.rotate(BOTH)

    assert (done.resealed, done.left) == (5, ())
    assert set(state.keys().values()) == {"k2"}
    assert [state.secrets(TWO).look_up(name).reveal() for name in ("pass", "token")] == ["newest", "newest"]
    for profile in BINDINGS:
        token = state.tokens(TWO).load(profile)
        assert token is not None
        assert (token.access_token, token.version) == ("renewed", 2)


def test_a_daemon_that_renews_all_the_time_loses_nothing(state: State) -> None:
    ring = [ONE]
    vault = Vault(ONE, reread=lambda: ring[0], facts=state.database)
    over, saved = threading.Event(), [1]

    def renew() -> None:
        daemon = state.tokens(vault, owner=replace(Owner.here(), nonce="daemon"))
        while not over.is_set():
            with daemon.lease("hr", seconds=60) as mine:
                if mine:
                    token = daemon.load("hr")
                    assert token is not None
                    assert token.version == saved[-1]
                    assert daemon.save("hr", STATE, expected_version=token.version)
                    saved.append(token.version + 1)

    thread = threading.Thread(target=renew)
    thread.start()
    for round_ in range(2, 8):
        ring[0] = KeyRing(((f"k{round_}", bytes([round_]) * 32), *ring[0].keys))
        assert state.rotate(ring[0], patience_s=30).left == ()
    over.set()
    thread.join()

    assert vault.ring == ring[0]
    assert set(state.keys().values()) == {"k7"}
    token = state.tokens(KeyRing(ring[0].keys[:1])).load("hr")
    assert token is not None
    assert token.version == saved[-1]
    assert saved == list(range(1, len(saved) + 1))


def test_a_token_that_is_being_renewed_is_waited_for_and_then_left(state: State) -> None:
    with state.tokens(ONE, owner=other_owner()).lease("hr", seconds=60) as theirs:
        assert theirs
        done = state.rotate(BOTH)

    assert [str(error.row) for error in done.left] == ["the token of hr"]
    assert "being renewed" in done.left[0].reason
    assert state.keys()["token hr"] == "k1"
    assert state.rotate(BOTH) == Resealed("k2", resealed=1, already=4, dropped=(), left=())


@pytest.mark.parametrize("drop", [False, True])
def test_what_does_not_open_is_left_unless_it_is_to_be_given_up(state: State, drop: bool) -> None:
    state.tokens(KeyRing((("k0", K3),))).save("hr", STATE, expected_version=1)
    state.tokens(ONE, client="other").save("desk", STATE, expected_version=1)
    state.tokens(ONE).save("gone", STATE, expected_version=0)
    state.change("UPDATE secrets SET version = 7 WHERE name = 'token'")
    before = state.rows.all()

    done = state.rotate(BOTH, drop_unreadable=drop)

    errors = {str(error.row): str(error) for error in (done.dropped if drop else done.left)}
    assert sorted(errors) == ["the secret token", "the token of desk", "the token of gone", "the token of hr"]
    assert (
        "sealed with the key k0, which is not in the key ring: lost, or taken out too early"
        in errors["the token of hr"]
    )
    assert "put the line of k0 back" in errors["the token of hr"]
    assert "crudsd auth login hr" in errors["the token of hr"]
    assert "server or client_id is another now" in errors["the token of desk"]
    assert "the next run asks for a new token" in errors["the token of desk"]
    assert "no connection of the configuration uses it" in errors["the token of gone"]
    assert "crudsd secret set token" in errors["the secret token"]
    left = {row for row in state.rows.all() if row in before}
    assert len(left) == (0 if drop else 4)
    assert (done.dropped, done.left)[drop] == ()
    assert state.secrets(TWO).look_up("pass").reveal() == "pass of now"


def test_what_cannot_be_judged_here_is_never_given_up(state: State) -> None:
    unknown = SecretError("environment variable ID is not set", "set ID")
    records = SealedRecords(Vault(BOTH), {"hr": Binding("https://login.example.com", unknown, is_personal=True)})

    done = Resealing(state.rows, records, Leases(state.database, utc_clock, Owner.here())).run(drop_unreadable=True)

    assert [str(error) for error in done.left] == [
        "the token of hr: its client_id is not known here: environment variable ID is not set; set ID"
    ]
    assert state.keys()["token hr"] == "k1"


def test_after_a_lost_key_a_new_one_takes_over_once_the_old_records_are_given_up(state: State) -> None:
    done = state.rotate(TWO, drop_unreadable=True)

    assert len(done.dropped) == 4
    assert state.keys() == {"canary canary": "k2"}
    Vault(TWO).check_canary(state.database)


def test_a_key_that_was_taken_out_too_early_is_told_at_start(state: State) -> None:
    assert missing_keys(BOTH, state.rows) == ()
    state.rotate(BOTH)
    state.tokens(ONE).save("hr", STATE, expected_version=1)

    (warning,) = missing_keys(TWO, state.rows)

    assert warning == (
        "the token of hr: sealed with the key k1, which is not in the key ring: lost, or taken out too early; "
        "`crudsd key check` says what to do"
    )


@pytest.mark.parametrize("sealed", ["x''", "x'00'", "x'435431'", "x'435431ff'", "x'4354310261'"])
def test_bytes_that_were_never_sealed_are_told_and_not_tripped_over(state: State, sealed: str) -> None:
    state.change(f"UPDATE tokens SET sealed = {sealed} WHERE profile = 'hr'")

    assert [str(error.row) for error in state.rotate(BOTH).left] == ["the token of hr"]
    assert len(check_state(BOTH, state.rows, BINDINGS)) == 1
    assert [str(error.row) for error in state.rotate(BOTH, drop_unreadable=True).dropped] == ["the token of hr"]
