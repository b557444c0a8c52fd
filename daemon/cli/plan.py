"""`crudsd plan`: what a run would do, without doing it."""

from contextlib import ExitStack

import click

from daemon.errors import Exit

from . import output
from .lazy import Verb
from .options import settings, start_logs


@click.command("plan", cls=Verb)
@click.argument("job")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 4 instead of 0 when there are changes (as Terraform's 2)."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.option(
    "--limit", type=click.IntRange(min=0), metavar="N", help="Changes to show. Default: 100, with --json all of them."
)
@click.pass_context
def command(context: click.Context, job: str, detailed_exitcode: bool, as_json: bool, limit: int | None) -> int:
    """Show what a run of JOB would do. Reads both systems, writes to none."""
    from daemon.app import open_app
    from daemon.report import json, text
    from daemon.runtime.signals import stop_on_signals
    from daemon.sync.change import Fate
    from daemon.sync.outcome import EXITS

    from .watching import watching

    place = settings(context)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        with watching() as watch:
            start_logs(context)
            app = stack.enter_context(open_app(place, stop=stop))
            output.warn(app.warnings)
            planned = stack.enter_context(app.plan(job, observe=watch))
        rejects = watch.noticed.rejects
        if as_json:
            output.emit(json.plan(planned, rejects, limit=limit))
        else:
            output.emit(text.plan(planned, rejects, limit=text.PLAN_LINES if limit is None else limit))
        pending = any(number for (_, fate), number in planned.tally.items() if fate is Fate.PLANNED)
        end = EXITS[planned.result.ending]
        return Exit.PENDING if detailed_exitcode and pending and end is Exit.DONE else end
