"""The command line explains itself, fast, and kindly corrects a slip."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from daemon.cli import VERBS, main

ROOT = Path(__file__).parents[3]
HEAVY = ("pydantic", "sqlalchemy", "alembic", "rich", "urllib3", "jinja2", "yaml", "msgspec", "structlog")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0

    out = capsys.readouterr().out
    commands = [line.split()[0] for line in out[out.index("Commands:") :].splitlines()[1:] if line.startswith("  ")]
    assert commands[: len(VERBS)] == list(VERBS)
    assert "..." not in out[out.index("Commands:") : out.index("Exit codes:")], "a description was cut"


def test_help_imports_nothing_heavy() -> None:
    code = f"""
import sys
from daemon.cli import main
main(["--help"])
print("heavy:", [name for name in {HEAVY!r} if name in sys.modules])
"""

    done = python("-c", code)

    assert done.stdout.splitlines()[-1] == "heavy: []", done.stderr


def test_help_is_there_before_one_wonders() -> None:
    times_s = []
    for _ in range(3):
        began_s = time.perf_counter()
        assert python("-m", "daemon", "--help").returncode == 0
        times_s.append(time.perf_counter() - began_s)

    assert min(times_s) < 1.0  # about 0.1 s on an idle machine; the limit leaves room for a crowded one


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_help_that_names_the_global_options_or_its_own_commands(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--help"]) == 0

    out = capsys.readouterr().out
    assert "--config" in out or "Commands:" in out


@pytest.mark.parametrize(
    ("typed", "meant"), [(["valdate"], "validate"), (["plna"], "plan"), (["db", "upgrad"], "upgrade")]
)
def test_a_mistyped_command_is_answered_with_the_nearest_one(
    typed: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(typed) == 2

    assert f"There is no command {typed[-1]!r}. Did you mean {meant!r}?" in capsys.readouterr().err


def test_a_command_that_resembles_none_is_answered_with_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["xyzzy"]) == 2

    assert f"There are: {', '.join(VERBS)}." in capsys.readouterr().err


def test_a_mistyped_option_is_answered_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "people", "--alow-deletes", "3"]) == 2

    assert "--allow-deletes" in capsys.readouterr().err


def test_a_missing_job_name_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan"]) == 2

    assert "JOB" in capsys.readouterr().err


def test_the_version_is_told_in_three_ways(capsys: pytest.CaptureFixture[str]) -> None:
    assert [main(["--version"]), main(["version"]), main(["version", "--json"])] == [0, 0, 0]

    out = capsys.readouterr().out
    assert out.startswith("crudsd 0.")
    assert '"sqlite": "3.' in out


def test_the_console_script_and_the_module_are_the_same_program() -> None:
    script, module = (
        python(str(Path(sys.executable).parent / "crudsd"), "--version"),
        python("-m", "daemon", "--version"),
    )

    assert (script.returncode, script.stdout) == (module.returncode, module.stdout) == (0, module.stdout)
