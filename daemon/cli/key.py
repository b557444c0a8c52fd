"""`crudsd key`: the key that seals tokens and secrets in the state database."""

from pathlib import Path

import click

from daemon.errors import ConfigError, Exit

from . import output
from .lazy import VerbGroup
from .options import settings


@click.group("key", cls=VerbGroup)
def command() -> None:
    """Look after the key that seals tokens in the state database."""


@command.command("generate")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.pass_context
def generate(context: click.Context, path: Path | None) -> int:
    """Make a key and write it to PATH (mode 0600), by default crudsd.key beside the configuration."""
    from daemon.app import generate_key

    place = path if path is not None else _usual_place(context)
    key_id = generate_key(place)
    output.emit(
        [f"{place}: key {key_id} written. Keep a copy elsewhere: without it nothing that it sealed can be read."]
    )
    return Exit.DONE


def _usual_place(context: click.Context) -> Path:
    try:
        return settings(context).key_file
    except ConfigError:
        return Path("crudsd.key")  # no configuration yet: it will stand here
