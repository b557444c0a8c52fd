"""One run from the command line: watched, told at its end, and turned into an exit code."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from daemon.errors import Exit

from . import output
from .options import settings, start_logs

if TYPE_CHECKING:
    from daemon.app import App
    from daemon.runtime.worker import Finished
    from daemon.sync.events import Observe


def told_run(context: click.Context, do: "Callable[[App, Observe], Finished]", *, as_json: bool, again: str) -> int:
    """Open the program, let `do` make the run, tell its end, and return the exit code.

    `again` is the command that finishes the work after an interruption.
    """
    from daemon.app import open_app
    from daemon.report import json, text
    from daemon.runtime.signals import stop_on_signals
    from daemon.sync.outcome import EXITS

    from .process import started
    from .watching import watching

    place = settings(context)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        with watching() as watch:
            start_logs(context)
            app = stack.enter_context(open_app(place, stop=stop))
            started()
            output.warn(app.warnings)
            finished = do(app, watch)
        rejects = watch.noticed.rejects
        output.emit([json.finish(finished, rejects)] if as_json else text.finish(finished, watch.noticed.causes))
    code = EXITS[finished.result.ending]
    if as_json and code is Exit.INTERRUPTED:
        output.message(f"interrupted; {again} finishes the work")
    return code
