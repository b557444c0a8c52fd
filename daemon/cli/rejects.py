"""`crudsd rejects`: what could not be carried out, and why."""

import click

from daemon.errors import Exit

from . import output
from .lazy import Verb, VerbGroup
from .options import settings, start_logs


@click.group("rejects", cls=VerbGroup)
def command() -> None:
    """Look at what could not be carried out, and settle it."""


@command.command("list", cls=Verb)
@click.argument("job")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", default=50, show_default=True, help="Rejects to show."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.pass_context
def list_(context: click.Context, job: str, limit: int, as_json: bool) -> int:
    """List the rejects of JOB with their reasons, the latest first."""
    from daemon.app import open_app
    from daemon.report import json, text

    start_logs(context)
    with open_app(settings(context)) as app:
        rows, total = app.rejects(job, limit=limit)
    output.emit([json.rejects(rows, total)] if as_json else text.rejects(job, rows, total))
    return Exit.DONE


@command.command("drop", cls=Verb)
@click.argument("job")
@click.argument("key")
@click.pass_context
def drop(context: click.Context, job: str, key: str) -> int:
    """Forget the reject of KEY: the next run of JOB decides about the record afresh.

    After a create whose answer was lost, look at the target first: with the reject gone the record may be created.
    """
    from daemon.app import open_app

    start_logs(context)
    with open_app(settings(context)) as app:
        app.drop_reject(job, key)
    output.emit([f"The reject of {key} is forgotten; the next run of {job} decides about it afresh."])
    return Exit.DONE
