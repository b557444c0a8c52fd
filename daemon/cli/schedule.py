"""`crudsd schedule`: when the jobs run next."""

import click

from daemon.errors import Exit

from . import output
from .lazy import Verb
from .options import settings, start_logs


@click.command("schedule", cls=Verb)
@click.argument("job", required=False)
@click.option(
    "--limit",
    type=click.IntRange(min=1, max=1_000),
    metavar="N",
    default=10,
    show_default=True,
    help="Starts of JOB to show.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
@click.pass_context
def command(context: click.Context, job: str | None, limit: int, as_json: bool) -> int:
    """Show when the jobs start next, or the next starts of JOB."""
    from daemon.report import schedule
    from daemon.upkeep import ahead

    start_logs(context)
    now, rows = ahead(settings(context), job, limit=limit if job is not None or as_json else 1)
    if as_json:
        output.emit([schedule.listed(rows)])
    elif job is not None:
        output.emit(schedule.starts(rows[0]))
    else:
        output.emit(schedule.table(rows, now))
    return Exit.DONE
