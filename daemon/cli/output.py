"""Data to stdout, messages to stderr; colours on terminals that want them; a reader that went away is no error."""

import contextlib
import io
import os
import sys
from collections.abc import Iterable

import click

from daemon.redaction import KNOWN

_COLOURS = {"+": "green", "~": "yellow", "-": "red", "!": "red", "✗": "red", "✓": "green", "=": "bright_black"}


def prepare() -> None:
    """Make stdout and stderr take every character: one that the locale lacks is written as its escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def emit(pieces: Iterable[str | bytes]) -> None:
    """Write lines of text, or pieces of JSON, to stdout as they come.

    When nobody reads on (`| head`), the rest is dropped quietly: the exit code tells of the work, not of its reader.
    """
    try:
        for piece in pieces:
            if isinstance(piece, bytes):
                click.echo(piece, nl=False)
            else:
                click.echo(_coloured(piece) if wants_colour() else piece)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is buffered would fail again when the interpreter ends (docs.python.org, "Note on SIGPIPE").
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def message(text: str) -> None:
    """Tell the operator something, on stderr. A secret that this process has read is never a part of it."""
    with contextlib.suppress(BrokenPipeError):
        click.echo(f"crudsd: {KNOWN.blot(text)}", err=True)


def warn(warnings: Iterable[str]) -> None:
    """Tell the operator what is not wrong but should be known."""
    for warning in warnings:
        message(f"warning: {warning}")


def wants_colour() -> bool:
    """Say whether stdout is a terminal whose user has not asked for plain text (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _coloured(line: str) -> str:
    colour = _COLOURS.get(line.partition(" ")[0])
    return click.style(line, fg=colour) if colour else line
