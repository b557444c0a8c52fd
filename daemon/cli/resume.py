"""`crudsd resume`: end a job's rest."""

import click

from daemon.errors import Exit

from . import output
from .lazy import Verb
from .options import settings, start_logs


@click.command("resume", cls=Verb)
@click.argument("job")
@click.pass_context
def command(context: click.Context, job: str) -> int:
    """Let crudsd serve run JOB again. If a fire was skipped meanwhile, it runs at once."""
    from daemon.app import open_app

    start_logs(context)
    with open_app(settings(context)) as app:
        app.job(job)
        was_paused = app.desk().resume(job)
    output.emit([f"{job}: {'runs again on its schedule' if was_paused else 'was not paused'}."])
    return Exit.DONE
