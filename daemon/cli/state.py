"""`crudsd state`: how far an incremental job has read, and what a person sets there."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.errors import Exit, UsageError

from . import output
from .lazy import Verb, VerbGroup
from .options import settings, start_logs

if TYPE_CHECKING:
    from daemon.values import Json

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
_YES = click.option("--yes", is_flag=True, help="Do it. Without this, only what would be done is said.")
_LINKS = "No link is touched: records that are read again are recognised, and cost no write."


@click.group("state", cls=VerbGroup)
def command() -> None:
    """Look at the cursors of an incremental job, and set them."""


@command.command("show", cls=Verb)
@click.argument("job")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", default=50, show_default=True, help="Parts to show.")
@_JSON
@click.pass_context
def show(context: click.Context, job: str, limit: int, as_json: bool) -> int:
    """Show how far JOB has read, part by part, and when it last read everything."""
    from daemon.app import open_app
    from daemon.report import cursors

    start_logs(context)
    with open_app(settings(context)) as app:
        standing = app.cursors(job).show(limit)
    output.emit([cursors.as_json(standing)] if as_json else cursors.lines(standing))
    return Exit.DONE


@command.command("set", cls=Verb)
@click.argument("job")
@click.argument("value")
@click.option("--part", default="", metavar="NAME", help="Which part of the source; none where it is one.")
@_YES
@click.pass_context
def set_(context: click.Context, job: str, value: str, part: str, yes: bool) -> int:
    """Set the cursor of JOB to VALUE, in the form in which its source writes it.

    The next run reads from there. What lies between a later value and the one before is left to the next full read.
    """
    from daemon.app import open_app

    start_logs(context)
    with open_app(settings(context)) as app:
        desk = app.cursors(job)
        meant = desk.value(value)
        _sure(yes, f"the cursor of {job} would be set to {value}")
        before = desk.set(meant, part)
    said = f"before it was {before.value}" if before is not None else "it had none before"
    output.emit([f"The cursor of {job} is {value}; {said}. {_LINKS}"])
    return Exit.DONE


@command.command("reset", cls=Verb)
@click.argument("job")
@click.option("--part", metavar="NAME", help="Only this part of the source. Default: all.")
@_YES
@click.pass_context
def reset(context: click.Context, job: str, part: str | None, yes: bool) -> int:
    """Forget how far JOB has read: its next run reads from the start."""
    from daemon.app import open_app

    start_logs(context)
    with open_app(settings(context)) as app:
        desk = app.cursors(job)
        desk.rules()
        _sure(yes, f"the cursors of {job} would be forgotten, and its next run reads from the start")
        number = desk.reset(part)
    output.emit([f"Forgotten: {number} of {job}; the next run reads from the start. {_LINKS}"])
    return Exit.DONE


@command.command("export", cls=Verb)
@click.argument("job")
@click.pass_context
def export(context: click.Context, job: str) -> int:
    """Print the cursors of JOB as JSON, for `crudsd state import`."""
    from daemon.app import open_app
    from daemon.report import json

    start_logs(context)
    with open_app(settings(context)) as app:
        output.emit([json.document(app.cursors(job).exported())])
    return Exit.DONE


@command.command("import", cls=Verb)
@click.argument("job")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_YES
@click.pass_context
def import_(context: click.Context, job: str, file: Path, yes: bool) -> int:
    """Set the cursors of JOB to those in FILE, which `crudsd state export` has printed; all or none."""
    from daemon.app import open_app

    start_logs(context)
    tree = _read(file)
    with open_app(settings(context)) as app:
        desk = app.cursors(job)
        desk.rules()
        _sure(yes, f"the cursors of {job} would be set to those in {file}")
        number, current = desk.imported(tree)
    old = f" {number - current} of them are of {job} before it was edited: it reads everything there." * (
        current < number
    )
    output.emit([f"Set: {number} of {job}.{old} {_LINKS}"])
    return Exit.DONE


def _sure(yes: bool, what: str) -> None:
    if not yes:
        raise UsageError(f"{what}; nothing was changed, add --yes to do it")


def _read(file: Path) -> "Json":
    import msgspec

    from daemon.store.columns import from_json

    try:
        return from_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        raise UsageError(f"{file}: is no JSON: {error}") from error
