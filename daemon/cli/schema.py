"""`crudsd schema`: the JSON Schema of the configuration, for editors."""

import click

from daemon.errors import Exit

from . import output
from .lazy import Verb


@click.command("schema", cls=Verb)
def command() -> int:
    """Print the JSON Schema of the configuration, for editors."""
    from daemon.report import json
    from daemon.spec import json_schema

    output.emit([json.document(json_schema())])
    return Exit.DONE
