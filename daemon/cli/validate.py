"""`crudsd validate`: check the configuration, every problem at once, without any network."""

from typing import TYPE_CHECKING

import click

from daemon.errors import Exit

from . import output
from .lazy import Verb
from .options import settings

if TYPE_CHECKING:
    from daemon.spec import Loaded, SpecError


@click.command("validate", cls=Verb)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> int:
    """Check the configuration: all files, all problems, no network."""
    from daemon.spec import SpecError
    from daemon.validation import validate

    place = settings(context)
    try:
        loaded = validate(place)
    except SpecError as error:
        if not as_json:
            raise
        output.emit([_problems(error)])
        return error.exit
    if not as_json:
        output.warn(loaded.warnings)
    output.emit([_good_json(loaded)] if as_json else [_good(str(place.config), loaded)])
    return Exit.DONE


def _good(config: str, loaded: "Loaded") -> str:
    from daemon.report.shown import count

    spec = loaded.spec
    return f"{config}: valid, {count(len(spec.connections), 'connection')} and {count(len(spec.jobs), 'job')}"


def _good_json(loaded: "Loaded") -> bytes:
    from daemon.report import json

    names = {"connections": sorted(loaded.spec.connections), "jobs": sorted(loaded.spec.jobs)}
    return json.document({"valid": True, "problems": [], "warnings": list(loaded.warnings), **names})


def _problems(error: "SpecError") -> bytes:
    from daemon.report import json

    return json.document(
        {"valid": False, "warnings": [], "problems": [problem.as_dict() for problem in error.problems]}
    )
