"""Where the state lies: no password in the file, and none on the command line."""

from pathlib import Path

import pytest

from daemon.errors import ConfigError
from daemon.settings import Settings
from daemon.spec import SecretError, SpecError, check_secrets, load
from daemon.spec.state import holds_password


def written(folder: Path, state: str) -> Path:
    file = folder / "crudsd.yaml"
    file.write_text(f"version: 1\nstate: {state}\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:hunter2@db/crudsd",
        "postgresql+psycopg://me:@db/crudsd",
        "postgres://:hunter2@/crudsd",
        "postgresql://me:hun:t/er2?x#@db:5432/crudsd",
        "postgresql://me@db/crudsd?sslmode=require&password=hunter2",
        "postgresql://db/crudsd?sslpassword=hunter2",
    ],
)
def test_a_password_in_the_file_is_refused_and_not_shown(tmp_path: Path, address: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(written(tmp_path, f"'{address}'"))

    (problem,) = caught.value.problems
    assert (problem.line, problem.path) == (2, "state")
    assert "a password does not belong in an address" in problem.message
    assert "{credential: state-url}" in str(problem.cure)
    assert "hunter2" not in str(problem)
    assert "er2" not in str(problem)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://db/crudsd",
        "postgresql://me@db:5432/crudsd?sslmode=verify-full",
        "postgresql://me@/crudsd?host=/run/postgresql&passfile=/etc/crudsd/pgpass",
        "sqlite:////srv/a:b@c.db",
        "state/my:odd@name.db",
        "crudsd.db",
    ],
)
def test_an_address_without_one_stands_in_the_file(tmp_path: Path, address: str) -> None:
    file = written(tmp_path, f"'{address}'")
    assert not holds_password(address)
    assert load(file).spec.state == address


def test_a_reference_leads_to_the_address(tmp_path: Path) -> None:
    (tmp_path / "address").write_text("postgresql://me:hunter2@db/crudsd\n", encoding="utf-8")
    for state, environment in (
        ("{file: address}", {}),
        ("{env: STATE_URL}", {"STATE_URL": "postgresql://me:hunter2@db/crudsd"}),
        ("{credential: address}", {"CREDENTIALS_DIRECTORY": str(tmp_path)}),
    ):
        loaded = load(written(tmp_path, state))
        settings = Settings(config=tmp_path / "crudsd.yaml", environment=environment)
        assert check_secrets(loaded, environment, settings.credentials) == ()
        assert settings.state_place(loaded.spec.state) == "postgresql://me:hunter2@db/crudsd"


def test_a_reference_that_leads_nowhere_is_told_with_its_place(tmp_path: Path) -> None:
    loaded = load(written(tmp_path, "{env: STATE_URL}"))

    (problem,) = check_secrets(loaded, {})

    assert (problem.line, problem.path) == (2, "state.env")
    with pytest.raises(SecretError, match="STATE_URL is not set"):
        Settings(config=tmp_path / "crudsd.yaml", environment={}).state_place(loaded.spec.state)


def test_the_state_cannot_be_found_by_what_lies_in_it(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="the vault lies in the state database itself"):
        load(written(tmp_path, "{vault: address}"))


def test_a_password_on_the_command_line_is_refused_and_not_shown(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "crudsd.yaml", {}, state="postgresql://me:hunter2@db/crudsd")

    with pytest.raises(ConfigError, match="which others can read") as caught:
        settings.state_place(None)

    assert "hunter2" not in str(caught.value)
