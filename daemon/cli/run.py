"""`crudsd run`: one run of one job, now."""

import click

from .lazy import Verb
from .running import told_run


@click.command("run", cls=Verb)
@click.argument("job")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.option(
    "--allow-deletes", type=click.IntRange(min=0), metavar="N", help="Let up to N deletes pass the guards, this once."
)
@click.option(
    "--allow-updates", type=click.IntRange(min=0), metavar="N", help="Let up to N updates pass the guards, this once."
)
@click.option("--full", is_flag=True, help="Read everything, whatever the cursor of an incremental job says.")
@click.pass_context
def command(
    context: click.Context, job: str, as_json: bool, allow_deletes: int | None, allow_updates: int | None, full: bool
) -> int:
    """Run JOB once, now. Safe to repeat: a second run with nothing new writes nothing."""
    from daemon.sync.guards import Allowance
    from daemon.sync.options import Asked

    asked = Asked(Allowance(deletes=allow_deletes, updates=allow_updates), full=full)
    return told_run(
        context,
        lambda app, observe: app.run(job, observe=observe, asked=asked),
        as_json=as_json,
        again=f"crudsd run {job}" + (" --full" if full else ""),
    )
