"""`crudsd plan`: what a run would do, without doing it."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.errors import Exit

from . import output
from .lazy import Verb
from .options import settings, start_logs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.app import App
    from daemon.runtime.worker import Planned
    from daemon.sync.change import Reject


@click.command("plan", cls=Verb)
@click.argument("job")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 4 instead of 0 when there are changes (as Terraform's 2)."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.option(
    "--limit", type=click.IntRange(min=0), metavar="N", help="Changes to show. Default: 100, with --json all of them."
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Save the plan too, for `crudsd apply FILE`."
)
@click.option("--full", is_flag=True, help="Plan a run that reads everything, whatever the job's cursor says.")
@click.pass_context
def command(
    context: click.Context,
    job: str,
    detailed_exitcode: bool,
    as_json: bool,
    limit: int | None,
    out: Path | None,
    full: bool,
) -> int:
    """Show what a run of JOB would do. Reads both systems, writes to none."""
    from daemon.app import open_app
    from daemon.report import json, text
    from daemon.runtime.signals import stop_on_signals
    from daemon.sync.change import Fate
    from daemon.sync.outcome import EXITS

    from .process import started
    from .watching import watching

    place = settings(context)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        with watching() as watch:
            start_logs(context)
            app = stack.enter_context(open_app(place, stop=stop))
            started()
            output.warn(app.warnings)
            if out is not None:
                app.check_place(out)
            planned = stack.enter_context(app.plan(job, observe=watch, full=full))
        rejects = watch.noticed.rejects
        if as_json:
            output.emit(json.plan(planned, rejects, limit=limit))
        else:
            output.emit(text.plan(planned, watch.noticed.causes, limit=text.PLAN_LINES if limit is None else limit))
        if out is not None:
            _save(app, out, planned, rejects)
        end = EXITS[planned.result.ending]
        pending = any(number for (_, fate), number in planned.tally.items() if fate is Fate.PLANNED)
        return Exit.PENDING if detailed_exitcode and pending and end is Exit.DONE else end


def _save(app: "App", out: Path, planned: "Planned", rejects: "Sequence[Reject]") -> None:
    """Save a plan that came to its end. The word of it goes to stderr, since stdout may be JSON."""
    from daemon.report import text
    from daemon.sync.outcome import SETTLED

    if planned.result.ending in SETTLED:
        app.save_plan(out, planned, rejects)
        output.message(text.saved(str(out)))
    else:
        output.message(f"this plan is not complete, so it was not saved; {out} is as it was before")
