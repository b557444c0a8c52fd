"""`crudsd backfill`: one run over a stretch of the past."""

import click

from .lazy import Verb
from .running import told_run


@click.command("backfill", cls=Verb)
@click.argument("job")
@click.option("--from", "begins", required=True, metavar="VALUE", help="Read from here on, as the source writes it.")
@click.option("--to", "ends", metavar="VALUE", help="For requests that ask with cursor.end. Default: no end.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.option(
    "--allow-updates", type=click.IntRange(min=0), metavar="N", help="Let up to N updates pass the guards, this once."
)
@click.pass_context
def command(
    context: click.Context, job: str, begins: str, ends: str | None, as_json: bool, allow_updates: int | None
) -> int:
    """Read a stretch of JOB's source once more, now.

    With the same links, and without moving the cursor. Nothing is deleted by absence. Safe to repeat.
    """
    from daemon.sync.guards import Allowance

    return told_run(
        context,
        lambda app, observe: app.backfill(
            job, begins, ends, observe=observe, allowance=Allowance(updates=allow_updates)
        ),
        as_json=as_json,
        again=f"crudsd backfill {job} --from {begins}" + (f" --to {ends}" if ends else ""),
    )
