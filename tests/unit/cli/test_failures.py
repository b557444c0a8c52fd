"""Whatever goes wrong is said in a sentence, with a documented code, and without what nobody should see."""

import stat
from pathlib import Path

import click
import pytest

from daemon import cli
from daemon.errors import ConfigError, CrudsdError, LockedError, StoppedError, UnavailableError, UsageError

CANARY = "hunter2-canary"


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "Failing":
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return Failing(monkeypatch)


class Failing:
    """Adds a verb that fails as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def exit_code(self, error: BaseException) -> int:
        @click.command("version")
        def command() -> None:
            raise error

        self._monkeypatch.setattr("daemon.cli.version.command", command)
        return cli.main([f"--state=postgresql://u:{CANARY}@h/db", "version"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CrudsdError("it broke"), 1),
        (UsageError("there is no such job"), 2),
        (UnavailableError("hr does not answer"), 6),
        (LockedError("somebody runs it", owner="other"), 7),
        (ConfigError("there is no crudsd.yaml"), 78),
        (StoppedError("asked to stop"), 130),
    ],
)
def test_an_error_of_ours_is_one_line_and_its_own_code(
    failing: Failing, error: CrudsdError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing.exit_code(error) == code

    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"crudsd: {error}\n")


def test_ctrl_c_ends_with_130(failing: Failing, capsys: pytest.CaptureFixture[str]) -> None:
    assert failing.exit_code(KeyboardInterrupt()) == 130

    assert "crudsd: interrupted" in capsys.readouterr().err


def test_a_defect_leaves_a_report_that_only_its_owner_can_read(
    failing: Failing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing.exit_code(ZeroDivisionError(f"password={CANARY}")) == 1

    (report,) = tmp_path.glob("crudsd-error-*.txt")
    told, kept = capsys.readouterr().err, report.read_text()
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert "Traceback" in kept
    assert "verb version" in kept
    assert str(report) in told
    assert "ZeroDivisionError" in told
    assert CANARY not in told
    assert "postgresql" not in kept


def test_a_defect_where_no_file_can_be_written_is_still_told(
    failing: Failing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere/at/all")

    assert failing.exit_code(ZeroDivisionError()) == 1

    assert "unexpected ZeroDivisionError" in capsys.readouterr().err
