"""`crudsd pause`: let a job rest."""

import click

from daemon.errors import Exit

from . import output
from .lazy import Verb
from .options import settings, start_logs


@click.command("pause", cls=Verb)
@click.argument("job")
@click.option("--reason", metavar="TEXT", default="a person paused it", help="Why; shown with each skipped fire.")
@click.pass_context
def command(context: click.Context, job: str, reason: str) -> int:
    """Let crudsd serve start no run of JOB.

    It rests until `crudsd resume JOB`; a run under way goes on to its end; `crudsd run JOB` and
    `crudsd trigger JOB` still do it.
    """
    from daemon.app import open_app

    start_logs(context)
    with open_app(settings(context)) as app:
        app.job(job)
        is_new = app.desk().pause(job, reason)
    output.emit([f"{job}: {'paused' if is_new else 'is paused already'}. Next: crudsd resume {job}"])
    return Exit.DONE
