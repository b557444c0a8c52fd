"""`validate` says every problem with its place; `schema` is what editors read."""

import json
from pathlib import Path

import pytest

from daemon.cli import main

BAD = """\
version: 1
connections:
  hr:
    hots: https://hr.example.com
"""

GOOD = """\
version: 1
connections:
  hr:
    host: https://hr.example.com
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "crudsd.yaml"


def test_a_bad_file_is_shown_with_a_caret_and_ends_with_78(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(BAD)

    assert main(["validate", "--config", str(config)]) == 78

    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    place = next(number for number, line in enumerate(lines) if f"{config}:4:5: error:" in line)
    assert lines[place + 1] == "    4 |     hots: https://hr.example.com"
    assert lines[place + 2].strip(" |").startswith("^")
    assert "host" in captured.err
    assert captured.out == ""


def test_a_bad_file_as_json_lists_the_problems(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(BAD)

    assert main(["--config", str(config), "validate", "--json"]) == 78

    told = json.loads(capsys.readouterr().out)
    assert told["valid"] is False
    assert {"file", "line", "column", "path", "message", "cure"} == told["problems"][0].keys()


def test_a_good_file_is_called_valid(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(GOOD)

    assert [main(["validate", "--config", str(config)]), main(["validate", "--config", str(config), "--json"])] == [
        0,
        0,
    ]

    text, _, rest = capsys.readouterr().out.partition("\n")
    assert text == f"{config}: valid, 1 connection and 0 jobs"
    assert json.loads(rest) == {"valid": True, "problems": [], "warnings": [], "connections": ["hr"], "jobs": []}


def test_what_should_not_stay_is_warned_of_and_valid(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "s3cret")
    auth = "{type: oauth2, grant: password, url: 'https://a/t', client_id: a, username: b, password: {env: PASSWORD}}"
    config.write_text(f"version: 1\nconnections:\n  hr: {{host: a.example.com, auth: {auth}}}\n")

    assert main(["validate", "--config", str(config)]) == 0

    told = capsys.readouterr()
    assert told.out == f"{config}: valid, 1 connection and 0 jobs\n"
    assert told.err.startswith(f"crudsd: warning: {config}:3:")
    assert "RFC 9700" in told.err


def test_a_file_that_is_not_there_is_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--config", str(config)]) == 78

    assert str(config) in capsys.readouterr().err


def test_the_schema_is_a_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0

    assert {"connections", "jobs"} <= json.loads(capsys.readouterr().out)["properties"].keys()
