"""The SQL store keeps the contract of token stores, on a real file, on a real server, and with a real vault."""

from collections.abc import Iterator

import pytest

from daemon.clock import utc_clock
from daemon.store.database import Database
from daemon.store.leases import Leases
from daemon.store.owner import Owner
from daemon.store.tokens import SqlTokenStore
from daemon.vault.keys import KeyRing
from daemon.vault.vault import Vault
from tests.contract.token_store import TokenStoreContract
from tests.unit.store.places import ready


class TestSqlTokenStore(TokenStoreContract):
    @pytest.fixture(autouse=True)
    def _database(self, state_url: str) -> Iterator[None]:
        with ready(state_url) as database:
            self.database: Database = database
            yield

    def make(self) -> SqlTokenStore:
        return SqlTokenStore(
            self.database,
            Vault(KeyRing((("k1", b"1" * 32),))),
            Leases(self.database, utc_clock, Owner.here()),
            clock=utc_clock,
            issuer="https://login.example.com/token",
            client_id="client",
        )
