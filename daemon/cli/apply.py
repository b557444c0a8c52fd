"""`crudsd apply`: carry out a plan that somebody saved and looked at."""

from pathlib import Path

import click

from .lazy import Verb
from .running import told_run


@click.command("apply", cls=Verb)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.pass_context
def command(context: click.Context, file: Path, as_json: bool) -> int:
    """Carry out the plan saved in FILE, or nothing.

    Both systems are read again on purpose: where the plan of now is not the saved one, nothing is written, and the run
    ends as held. Safe to repeat: no change of the file is carried out twice.
    """
    from daemon.app import App
    from daemon.runtime.worker import Finished
    from daemon.sync.events import Observe

    def do(app: App, observe: Observe) -> Finished:
        saved = app.saved_plan(file)
        return app.run(saved.job, observe=observe, saved=saved)

    return told_run(context, do, as_json=as_json, again=f"crudsd apply {file}")
