"""The laws of what is sealed in a state: nothing moved or changed opens, and no change of keys loses anything."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cruds.exception import TokenStateError
from cruds.oauth2.store import TokenState
from daemon.clock import utc_clock
from daemon.errors import UsageError
from daemon.runtime.key_desk import check_state, retire
from daemon.runtime.resealing import Resealing
from daemon.runtime.sealed_records import Binding, SealedRecords, key_id
from daemon.runtime.secret_desk import SealedSecrets
from daemon.spec import SecretError
from daemon.store.database import Database
from daemon.store.leases import Leases
from daemon.store.owner import Owner
from daemon.store.sealed import Holding, SealedRow, SealedRows
from daemon.store.secrets import SqlSecrets
from daemon.store.statements import execute
from daemon.store.tokens import SqlTokenStore
from daemon.values import Secret
from daemon.vault.errors import VaultError
from daemon.vault.key_file import add_key, read_key_file, write_key
from daemon.vault.keys import KeyRing
from daemon.vault.vault import Vault

ISSUER, CLIENT = "https://login.example.com", "me"
RING = KeyRing((("k2", b"2" * 32), ("k1", b"1" * 32)))
NAMES = ("hr", "desk", "hr2")
STATE = TokenState(
    access_token="access",
    refresh_token="refresh",
    token_type="Bearer",
    expires_at=None,
    obtained_at=datetime(2026, 3, 1, tzinfo=UTC),
    scope=None,
    grant="client_credentials",
)


def tokens(database: Database, vault: Vault, *, issuer: str = ISSUER, client: str = CLIENT) -> SqlTokenStore:
    leases = Leases(database, utc_clock, Owner.here())
    return SqlTokenStore(database, vault, leases, clock=utc_clock, issuer=issuer, client_id=client)


class Kept:
    """A state with three tokens and three secrets, and every row there ever was of them."""

    def __init__(self, database: Database) -> None:
        self.database, self.rows, self.vault = database, SealedRows(database), Vault(RING)
        self.secrets = SealedSecrets(SqlSecrets(database, utc_clock), self.vault)
        self.ever: list[SealedRow] = []
        for version in range(3):
            for name in NAMES:
                tokens(database, self.vault).save(name, STATE, expected_version=version)
                self.secrets.set(name, Secret(f"{name} {version}"))
            self.ever += self.rows.all()
        self.now = self.rows.all()

    def opens(self, holding: Holding, name: str) -> bool:
        try:
            if holding is Holding.SECRET:
                self.secrets.look_up(name)
            else:
                tokens(self.database, self.vault).load(name)
        except (SecretError, TokenStateError):
            return False
        return True

    @contextmanager
    def changed(self, row: SealedRow, *, version: int, sealed: bytes) -> Iterator[None]:
        """Let the row of this kind and name hold this; afterwards it is as before."""
        self._write(row, version, sealed)
        try:
            yield
        finally:
            self._write(row, row.version, row.sealed)

    def _write(self, row: SealedRow, version: int, sealed: bytes) -> None:
        table, key = ("secrets", "name") if row.holding is Holding.SECRET else ("tokens", "profile")
        sql = f"UPDATE {table} SET version = ?, sealed = ? WHERE {key} = ?"
        with self.database.write() as connection:
            assert execute(connection, sql, (version, sealed, row.name)).rowcount == 1


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    with Database.scratch() as database:
        yield Kept(database)


places = st.integers(min_value=0, max_value=5)


@given(places, st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_no_row_with_a_changed_byte_opens(kept: Kept, place: int, where: int, mask: int) -> None:
    row = kept.now[place]
    changed = bytearray(row.sealed)
    changed[where % len(changed)] ^= mask
    assert kept.opens(row.holding, row.name)
    with kept.changed(row, version=row.version, sealed=bytes(changed)):
        assert not kept.opens(row.holding, row.name)


@given(places, st.integers(min_value=0, max_value=17), st.integers(min_value=1, max_value=4))
def test_no_row_opens_in_the_place_of_another_or_of_a_newer_one(
    kept: Kept, place: int, ever: int, version: int
) -> None:
    row, other = kept.now[place], kept.ever[ever]
    is_itself = (other.holding, other.name, other.version) == (row.holding, row.name, version)
    with kept.changed(row, version=version, sealed=other.sealed):
        assert kept.opens(row.holding, row.name) is is_itself


@given(
    st.sampled_from(NAMES),
    st.sampled_from([ISSUER, "https://evil.example.com", ""]),
    st.text(max_size=3).filter(lambda text: text != CLIENT),
)
def test_no_token_opens_for_another_server_or_client(kept: Kept, name: str, issuer: str, client: str) -> None:
    with pytest.raises(TokenStateError):
        tokens(kept.database, kept.vault, issuer=issuer, client=client).load(name)


class Keys(RuleBasedStateMachine):
    """People and a daemon that knows nothing of them, on one state: what was kept last is what comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="crudsd-keys-"))
        self.file = self.folder / "key"
        self.database = Database.scratch()
        self.rows = SealedRows(self.database)
        self.secrets: dict[str, str] = {}
        self.tokens: dict[str, int] = {}

    @initialize()
    def begin(self) -> None:
        write_key(self.file)
        self.restart()

    @rule()
    def restart(self) -> None:
        self.daemon = Vault(read_key_file(self.file), reread=lambda: read_key_file(self.file), facts=self.database)
        self.daemon.check_canary(self.database)

    @rule(name=st.sampled_from(NAMES))
    def renew(self, name: str) -> None:
        version = self.tokens.get(name, 0)
        store = tokens(self.database, self.daemon)
        found = store.load(name)
        assert (0 if found is None else found.version) == version
        assert store.save(name, STATE, expected_version=version)
        self.tokens[name] = version + 1

    @rule(name=st.sampled_from(NAMES), value=st.text(max_size=10))
    def set_secret(self, name: str, value: str) -> None:
        self._secrets(self._fresh()).set(name, Secret(value))
        self.secrets[name] = value

    @rule(name=st.sampled_from(NAMES))
    def remove_secret(self, name: str) -> None:
        assert SqlSecrets(self.database, utc_clock).remove(name) == (name in self.secrets)
        self.secrets.pop(name, None)

    @precondition(lambda self: len(read_key_file(self.file).keys) < 4)
    @rule()
    def add(self) -> None:
        name = add_key(self.file)
        assert read_key_file(self.file).sealing[0] == name

    @rule()
    def rotate(self) -> None:
        vault = self._fresh()
        leases = Leases(self.database, utc_clock, Owner.here())
        done = Resealing(self.rows, SealedRecords(vault, self._bindings()), leases).run()
        assert (done.left, done.dropped) == ((), ())
        assert {key_id(row) for row in self.rows.all()} == {vault.ring.sealing[0]}

    @rule(place=st.integers(min_value=0, max_value=3))
    def retire(self, place: int) -> None:
        ring = read_key_file(self.file)
        name = ring.names[place % len(ring.names)]
        rows = self.rows.all()
        may_go = place % len(ring.names) > 0 and name not in {key_id(row) for row in rows}
        try:
            retire(name, self.file, rows)
        except UsageError:
            assert not may_go
        else:
            assert may_go

    @invariant()
    def everything_opens_for_who_starts_now_and_for_who_runs_already(self) -> None:
        if not self.file.exists():
            return
        for vault in (self._fresh(), self.daemon):
            assert {name: self._secrets(vault).look_up(name).reveal() for name in self.secrets} == self.secrets
            loaded = {name: tokens(self.database, vault).load(name) for name in self.tokens}
            assert loaded == {name: replace(STATE, version=version) for name, version in self.tokens.items()}
        assert check_state(read_key_file(self.file), self.rows, self._bindings()) == ()

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.folder)

    def _fresh(self) -> Vault:
        return Vault(read_key_file(self.file), facts=self.database)

    def _secrets(self, vault: Vault) -> SealedSecrets:
        return SealedSecrets(SqlSecrets(self.database, utc_clock), vault)

    def _bindings(self) -> dict[str, Binding]:
        return {name: Binding(ISSUER, CLIENT, is_personal=False) for name in NAMES}


TestKeys = Keys.TestCase
TestKeys.settings = settings(max_examples=15, stateful_step_count=20)


def test_what_one_ring_sealed_no_other_opens(kept: Kept) -> None:
    stranger = Vault(KeyRing((("k2", b"x" * 32), ("k1", b"y" * 32))))
    for row in kept.now:
        with pytest.raises(VaultError):
            stranger.open(row.sealed, purpose="secret", context={"name": row.name, "version": str(row.version)})
