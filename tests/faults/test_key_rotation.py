"""`crudsd key rotate` is killed at each transaction of it, and nothing is lost: what is left is done the next time."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cruds.oauth2.store import TokenState
from daemon.clock import utc_clock
from daemon.runtime.secret_desk import SealedSecrets
from daemon.sealing import check_key, retire_key, rotate_key
from daemon.settings import Settings
from daemon.store.leases import Leases
from daemon.store.owner import Owner
from daemon.store.secrets import SqlSecrets
from daemon.store.tokens import SqlTokenStore
from daemon.validation import validate
from daemon.values import Secret
from daemon.vault.key_file import add_key, read_key_file, write_key
from daemon.vault.vault import Vault
from tests.faults.processes import Ended, Nursery, nursery
from tests.faults.steps import Order
from tests.unit.store.places import NOON, ready

URL = "https://login.example.com/token"
TOKENS, SECRETS = ("desk", "hr"), ("password", "token")
STATE = TokenState("canary-access", "canary-refresh", "Bearer", None, NOON, None, "client_credentials")
CONFIG = {
    "version": 1,
    "connections": {
        name: {
            "host": f"https://{name}.example.com",
            "auth": {"type": "oauth2", "url": URL, "client_id": "me", "client_secret": {"vault": "password"}},
        }
        for name in TOKENS
    },
    "jobs": {},
}
STEPS = ("leaving", "after")
"""Before the commit of a transaction, and after it."""


@pytest.fixture(scope="module")
def warm() -> Iterator[Nursery]:
    with nursery() as made:
        yield made


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a state that is sealed with the older one of two keys."""
    folder = tmp_path_factory.mktemp("rotation") / "folder"
    folder.mkdir()
    (folder / "crudsd.yaml").write_text(json.dumps(CONFIG))
    write_key(folder / "crudsd.key")
    with ready(folder / "crudsd.db") as database:
        vault = Vault(read_key_file(folder / "crudsd.key"))
        vault.check_canary(database)
        leases = Leases(database, utc_clock, Owner.here())
        store = SqlTokenStore(database, vault, leases, clock=utc_clock, issuer=URL, client_id="me")
        for name in TOKENS:
            store.save(name, STATE, expected_version=0)
        for name in SECRETS:
            SealedSecrets(SqlSecrets(database, utc_clock), vault).set(name, Secret(f"canary {name}"))
    add_key(folder / "crudsd.key")
    return folder


def rotate(warm: Nursery, folder: Path, order: Order) -> Ended:
    with warm.start(folder, ["key", "rotate"], environment={}, order=order) as process:
        return process.ended()


def test_a_rotation_that_is_killed_at_any_transaction_loses_nothing(
    warm: Nursery, before: Path, tmp_path: Path, long: bool
) -> None:
    older, steps_file = read_key_file(before / "crudsd.key").names[1], tmp_path / "steps"
    course = tmp_path / "course" / "folder"
    shutil.copytree(before, course)
    assert rotate(warm, course, Order(steps=str(steps_file))).code == 0
    steps = [step for step in steps_file.read_text().splitlines() if step.split()[0] == "Database.write"]
    points = [step for step in steps if step.split()[1] in STEPS]
    assert len(points) == 2 * (5 + 2 * len(TOKENS))  # each record, and the lease of each token taken and given back

    for number, step in enumerate(points if long else points[1::3]):
        folder = tmp_path / str(number) / "folder"
        shutil.copytree(before, folder)
        here = Settings(config=folder / "crudsd.yaml", environment={})

        killed = rotate(warm, folder, Order(at=step))

        assert killed.code == -signal.SIGKILL, step
        half = check_key(here)
        assert half.faults == (), step
        again = rotate_key(here, drop_unreadable=False)
        assert (again.left, again.resealed) == ((), half.keys[1].records), step
        retire_key(here, older, None)
        assert check_key(here).faults == (), step
        validate(here)
