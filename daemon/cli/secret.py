"""`crudsd secret`: secrets kept sealed in the state database, for `{vault: NAME}` in job files."""

import sys

import click

from daemon.errors import Exit, UsageError

from . import output
from .lazy import Verb, VerbGroup
from .options import settings, start_logs

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
_LONGEST = 1_000_001
"""One byte more than a secret may have."""


@click.group("secret", cls=VerbGroup)
def command() -> None:
    """Keep secrets in the state database, sealed."""


@command.command("set", cls=Verb)
@click.argument("name")
@click.pass_context
def set_(context: click.Context, name: str) -> int:
    """Keep the secret NAME. Asks for its value twice on a terminal, and reads it from stdin elsewhere.

    The value is never an argument: command lines can be read by everybody on a machine.
    """
    from daemon.sealing import secret_desk
    from daemon.spec import entered_secret

    start_logs(context)
    with secret_desk(settings(context)) as desk:
        desk.check_can_keep()
        version, is_used = desk.set(name, entered_secret(name, _value(name)))
    hint = "" if is_used else f" Refer to it in the configuration as {{vault: {name}}}."
    output.emit([f"The secret {name} is kept, version {version}.{hint}"])
    return Exit.DONE


@command.command("list", cls=Verb)
@_JSON
@click.pass_context
def list_(context: click.Context, as_json: bool) -> int:
    """List the secrets and where they are used. Shows no value."""
    from daemon.report import json
    from daemon.sealing import secret_desk

    start_logs(context)
    with secret_desk(settings(context)) as desk:
        found = desk.list()
    if as_json:
        listed = [
            {"name": one.name, "version": one.version, "saved_at": one.saved_at, "used_at": list(one.used_at)}
            for one in found
        ]
        output.emit([json.document({"secrets": listed})])
        return Exit.DONE
    lines = [
        f"{one.name}  version {one.version}, set {one.saved_at:%Y-%m-%d %H:%M:%S} UTC; "
        + (f"used by {', '.join(one.used_at)}" if one.used_at else "used nowhere")
        for one in found
    ]
    output.emit(lines or ["There are no secrets."])
    return Exit.DONE


@command.command("remove", cls=Verb)
@click.argument("name")
@click.option("--force", is_flag=True, help="Also one that the configuration refers to.")
@click.pass_context
def remove(context: click.Context, name: str, force: bool) -> int:
    """Forget the secret NAME."""
    from daemon.sealing import secret_desk

    start_logs(context)
    with secret_desk(settings(context)) as desk:
        used = desk.remove(name, force=force)
    output.emit([f"The secret {name} is forgotten."])
    if used:
        output.warn([f"the configuration refers to it still: {', '.join(used)}"])
    return Exit.DONE


def _value(name: str) -> bytes:
    """Return what the person types, or what stands on stdin."""
    if not sys.stdin.isatty():
        return sys.stdin.buffer.read(_LONGEST)
    typed, again = (
        click.prompt(prompt, hide_input=True, default="", show_default=False, err=True)
        for prompt in (f"Value of {name}", "The same again")
    )
    if typed != again:
        raise UsageError("the two values are not the same; nothing was kept")
    return str(typed).encode("utf-8", "surrogateescape")
