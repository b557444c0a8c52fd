"""The watch over all tests can fail: a test that shows a secret does not pass, however it shows it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.canaries import MARK, seen_in, shapes

ROOT = Path(__file__).parents[2]

TESTS = f'''
import base64
import io
import logging
import sys

import structlog

from daemon import logs
from daemon.values import Secret
from tests.watch import over_logs

SECRET = "{MARK}of-a-test"


def failed():
    raise ValueError(SECRET)


def test_shown_by_a_library_at_debug():
    logging.getLogger("urllib3.connectionpool").debug("sent %s", SECRET)


def test_shown_in_base64():
    logging.getLogger("any").debug(base64.b64encode(f"me:{{SECRET}}".encode()).decode())


def test_shown_by_our_own_log():
    logs.get_logger().debug("x", facts=[SECRET])


def test_shown_by_a_traceback():
    try:
        failed()
    except ValueError:
        logging.getLogger("any").debug("it failed", exc_info=True)


def test_shown_on_stdout():
    print(SECRET)


def test_shown_on_stderr():
    print(SECRET, file=sys.stderr)


def test_shown_in_what_was_taken_out_of_the_capture(capsys):
    print(SECRET)
    assert capsys.readouterr().out


def test_shown_though_the_test_set_up_a_log_of_its_own(capsys):
    logs.configure(format="json", level="debug")
    logs.get_logger().debug("x", fact=SECRET)
    capsys.readouterr()


def test_shown_after_a_log_that_nobody_reads():
    logs.configure(format="json", stream=io.StringIO())
    over_logs()
    logging.getLogger("any").debug(SECRET)


def test_fine_where_redaction_knows_it(capsys):
    Secret(SECRET).reveal()
    logging.getLogger("any").debug("sent %s", SECRET)
    logs.get_logger().debug("x", facts={{"a": [SECRET]}})
    logs.configure(format="json", level="debug")
    logs.get_logger().debug("x", fact=SECRET)
    assert "redacted" in capsys.readouterr().err


def test_fine_after_all_of_these():
    structlog.get_logger().info("nothing")
'''


def test_a_test_that_shows_a_secret_fails(tmp_path: Path) -> None:
    (tmp_path / "test_them.py").write_text(TESTS, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.watch", "-p", "no:randomly", "-p", "no:cacheprovider",
         "-c", os.devnull, "--rootdir", ".", "-q", "-rA", "test_them.py"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )  # fmt: skip

    told = {line.split()[1].partition("::")[2] for line in done.stdout.splitlines() if line.startswith("FAILED")}
    told |= {line.split()[1].partition("::")[2] for line in done.stdout.splitlines() if line.startswith("ERROR")}
    shown = {name for name in TESTS.split() if name.startswith("test_shown")}
    assert told == {name.partition("(")[0] for name in shown}, done.stdout
    assert len(told) == 9


@pytest.mark.parametrize("shape", sorted(shapes(f"{MARK}päss/word&1")))
def test_a_canary_is_seen_in_each_of_its_shapes(shape: str) -> None:
    assert seen_in(f"xx {shape} yy")
    assert seen_in(f"xx {shape} yy".encode())


def test_nothing_is_seen_where_nothing_is() -> None:
    assert seen_in("a canary sang; canary") == []
