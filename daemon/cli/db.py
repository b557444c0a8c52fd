"""`crudsd db`: the state database."""

from pathlib import Path

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
    """Bring the state database's schema to this version. Refused while a service or a run uses it."""
    from daemon.upkeep import upgrade_state

    start_logs(context)
    done = upgrade_state(settings(context))
    if done.before == done.after:
        output.emit([f"The state database is up to date (schema {done.after})."])
    else:
        before = f"schema {done.before}" if done.before else "empty"
        output.emit([f"The state database went from {before} to schema {done.after}."])
    return Exit.DONE


@command.command("check")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
@click.pass_context
def check(context: click.Context, as_json: bool) -> int:
    """Look whether the state database is sound; exit code 1 if not. Changes nothing."""
    from daemon.report import state
    from daemon.upkeep import check_state

    start_logs(context)
    location, findings = check_state(settings(context))
    output.emit([state.as_json(location, findings)] if as_json else state.lines(location, findings))
    return Exit.DONE if state.is_sound(findings) else Exit.ERROR


@command.command("backup")
@click.argument("path", type=click.Path(path_type=Path))
@click.pass_context
def backup(context: click.Context, path: Path) -> int:
    """Copy the state database to the new file PATH, whole and of one moment, also while crudsd serve runs."""
    from daemon.upkeep import back_up_state

    start_logs(context)
    size = back_up_state(settings(context), path)
    output.emit([f"{path}: {size / 2**20:.1f} MiB written and checked. The key is not in it: keep that elsewhere."])
    return Exit.DONE


@command.command("prune")
@click.pass_context
def prune(context: click.Context) -> int:
    """Forget runs and changes that are older than `retention` keeps them. crudsd serve does so by itself."""
    from daemon.upkeep import prune_state

    start_logs(context)
    pruned = prune_state(settings(context))
    output.emit([f"{pruned.runs:,} runs and {pruned.changes:,} changes were forgotten."])
    return Exit.DONE
