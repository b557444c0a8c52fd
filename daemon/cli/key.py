"""`crudsd key`: the key that seals tokens and secrets in the state database, over its whole life."""

from pathlib import Path

import click

from daemon.errors import ConfigError, Exit

from . import output
from .lazy import VerbGroup
from .options import settings, start_logs

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
_FILE = click.option(
    "--file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The key file to change. Needed where crudsd gets only a copy of it: a systemd credential.",
)


@click.group("key", cls=VerbGroup)
def command() -> None:
    """Look after the key that seals tokens and secrets."""


@command.command("generate", short_help="Make a key and write it to a new file.")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.pass_context
def generate(context: click.Context, path: Path | None) -> int:
    """Make a key and write it to PATH (mode 0600), by default crudsd.key beside the configuration."""
    from daemon.upkeep import generate_key

    place = path if path is not None else _usual_place(context)
    key_id = generate_key(place)
    output.emit(
        [f"{place}: key {key_id} written. Keep a copy elsewhere: without it nothing that it sealed can be read."]
    )
    return Exit.DONE


@command.command("check", short_help="Say whether the key opens everything that is sealed.")
@_JSON
@click.pass_context
def check(context: click.Context, as_json: bool) -> int:
    """Say where the key comes from, and whether it opens everything that is sealed. Writes nothing."""
    from daemon.sealing import check_key

    from . import key_text

    start_logs(context)
    found = check_key(settings(context))
    output.emit([key_text.check_json(found)] if as_json else key_text.check(found))
    return Exit.CONFIG if found.faults else Exit.DONE


@command.command("add", short_help="Put a new key at the top of the key file.")
@_FILE
@click.pass_context
def add(context: click.Context, file: Path | None) -> int:
    """Put a new key at the top of the key file: it seals from now on, the older ones still open."""
    from daemon.sealing import add_key

    path, key_id = add_key(lambda: settings(context), file)
    output.emit(
        [
            f"{path}: key {key_id} added; it seals from now on. Keep a copy of the file elsewhere.",
            "Next: crudsd key rotate re-seals what the older keys have sealed."
            + (" Where the key is a systemd credential, restart the service first." if file is not None else ""),
        ]
    )
    return Exit.DONE


@command.command("rotate", short_help="Seal everything with the first key of the ring.")
@click.option(
    "--drop-unreadable",
    is_flag=True,
    help="Delete the sealed records that nothing opens any more. Only after a key is lost for good.",
)
@_JSON
@click.pass_context
def rotate(context: click.Context, drop_unreadable: bool, as_json: bool) -> int:
    """Seal everything with the first key of the ring. crudsd serve may run meanwhile; may be repeated."""
    from daemon.sealing import rotate_key

    from . import key_text

    start_logs(context)
    done = rotate_key(settings(context), drop_unreadable=drop_unreadable)
    output.emit([key_text.rotated_json(done)] if as_json else key_text.rotated(done))
    return Exit.ERROR if done.left else Exit.DONE


@command.command("retire", short_help="Take a key that seals nothing out of the key file.")
@click.argument("key_id", metavar="ID")
@_FILE
@click.pass_context
def retire(context: click.Context, key_id: str, file: Path | None) -> int:
    """Take the key ID out of the key file, once it seals nothing any more."""
    from daemon.sealing import retire_key

    start_logs(context)
    path = retire_key(settings(context), key_id, file)
    output.emit([f"{path}: key {key_id} taken out. Older copies of the state database still need it."])
    return Exit.DONE


def _usual_place(context: click.Context) -> Path:
    try:
        return settings(context).key_file
    except ConfigError:
        return Path("crudsd.key")  # no configuration yet: it will stand here
