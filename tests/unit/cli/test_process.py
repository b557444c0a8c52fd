"""A process of ours leaves nothing behind that others could read: no core, no memory, no traceback with a secret."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.cli.crash import write_report
from daemon.cli.output import message
from daemon.cli.process import clean_environment
from daemon.redaction import BLOT, KNOWN
from daemon.values import Secret

SECRET = "canary-of-no-special-form"
LEARN = f"from daemon.values import Secret; Secret('{SECRET}').reveal()\n"
MAIN = "import sys; sys.argv = ['crudsd', 'version']\nfrom daemon.__main__ import main; main()\n"


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MAIN + code],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
    )


def test_a_command_cannot_be_dumped_or_looked_into() -> None:
    done = python(
        "import ctypes, resource\n"
        "print('dumpable', ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))\n"
        "print('core', resource.getrlimit(resource.RLIMIT_CORE))\n"
    )

    assert "dumpable 0" in done.stdout
    assert "core (0, 0)" in done.stdout


def test_garbage_is_looked_for_seldom_until_a_program_stands_and_then_not_among_what_it_is_made_of() -> None:
    done = python(
        "import gc; from daemon.cli.process import started\n"
        "usual = (700, 10, 10)\n"
        "print('seldom', gc.isenabled(), gc.get_threshold()[0] > 100 * usual[0], gc.get_freeze_count())\n"
        "started(); kept = gc.get_freeze_count(); gc.freeze(); gc.unfreeze(); started()\n"
        "print('as usual', gc.get_threshold()[0] < 20 * usual[0], kept > 1000, gc.get_freeze_count())\n"
    )

    assert "seldom True True 0" in done.stdout
    assert "as usual True True 0" in done.stdout


def test_what_nobody_catches_is_told_without_secrets() -> None:
    done = python(
        LEARN + "import threading\n"
        f"thread = threading.Thread(target=lambda: int('thread {SECRET}')); thread.start(); thread.join()\n"
        f"type('Bad', (), {{'__del__': lambda self: int('end {SECRET}')}})()\n"
        f"int('main {SECRET}')\n"
    )

    assert done.returncode == 1
    for told in ("thread", "end", "main"):
        assert f"'{told} {BLOT}'" in done.stderr
    assert done.stderr.count("Traceback") == 3
    assert f"base 10: 'main {SECRET}" not in done.stderr


def test_a_child_process_inherits_no_key_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRUDSD_KEY", "k1:abc")
    monkeypatch.setenv("HR_SECRET", SECRET)
    monkeypatch.setenv("HR_USER", "ada")
    Secret(SECRET).reveal()

    with clean_environment():
        told = subprocess.run(["env"], check=True, capture_output=True, text=True, timeout=60).stdout

    assert "HR_USER=ada" in told
    assert "CRUDSD_KEY" not in told
    assert SECRET not in told
    assert (os.environ["CRUDSD_KEY"], os.environ["HR_SECRET"]) == ("k1:abc", SECRET)


def test_a_report_of_a_defect_holds_no_secret_that_an_error_quotes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    quoted = Secret(SECRET).reveal()
    local = f"password={quoted}"
    try:
        try:
            raise KeyError(quoted)
        except KeyError as error:
            raise ValueError(f"https://u:{quoted[:20]}@h/x?{local} of Bearer abcdef123456") from error
    except ValueError as error:
        place = write_report(error, verb="run")

    assert place is not None
    kept = place.read_text(encoding="utf-8")
    assert kept.count("Traceback") == 2
    assert "raise KeyError(quoted)" in kept
    for hidden in (SECRET, SECRET[:20], "abcdef123456"):
        assert hidden not in kept


def test_a_message_to_the_operator_holds_no_secret_that_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    KNOWN.learn(SECRET)

    message(f"connection hr: the token server said: {SECRET} is not the secret of me")

    assert capsys.readouterr().err == f"crudsd: connection hr: the token server said: {BLOT} is not the secret of me\n"
