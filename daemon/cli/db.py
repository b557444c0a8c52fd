"""`crudsd db`: the state database."""

import click

from daemon.errors import Exit

from . import output
from .lazy import VerbGroup
from .options import settings, start_logs


@click.group("db", cls=VerbGroup)
def command() -> None:
    """Look after the state database."""


@command.command("upgrade")
@click.pass_context
def upgrade(context: click.Context) -> int:
    """Bring the state database's schema to this version. Stop crudsd serve first."""
    from daemon.app import upgrade_state

    start_logs(context)
    before, after = upgrade_state(settings(context))
    if before == after:
        output.emit([f"The state database is up to date (schema {after})."])
    else:
        output.emit([f"The state database went from {f'schema {before}' if before else 'empty'} to schema {after}."])
    return Exit.DONE
