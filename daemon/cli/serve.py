"""`crudsd serve`: run all jobs on their schedules."""

import click

from .lazy import Verb
from .options import settings, start_logs


@click.command("serve", cls=Verb)
@click.pass_context
def command(context: click.Context) -> int:
    """Run all jobs on their schedules until SIGTERM. Stays in the foreground."""
    from daemon.app import open_app

    start_logs(context, level="info")
    with open_app(settings(context)) as app:
        return app.serve()
