"""`crudsd alerts`: whom the service tells of what, and to try whether they hear it."""

import click

from daemon.errors import Exit

from . import output
from .lazy import Verb, VerbGroup
from .options import settings, start_logs

EVENTS = ("failure", "recovery", "hold", "late", "good", "start")


@click.group("alerts", cls=VerbGroup)
def command() -> None:
    """See whom crudsd serve tells of what, and try it."""


@command.command("list", cls=Verb)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.pass_context
def list_(context: click.Context, as_json: bool) -> int:
    """List the destinations of alerts, and which jobs tell them what. Asks nobody, and shows no secret."""
    from daemon.app import open_app

    start_logs(context)
    with open_app(settings(context)) as app:
        found = app.alerts().list()
    if as_json:
        from daemon.report import json

        listed = [{"name": one.name, "type": one.type, "where": one.where, "told_by": one.told_by} for one in found]
        output.emit([json.document({"alerts": listed})])
        return Exit.DONE
    lines = []
    for one in found:
        lines.append(f"{one.name}  {one.type} {one.where}" + ("" if one.told_by else "  (no job tells it anything)"))
        lines += [f"  {event}: {', '.join(jobs)}" for event, jobs in one.told_by.items()]
    output.emit(lines or ["There are no alerts. docs/how-to/alerts.md shows how to be told."])
    return Exit.DONE


@command.command("test", cls=Verb)
@click.argument("name")
@click.option("--event", type=click.Choice(EVENTS), help="What to tell. Default: failure; for a heartbeat: good.")
@click.pass_context
def test(context: click.Context, name: str, event: str | None) -> int:
    """Tell the alert NAME something now, once, marked as a test; says what went wrong if it did not arrive."""
    from daemon.app import open_app

    start_logs(context)
    with open_app(settings(context)) as app:
        told = app.alerts().test(name, event)
    output.emit([f"{name} was told of a {told}, marked as a test."])
    return Exit.DONE
