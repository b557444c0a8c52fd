"""`crudsd trigger`: have a running service do a job now."""

import click

from daemon.errors import Exit

from . import output
from .lazy import Verb
from .options import settings, start_logs


@click.command("trigger", cls=Verb)
@click.argument("job")
@click.pass_context
def command(context: click.Context, job: str) -> int:
    """Have the running crudsd serve do JOB now.

    A run of it that is under way is finished first. A job that is paused runs too. Without a
    service, `crudsd run JOB` does it here.
    """
    from daemon.app import open_app

    start_logs(context)
    with open_app(settings(context)) as app:
        run = app.desk().trigger(job, app.job(job))
    output.emit([f"{job}: run {run} is queued. Next: crudsd runs {job}"])
    return Exit.DONE
