"""`crudsd explain`: everything known about one record, and what the next run would do with it."""

from contextlib import ExitStack

import click

from . import output
from .lazy import Verb
from .options import settings, start_logs


@click.command("explain", cls=Verb)
@click.argument("job")
@click.argument("key")
@click.option("--no-source", is_flag=True, help="Do not ask the source.")
@click.option("--no-target", is_flag=True, help="Do not ask the target.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.pass_context
def command(context: click.Context, job: str, key: str, no_source: bool, no_target: bool, as_json: bool) -> int:
    """Tell everything known about the record KEY of JOB. Reads both systems, writes to none.

    KEY is written as plans and rejects show it: the parts of a compound key are joined by a slash.
    """
    from daemon.app import open_app
    from daemon.report import explain_json, explain_text
    from daemon.runtime.signals import stop_on_signals

    place = settings(context)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        start_logs(context)
        app = stack.enter_context(open_app(place, stop=stop))
        output.warn(app.warnings)
        told = app.explain(job, key, ask_source=not no_source, ask_target=not no_target)
    output.emit([explain_json.explanation(told)] if as_json else explain_text.explanation(told))
    return told.exit
