"""`crudsd demo`: a whole story on this machine, with nothing installed and nothing to sign up for."""

from pathlib import Path

import click

from . import output
from .lazy import Verb
from .options import start_logs


@click.command("demo", cls=Verb)
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="A new or empty folder for the demo's files, which stay. Default: a temporary one, which does not.",
)
@click.option("--serve", "keep_serving", is_flag=True, help="Keep the two systems running afterwards, until Ctrl-C.")
@click.pass_context
def command(context: click.Context, folder: Path | None, keep_serving: bool) -> int:
    """Show it all in a minute: two small APIs and a job."""
    from daemon.demo.story import tell
    from daemon.runtime.signals import stop_on_signals

    start_logs(context)

    def out(line: str) -> None:
        output.emit([line])

    if not keep_serving:
        return tell(folder=folder, out=out)
    with stop_on_signals(speaks=False) as stop:
        return tell(folder=folder, out=out, keep_serving=True, stop=stop)
