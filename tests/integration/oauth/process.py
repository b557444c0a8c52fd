"""A session in a process of its own: nothing is shared with the others but the daemon's store on disk."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cruds import Client, OAuth2
from daemon.clock import utc_clock
from daemon.store.leases import Leases
from daemon.store.owner import Owner
from daemon.store.tokens import SqlTokenStore
from daemon.vault.keys import KeyRing
from daemon.vault.vault import Vault
from tests.servers.oidc import CALLBACK
from tests.unit.store.places import ready

PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Place:
    """What each process is told."""

    database: Path
    token_url: str
    api_url: str
    client_id: str
    client_secret: str


@contextmanager
def sealed_store(path: Path, token_url: str, client_id: str) -> Iterator[SqlTokenStore]:
    """The daemon's own token store: a file, sealed, with leases between processes."""
    with ready(path) as database:
        yield SqlTokenStore(
            database,
            Vault(KeyRing((("k1", b"1" * 32),))),
            Leases(database, utc_clock, Owner.here()),
            clock=utc_clock,
            issuer=token_url,
            client_id=client_id,
        )


def read_until(place: Place, end: float) -> int:
    """Read without a pause until that moment; how many reads that were. Any that fails ends the process."""
    with sealed_store(place.database, place.token_url, place.client_id) as store:
        auth = OAuth2(
            place.token_url,
            place.client_id,
            place.client_secret,
            "people.read people.write",
            authorization_url=place.token_url,
            redirect_uri=CALLBACK,
            store=store,
            timeout=PATIENCE_S,
        )
        count = 0
        with Client(place.api_url, auth=auth, retries=0) as client:
            while time.time() < end:
                assert client.read("people") == {"ok": True}
                count += 1
                time.sleep(0.02)
        return count
