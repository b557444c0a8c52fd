"""`crudsd run`: one run of one job, now."""

import click

from daemon.errors import Exit

from . import output
from .lazy import Verb
from .options import settings, start_logs


@click.command("run", cls=Verb)
@click.argument("job")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.option(
    "--allow-deletes", type=click.IntRange(min=0), metavar="N", help="Let up to N deletes pass the guards, this once."
)
@click.option(
    "--allow-updates", type=click.IntRange(min=0), metavar="N", help="Let up to N updates pass the guards, this once."
)
@click.pass_context
def command(
    context: click.Context, job: str, as_json: bool, allow_deletes: int | None, allow_updates: int | None
) -> int:
    """Run JOB once, now. Safe to repeat: a second run with nothing new writes nothing."""
    from daemon.app import open_app
    from daemon.report import json, text
    from daemon.runtime.signals import stop_on_signals
    from daemon.sync.guards import Allowance
    from daemon.sync.outcome import EXITS

    from .watching import watching

    place = settings(context)
    allowance = Allowance(deletes=allow_deletes, updates=allow_updates)
    with stop_on_signals() as stop:
        with watching() as watch:
            start_logs(context)
            with open_app(place, stop=stop) as app:
                output.warn(app.warnings)
                finished = app.run(job, observe=watch, allowance=allowance)
        rejects = watch.noticed.rejects
        output.emit([json.finish(finished, rejects)] if as_json else text.finish(finished, rejects))
    code = EXITS[finished.result.ending]
    if as_json and code is Exit.INTERRUPTED:
        output.message(f"interrupted; crudsd run {job} finishes the work")
    return code
