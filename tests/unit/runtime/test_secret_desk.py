"""Secrets in the vault: what was set last is what comes out, and nothing of it can be seen in the files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.errors import ConfigError, UsageError
from daemon.runtime.secret_desk import SealedSecrets, SecretDesk
from daemon.spec import SecretError
from daemon.store.database import Database
from daemon.store.secrets import SqlSecrets
from daemon.values import Secret
from daemon.vault.keys import KeyRing
from daemon.vault.vault import Vault
from tests.unit.store.places import NOON, HandClock, ready

VAULT = Vault(KeyRing((("k1", b"1" * 32),)))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with ready(tmp_path / "state.db") as database:
        yield database


@pytest.fixture
def kept(database: Database) -> SqlSecrets:
    return SqlSecrets(database, HandClock())


@pytest.fixture
def desk(kept: SqlSecrets) -> SecretDesk:
    return SecretDesk(kept, VAULT, {"used": ("connections.hr.auth.token (crudsd.yaml:5:9)",)})


def test_a_secret_comes_out_as_it_was_set_last(kept: SqlSecrets) -> None:
    secrets = SealedSecrets(kept, VAULT)
    assert secrets.set("token", Secret("one")) == 1
    assert secrets.set("token", Secret("zwei ö\n-----")) == 2
    assert secrets.set("other", Secret("x")) == 1
    assert secrets.look_up("token") == Secret("zwei ö\n-----")


def test_one_that_is_not_there_or_cannot_be_opened_says_how_to_get_it(kept: SqlSecrets) -> None:
    SealedSecrets(kept, VAULT).set("token", Secret("x"))
    with pytest.raises(SecretError, match=r"secret gone is not in the vault; set it: crudsd secret set gone"):
        SealedSecrets(kept, VAULT).look_up("gone")
    with pytest.raises(SecretError, match=r"for there is no key; put the key back; or .*crudsd secret set token"):
        SealedSecrets(kept, None).look_up("token")
    with pytest.raises(SecretError, match=r"secret token does not open: it was sealed with the key k1, .*set it again"):
        SealedSecrets(kept, Vault(KeyRing((("k2", b"2" * 32),)))).look_up("token")


def test_nothing_is_kept_without_a_key(kept: SqlSecrets) -> None:
    with pytest.raises(ConfigError, match="no key to seal the secret with; `crudsd key generate` makes one"):
        SealedSecrets(kept, None).set("token", Secret("x"))
    with pytest.raises(ConfigError, match="crudsd key generate"):
        SecretDesk(kept, None, {}).check_can_keep()
    assert kept.all() == ()


def test_a_list_tells_where_each_is_used_and_no_value(desk: SecretDesk) -> None:
    assert desk.set("used", Secret("hunter2")) == (1, True)
    assert desk.set("idle", Secret("hunter2")) == (1, False)

    listed = desk.list()

    assert [(one.name, one.version, one.saved_at, one.used_at) for one in listed] == [
        ("idle", 1, NOON, ()),
        ("used", 1, NOON, ("connections.hr.auth.token (crudsd.yaml:5:9)",)),
    ]
    assert "hunter2" not in repr(listed)


def test_one_that_is_used_is_forgotten_only_by_force(desk: SecretDesk) -> None:
    desk.set("used", Secret("x"))
    desk.set("idle", Secret("x"))

    with pytest.raises(UsageError, match=r"used is used by connections.hr.auth.token \(crudsd.yaml:5:9\); .*--force"):
        desk.remove("used", force=False)
    assert desk.remove("idle", force=False) == ()
    assert [one.name for one in desk.list()] == ["used"]

    assert desk.remove("used", force=True) == ("connections.hr.auth.token (crudsd.yaml:5:9)",)
    assert desk.list() == ()


@pytest.mark.parametrize(("name", "hint"), [("usd", "did you mean used?"), ("xyz", "`crudsd secret list` shows them")])
def test_forgetting_what_is_not_there_is_answered_with_the_nearest(desk: SecretDesk, name: str, hint: str) -> None:
    desk.set("used", Secret("x"))
    with pytest.raises(UsageError, match=f"there is no secret {name}; ") as caught:
        desk.remove(name, force=False)
    assert str(caught.value).endswith(hint)


def test_of_two_who_set_it_at_once_neither_undoes_the_other_unseen(kept: SqlSecrets) -> None:
    kept.put("token", b"theirs", expected_version=0)
    assert not kept.put("token", b"mine", expected_version=0)
    assert not kept.put("token", b"mine", expected_version=2)
    assert SealedSecrets(kept, VAULT).set("token", Secret("mine")) == 2


def test_no_secret_can_be_read_in_the_files_and_a_forgotten_one_leaves_not_even_its_sealed_bytes(
    database: Database, kept: SqlSecrets, tmp_path: Path
) -> None:
    secrets = SealedSecrets(kept, VAULT)
    for number in range(20):
        secrets.set("token", Secret(f"canary-{number}" + "-canary" * 300))
    sealed = [row.sealed for row in kept.all()]
    while_open = {file.suffix: file.read_bytes() for file in tmp_path.iterdir()}
    kept.remove("token")
    while_removed = {file.suffix: file.read_bytes() for file in tmp_path.iterdir()}
    database.close()
    at_rest = {file.suffix: file.read_bytes() for file in tmp_path.iterdir()}

    assert set(while_open) == {".db", ".db-wal", ".db-shm"}
    assert sealed[0] in while_open[".db-wal"], "else this looks for the wrong thing"
    for files in (while_open, while_removed, at_rest):
        assert not [suffix for suffix, content in files.items() if b"canary-" in content]
    assert not [suffix for suffix, content in at_rest.items() if sealed[0][-64:] in content]
