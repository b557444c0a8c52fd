"""`crudsd key` over the whole life of a key: what it does, what it refuses, and what it says then."""

import base64
import io
import json
import os
import pwd
import sys
from pathlib import Path

import pytest

from cruds.oauth2.store import TokenState
from daemon.app import open_app
from daemon.cli import main
from daemon.clock import utc_clock
from daemon.settings import Settings
from daemon.store.database import open_database
from daemon.store.leases import Leases
from daemon.store.owner import Owner
from daemon.store.tokens import SqlTokenStore
from daemon.vault.key_file import read_key_file
from daemon.vault.vault import Vault
from tests.unit.store.places import NOON

CONFIG = """\
version: 1
connections:
  hr:
    host: https://hr.example.com
    auth:
      type: oauth2
      grant: device_code
      url: https://login.example.com/token
      device_authorization_url: https://login.example.com/device
      client_id: {env: CLIENT_ID}
      client_secret: {vault: hr-secret}
  desk:
    host: https://desk.example.com
    auth: {type: oauth2, url: "https://login.example.com/token", client_id: me, client_secret: {vault: hr-secret}}
jobs: {}
"""
OWNER = pwd.getpwuid(os.geteuid()).pw_name
STATE = TokenState("canary-access", "canary-refresh", "Bearer", None, NOON, None, "device_code")


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return the key file of a state with a token, a secret and the canary."""
    config, key = tmp_path / "crudsd.yaml", tmp_path / "crudsd.key"
    config.write_text(CONFIG)
    monkeypatch.setenv("CRUDSD_CONFIG", str(config))
    monkeypatch.setenv("CLIENT_ID", "me")
    assert main(["key", "generate"]) == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"canary-secret")))
    assert main(["secret", "set", "hr-secret"]) == 0
    renew(key, "hr")
    capsys.readouterr()
    return key


def renew(key: Path, profile: str, *, version: int = 0, client: str = "me") -> None:
    """Save a token as a daemon does."""
    with open_database(key.with_name("crudsd.db")) as database:
        leases = Leases(database, utc_clock, Owner.here())
        vault = Vault(read_key_file(key))
        store = SqlTokenStore(
            database, vault, leases, clock=utc_clock, issuer="https://login.example.com/token", client_id=client
        )
        assert store.save(profile, STATE, expected_version=version)


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """Return all that a command says."""
    capsys.readouterr()
    assert main(["key", *words]) == code
    both = capsys.readouterr()
    assert "canary-" not in both.out + both.err
    return both.out + both.err


def checked(capsys: pytest.CaptureFixture[str], *, code: int = 0) -> dict[str, object]:
    found: dict[str, object] = json.loads(said(capsys, "check", "--json", code=code))
    return found


def records(capsys: pytest.CaptureFixture[str]) -> list[int]:
    """Return how many records each key of the ring has sealed."""
    keys = checked(capsys)["keys"]
    assert isinstance(keys, list)
    return [one["records"] for one in keys]


def test_a_key_is_added_takes_over_and_the_old_one_is_retired(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (old,) = read_key_file(key).names
    assert records(capsys) == [3]

    assert "Next: crudsd key rotate" in said(capsys, "add")
    new = read_key_file(key).names[0]
    assert records(capsys) == [0, 3]
    refused = said(capsys, "retire", old, code=2)
    assert f"3 records are still sealed with {old} (the token of hr, the secret hr-secret, the canary)" in refused
    assert "run `crudsd key rotate`" in refused
    assert said(capsys, "rotate") == f"3 records sealed with {new}: 3 re-sealed now, 0 were already.\n"
    assert records(capsys) == [3, 0]
    assert f"Next: crudsd key retire {old}; nothing here needs it any more." in said(capsys, "check")
    assert f"{key}: key {old} taken out." in said(capsys, "retire", old)

    assert read_key_file(key).names == (new,)
    assert records(capsys) == [3]
    assert main(["validate"]) == 0


def test_a_check_tells_the_source_the_keys_and_that_all_open(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (name,) = read_key_file(key).names
    assert said(capsys, "check").splitlines() == [
        f"The key comes from the key file {key} (mode 0600, owner {OWNER}).",
        f"  {name}  seals and opens; 3 records sealed with it",
        f"State database {key.with_name('crudsd.db')}: 3 sealed records; all of them open.",
    ]
    assert checked(capsys) == {
        "good": True,
        "source": "file",
        "file": str(key),
        "mode": "0600",
        "owner": OWNER,
        "keys": [{"id": name, "seals": True, "records": 3}],
        "state": str(key.with_name("crudsd.db")),
        "records": 3,
        "faults": [],
        "warnings": [],
    }


def test_a_check_writes_nothing(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key.with_name("crudsd.db").unlink()
    assert "nothing to look into" in said(capsys, "check")
    assert not key.with_name("crudsd.db").exists()


def new_ring(key: Path) -> None:
    key.unlink()
    main(["key", "generate"])


def same_name(key: Path) -> None:
    name = read_key_file(key).names[0]
    key.write_text(f"{name}:{base64.b64encode(b'x' * 32).decode()}\n")


def open_to_all(key: Path) -> None:
    key.chmod(0o644)


def other_client(key: Path) -> None:
    config = key.with_name("crudsd.yaml")
    config.write_text(config.read_text().replace("{env: CLIENT_ID}", "another"))


def no_connection(key: Path) -> None:
    renew(key, "gone")


def old_schema(key: Path) -> None:
    with open_database(key.with_name("crudsd.db")) as database, database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0002'")


FAULTS = [
    (new_ring, ["the canary: sealed with the key k", "put the line of k", "`crudsd secret set hr-secret`"]),
    (same_name, ["the token of hr: the key k", "the secret hr-secret: the key k", "the canary: the key k"]),
    (open_to_all, ["others may use the key file (mode 0644); run `chmod 0600` on it"]),
    (Path.unlink, ["there is no key, and the token of hr, the secret hr-secret are sealed", "put the key back as "]),
    (other_client, ["the connection's server or client_id is another now", "`crudsd auth login hr`"]),
    (no_connection, ["the token of gone: no connection of the configuration uses it"]),
    (old_schema, ["the schema is behind", "run `crudsd db upgrade`"]),
]


@pytest.mark.parametrize(("spoil", "told"), FAULTS, ids=[spoil.__name__ for spoil, _ in FAULTS])
def test_each_fault_is_told_with_its_cure(
    key: Path, capsys: pytest.CaptureFixture[str], spoil: object, told: list[str]
) -> None:
    assert callable(spoil)
    spoil(key)

    text = said(capsys, "check", code=78)

    assert [one for one in told if one not in text] == []
    assert "all of them open" not in text
    assert checked(capsys, code=78)["good"] is False


def test_a_client_id_that_is_not_known_here_is_told(
    key: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLIENT_ID")
    assert "the token of hr: its client_id is not known here: environment variable CLIENT_ID is not set; set" in said(
        capsys, "check", code=78
    )


@pytest.mark.parametrize("verb", [["runs"], ["serve"], ["key", "rotate"], ["secret", "list"]])
def test_a_wrong_key_is_told_at_start(key: Path, capsys: pytest.CaptureFixture[str], verb: list[str]) -> None:
    old = read_key_file(key).names[0]
    config = key.with_name("crudsd.yaml")
    config.write_text(config.read_text().replace("{vault: hr-secret}", "{env: CLIENT_ID}"))
    new_ring(key)
    capsys.readouterr()

    assert main(verb) == 78

    err = capsys.readouterr().err
    assert f"the key does not open this state database: {old} sealed it, and the key file {key} holds only k" in err
    assert "put its line back into the key file" in err
    assert "`crudsd key rotate --drop-unreadable`" in err


def test_after_a_lost_key_the_state_goes_on_with_a_new_one(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    renew(key, "desk")
    new_ring(key)
    new = read_key_file(key).names[0]

    told = json.loads(said(capsys, "rotate", "--drop-unreadable", "--json"))
    assert [(one["kind"], one["name"]) for one in told["dropped"]] == [
        ("token", "desk"),
        ("token", "hr"),
        ("secret", "hr-secret"),
    ]
    assert (told["key"], told["left"]) == (new, [])
    assert records(capsys) == [1]


def test_what_cannot_be_re_sealed_is_told_and_ends_with_1(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    renew(key, "desk", client="other")
    said(capsys, "add")

    text = said(capsys, "rotate", code=1)

    assert "3 records sealed with k" in text
    assert "✗ the token of desk: the key k" in text
    assert "1 record left as it was." in text
    assert records_of_faulty(capsys) == [3, 1]


def records_of_faulty(capsys: pytest.CaptureFixture[str]) -> list[int]:
    keys = checked(capsys, code=78)["keys"]
    assert isinstance(keys, list)
    return [one["records"] for one in keys]


class TestOtherSources:
    @pytest.fixture
    def credential(self, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Return the file behind a systemd credential; the service has a copy."""
        credentials, behind = tmp_path / "credentials", tmp_path / "etc" / "key"
        for folder in (credentials, behind.parent):
            folder.mkdir()
        key.rename(behind)
        (credentials / "crudsd-key").write_bytes(behind.read_bytes())
        (credentials / "crudsd-key").chmod(0o440)
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
        return behind

    def test_a_credential_is_changed_in_the_file_behind_it(
        self, credential: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (old,) = read_key_file(credential).names
        for words in (["add"], ["retire", old]):
            refused = said(capsys, *words, code=2)
            assert "a copy that crudsd cannot change" in refused
            assert f"run `crudsd key {' '.join(words)} --file PATH`" in refused
            assert "LoadCredential=crudsd-key:PATH" in refused

        assert "restart the service first" in said(capsys, "add", "--file", str(credential))
        assert records(capsys) == [3]  # the copy is the old one still
        copy = tmp_path / "credentials" / "crudsd-key"
        copy.write_bytes(credential.read_bytes())
        assert records(capsys) == [0, 3]
        said(capsys, "rotate")
        said(capsys, "retire", old, "--file", str(credential))

        assert read_key_file(credential).names == read_key_file(copy, is_credential=True).names[:1]
        assert "the systemd credential" in said(capsys, "check")

    def test_the_file_of_another_state_is_not_shortened(
        self, credential: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = tmp_path / "other"
        main(["key", "generate", str(other)])
        said(capsys, "add", "--file", str(other))
        before = other.read_bytes()

        told = said(capsys, "retire", read_key_file(other).names[1], "--file", str(other), code=78)

        assert f"{other}: is not the key file of this state database" in told
        assert other.read_bytes() == before

    def test_a_key_in_the_environment_works_with_a_warning_and_is_not_changed(
        self, key: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("CRUDSD_KEY", key.read_text())
        key.unlink()

        assert "! the key comes from the environment variable CRUDSD_KEY" in said(capsys, "check")
        assert checked(capsys)["source"] == "variable"
        told = said(capsys, "add", code=2)
        assert "write its value into a file (mode 0600) that CRUDSD_KEY_FILE names" in told

    def test_without_a_key_each_verb_says_how_to_make_one(self, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
        key.unlink()
        for words in (["add"], ["rotate"], ["retire", "k1"]):
            assert "put back the one that was there, or `crudsd key generate` makes one" in said(
                capsys, *words, code=78
            )


@pytest.mark.parametrize("words", [["rotate"], ["retire", "k1"]])
def test_without_a_state_database_nothing_is_done(
    key: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    key.with_name("crudsd.db").unlink()
    assert "there is no state database" in said(capsys, *words, code=2)
    assert not key.with_name("crudsd.db").exists()


@pytest.mark.parametrize("place", [0, 1])
def test_the_key_that_seals_and_an_unknown_one_are_not_retired(
    key: Path, capsys: pytest.CaptureFixture[str], place: int
) -> None:
    name = [read_key_file(key).names[0], "k-none"][place]
    before = key.read_bytes()
    told = said(capsys, "retire", name, code=2)
    assert ["is the key that seals, and stays", "the ring has no key k-none; it holds"][place] in told
    assert key.read_bytes() == before


def test_a_key_file_that_went_away_is_told_at_start(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = read_key_file(key).names[0]
    config = key.with_name("crudsd.yaml")
    config.write_text(config.read_text().replace("{vault: hr-secret}", "{env: CLIENT_ID}"))
    key.unlink()

    settings = Settings(config=config, environment={"CLIENT_ID": "me"})
    with open_app(settings) as app:
        (warning,) = app.warnings

    assert warning.startswith(
        f"there is no key, and the token of hr, the secret hr-secret are sealed (with {name}); put the key back as "
        f"{key}, or make a new one there with `crudsd key generate`. If it is lost for good, `crudsd key rotate"
    )


def test_a_key_that_was_taken_out_by_hand_too_early_is_told_at_start(
    key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (old,) = read_key_file(key).names
    config = key.with_name("crudsd.yaml")
    config.write_text(config.read_text().replace("{vault: hr-secret}", "{env: CLIENT_ID}"))
    before = key.read_text()
    said(capsys, "add")
    said(capsys, "rotate")
    new = key.read_text()
    key.write_text(before)
    renew(key, "hr", version=1)
    key.write_text(new.replace(before, ""))

    with open_app(Settings(config=config, environment={"CLIENT_ID": "me"})) as app:
        (warning,) = app.warnings

    assert warning.startswith(
        f"the token of hr: sealed with the key {old}, which is not in the key ring: lost, or taken"
    )
