"""The log as fields of the journal: what journald is handed, and where it goes when that cannot be."""

import io
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest
import structlog

from daemon.cli.options import FORMATS, start_logs
from daemon.logs import BLOT, Format, bound, configure, get_logger
from daemon.values import Secret
from tests.fakes.journal import FakeJournal, entry, journal


@pytest.fixture
def journald() -> Iterator[FakeJournal]:
    with journal() as one:
        yield one


@pytest.fixture
def out(journald: FakeJournal) -> Iterator[io.StringIO]:
    """What goes to the stream of a process that logs to the journal."""
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    stream = io.StringIO()
    configure(format="journald", stream=stream, level="debug")
    yield stream
    root.handlers[:], root.level = handlers, level
    structlog.configure(**config)


def test_an_event_is_a_message_a_priority_and_a_field_for_each_fact(journald: FakeJournal, out: io.StringIO) -> None:
    with bound(job="people", run="r1"):
        get_logger().warning("guard.tripped", connection="hr", deletes=30, message="30 % of all", parts=[1, 2])

    assert journald.entries() == [
        {
            "MESSAGE": 'guard.tripped connection=hr deletes=30 message="30 % of all" parts=[1,2] job=people',
            "PRIORITY": "4",
            "SYSLOG_IDENTIFIER": "crudsd",
            "CRUDSD_EVENT": "guard.tripped",
            "CRUDSD_JOB": "people",
            "CRUDSD_RUN": "r1",
            "CRUDSD_CONNECTION": "hr",
            "CRUDSD_DELETES": "30",
            "CRUDSD_MESSAGE": "30 % of all",
            "CRUDSD_PARTS": "[1,2]",
        }
    ]
    assert out.getvalue() == ""


def test_levels_are_priorities_for_other_libraries_too(journald: FakeJournal, out: io.StringIO) -> None:
    log = get_logger()
    for tell in (log.debug, log.info, log.warning, log.error):
        tell("an.event")
    logging.getLogger("apscheduler").error("from the standard library")

    assert [entry["PRIORITY"] for entry in journald.entries()] == ["7", "6", "4", "3", "3"]
    assert out.getvalue() == ""


def test_names_are_made_fit_for_the_journal(journald: FakeJournal, out: io.StringIO) -> None:
    get_logger().info("x", **{"took-s": 1, "ä b=c\nMESSAGE": "forged", "n" * 90: "long"})

    (told,) = journald.entries()
    assert told["MESSAGE"].startswith("x took-s=1 ")
    assert (told["CRUDSD_TOOK_S"], told["CRUDSD___B_C_MESSAGE"]) == ("1", "forged")
    assert all(re.fullmatch("[A-Z][A-Z0-9_]{0,63}", name) for name in told)


def test_values_of_several_lines_forge_no_field_and_control_characters_stay_out_of_the_message(
    journald: FakeJournal, out: io.StringIO
) -> None:
    get_logger().info("x", said="one\nPRIORITY=0\nMESSAGE=forged\x1b[31m")

    (told,) = journald.entries()
    assert (told["PRIORITY"], told["CRUDSD_SAID"]) == ("6", "one\nPRIORITY=0\nMESSAGE=forged\x1b[31m")
    assert told["MESSAGE"].isprintable()


def test_a_traceback_is_part_of_the_message(journald: FakeJournal, out: io.StringIO) -> None:
    try:
        raise ValueError("no\x07")
    except ValueError:
        get_logger().error("run.crashed", exc_info=True)

    lines = journald.entries()[0]["MESSAGE"].splitlines()
    assert (lines[0], lines[1], lines[-1]) == (
        "run.crashed",
        "Traceback (most recent call last):",
        "ValueError: no\\x07",
    )


def test_what_the_journal_does_not_take_goes_to_the_stream(journald: FakeJournal, out: io.StringIO) -> None:
    get_logger().info("too.large", text="x" * (1 << 21))
    journald.close()
    get_logger().info("nobody.there")
    logging.getLogger("other").warning("nobody there")

    told = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["event"], len(line.get("text", ""))) for line in told] == [
        ("too.large", 1 << 21),
        ("nobody.there", 0),
        ("nobody there", 0),
    ]


def test_the_stream_has_priorities_where_it_is_the_journal_s(
    journald: FakeJournal, out: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journald.close()
    with (tmp_path / "stream").open("w+", encoding="utf-8") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        configure(format="journald", stream=stream)
        get_logger().error("an.event")
        stream.seek(0)
        assert stream.read().startswith("<3>{")


def test_secrets_are_taken_out_before(journald: FakeJournal, out: io.StringIO) -> None:
    Secret("canary-in-the-journal-7").reveal()
    try:
        raise ValueError("it was canary-in-the-journal-7")
    except ValueError:
        get_logger().error("x canary-in-the-journal-7", **{"canary-in-the-journal-7": 1}, exc_info=True)
    logging.getLogger("urllib3").warning("%s", {"token": "abc", "x": "canary-in-the-journal-7"})

    datagrams = journald.datagrams()
    assert len(datagrams) == 2
    assert all(BLOT in entry(one)["MESSAGE"] for one in datagrams)
    assert b"canary" not in b"".join(datagrams).lower()


# ---- how it is asked for ----


def test_the_command_line_takes_the_formats_that_there_are() -> None:
    assert get_args(Format) == FORMATS


def test_the_environment_may_ask_for_a_format_and_a_level(
    journald: FakeJournal, out: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRUDSD_LOG_FORMAT", "journald")
    monkeypatch.setenv("CRUDSD_LOG_LEVEL", "error")
    start_logs(click.Context(click.Command("x")), level="info")
    get_logger().warning("a.warning")
    get_logger().error("an.error")

    assert [entry["CRUDSD_EVENT"] for entry in journald.entries()] == ["an.error"]


@pytest.mark.parametrize("name", ["CRUDSD_LOG_FORMAT", "CRUDSD_LOG_LEVEL"])
def test_a_word_in_the_environment_that_means_nothing_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "loud")

    with pytest.raises(click.UsageError, match=f"{name} is 'loud' in the environment; it may be one of "):
        start_logs(click.Context(click.Command("x")))
