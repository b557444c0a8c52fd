from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.errors import ConfigError
from daemon.store.database import Database
from daemon.store.tokens import Sealer
from daemon.vault.errors import TamperedError, UnknownKeyError
from daemon.vault.keys import KeyRing
from daemon.vault.seal import key_of
from daemon.vault.vault import Facts, Vault
from tests.unit.store.places import ready

OLD, NEW = ("k1", b"1" * 32), ("k2", b"2" * 32)
Reread = Callable[[], KeyRing | None]


@pytest.fixture
def vault() -> Vault:
    return Vault(KeyRing((OLD,)))


class MemoryFacts:
    """Facts in a dictionary."""

    def __init__(self) -> None:
        self.facts: dict[str, bytes] = {}

    def get_fact(self, name: str) -> bytes | None:
        return self.facts.get(name)

    def put_fact(self, name: str, value: bytes) -> None:
        self.facts[name] = value


class KeyFile:
    """A key file that people change, and that counts how often it is read."""

    def __init__(self, *keys: tuple[str, bytes]) -> None:
        self.keys = keys
        self.reads = 0

    def __call__(self) -> KeyRing | None:
        self.reads += 1
        return KeyRing(self.keys) if self.keys else None


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


class TestStart:
    def test_the_first_key_leaves_a_canary_and_its_ring_opens_it(self, vault: Vault, tmp_path: Path) -> None:
        with ready(tmp_path / "state.db") as database:
            vault.check_canary(database)
            vault.check_canary(database)
            Vault(KeyRing((NEW, OLD))).check_canary(database)

    def test_a_lost_or_foreign_key_is_named_with_every_cure(self, vault: Vault) -> None:
        facts = MemoryFacts()
        vault.check_canary(facts)
        with pytest.raises(
            ConfigError,
            match=r"does not open this state database: k1 sealed it, and the file /key holds only k2\. Use the key "
            r"that belongs .*taken out too early, .*put its line back.*lost for good, "
            r"`crudsd key rotate --drop-unreadable`",
        ):
            Vault(KeyRing((NEW,))).check_canary(facts, source="the file /key")

    def test_another_key_of_the_same_name_is_told(self, vault: Vault) -> None:
        facts = MemoryFacts()
        vault.check_canary(facts)
        with pytest.raises(ConfigError, match=r"the file /key holds a key that is called k1 too, and is another one"):
            Vault(KeyRing((("k1", b"9" * 32),))).check_canary(facts, source="the file /key")

    def test_a_canary_that_was_destroyed_is_told_and_not_replaced(self, vault: Vault) -> None:
        facts = MemoryFacts()
        facts.put_fact("canary", b"junk")
        with pytest.raises(ConfigError, match="its canary was destroyed"):
            vault.check_canary(facts)
        assert facts.facts == {"canary": b"junk"}


class TestFollowing:
    """A daemon goes on while people add keys and re-seal."""

    def test_a_record_of_an_unknown_key_has_the_key_file_read_once_more(self) -> None:
        file = KeyFile(NEW, OLD)
        vault = Vault(KeyRing((OLD,)), reread=file)
        sealed = Vault(KeyRing((NEW,))).seal(b"x", purpose="p", context={})

        assert vault.open(sealed, purpose="p", context={}) == b"x"
        assert vault.open(sealed, purpose="p", context={}) == b"x"

        assert file.reads == 1
        assert key_of(vault.seal(b"y", purpose="p", context={})) == "k2"

    def test_a_key_that_is_nowhere_is_still_unknown_and_the_ring_is_the_newest(self) -> None:
        file = KeyFile(NEW)
        vault = Vault(KeyRing((OLD,)), reread=file)
        lost = Vault(KeyRing((("k3", b"3" * 32),))).seal(b"x", purpose="p", context={})
        with pytest.raises(UnknownKeyError, match="k3"):
            vault.open(lost, purpose="p", context={})
        assert vault.ring.names == ("k2",)

    @pytest.mark.parametrize("gone", [KeyFile(), None])
    def test_a_key_file_that_went_away_changes_nothing(self, gone: Reread | None) -> None:
        vault = Vault(KeyRing((OLD,)), reread=gone)
        with pytest.raises(UnknownKeyError):
            vault.open(Vault(KeyRing((NEW,))).canary(), purpose="canary", context={})
        assert vault.ring.names == ("k1",)

    def test_a_key_file_that_is_no_good_changes_nothing(self) -> None:
        def bad() -> KeyRing:
            raise ConfigError("others may use the key file")

        vault = Vault(KeyRing((OLD,)), reread=bad)
        with pytest.raises(UnknownKeyError):
            vault.open(Vault(KeyRing((NEW,))).canary(), purpose="canary", context={})
        assert vault.ring.names == ("k1",)

    def test_a_key_file_of_another_state_is_not_taken_over_by_a_vault_at_work(self) -> None:
        facts, file = MemoryFacts(), KeyFile(NEW)
        vault = Vault(KeyRing((OLD,)), reread=file, facts=facts)
        vault.check_canary(facts)
        kept = vault.seal(b"x", purpose="p", context={})
        lost = Vault(KeyRing((("k3", b"3" * 32),))).seal(b"x", purpose="p", context={})

        with pytest.raises(UnknownKeyError, match="k3"):
            vault.open(lost, purpose="p", context={})

        assert vault.open(kept, purpose="p", context={}) == b"x"
        assert key_of(vault.seal(b"y", purpose="p", context={})) == "k1"

    def test_it_seals_with_the_key_that_everything_was_re_sealed_with(self) -> None:
        facts, file = MemoryFacts(), KeyFile(OLD)
        vault = Vault(KeyRing((OLD,)), reread=file, facts=facts)
        vault.check_canary(facts)
        file.keys = (NEW, OLD)
        assert key_of(vault.seal(b"x", purpose="p", context={})) == "k1"

        facts.put_fact("canary", Vault(KeyRing(file.keys)).canary())

        assert key_of(vault.seal(b"x", purpose="p", context={})) == "k2"
        assert file.reads == 1

    @pytest.mark.parametrize("canary", [Vault(KeyRing((NEW,))).canary(), b"junk"], ids=["newest key", "junk"])
    def test_a_token_is_kept_even_where_the_newest_key_cannot_be_had(self, canary: bytes) -> None:
        facts = MemoryFacts()
        facts.put_fact("canary", canary)
        vault = Vault(KeyRing((OLD,)), reread=KeyFile(OLD), facts=facts)
        assert key_of(vault.seal(b"x", purpose="p", context={})) == "k1"
