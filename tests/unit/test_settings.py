"""Where a process finds its configuration and keeps its state."""

from pathlib import Path

import pytest

from daemon.errors import ConfigError
from daemon.settings import Settings, find_config


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "etc" / "crudsd.yaml"
    place.parent.mkdir()
    place.write_text("version: 1\n", encoding="utf-8")
    return place


def settings(file: Path, state: str | None = None, **environment: str) -> Settings:
    return Settings(config=file, environment=environment, state=state)


def test_the_given_file_wins_over_the_environments(file: Path, tmp_path: Path) -> None:
    assert find_config(file, {"CRUDSD_CONFIG": str(tmp_path / "other.yaml")}) == file


def test_the_environments_file_wins_over_the_folders(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crudsd.yaml").touch()
    monkeypatch.chdir(tmp_path)

    assert find_config(None, {"CRUDSD_CONFIG": str(file)}) == file


@pytest.mark.parametrize("environment", [{}, {"CRUDSD_CONFIG": ""}])
def test_the_folders_own_file_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    (tmp_path / "crudsd.yaml").touch()
    monkeypatch.chdir(tmp_path)

    assert find_config(None, environment) == Path("crudsd.yaml")


def test_a_named_file_that_is_not_there_is_never_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crudsd.yaml").touch()
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match=r"gone\.yaml: there is no such file"):
        find_config(Path("gone.yaml"), {})
    with pytest.raises(ConfigError, match="no such file"):
        find_config(None, {"CRUDSD_CONFIG": str(tmp_path)})


def test_no_file_at_all_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("daemon.settings.SYSTEM_CONFIG", tmp_path / "none.yaml")

    with pytest.raises(ConfigError, match=r"--config FILE.*crudsd demo"):
        find_config(None, {})


@pytest.mark.parametrize(
    ("given", "declared", "environment", "place"),
    [
        (None, None, {}, "{folder}/crudsd.db"),
        (None, None, {"STATE_DIRECTORY": ""}, "{folder}/crudsd.db"),
        (None, None, {"STATE_DIRECTORY": "/var/lib/crudsd"}, "/var/lib/crudsd/state.db"),
        (None, None, {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a/state.db"),
        (None, "state/my.db", {"STATE_DIRECTORY": "/var/lib/crudsd"}, "{folder}/state/my.db"),
        (None, "/srv/my.db", {}, "/srv/my.db"),
        (None, "postgresql://db/crudsd", {}, "postgresql://db/crudsd"),
        ("here.db", "postgresql://db/crudsd", {"STATE_DIRECTORY": "/var/lib/crudsd"}, "here.db"),
    ],
)
def test_the_state_lies_where_the_nearest_word_says(
    file: Path, given: str | None, declared: str | None, environment: dict[str, str], place: str
) -> None:
    assert settings(file, given, **environment).state_place(declared) == place.format(folder=file.parent)


def test_credentials_and_key_have_their_places(file: Path) -> None:
    assert settings(file).credentials is None
    assert settings(file, CREDENTIALS_DIRECTORY="").credentials is None
    assert settings(file, CREDENTIALS_DIRECTORY="/run/credentials/x").credentials == Path("/run/credentials/x")
    assert settings(file).key_file == file.parent / "crudsd.key"
