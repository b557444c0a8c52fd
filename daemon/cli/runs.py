"""`crudsd runs`: what was run, and how it ended."""

import click

from daemon.errors import Exit

from . import output
from .lazy import Verb
from .options import settings, start_logs


@click.command("runs", cls=Verb)
@click.argument("job", required=False)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    default=20,
    show_default=True,
    help="Runs to show, newest first.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@click.pass_context
def command(context: click.Context, job: str | None, limit: int, as_json: bool) -> int:
    """List past runs, of JOB or of all jobs, newest first."""
    from daemon.app import open_app
    from daemon.report import json, table

    start_logs(context)
    with open_app(settings(context)) as app:
        rows = app.recent_runs(job, limit=limit)
    output.emit([json.runs(rows)] if as_json else table.runs(rows))
    return Exit.DONE
