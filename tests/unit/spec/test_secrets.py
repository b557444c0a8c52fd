"""Secrets are read from where the operator put them, and every one that cannot be had is told."""

from pathlib import Path

import pytest

from daemon.spec import SecretError, SecretRef, check_secrets, load, resolve
from daemon.spec.secrets import secret_file
from tests.unit.spec.files import good_but, write


def test_a_secret_comes_from_the_environment_a_file_or_a_credential(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("from file\n")

    def got(ref: SecretRef) -> str:
        return resolve(ref, environment={"T": "from env"}, credentials=tmp_path, folder=tmp_path).reveal()

    assert got(SecretRef(env="T")) == "from env"
    assert got(SecretRef(file=Path("t"))) == "from file"
    assert got(SecretRef(credential="t")) == "from file"


@pytest.mark.parametrize(("held", "secret"), [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a ")])
def test_one_newline_at_the_end_is_not_part_of_it(held: str, secret: str, tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(held.encode())
    assert resolve(SecretRef(file=tmp_path / "t"), environment={}, credentials=None).reveal() == secret


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        (SecretRef(env="NOT_SET"), "environment variable NOT_SET is not set; set NOT_SET, or refer to"),
        (SecretRef(env="EMPTY"), "environment variable EMPTY is empty"),
        (SecretRef(file=Path("absent")), "absent is not there; write the secret into"),
        (SecretRef(file=Path("empty")), "empty is empty"),
        (SecretRef(file=Path("binary")), "binary is not UTF-8"),
        (SecretRef(file=Path()), "cannot be read: Is a directory"),
        (
            SecretRef(credential="absent"),
            r"credential absent is not there; write it into /etc/crudsd/secrets/absent \(or add LoadCredential=absent:",
        ),
        (SecretRef(credential=".."), "credential .. is not a name"),
    ],
)
def test_what_cannot_be_had_says_what_to_do(ref: SecretRef, message: str, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretError, match=message):
        resolve(ref, environment={"EMPTY": ""}, credentials=tmp_path, folder=tmp_path)


def test_a_credential_comes_out_of_a_folder_unless_it_was_loaded_by_its_own_name(tmp_path: Path) -> None:
    def read() -> str:
        return resolve(SecretRef(credential="t"), environment={}, credentials=tmp_path).reveal()

    (tmp_path / "secret_t").write_text("of the folder")
    assert (read(), secret_file(SecretRef(credential="t"), credentials=tmp_path)) == (
        "of the folder",
        tmp_path / "secret_t",
    )
    (tmp_path / "t").write_text("by its own name")
    assert (read(), secret_file(SecretRef(credential="t"), credentials=tmp_path)) == ("by its own name", tmp_path / "t")


def test_a_credential_needs_systemd() -> None:
    with pytest.raises(SecretError, match="needs systemd"):
        resolve(SecretRef(credential="t"), environment={}, credentials=None)


def test_all_secrets_that_cannot_be_had_are_told_at_once(tmp_path: Path) -> None:
    auth = "{type: oauth2, url: 'https://a/t', client_id: {env: A}, client_secret: {file: b}}"
    write(tmp_path, good_but(("{host: https://hr.example.com}", f"{{host: a.b, auth: {auth}}}")))
    loaded = load(tmp_path)

    problems = check_secrets(loaded, {}, None)

    assert [problem.path for problem in problems] == [
        "connections.hr.auth.client_id.env",
        "connections.hr.auth.client_secret.file",
    ]
    (tmp_path / "b").write_text("x")
    assert check_secrets(loaded, {"A": "x"}, None) == ()
