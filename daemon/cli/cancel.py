"""`crudsd cancel`: ask a run under way to stop."""

import click

from daemon.errors import Exit

from . import output
from .lazy import Verb
from .options import settings, start_logs


@click.command("cancel", cls=Verb)
@click.argument("job")
@click.pass_context
def command(context: click.Context, job: str) -> int:
    """Ask the run of JOB that crudsd serve has under way to stop.

    What it has begun is finished and committed; the next run does the rest. If none is under way, the first one that is
    queued does not start. A run of `crudsd run` ends by Ctrl-C.
    """
    from daemon.app import open_app

    start_logs(context)
    with open_app(settings(context)) as app:
        app.job(job)
        run = app.desk().cancel(job)
    output.emit([f"{job}: run {run} is asked to stop; it ends between two steps. Next: crudsd runs {job}"])
    return Exit.DONE
