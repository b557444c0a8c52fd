"""`crudsd approve`: let the next run carry out what a guard withheld."""

import click

from daemon.errors import Exit

from . import output
from .lazy import Verb
from .options import settings, start_logs
from .running import told_run


@click.command("approve", cls=Verb)
@click.argument("run", metavar="RUN")
@click.option("--now", is_flag=True, help="Do that run now, and tell its end as `crudsd run` does.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.pass_context
def command(context: click.Context, run: str, now: bool, as_json: bool) -> int:
    """Let the next run carry out what RUN withheld.

    These changes and no others: the approval is void once the source or the target has changed. RUN is the id of a held
    run, or a job whose latest run is held.
    """
    from daemon.app import App, open_app
    from daemon.report import json, text
    from daemon.runtime.worker import Finished
    from daemon.sync.events import Observe

    def do(app: App, observe: Observe) -> Finished:
        return app.run(app.approve(run).job, observe=observe)

    if now:
        return told_run(context, do, as_json=as_json, again="the next run")
    start_logs(context)
    with open_app(settings(context)) as app:
        approved = app.approve(run)
    told = (approved.job, approved.run, approved.digests)
    output.emit([json.approved(*told)] if as_json else text.approved(*told))
    return Exit.DONE
