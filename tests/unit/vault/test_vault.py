from pathlib import Path

import pytest

from daemon.errors import ConfigError
from daemon.store.database import Database
from daemon.store.tokens import Sealer
from daemon.vault.errors import TamperedError, UnknownKeyError
from daemon.vault.keys import KeyRing
from daemon.vault.vault import Facts, Vault
from tests.unit.store.places import ready

OLD, NEW = ("k1", b"1" * 32), ("k2", b"2" * 32)


@pytest.fixture
def vault() -> Vault:
    return Vault(KeyRing((OLD,)))


def test_it_is_the_stores_sealer_and_the_database_keeps_its_canary(vault: Vault) -> None:
    with Database.scratch() as database:
        sealer: Sealer = vault
        facts: Facts = database
        assert sealer is vault
        assert facts is database


def test_an_old_key_opens_and_the_new_one_seals(vault: Vault) -> None:
    sealed = vault.seal(b"x", purpose="p", context={})
    both = Vault(KeyRing((NEW, OLD)))
    assert both.open(sealed, purpose="p", context={}) == b"x"
    with pytest.raises(UnknownKeyError):
        vault.open(both.seal(b"x", purpose="p", context={}), purpose="p", context={})


def test_an_unknown_key_is_named(vault: Vault) -> None:
    with pytest.raises(UnknownKeyError, match="sealed with the key k1, which is not in the key ring") as caught:
        Vault(KeyRing((NEW,))).open(vault.seal(b"x", purpose="p", context={}), purpose="p", context={})
    assert caught.value.key_id == "k1"


def test_another_key_of_the_same_name_does_not_open(vault: Vault) -> None:
    with pytest.raises(TamperedError, match="right name"):
        Vault(KeyRing((("k1", b"9" * 32),))).open(vault.canary(), purpose="canary", context={})


def test_the_same_text_is_sealed_differently_each_time(vault: Vault) -> None:
    assert vault.seal(b"x", purpose="p", context={}) != vault.seal(b"x", purpose="p", context={})


def test_the_first_key_leaves_a_canary_and_a_wrong_one_is_told_at_start(vault: Vault, tmp_path: Path) -> None:
    with ready(tmp_path / "state.db") as database:
        vault.check_canary(database)
        vault.check_canary(database)
        Vault(KeyRing((NEW, OLD))).check_canary(database)
        for wrong in (NEW, ("k1", b"9" * 32)):
            with pytest.raises(ConfigError, match=r"does not open this state database: .*rotate --drop-unreadable"):
                Vault(KeyRing((wrong,))).check_canary(database)
