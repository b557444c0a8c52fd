"""`crudsd serve`: run all jobs on their schedules."""

import click

from .lazy import Verb
from .options import settings, start_logs


@click.command("serve", cls=Verb)
@click.option(
    "--upgrade",
    is_flag=True,
    help="Bring a state database of an older crudsd to this version first; a copy stays beside it.",
)
@click.pass_context
def command(context: click.Context, upgrade: bool) -> int:
    """Run all jobs on their schedules until SIGTERM. Stays in the foreground."""
    from daemon.app import open_app
    from daemon.serving import serve

    from .process import started

    start_logs(context, level="info")
    if upgrade:
        from daemon.upkeep import upgrade_state

        upgrade_state(settings(context), keeps_copy=True)
    with open_app(settings(context)) as app:
        started()
        return serve(app)
