"""Signals, pipes and terminals: what a shell sees of the program."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from daemon.cli import lazy, options, output

ROOT = Path(__file__).parents[3]

RUN = """
import os, time
from daemon.runtime.signals import stop_on_signals

with stop_on_signals() as stop:
    print("ready", flush=True)
    stop.wait(30)
    print("stopping", flush=True)
    {then}
"""


def started(code: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_the_run_to_end_well(number: signal.Signals) -> None:
    with started(RUN.format(then="raise SystemExit(42)")) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)

        out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (42, "stopping\n")
    assert "what is in hand is finished" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_at_once_with_130(number: signal.Signals) -> None:
    with started(RUN.format(then="time.sleep(60)")) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(number)

        _, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "the next run looks up what was in hand" in err


def test_a_reader_that_went_away_does_not_change_the_exit_code() -> None:
    code = """
from daemon.cli import output

output.emit(f"line {number}" for number in range(200_000))
raise SystemExit(4)
"""
    with started(code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "line 0\n"
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()

    assert (process.returncode, err) == (4, "")


def test_a_locale_without_the_signs_gets_escapes_and_no_crash() -> None:
    code = "from daemon.cli import output; output.prepare(); output.emit(['✓ née'])"
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, timeout=30, check=False
    )

    assert (done.returncode, done.stdout) == (0, b"\\u2713 n\xe9e\n")


class Terminal:
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("environment", "wanted"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_is_for_terminals_that_want_it(
    environment: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal())

    assert output.wants_colour() is wanted


def test_global_options_hold_before_and_after_the_verb_and_the_later_one_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    seen: list[options.Globals] = []
    group = lazy.VerbGroup("crudsd", params=options.global_options())

    @group.command("look")
    @click.pass_context
    def look(context: click.Context) -> None:
        seen.append(options.given(context))

    group.main(["--config", "a", "--state", "s", "look", "--config", "b", "--no-color"], standalone_mode=False)
    group.main(["look"], standalone_mode=False)

    assert seen == [options.Globals(config=Path("b"), state="s", no_color=True), options.Globals()]
