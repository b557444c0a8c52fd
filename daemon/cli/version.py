"""`crudsd version`: what a bug report should begin with."""

import platform

import click

from daemon.errors import Exit
from daemon.report.identity import version

from . import output
from .lazy import Verb


@click.command("version", cls=Verb)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def command(as_json: bool) -> int:
    """Say the version, and what a bug report should begin with."""
    import sqlite3

    facts = {
        "crudsd": version(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "platform": platform.platform(),
    }
    if as_json:
        from daemon.report import json

        output.emit([json.document(facts)])
    else:
        output.emit(f"{name} {value}" for name, value in facts.items())
    return Exit.DONE
